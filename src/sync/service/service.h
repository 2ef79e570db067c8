/*
 * The service of sync: regions that devices share, held without any key. Every write is checked
 * against the region's device chain (sync/), stored in one transaction with its audit note, and
 * answered by a word of reason when it is refused (word.h, docs/formats/sync-api.md). Data lies in
 * blobs (store/blob). For coffer-web; all functions are safe on any worker thread.
 */
#ifndef COFFER_SYNC_SERVICE_SERVICE_H
#define COFFER_SYNC_SERVICE_SERVICE_H

#include "audit/audit.h"
#include "base/clk.h"
#include "base/limits.h"
#include "base/rnd.h"
#include "store/blob/blobs.h"
#include "store/people.h"
#include "store/sync_admin.h"
#include "store/sync_joins.h"
#include "store/sync_regions.h"
#include "sync/service/word.h"

typedef struct sync_service sync_service_t;

/* What the organisation lets somebody do on a device. */
typedef struct {
    bool may_sync, may_share, may_share_outside;
    int64_t quota;       /* bytes; 0: none */
    const char *folders; /* names at the top, one a line; NULL: all. In the arena */
} sync_policy_t;

/* Everything is borrowed and must outlive the service. */
typedef struct {
    db_t *db;
    blobs_t *blobs;
    const audit_t *audit;
    const clk_t *clk;
    const clk_t *ages; /* by which things become old enough to go (clk_steady.h); NULL: clk */
    const rnd_t *rnd;
    const uint8_t *recovery; /* id of the one key that may recover regions; NULL: none may */
    const char *host;        /* of the instance's URL, with its port: what log-ins are signed for */
    /* What holds for a person (`device` NULL: whatever the device), asked within a transaction. */
    err_t *(*policy)(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                     const uint8_t *device, sync_policy_t *ret_policy);
    void *policy_ctx;
    /* Something newer is on disk: for those who wait. Must be short. Or NULL. */
    void (*changed)(void *ctx, const uint8_t region[SYNC_HASH], int64_t root, int64_t entries,
                    int64_t joins);
    void *changed_ctx;
    int64_t keep_ms;  /* how long what was dropped from a tree stays */
    int64_t grace_ms; /* how long what no root ever added does */
} sync_options_t;

err_t *sync_service_new(const sync_options_t *options, sync_service_t **ret_service) WARN_UNUSED;
void sync_service_free(sync_service_t *service); /* takes NULL */

/* ---- who asks ---- */

/* One request: who it is from, which region it is about, and why it was refused if it was. */
typedef struct {
    sync_service_t *service; /* borrowed, as all of these */
    arena_t *arena;
    const char *actor;  /* for the audit */
    db_person_t person; /* who asks, or whose device does; id "" for an admin's token */
    bool admin, reader; /* who asks has this role and is no device */
    bool related;       /* a person with a device in the region, or one that wants in */
    bool is_device;
    uint8_t device[SYNC_HASH];
    uint8_t roles; /* of the device, now */
    sync_policy_t policy;
    db_sync_region_t region; /* seq 0: none yet */
    /* after a refusal */
    sync_word_t word;
    bytes_t current; /* SYNC_WORD_NEWER: the newest record */
    bytes_t missing; /* SYNC_WORD_MISSING: ids */
    bytes_t wipe;    /* SYNC_WORD_WIPE: the wipe's id */
} sync_call_t;

/* Notes the word and makes the error that goes with it, with a sentence as err_new has it. */
#define sync_no(call, reason, ...)                                                                 \
    ((call)->word = (reason), err_new(sync_word_code((call)->word), __VA_ARGS__))

enum { SYNC_NONCE = 32, SYNC_TOKEN_TEXT = 192 };

/* A nonce for a log-in; the same answer whether there is such a device or not. */
err_t *sync_login_begin(sync_service_t *service, const uint8_t region[SYNC_HASH],
                        const uint8_t device[SYNC_HASH], uint8_t ret_nonce[SYNC_NONCE]) WARN_UNUSED;
/* Appends the token. call->region is filled in. */
err_t *sync_login_end(sync_call_t *call, const uint8_t region[SYNC_HASH],
                      const uint8_t device[SYNC_HASH], const uint8_t nonce[SYNC_NONCE],
                      bytes_t signature, buf_t *ret_token, int64_t *ret_expires) WARN_UNUSED;
