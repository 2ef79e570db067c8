/*
 * The log of chain heads as a device sees it over HTTPS (C2SP tlog-tiles): the newest checkpoint,
 * tiles, entry bundles. The key is the one that was seen first, or was given; a checkpoint must be
 * signed by it and go on from the last one that this device has seen, which is kept for good.
 *
 * ERR_VERIFY begins with a word: "log-key" another key, "log-unsigned", "log-rolled-back" shorter
 * than seen, "log-forked" another tree than seen, "log-invalid", "log-withheld" not in the log.
 * One thread; blocking.
 */
#ifndef COFFER_SYNC_CLIENT_LOG_VIEW_H
#define COFFER_SYNC_CLIENT_LOG_VIEW_H

#include "sync/client/remote.h"
#include "sync/tlog_audit.h"

enum { LOG_VIEW_TILES = 16 };

/* A tile of hashes that was fetched lately: proofs come back to the same ones. */
typedef struct {
    unsigned level, width; /* width 0: none */
    uint64_t index;
    uint8_t hashes[TLOG_TILE][MERKLE_HASH];
} log_tile_t;

typedef struct {
    sync_http_t *http; /* borrowed, as state */
    db_local_t *state;
    char *key_text; /* "name+hash+base64" */
    char *origin;
    pkey_t *key;
    buf_t note;               /* the newest checkpoint, signed */
    tlog_checkpoint_t newest; /* size 0: none yet; borrows from note */
    log_tile_t *tiles;        /* LOG_VIEW_TILES of them, the oldest goes first */
    size_t tiles_next;
    uint64_t seen; /* leaves of the last one that was seen before; 0: none */
    uint8_t seen_root[MERKLE_HASH];
} log_view_t;

/* `key`: the text of the one to trust, or NULL. No request but for the key. */
err_t *log_view_open(sync_http_t *http, db_local_t *state, const char *key,
                     log_view_t *ret_view) WARN_UNUSED;
void log_view_done(log_view_t *view); /* takes a zeroed one */
/*
 * Forgets what was seen of the log: a person has looked. No backup changes its key, so that stays
 * known, unless `key` is not NULL: the text of the one that holds from here on.
 */
err_t *log_view_forget(db_local_t *state, const char *key) WARN_UNUSED;

/* The newest checkpoint, checked; ERR_NOT_FOUND: nothing was signed yet. */
err_t *log_view_refresh(log_view_t *view) WARN_UNUSED;
/* What was seen of it is kept. */
err_t *log_view_keep(const log_view_t *view, const tlog_audit_t *audit) WARN_UNUSED;
/* What this device had read of the log; zeros at first. */
err_t *log_view_audit(const log_view_t *view, tlog_audit_t *ret_audit) WARN_UNUSED;

/* The entry bundle of a tile of the newest tree; replaces what is in ret_bundle. */
err_t *log_view_bundle(log_view_t *view, uint64_t tile, buf_t *ret_bundle) WARN_UNUSED;
/*
 * Reads on up to the newest checkpoint, and checks that the leaves are its tree. Errors as of
 * tlog_audit_take, after which it can go on.
 */
err_t *log_view_read(log_view_t *view, const sync_chain_t *chain, tlog_audit_t *audit) WARN_UNUSED;
/*
 * That the newest entry of the chain is in the newest tree (RFC 9162 section 2.1.3), and where.
 * ERR_NOT_FOUND: not yet.
 */
err_t *log_view_include(log_view_t *view, const sync_chain_t *chain,
                        uint64_t *ret_index) WARN_UNUSED;
/*
 * Another one's copy of a checkpoint of this log: the newest tree must begin with it. "log-forked"
 * or "log-rolled-back" if not, "log-unsigned" if it is not this log's.
 */
err_t *log_view_compare(log_view_t *view, bytes_t note, uint64_t *ret_size) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(log_view_t, log_view_done)

#endif
