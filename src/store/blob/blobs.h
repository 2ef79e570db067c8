/*
 * Blobs on several stores: what everyone above uses. A blob is put once a quorum of stores has it,
 * read from whichever has it intact, repaired where it is missing or damaged, scrubbed in the
 * background and collected when nobody needs it any more. The database (blob_rows.h) tells which
 * blobs there are and where; stores only hold bytes.
 *
 * Life of a blob. WRITING: a put began. STORED: on a quorum. CONDEMNED: without an owner for the
 * grace period; a put or an owner takes that back. DELETING: after a second wait its objects are
 * removed, then its row. A put that comes while it is being deleted gives it a new incarnation,
 * hence new names of objects, which no deletion under way can hit. An owner comes only to
 * a blob that is STORED or CONDEMNED, in the same transaction as what refers to it: so nothing that
 * is referred to is ever deleted, whatever dies when.
 *
 * A blobs_t may be used from many threads at once; stores are called on the caller's thread and on
 * threads that end before the call does. Memory: a put about 300 KiB (and an object per S3 store it
 * goes to), a get about 1 MiB, repair and scrub two objects.
 */
#ifndef COFFER_STORE_BLOB_BLOBS_H
#define COFFER_STORE_BLOB_BLOBS_H

#include <stdatomic.h>

#include "base/clk.h"
#include "base/rnd.h"
#include "store/blob/blob.h"
#include "store/blob/sealed.h"
#include "store/blob_rows.h"
#include "store/db.h"

typedef struct blobs blobs_t;

/* Everything is borrowed but what is said to be copied, and must outlive the blobs_t. */
typedef struct {
    db_t *db;
    const clk_t *clk; /* for ages: what may go, and when */
    const clk_t *day; /* for repairs, scrubs and what people are told; NULL: clk */
    const rnd_t *rnd;
    const blob_keys_t *keys;
    blob_store_t *const *stores; /* the array is copied; the first ones are asked first */
    size_t stores_n;             /* 1..LIMIT_BLOB_STORES */
    size_t quorum;               /* stores that must have a blob before its put succeeds */
    const char *spool;           /* directory for what comes in; copied */
    int64_t grace_ms;     /* before a blob without owner is condemned; counts from its put too */
    int64_t condemned_ms; /* before a condemned one is deleted */
    int64_t orphan_ms;    /* age of objects that belong to no blob before they are removed */
    int64_t retry_ms;     /* between attempts to repair a replica */
} blobs_config_t;

/* Sweeps the spool of what crashes left. ERR_USAGE: a quorum that can't be. */
err_t *blobs_new(const blobs_config_t *config, blobs_t **ret_blobs) WARN_UNUSED;
void blobs_free(blobs_t *blobs); /* takes NULL */

/* ---- put ---- */

typedef struct blob_put blob_put_t;

/*
 * Begins to store the blob of this id and size (at most LIMIT_BLOB). *ret_present: a quorum has it
 * already and nothing needs to be sent; then there is no put. Its grace period begins anew.
 */
err_t *blobs_put_new(blobs_t *blobs, const blob_id_t *id, uint64_t size, bool *ret_present,
                     blob_put_t **ret_put) WARN_UNUSED;
/* The next piece. ERR_VERIFY: more than the size that was said. */
err_t *blob_put_add(blob_put_t *put, bytes_t data) WARN_UNUSED;
/*
 * Success: it is what its id says, and durably on a quorum of stores. ERR_VERIFY: it is something
 * else. ERR_UNAVAILABLE: too few stores took it; what failed is in the message. ERR_BUSY: it took
 * longer than the grace period; put it again.
 */
err_t *blob_put_end(blob_put_t *put) WARN_UNUSED;
/* With what the caller has to write, in the very transaction that says that it is stored. */
err_t *blob_put_end_with(blob_put_t *put, err_t *(*also)(db_conn_t *conn, void *arg),
                         void *arg) WARN_UNUSED;
void blob_put_free(blob_put_t *put); /* gives up what was not ended; takes NULL */
/* All of it in one call. */
err_t *blobs_put(blobs_t *blobs, const blob_id_t *id, bytes_t content) WARN_UNUSED;
/*
 * All but the end, where the caller has just made the id of this very content: it is not checked
 * again. The content goes to the disk while the caller does something else; blob_put_end() waits
 * for it. *ret_put NULL: a quorum has it already.
 */
err_t *blobs_put_begin(blobs_t *blobs, const blob_id_t *id, bytes_t content,
                       blob_put_t **ret_put) WARN_UNUSED;

