/*
 * sync_remote_t: what the engine asks of the service, docs/formats/sync-api.md, for one region and
 * one device that is logged in. Nothing that comes back is trusted. ERR_UNAVAILABLE and
 * ERR_TIMEOUT: the net; what was asked may have happened, and may be asked again. ERR_DENIED: see
 * refusal(). ERR_INVALID, ERR_VERIFY: refused with a reason. ERR_FULL: a quota. ERR_NOT_FOUND.
 *
 * Calls block; one thread at a time. Runs: u32 length, bytes, one after the other.
 */
#ifndef COFFER_SYNC_ENGINE_REMOTE_H
#define COFFER_SYNC_ENGINE_REMOTE_H

#include "base/buf.h"
#include "sync/suite.h"

/* What stands behind an ERR_DENIED. */
typedef enum {
    SYNC_REFUSED_NOT,      /* it was nothing of these */
    SYNC_REFUSED_REVOKED,  /* the chain has the device not active */
    SYNC_REFUSED_DISABLED, /* its person may not */
    SYNC_REFUSED_WIPE,     /* it is told to destroy its keys and files */
} sync_refusal_t;

typedef struct {
    uint64_t root;    /* newest counter; 0: none yet */
    uint64_t entries; /* of the chain */
} sync_news_t;

typedef struct {
    void *ctx;
    /* What is newest, as soon as it is newer than what is known or `wait_s` is over. */
    err_t *(*news)(void *ctx, const sync_news_t *known, unsigned wait_s, sync_news_t *ret_news);
    sync_refusal_t (*refusal)(void *ctx);
    /* May be NULL. What the last news() told: names at the top of the region that the
     * organisation's rules let this device sync, NULL-ended; NULL: all. Holds until the next. */
    const char *const *(*allowed)(void *ctx);

    /* Entries from this position on; some of them at least if there are any. */
    err_t *(*chain)(void *ctx, uint64_t from, buf_t *ret_runs);
    /* *ret_lost: another one has this position already. */
    err_t *(*chain_post)(void *ctx, bytes_t entry, bool *ret_lost);
    err_t *(*deliveries)(void *ctx, buf_t *ret_runs);
    err_t *(*deliver)(void *ctx, bytes_t runs);

    /*
     * A data package while its root is not known: parts (sync_part) in order under a number of the
     * caller's. put may return before the part is held; its failure then comes with a later call.
     * What is in `data` it may keep: then another buffer, empty, is there in its place.
     * end waits for all of them and tells the root: ERR_VERIFY if the service found another.
     * held: how many parts, from the first on, need not be sent.
     */
    err_t *(*upload_held)(void *ctx, const uint8_t upload[SYNC_NODE], uint32_t *ret_parts);
    /* May be NULL. Before the next part has so many bytes: waits while too much is on its way. */
    err_t *(*upload_room)(void *ctx, size_t bytes);
    /* May be NULL. Nobody goes on with it: what is held of it need not be. */
    err_t *(*upload_drop)(void *ctx, const uint8_t upload[SYNC_NODE]);
    err_t *(*upload_put)(void *ctx, const uint8_t upload[SYNC_NODE], uint64_t package_size,
                         uint32_t part, buf_t *data);
    err_t *(*upload_end)(void *ctx, const uint8_t upload[SYNC_NODE], uint64_t package_size,
                         const uint8_t root[SYNC_HASH]);
    /* A data package of one part. May return before it is held, as above: packages_put waits. */
    err_t *(*data_put)(void *ctx, const uint8_t root[SYNC_HASH], buf_t *data);
    /* One part; replaces what is in ret_data, maybe by another buffer. */
    err_t *(*data_get)(void *ctx, const uint8_t root[SYNC_HASH], uint64_t package_size,
                       uint32_t part, buf_t *ret_data);

    /* Signature packages: at most SYNC_REMOTE_PACKAGES of them; ids in, runs out in their order
     * (an empty run for one that is not there; may be cut short after one at least). */
    err_t *(*packages_put)(void *ctx, bytes_t runs);
    err_t *(*packages_get)(void *ctx, bytes_t ids, buf_t *ret_runs);

    /* The newest root and its change as runs; *ret_found false before the first. */
    err_t *(*root)(void *ctx, bool *ret_found, buf_t *ret_runs);
    /* Roots and changes in turn from the one after this counter on. */
    err_t *(*roots)(void *ctx, uint64_t after, buf_t *ret_runs);
    /* *ret_lost: somebody was faster. */
    err_t *(*root_post)(void *ctx, bytes_t root, bytes_t change, bool *ret_lost);
} sync_remote_t;

enum { SYNC_REMOTE_PACKAGES = 512, SYNC_REMOTE_ANSWER = 32 * 1024 * 1024 };

#endif
