/*
 * Passwords: Argon2id (RFC 9106) hashes in the PHC text form, and readable random passwords.
 * Hashing is slow and takes its memory on purpose: never on an event thread, and never more at
 * once than LIMIT_LOGINS_CONCURRENT. Thread-safe.
 */
#ifndef COFFER_CRYPTO_PASSWORD_H
#define COFFER_CRYPTO_PASSWORD_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"
#include "crypto/secret.h"

/* What one hash costs. */
typedef struct {
    unsigned passes;
    size_t memory; /* bytes */
} password_cost_t;

/* For everything real: 3 passes over 64 MiB. */
extern const password_cost_t PASSWORD_COST;
/* For tests alone: as cheap as Argon2id gets. */
extern const password_cost_t PASSWORD_COST_TEST;

/* Longest text password_hash appends, in bytes. */
enum { PASSWORD_HASH_MAX = 127 };

/* Appends "$argon2id$v=19$...". ERR_LIMIT past LIMIT_PASSWORD_MAX. */
err_t *password_hash(bytes_t password, const password_cost_t *cost, buf_t *out) WARN_UNUSED;
/*
 * A wrong password is no error but *ret_ok false. *ret_needs_rehash (may be NULL): right, but
 * hashed at another cost than `cost`, so hash it anew now. ERR_INVALID if `hash` isn't an
 * Argon2id text, or asks for more than 1 GiB or 16 passes.
 */
err_t *password_verify(bytes_t password, bytes_t hash, const password_cost_t *cost, bool *ret_ok,
                       bool *ret_needs_rehash) WARN_UNUSED;

/*
 * Argon2id as a key derivation (passcodes, passphrases): n bytes, 16..64. `salt` has
 * PASSWORD_SALT_SIZE bytes, else ERR_USAGE.
 */
enum { PASSWORD_SALT_SIZE = 16 };
err_t *password_derive(bytes_t password, bytes_t salt, const password_cost_t *cost, size_t n,
                       secret_t **ret_key) WARN_UNUSED;

/*
 * Appends a random password for a person to copy: four groups of five, such as
 * "k7mqx-3nfhb-tw9ra-p2zcy", from 31 letters and digits that no one mistakes for another
 * (99 bits). `out` should be a buf_init_secret buffer.
 */
err_t *password_generate(const rnd_t *rnd, buf_t *out) WARN_UNUSED;

#endif