DEFINE_CLEANUP(blobs_t, blobs_free)
DEFINE_CLEANUP(blob_put_t, blob_put_free)

/* ---- get ---- */

typedef err_t *(*blob_sink_fn)(void *arg, bytes_t piece);

/*
 * Hands n bytes from offset (fewer at its end; UINT64_MAX: all) to the sink, in order, every piece
 * verified before it is handed on. A replica that is missing or damaged is noted for repair, and
 * the next one goes on where it ended. ERR_NOT_FOUND: there is no such blob. ERR_VERIFY: no replica
 * is intact any more. ERR_UNAVAILABLE: those that may be can't be reached.
 */
err_t *blobs_get(blobs_t *blobs, const blob_id_t *id, uint64_t offset, uint64_t n,
                 blob_sink_fn sink, void *arg) WARN_UNUSED;

/* ---- status ---- */

typedef struct {
    const char *store; /* borrowed from the blobs_t */
    db_replica_state_t state;
    int64_t stored_ms;   /* written; 0: not by a put that is known */
    int64_t verified_ms; /* read back and found right; 0: not yet */
} blob_replica_t;

typedef struct {
    uint64_t size;
    db_blob_state_t state;
    size_t wanted;       /* replicas that there should be */
    size_t good;         /* "on N replicas, */
    int64_t verified_ms; /* verified at T": the oldest of the good ones; 0: one was not yet */
    size_t replicas_n;
    blob_replica_t replicas[LIMIT_BLOB_STORES]; /* in the order of the configuration */
} blob_status_t;

/* *ret_found false: not stored. */
err_t *blobs_status(blobs_t *blobs, const blob_id_t *id, blob_status_t *ret_status,
                    bool *ret_found) WARN_UNUSED;

typedef struct {
    const char *name, *kind;        /* borrowed from the blobs_t */
    int64_t good, missing, damaged; /* replicas */
    int64_t verified_ms;            /* its least recently verified good replica; 0: none or never */
    bool away;                      /* did not answer a moment ago */
} blob_store_status_t;

typedef struct {
    int64_t blobs, bytes;        /* stored */
    int64_t condemned, deleting; /* blobs */
    size_t quorum, stores_n;
    int64_t since_ms; /* when the first store was first used */
    blob_store_status_t stores[LIMIT_BLOB_STORES];
    bool scrubbed;         /* `scrub` says something */
    db_blob_scrub_t scrub; /* its position is not filled in */
} blobs_status_t;

/* Replicas that there should be of each blob. */
size_t blobs_wanted(const blobs_t *blobs);
err_t *blobs_status_all(blobs_t *blobs, blobs_status_t *ret_status) WARN_UNUSED;

/* ---- background work: small steps, each safe to be cut short, any process ---- */

typedef struct {
    int64_t checked;  /* replicas read */
    int64_t bytes;    /* read from stores */
    int64_t bad;      /* found missing or damaged */
    int64_t repaired; /* replicas */
    int64_t lost;     /* blobs without an intact replica */
    int64_t removed;  /* objects */
} blobs_work_t;

/*
 * Tries to repair up to `limit` blobs with replicas that are missing or damaged, those first that
 * were tried longest ago. Adds to *work.
 */
err_t *blobs_repair(blobs_t *blobs, size_t limit, blobs_work_t *work) WARN_UNUSED;

/*
 * Begins a scrub of everything; one that is under way goes on instead.
 */
err_t *blobs_scrub_begin(blobs_t *blobs) WARN_UNUSED;
/*
 * Goes on with it from where it was, also after a crash: reads every replica of some blobs, until
 * `max_bytes` are read, notes what is bad and repairs it. *ret_done: none is under way (any more).
 * Adds to *work.
 */
err_t *blobs_scrub_step(blobs_t *blobs, uint64_t max_bytes, blobs_work_t *work,
                        bool *ret_done) WARN_UNUSED;

/* One step of garbage collection, `limit` blobs in each phase. Adds to *work. */
err_t *blobs_collect(blobs_t *blobs, size_t limit, blobs_work_t *work) WARN_UNUSED;
/*
 * Looks at the next page of each store for objects that belong to no blob, and removes those older
 * than orphan_ms. Adds to *work. *ret_done: every store came to its end.
 */
err_t *blobs_sweep(blobs_t *blobs, blobs_work_t *work, bool *ret_done) WARN_UNUSED;

#endif
