/*
 * What the files about blobs on several stores share: see blobs.h.
 */
#ifndef COFFER_STORE_BLOB_BLOBS_INTERNAL_H
#define COFFER_STORE_BLOB_BLOBS_INTERNAL_H

#include "store/blob/blobs.h"

enum { BLOBS_ARENA = 4 * 1024 * 1024 };

struct blobs {
    db_t *db;
    const clk_t *clk, *day;
    const rnd_t *rnd;
    const blob_keys_t *keys;
    blob_store_t *stores[LIMIT_BLOB_STORES];
    _Atomic int64_t away_until[LIMIT_BLOB_STORES]; /* monotonic ms: it did not answer */
    size_t stores_n, quorum;
    char *spool;
    int64_t grace_ms, condemned_ms, orphan_ms, retry_ms;
};

/* Notes from an error whether a store is away for a while. */
void blobs_note(blobs_t *blobs, size_t store, const err_t *e);
bool blobs_away(blobs_t *blobs, size_t store);
/* The places of all stores: those that answer first, then the others. */
void blobs_order(blobs_t *blobs, size_t order[LIMIT_BLOB_STORES]);

/* Reads a whole object, emptying out first, and checks it. ERR_VERIFY, ERR_NOT_FOUND, ... */
err_t *blobs_read_object(blobs_t *blobs, size_t store, const blob_id_t *id, uint64_t incarnation,
                         buf_t *out) WARN_UNUSED;
/* Reads all replicas of a blob, notes in the database what is found, repairs what is bad. */
err_t *blobs_check(blobs_t *blobs, const blob_id_t *id, uint64_t incarnation, buf_t *object,
                   blobs_work_t *work) WARN_UNUSED;

/* db_read with what a reader of one blob needs. */
typedef struct {
    bytes_t id;
    arena_t *arena;
    bool found;
    db_blob_t blob;
    db_replica_t *replicas;
    size_t replicas_n;
} blobs_row_t;

err_t *blobs_find(blobs_t *blobs, const blob_id_t *id, arena_t *arena,
                  blobs_row_t *ret_row) WARN_UNUSED;

#endif
