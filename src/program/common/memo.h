/*
 * memo_t: answers that were made of the store, kept for as long as nothing that they were made of
 * has changed. Each is kept under the stamp of the moment before it was made (db_version, and
 * whatever else counts) and is given for that very stamp alone. Direct-mapped: a newcomer takes the
 * place of whoever is there. Safe from many threads; one lock for all, held for a copy.
 */
#ifndef COFFER_PROGRAM_COMMON_MEMO_H
#define COFFER_PROGRAM_COMMON_MEMO_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

typedef struct memo memo_t;

typedef struct {
    uint64_t version;
    int64_t beside;
} memo_stamp_t;

typedef struct {
    size_t slots; /* a power of two */
    size_t size;  /* bytes of a value; values are copied byte by byte */
    /* Called for each copy that is made and each that goes, for what values refer to. Or NULL. */
    void (*share)(void *value);
    void (*drop)(void *value);
} memo_options_t;

enum { MEMO_KEY_MAX = 320 }; /* longer ones are not kept */

err_t *memo_new(const memo_options_t *options, memo_t **ret_memo) WARN_UNUSED;
void memo_free(memo_t *memo); /* takes NULL */

/* True if there is one of this stamp: *ret_value is a copy, the caller's. */
bool memo_get(memo_t *memo, bytes_t key, memo_stamp_t stamp, void *ret_value);
/* Keeps a copy; without memory it doesn't. */
void memo_put(memo_t *memo, bytes_t key, memo_stamp_t stamp, const void *value);

DEFINE_CLEANUP(memo_t, memo_free)

#endif
