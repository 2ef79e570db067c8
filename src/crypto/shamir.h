/*
 * Shamir's secret sharing over GF(2^8) (A. Shamir, "How to share a secret", CACM 22, 1979), byte
 * by byte, in the field of AES (FIPS 197 section 4.2: x^8 + x^4 + x^3 + x + 1). Share number x is
 * the value at x of a polynomial of degree threshold - 1 whose value at 0 is the secret.
 *
 * No table is indexed by a secret and no branch depends on one: time depends on lengths and on
 * share numbers only, and those are public. Outputs are secrets: give locked memory. Thread-safe.
 */
#ifndef COFFER_CRYPTO_SHAMIR_H
#define COFFER_CRYPTO_SHAMIR_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"

enum {
    SHAMIR_THRESHOLD_MAX = 16,
    SHAMIR_SHARES_MAX = 32,
    SHAMIR_SECRET_MAX = 1024, /* bytes */
    SHAMIR_CHECK_SIZE = 16,
    SHAMIR_TRIES_MAX = 20000, /* sets of shares shamir_recover looks at */
};

/* y has as many bytes as the secret; borrowed. */
typedef struct {
    uint8_t x;
    const uint8_t *y;
} shamir_share_t;

/*
 * Share numbers xs[0..shares_n) are 1..255, each once; 1 <= threshold <= 16, threshold <= shares_n
 * <= 32, else ERR_LIMIT. Writes shares_n times secret.n bytes to `out`, in the order of xs.
 */
err_t *shamir_split(const rnd_t *rnd, bytes_t secret, unsigned threshold, const uint8_t *xs,
                    size_t shares_n, uint8_t *out) WARN_UNUSED;
/*
 * The secret of n bytes from exactly these shares (1..16). Fewer than the threshold, or a wrong
 * one among them, give other bytes, without an error: who combines checks what came out.
 */
err_t *shamir_combine(const shamir_share_t *shares, size_t count, size_t n,
                      uint8_t *out) WARN_UNUSED;

/*
 * One old share turned into sub-shares for a new set, without anybody seeing the secret: share x,
 * times its Lagrange coefficient at 0 among the `dealers` (the numbers of the `dealers_n` old
 * shares that deal, x one of them), split anew. The XOR of what all dealers dealt to one new number
 * is that number's new share. `dealers_n` must be the old threshold, or more.
 */
err_t *shamir_reshare(const rnd_t *rnd, uint8_t x, bytes_t share, const uint8_t *dealers,
                      size_t dealers_n, unsigned threshold, const uint8_t *xs, size_t shares_n,
                      uint8_t *out) WARN_UNUSED;

/*
 * What tells a damaged share from a good one without telling the share: a hash of it, its number
 * and `context` (whose it is). Public, so share nothing that can be guessed: keys of 16 random
 * bytes or more.
 */
err_t *shamir_check(bytes_t context, uint8_t x, bytes_t share,
                    uint8_t ret_check[SHAMIR_CHECK_SIZE]) WARN_UNUSED;

/* Whether a combined secret is the right one, e.g. it opens what it should. */
typedef err_t *(*shamir_accept_fn)(void *arg, bytes_t secret, bool *ret_right);

/*
 * The secret from `count` shares (threshold..32) of which some may be wrong: tries sets of
 * `threshold` until `accept` says yes, then bit i of *ret_wrong tells that shares[i] does not fit.
 * ERR_VERIFY: no set fits. ERR_LIMIT: too many sets.
 */
err_t *shamir_recover(const shamir_share_t *shares, size_t count, size_t n, unsigned threshold,
                      shamir_accept_fn accept, void *arg, uint8_t *out,
                      uint32_t *ret_wrong) WARN_UNUSED;

#endif
