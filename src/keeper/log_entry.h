/*
 * An entry of the keeper's own log, and what chains it to the one before. For the vault, and for
 * who checks on another machine what the keeper shows. Pure, any thread.
 */
#ifndef COFFER_KEEPER_LOG_ENTRY_H
#define COFFER_KEEPER_LOG_ENTRY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { LOG_ENTRY_HASH = 32 };

/* All borrowed. */
typedef struct {
    uint64_t seq; /* from 1, without gaps */
    int64_t ms;   /* since 1970 UTC */
    bytes_t role, intent, object, outcome;
    const uint8_t *previous; /* LOG_ENTRY_HASH bytes; zeros before the first */
} log_entry_t;

/* SHA-256 over the entry's wire encoding. `scratch` is cleared. */
err_t *log_entry_hash(const log_entry_t *entry, buf_t *scratch,
                      uint8_t ret_hash[LOG_ENTRY_HASH]) WARN_UNUSED;

#endif
