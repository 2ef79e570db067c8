/*
 * The ledger: which recipients of a message have it already although its sender was not told so,
 * because others of the message could not be served, or because the sender was gone when the
 * answer came. When the sender tries again they are left out. A file of records with a checksum in
 * the spool directory, on disk before anything depends on it; group commit. A record is forgotten
 * when the sender knows, or after LEDGER_LIFE_S. Thread-safe; its lock is ledger->lock.
 */
#ifndef COFFER_PROGRAM_MAILGATE_LEDGER_H
#define COFFER_PROGRAM_MAILGATE_LEDGER_H

#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"

typedef struct ledger ledger_t;

enum {
    LEDGER_KEY = 32,             /* bytes: SHA-256 of message and recipient */
    LEDGER_LIFE_S = 8 * 86400,   /* longer than senders try */
    LEDGER_RESERVE = 256 * 1024, /* bytes allocated ahead, so that a full disk is found before */
};

typedef struct {
    uint8_t bytes[LEDGER_KEY];
} ledger_key_t;

/* A damaged or unfinished end of the file is cut off. */
err_t *ledger_open(const char *path, const clk_t *clk, ledger_t **ret_ledger) WARN_UNUSED;
void ledger_close(ledger_t *ledger); /* takes NULL */

bool ledger_has(ledger_t *ledger, const ledger_key_t *key);
/* How many there are. */
size_t ledger_count(ledger_t *ledger);
/* Makes sure of room for n records. ERR_FULL, ERR_LIMIT. */
err_t *ledger_reserve(ledger_t *ledger, size_t n) WARN_UNUSED;
/* On disk when this returns. */
err_t *ledger_add(ledger_t *ledger, const ledger_key_t *keys, size_t n) WARN_UNUSED;
/* Gone from memory; from the disk at some time. */
err_t *ledger_forget(ledger_t *ledger, const ledger_key_t *keys, size_t n) WARN_UNUSED;

DEFINE_CLEANUP(ledger_t, ledger_close)

#endif
