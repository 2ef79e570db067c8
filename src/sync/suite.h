/*
 * Sizes, suites and roles that all records of sync share (docs/formats/sync.md).
 *
 * A suite names all algorithms at once; its number stands in every record, inside the signature
 * and the associated data. Nothing is negotiated: a reader takes the suites it knows that are not
 * below its minimum, and a chain's minimum only rises (rule R8).
 */
#ifndef COFFER_SYNC_SUITE_H
#define COFFER_SYNC_SUITE_H

#include "base/err.h"
#include "base/limits.h"
#include "ipc/record.h"

enum {
    SYNC_VERSION = 1,
    SYNC_HASH = 32, /* SHA-256: devices, regions (hash of their chain's first entry), packages */
    SYNC_KEY = 32,  /* raw Ed25519 and X25519 keys, symmetric keys */
    SYNC_NODE = 16, /* a file's or folder's number, and a version's: random */
    SYNC_SIGNATURE = 64,       /* Ed25519 */
    SYNC_WRAP = SYNC_KEY + 28, /* AES-256-GCM of a key: nonce before, tag behind */
};

enum {
    /* Ed25519, HPKE(X25519, HKDF-SHA256, AES-256-GCM), AES-256-GCM, SHA-256. */
    SYNC_SUITE_1 = 1,
    /* Reserved: the same with ML-KEM-768 beside X25519 (keys of 1184, ciphertexts of 1088 bytes).
     */
    SYNC_SUITE_HYBRID = 2,
};

/* What a device may do in a region; bits. */
enum {
    SYNC_READ = 1,    /* is given the region's keys */
    SYNC_WRITE = 2,   /* its packages and roots count */
    SYNC_MANAGE = 4,  /* adds, approves and revokes devices */
    SYNC_RECOVER = 8, /* alone: is given the keys, and may only recover (rule: visible, logged) */
    SYNC_ALL = SYNC_READ | SYNC_WRITE | SYNC_MANAGE,
};

/* ERR_VERIFY for a suite that is not known here or below `minimum`. */
err_t *sync_suite_check(uint16_t suite, uint16_t minimum) WARN_UNUSED;

/* Head and suite of a record. */
err_t *sync_put_head(buf_t *out, const char letters[2], uint16_t suite) WARN_UNUSED;
err_t *sync_get_head(wire_reader_t *r, const char letters[2], uint16_t *ret_suite) WARN_UNUSED;

/* The one answer to whatever does not open (rule R4). ERR_VERIFY. */
err_t *sync_refuse(void) WARN_UNUSED;
/* `e`, but sync_refuse() in the place of everything that a forger can bring about. */
err_t *sync_blur(err_t *e) WARN_UNUSED;

#endif
