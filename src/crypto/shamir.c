/*
 * Secret sharing over GF(2^8): see shamir.h. Every product here is of a secret byte and a public
 * one (a share's number, a Lagrange coefficient), so eight secret bytes go through one 64-bit word
 * at a time, doubled and masked. Any process.
 */
#include "crypto/shamir.h"

#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

enum { WORD = sizeof(uint64_t) };

/* ---- the field ---- */

/* Eight bytes times x, each reduced by x^8 + x^4 + x^3 + x + 1. */
static uint64_t word_double(uint64_t v) {
    uint64_t high = (v >> 7) & 0x0101010101010101u;
    return ((v & 0x7f7f7f7f7f7f7f7fu) << 1) ^ (high * 0x1b);
}

static uint64_t word_times(uint64_t v, uint8_t factor) {
    uint64_t sum = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        sum ^= v & (0 - (uint64_t)((factor >> bit) & 1));
        v = word_double(v);
    }
    return sum;
}

static uint8_t times(uint8_t a, uint8_t b) { return (uint8_t)word_times(a, b); }

/* a^254, which is 1/a (FIPS 197 section 4.2: the multiplicative group has 255 elements). */
static uint8_t inverse(uint8_t a) {
    uint8_t square = a, product = 1;
    for (unsigned i = 0; i < 7; i++) {
        square = times(square, square);
        product = times(product, square);
    }
    return product;
}

/* sum = sum * factor + add, byte by byte; `sum` may be `add`. */
static void run_times_add(uint8_t *sum, uint8_t factor, const uint8_t *add, size_t n) {
    for (size_t at = 0; at < n; at += WORD) {
        uint64_t s = 0, a = 0;
        size_t part = n - at < WORD ? n - at : WORD;
        memcpy(&s, sum + at, part);
        memcpy(&a, add + at, part);
        s = word_times(s, factor) ^ a;
        memcpy(sum + at, &s, part);
    }
}

/* sum += factor * y. */
static void run_add_times(uint8_t *sum, uint8_t factor, const uint8_t *y, size_t n) {
    for (size_t at = 0; at < n; at += WORD) {
        uint64_t s = 0, v = 0;
        size_t part = n - at < WORD ? n - at : WORD;
        memcpy(&s, sum + at, part);
        memcpy(&v, y + at, part);
        s ^= word_times(v, factor);
        memcpy(sum + at, &s, part);
    }
}

/* ---- checks of what is public ---- */

static err_t *check_numbers(const uint8_t *xs, size_t count) {
    bool seen[256] = {false};
    for (size_t i = 0; i < count; i++) {
        if (xs[i] == 0) return err_new(ERR_INVALID, "a share has the number 0");
        if (seen[xs[i]]) return err_new(ERR_INVALID, "two shares have the number %u", xs[i]);
        seen[xs[i]] = true;
    }
    return NULL;
}

static err_t *check_size(size_t n) {
    if (n == 0 || n > SHAMIR_SECRET_MAX)
        return err_new(ERR_LIMIT, "a shared secret has 1 to %d bytes, not %zu", SHAMIR_SECRET_MAX,
                       n);
    return NULL;
}

static err_t *check_deal(size_t n, unsigned threshold, const uint8_t *xs, size_t shares_n) {
    TRY(check_size(n));
    if (shares_n > SHAMIR_SHARES_MAX)
        return err_new(ERR_LIMIT, "at most %d shares, not %zu", SHAMIR_SHARES_MAX, shares_n);
    if (threshold == 0 || threshold > SHAMIR_THRESHOLD_MAX || threshold > shares_n)
        return err_new(ERR_LIMIT, "%u of %zu shares cannot be demanded", threshold, shares_n);
    return check_numbers(xs, shares_n);
}

/* ---- dealing ---- */