/* Whether a bearer token is a device's; else it is somebody else's to judge. */
bool sync_token_is(bytes_t token);
/*
 * Fills in the call from a device's token: it is good, of this region, the device is active, its
 * person may sync.
 */
err_t *sync_call_device(sync_call_t *call, const uint8_t region[SYNC_HASH],
                        bytes_t token) WARN_UNUSED;
/* The token alone, without the database: for who will look again before he answers. */
err_t *sync_token_check(const sync_service_t *service, const uint8_t region[SYNC_HASH],
                        bytes_t token) WARN_UNUSED;
/* Fills in the region for a person or admin, who may see it. */
err_t *sync_call_person(sync_call_t *call, const uint8_t region[SYNC_HASH]) WARN_UNUSED;

/* ---- regions and chains ---- */

/* *ret_new false: it was there. */
err_t *sync_region_create(sync_call_t *call, bytes_t record, uint8_t ret_region[SYNC_HASH],
                          bool *ret_new) WARN_UNUSED;
err_t *sync_region_list(sync_call_t *call, int64_t after, db_sync_region_t **ret_rows,
                        size_t *ret_count) WARN_UNUSED;
err_t *sync_chain_read(sync_call_t *call, int64_t from, buf_t *out) WARN_UNUSED;
err_t *sync_chain_write(sync_call_t *call, bytes_t record, bool *ret_new) WARN_UNUSED;

/* ---- joins and keys ---- */

