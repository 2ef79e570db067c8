/*
 * Blobs: immutable runs of ciphertext, named by the SHA-256 of what they hold, and the places that
 * keep them. A blob_store_t is one such place (a disk, a bucket); it keeps objects: the sealed form
 * of a blob (sealed.h) under a name that is never used for anything else. Stores know nothing of
 * keys, replicas or references: that is blobs.h, which everyone above uses.
 *
 * A store may be used from many threads at once. No call needs more memory than one object.
 */
#ifndef COFFER_STORE_BLOB_BLOB_H
#define COFFER_STORE_BLOB_BLOB_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* ---- names ---- */

enum {
    BLOB_ID = 32,                                /* bytes: SHA-256 of the client's ciphertext */
    BLOB_ID_HEX = 2 * BLOB_ID + 1,               /* with its NUL */
    BLOB_OBJECT_NAME = 2 * BLOB_ID + 1 + 16 + 1, /* "ID-INCARNATION" and NUL */
};

typedef struct {
    uint8_t bytes[BLOB_ID];
} blob_id_t;

/* Of a blob's content. */
err_t *blob_id_of(bytes_t ciphertext, blob_id_t *ret_id) WARN_UNUSED;
bool blob_id_eq(const blob_id_t *a, const blob_id_t *b);
static inline bytes_t blob_id_bytes(const blob_id_t *id) { return BYTES_ARRAY(id->bytes); }
/* 64 lower-case digits. Returns out. */
const char *blob_id_hex(const blob_id_t *id, char out[BLOB_ID_HEX]);
/* ERR_INVALID unless it is 64 hexadecimal digits. */
err_t *blob_id_parse(bytes_t hex, blob_id_t *ret_id) WARN_UNUSED;

/*
 * The name of an object: the blob and its incarnation, a random number that the blob got when it
 * was stored. A blob that was collected and comes again is another incarnation, so that whoever
 * still deletes the old one cannot hit the new one.
 */
const char *blob_object_name(const blob_id_t *id, uint64_t incarnation, char out[BLOB_OBJECT_NAME]);
/* False: not the name of an object. */
bool blob_object_parse(bytes_t name, blob_id_t *ret_id, uint64_t *ret_incarnation);

/* ---- stores ---- */

/* What is put: a whole file, open for reading, its bytes already on disk (fsync). */
typedef struct {
    int fd;             /* borrowed; read from its beginning by position */
    uint64_t size;      /* bytes, at most LIMIT_BLOB_OBJECT */
    uint8_t sha256[32]; /* of the whole */
    const char *path;   /* where it lies if the store may take (rename) it; or NULL */
} blob_source_t;

typedef struct {
    const char *name; /* borrowed during the call */
    uint64_t size;    /* bytes */
    int64_t modified; /* seconds since 1970 UTC */
} blob_entry_t;

typedef err_t *(*blob_each_fn)(void *arg, const blob_entry_t *entry);

typedef struct blob_store blob_store_t;

typedef struct {
    err_t *(*put)(blob_store_t *store, const char *name, const blob_source_t *source);
    err_t *(*get)(blob_store_t *store, const char *name, uint64_t offset, size_t n, buf_t *out);
    err_t *(*look)(blob_store_t *store, const char *name, bool *ret_found, uint64_t *ret_size);
    err_t *(*remove)(blob_store_t *store, const char *name);
    err_t *(*list)(blob_store_t *store, const char *prefix, const char *after, size_t max,
                   blob_each_fn each, void *arg, bool *ret_more);
    void (*free)(blob_store_t *store);
} blob_store_ops_t;

/* Each kind's own struct begins with this. */
struct blob_store {
    const blob_store_ops_t *ops;
    char *name; /* owned: what the configuration calls it */
    const char *kind;
};

static inline const char *blob_store_name(const blob_store_t *store) { return store->name; }
static inline const char *blob_store_kind(const blob_store_t *store) { return store->kind; }
void blob_store_free(blob_store_t *store); /* takes NULL */

/*
 * Stores the object; success: it is durable, whole. What was there under the name is replaced, at
 * one moment. A crash leaves the object as it was, or as it is to be. ERR_FULL, ERR_IO,
 * ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_DENIED (credentials), ERR_VERIFY (the store has something
 * else than it was given), ERR_LIMIT.
 */
err_t *blob_store_put(blob_store_t *store, const char *name,
                      const blob_source_t *source) WARN_UNUSED;
/*
 * Appends up to n bytes from offset; fewer only at the object's end. ERR_NOT_FOUND: no such object.
 * What comes is unverified: the sealed form tells whether it is right.
 */
err_t *blob_store_get(blob_store_t *store, const char *name, uint64_t offset, size_t n,
                      buf_t *out) WARN_UNUSED;
/* Whether it is there, and its bytes. */
err_t *blob_store_look(blob_store_t *store, const char *name, bool *ret_found,
                       uint64_t *ret_size) WARN_UNUSED;
/* Durably; one that is not there is fine. */
err_t *blob_store_remove(blob_store_t *store, const char *name) WARN_UNUSED;
/*
 * Up to `max` objects (1..LIMIT_BLOB_PAGE) whose names begin with `prefix` and come after `after`
 * ("": from the first), in the order of their names. What is no object's name is left out.
 */
err_t *blob_store_list(blob_store_t *store, const char *prefix, const char *after, size_t max,
                       blob_each_fn each, void *arg, bool *ret_more) WARN_UNUSED;

DEFINE_CLEANUP(blob_store_t, blob_store_free)

#endif