/* Horner's rule at x over the random coefficients, highest first, then the secret. */
static void evaluate(const uint8_t *coefficients, size_t degree, bytes_t secret, uint8_t x,
                     uint8_t *out) {
    memset(out, 0, secret.n);
    for (size_t i = 0; i < degree; i++)
        run_times_add(out, x, coefficients + i * secret.n, secret.n);
    run_times_add(out, x, secret.p, secret.n);
}

err_t *shamir_split(const rnd_t *rnd, bytes_t secret, unsigned threshold, const uint8_t *xs,
                    size_t shares_n, uint8_t *out) {
    CLEANUP(secret_free) secret_t *coefficients = NULL;
    TRY(check_deal(secret.n, threshold, xs, shares_n));
    size_t degree = threshold - 1;
    if (degree) TRY(secret_random(rnd, degree * secret.n, &coefficients));
    const uint8_t *c = degree ? secret_bytes(coefficients).p : NULL;
    for (size_t i = 0; i < shares_n; i++) evaluate(c, degree, secret, xs[i], out + i * secret.n);
    return NULL;
}

/* Of number xs[i] among xs, for the value at `at` (0 or a number that is not among them). */
static uint8_t lagrange(const uint8_t *xs, size_t count, size_t i, uint8_t at) {
    uint8_t top = 1, bottom = 1;
    for (size_t j = 0; j < count; j++) {
        if (j == i) continue;
        top = times(top, at ^ xs[j]);
        bottom = times(bottom, xs[i] ^ xs[j]);
    }
    return times(top, inverse(bottom));
}

err_t *shamir_reshare(const rnd_t *rnd, uint8_t x, bytes_t share, const uint8_t *dealers,
                      size_t dealers_n, unsigned threshold, const uint8_t *xs, size_t shares_n,
                      uint8_t *out) {
    CLEANUP(secret_free) secret_t *part = NULL;
    if (dealers_n == 0 || dealers_n > SHAMIR_SHARES_MAX)
        return err_new(ERR_LIMIT, "%zu dealers cannot deal", dealers_n);
    TRY(check_size(share.n));
    TRY(check_numbers(dealers, dealers_n));
    const uint8_t *own = memchr(dealers, x, dealers_n);
    if (!own) return err_new(ERR_INVALID, "share %u is not among those that deal", x);
    TRY(secret_new(share.n, &part));
    uint8_t weight = lagrange(dealers, dealers_n, (size_t)(own - dealers), 0);
    run_add_times(secret_data(part), weight, share.p, share.n);
    return shamir_split(rnd, secret_bytes(part), threshold, xs, shares_n, out);
}

/* ---- combining ---- */

static void numbers_of(const shamir_share_t *shares, size_t count, uint8_t *ret_xs) {
    for (size_t i = 0; i < count; i++) ret_xs[i] = shares[i].x;
}

/* The polynomial's value at `at`, into `out`. */
static void interpolate(const shamir_share_t *shares, size_t count, size_t n, uint8_t at,
                        uint8_t *out) {
    uint8_t xs[SHAMIR_SHARES_MAX];
    numbers_of(shares, count, xs);
    memset(out, 0, n);
    for (size_t i = 0; i < count; i++)
        run_add_times(out, lagrange(xs, count, i, at), shares[i].y, n);
}

err_t *shamir_combine(const shamir_share_t *shares, size_t count, size_t n, uint8_t *out) {
    uint8_t xs[SHAMIR_THRESHOLD_MAX];
    TRY(check_size(n));
    if (count == 0 || count > SHAMIR_THRESHOLD_MAX)
        return err_new(ERR_LIMIT, "%zu shares cannot be combined", count);
    numbers_of(shares, count, xs);
    TRY(check_numbers(xs, count));
    interpolate(shares, count, n, 0, out);
    return NULL;
}

