/*
 * [sync_storage] and [sync_store NAME] of coffer.conf: where synced files' ciphertext lies. Opens
 * the stores and what is above them.
 */
#ifndef COFFER_PROGRAM_BLOB_CONF_H
#define COFFER_PROGRAM_BLOB_CONF_H

#include "format/conf.h"
#include "store/blob/blobs.h"

extern const char *const BLOB_CONF_KEYS[], *const BLOB_CONF_STORE_KEYS[];

typedef struct {
    blob_store_t *stores[LIMIT_BLOB_STORES]; /* owned */
    size_t stores_n;
    blobs_t *blobs;        /* owned */
    int64_t scrub_every_s; /* 0: only when asked */
    int64_t scrub_rate;    /* bytes a second */
} blob_conf_t;

/*
 * Opens every [sync_store NAME] in the order of the file; without one there is DIR/blobs alone. A
 * directory that was in use before must bear its mark: an empty mount point is ERR_NOT_FOUND.
 * Errors name section and key. `ages` says what may go
 * (blobs.h), `day` what time it is. All but `conf` and `dir` are borrowed.
 */
err_t *blob_conf_open(conf_t *conf, const char *dir, db_t *db, const clk_t *ages, const clk_t *day,
                      const rnd_t *rnd, const blob_keys_t *keys,
                      blob_conf_t *ret_blobs) WARN_UNUSED;
void blob_conf_done(blob_conf_t *blobs);

DEFINE_CLEANUP_VALUE(blob_conf_t, blob_conf_done)

#endif
