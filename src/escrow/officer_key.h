/*
 * A recovery officer's private file: two private keys under a passphrase, Argon2id (RFC 9106) and
 * AES-256-GCM (docs/formats/escrow.md, record cofferOK), and the public file made with it. On the
 * officer's machine alone. Pure but for randomness; one thread at a time.
 */
#ifndef COFFER_ESCROW_OFFICER_KEY_H
#define COFFER_ESCROW_OFFICER_KEY_H

#include "base/buf.h"
#include "base/rnd.h"
#include "crypto/password.h"
#include "crypto/pkey.h"
#include "keeper/escrow_format.h"

enum { OFFICER_KEY_FILE_MAX = 16 * 1024 }; /* bytes of either file */

/* An officer's keys, opened. */
typedef struct {
    escrow_officer_file_t file; /* the public part */
    uint8_t fingerprint[ESCROW_HASH];
    pkey_t *hpke; /* X25519 */
    pkey_t *sign; /* Ed25519 */
} officer_key_t;

void officer_key_done(officer_key_t *key); /* takes a zeroed one */

/*
 * New keys: appends the private record (to be kept 0600) and the public one. The passphrase has
 * LIMIT_PASSWORD_MIN bytes or more (ERR_INVALID).
 */
err_t *officer_key_make(const rnd_t *rnd, const char *label, int64_t now, bytes_t passphrase,
                        const password_cost_t *cost, buf_t *ret_private,
                        buf_t *ret_public) WARN_UNUSED;
/*
 * Opens a private record. A wrong passphrase and a damaged file are the same ERR_VERIFY, found by
 * the same steps; ERR_INVALID if it is no such file, ERR_LIMIT for one that asks for absurd work.
 */
err_t *officer_key_open(bytes_t record, bytes_t passphrase, officer_key_t *ret_key) WARN_UNUSED;
/* What anybody can read of a private record without the passphrase: nothing of it is proved. */
err_t *officer_key_public(bytes_t record, escrow_officer_file_t *ret_file) WARN_UNUSED;

/* "3f9a-..." : the fingerprint in groups of four, for people to compare. Returns out. */
enum { OFFICER_KEY_FINGERPRINT = 80 };
const char *officer_key_fingerprint_text(const uint8_t fingerprint[ESCROW_HASH],
                                         char out[OFFICER_KEY_FINGERPRINT]);

DEFINE_CLEANUP_VALUE(officer_key_t, officer_key_done)

#endif