err_t *shamir_check(bytes_t context, uint8_t x, bytes_t share,
                    uint8_t ret_check[SHAMIR_CHECK_SIZE]) {
    static const char domain[] = "coffer/v1/share-check"; /* with its NUL */
    uint8_t hash[DIGEST_SHA256_SIZE];
    uint8_t size[4] = {(uint8_t)(context.n >> 24), (uint8_t)(context.n >> 16),
                       (uint8_t)(context.n >> 8), (uint8_t)context.n};
    CLEANUP(digest_free) digest_t *digest = NULL;
    if (context.n > UINT32_MAX) return err_new(ERR_LIMIT, "a share's context is too long");
    TRY(digest_new(&digest));
    TRY(digest_update(digest, BYTES_ARRAY(domain)));
    TRY(digest_update(digest, BYTES_ARRAY(size)));
    TRY(digest_update(digest, context));
    TRY(digest_update(digest, bytes_make(&x, 1)));
    TRY(digest_update(digest, share));
    TRY(digest_final(digest, hash));
    memcpy(ret_check, hash, SHAMIR_CHECK_SIZE);
    mem_wipe(hash, sizeof hash);
    return NULL;
}

/* ---- combining when some may be wrong ---- */

/* The next set of `size` out of `count`, in lexical order; false after the last. */
static bool next_set(size_t *set, size_t size, size_t count) {
    for (size_t i = size; i-- > 0;) {
        if (set[i] == count - size + i) continue;
        set[i]++;
        for (size_t j = i + 1; j < size; j++) set[j] = set[j - 1] + 1;
        return true;
    }
    return false;
}

/* Bit i for each share that is not on the polynomial through the set. */
static err_t *find_wrong(const shamir_share_t *shares, size_t count, size_t n,
                         const shamir_share_t *set, size_t size, uint32_t *ret_wrong) {
    CLEANUP(secret_free) secret_t *value = NULL;
    uint32_t wrong = 0;
    TRY(secret_new(n, &value));
    for (size_t i = 0; i < count; i++) {
        interpolate(set, size, n, shares[i].x, secret_data(value));
        if (!secret_eq(value, bytes_make(shares[i].y, n))) wrong |= (uint32_t)1 << i;
    }
    *ret_wrong = wrong;
    return NULL;
}

static err_t *check_recover(const shamir_share_t *shares, size_t count, size_t n,
                            unsigned threshold) {
    uint8_t xs[SHAMIR_SHARES_MAX];
    if (count > SHAMIR_SHARES_MAX)
        return err_new(ERR_LIMIT, "at most %d shares, not %zu", SHAMIR_SHARES_MAX, count);
    numbers_of(shares, count, xs);
    TRY(check_deal(n, threshold, xs, count));
    return NULL;
}

err_t *shamir_recover(const shamir_share_t *shares, size_t count, size_t n, unsigned threshold,
                      shamir_accept_fn accept, void *arg, uint8_t *out, uint32_t *ret_wrong) {
    CLEANUP(secret_free) secret_t *value = NULL;
    size_t set[SHAMIR_THRESHOLD_MAX];
    shamir_share_t chosen[SHAMIR_THRESHOLD_MAX];
    bool right = false, more = true;
    TRY(check_recover(shares, count, n, threshold));
    TRY(secret_new(n, &value));
    for (size_t i = 0; i < threshold; i++) set[i] = i;
    for (unsigned tries = 0; more && !right; tries++) {
        if (tries == SHAMIR_TRIES_MAX)
            return err_new(ERR_LIMIT, "none of %d sets of shares fits", SHAMIR_TRIES_MAX);
        for (size_t i = 0; i < threshold; i++) chosen[i] = shares[set[i]];
        interpolate(chosen, threshold, n, 0, secret_data(value));
        TRY(accept(arg, secret_bytes(value), &right));
        if (!right) more = next_set(set, threshold, count);
    }
    if (!right)
        return err_new(ERR_VERIFY, "no %u of the %zu shares fit together", threshold, count);
    TRY(find_wrong(shares, count, n, chosen, threshold, ret_wrong));
    memcpy(out, secret_bytes(value).p, n);
    return NULL;
}