err_t *sync_join_ask(sync_call_t *call, bytes_t body, int64_t *ret_join) WARN_UNUSED;
err_t *sync_join_list(sync_call_t *call, db_sync_join_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *sync_join_find(sync_call_t *call, int64_t join, db_sync_join_t *ret_row) WARN_UNUSED;
/* position below 0: the chain's end. */
err_t *sync_join_answer(sync_call_t *call, int64_t join, const uint8_t m[SYNC_HASH],
                        int64_t position) WARN_UNUSED;
err_t *sync_join_open(sync_call_t *call, int64_t join, const uint8_t n[SYNC_HASH]) WARN_UNUSED;
err_t *sync_join_end(sync_call_t *call, int64_t join) WARN_UNUSED;
/* "asked", "answered", "opened", "approved" or "ended". */
err_t *sync_join_state(sync_call_t *call, const db_sync_join_t *row,
                       const char **ret_state) WARN_UNUSED;
err_t *sync_deliveries_put(sync_call_t *call, bytes_t runs) WARN_UNUSED;
err_t *sync_deliveries_read(sync_call_t *call, buf_t *out) WARN_UNUSED;

/* ---- data ---- */

/*
 * The whole package has `size` bytes; `sha256` is of the content, hashed by whom it came to first.
 * *ret_new false: the part was there.
 */
err_t *sync_part_put(sync_call_t *call, const uint8_t root[SYNC_HASH], uint32_t part, uint64_t size,
                     bytes_t content, const uint8_t sha256[SYNC_HASH], bool *ret_new) WARN_UNUSED;
/* All parts came under the name `from`, which nobody has: from now on they are the package of this
 * root, which they must have (SYNC_WORD_DATA). May be repeated. */
err_t *sync_data_name(sync_call_t *call, const uint8_t from[SYNC_HASH],
                      const uint8_t root[SYNC_HASH]) WARN_UNUSED;
/* Data that no package has: its sender doesn't go on with it, and its bytes count no more. */
err_t *sync_data_drop(sync_call_t *call, const uint8_t name[SYNC_HASH]) WARN_UNUSED;
typedef struct {
    uint64_t size;
    uint32_t parts;      /* of the whole */
    uint32_t held;       /* of them here */
    uint32_t *list;      /* their numbers, in the arena */
    int64_t replicas;    /* of the part that has least */
    int64_t verified_ms; /* the longest ago; 0: one never was */
} sync_held_t;
/* SYNC_WORD_ABSENT if nothing is. */
err_t *sync_data_parts(sync_call_t *call, const uint8_t root[SYNC_HASH],
                       sync_held_t *ret_held) WARN_UNUSED;
/* Without the list; *ret_found false. */
err_t *sync_data_status(sync_call_t *call, bytes_t roots, size_t index, sync_held_t *ret_held,
                        bool *ret_found) WARN_UNUSED;
/* Appends those of `roots` that are not held whole. */
err_t *sync_data_missing(sync_call_t *call, bytes_t roots, buf_t *out) WARN_UNUSED;
/*
 * Appends content from `from` on, at most up to `to` (not included) and the end of that part.
 * *ret_size: of the whole package. SYNC_WORD_RANGE if `from` is beyond it.
 */
err_t *sync_data_read(sync_call_t *call, const uint8_t root[SYNC_HASH], uint64_t from, uint64_t to,
                      buf_t *out, uint64_t *ret_size) WARN_UNUSED;
/* Stores that a blob should be on. */
size_t sync_data_wanted(const sync_service_t *service);

/* ---- packages and roots ---- */

/* All or none; appends their ids. *ret_new: one was not there. */
err_t *sync_packages_put(sync_call_t *call, const bytes_t *records, size_t n, buf_t *ret_ids,
                         bool *ret_new) WARN_UNUSED;
err_t *sync_package_read(sync_call_t *call, const uint8_t id[SYNC_HASH], buf_t *out) WARN_UNUSED;
err_t *sync_packages_read(sync_call_t *call, bytes_t ids, buf_t *out) WARN_UNUSED;
/* Root and change as two runs; SYNC_WORD_ABSENT before the first. */
err_t *sync_root_read(sync_call_t *call, buf_t *out) WARN_UNUSED;
err_t *sync_roots_read(sync_call_t *call, int64_t after, buf_t *out) WARN_UNUSED;
/* *ret_new false: it is the newest one already. */
err_t *sync_root_write(sync_call_t *call, bytes_t body, bool *ret_new) WARN_UNUSED;

/* ---- control ---- */

/* Bytes that count for the quota of the region's person. */
err_t *sync_used(sync_call_t *call, int64_t *ret_used, int64_t *ret_quota) WARN_UNUSED;
err_t *sync_wipe_ask(sync_call_t *call, const uint8_t device[SYNC_HASH],
                     uint8_t ret_id[16]) WARN_UNUSED;

typedef struct {
    uint8_t region[SYNC_HASH], device[SYNC_HASH], wipe[16];
    int64_t time; /* seconds since 1970 UTC */
    uint64_t files;
    bytes_t signature;
} sync_receipt_t;
/* The device's proof that it destroyed its keys: needs no token. */
err_t *sync_wipe_receipt(sync_call_t *call, const sync_receipt_t *receipt) WARN_UNUSED;

/* ---- the log of chain heads ---- */

/* The newest tree: its size and root (zeros if it is signed); *ret_signed: the size that is. */
err_t *sync_log_head(sync_service_t *service, uint64_t *ret_size, uint8_t ret_root[SYNC_HASH],
                     uint64_t *ret_signed) WARN_UNUSED;
/* Appends the hashes that show that the tree of `size` leaves begins with that of `old_size`. */
err_t *sync_log_proof(sync_service_t *service, uint64_t old_size, uint64_t size,
                      buf_t *out) WARN_UNUSED;
err_t *sync_log_keep(sync_service_t *service, uint64_t size, bytes_t note) WARN_UNUSED;
/* Appends the signed note; SYNC_WORD_ABSENT before the first. */
err_t *sync_log_checkpoint(sync_call_t *call, buf_t *out) WARN_UNUSED;
/* Where in the log an entry of a region's chain is; SYNC_WORD_ABSENT. Its word: a proof shows it.
 */
err_t *sync_log_index(sync_call_t *call, const uint8_t region[SYNC_HASH], int64_t position,
                      int64_t *ret_index) WARN_UNUSED;
/* Appends what stands at "tile/..."; SYNC_WORD_ABSENT. */
err_t *sync_log_tile(sync_call_t *call, bytes_t path, buf_t *out) WARN_UNUSED;

/* ---- background work ---- */

typedef struct {
    int64_t packages, data; /* forgotten */
    int64_t bytes;
} sync_collected_t;

/* One step: up to `limit` of each kind. Adds to *done. */
err_t *sync_collect(sync_service_t *service, size_t limit, sync_collected_t *done) WARN_UNUSED;

DEFINE_CLEANUP(sync_service_t, sync_service_free)

#endif
