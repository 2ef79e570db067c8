/*
 * Argon2id over libsodium: see password.h. Any process; any thread that may block.
 */
#include "crypto/password.h"

#include <errno.h>
#include <sodium.h>

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

_Static_assert(PASSWORD_HASH_MAX == crypto_pwhash_STRBYTES - 1, "libsodium's longest text");
_Static_assert(PASSWORD_SALT_SIZE == crypto_pwhash_SALTBYTES, "libsodium's salt");

enum { HASH_PASSES_MAX = 16, HASH_KIB_MAX = 1024 * 1024 };
enum { GROUPS = 4, GROUP_SIZE = 5 };

const password_cost_t PASSWORD_COST = {.passes = 3, .memory = (size_t)64 * 1024 * 1024};
const password_cost_t PASSWORD_COST_TEST = {.passes = 1, .memory = crypto_pwhash_MEMLIMIT_MIN};

/* Without i, l, o, 0 and 1. */
static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";
enum { ALPHABET_SIZE = sizeof alphabet - 1 };

static err_t *check_length(bytes_t password) {
    if (password.n > LIMIT_PASSWORD_MAX)
        return err_new(ERR_LIMIT, "a password has at most %d bytes", LIMIT_PASSWORD_MAX);
    return NULL;
}

static const char *chars(bytes_t password) { return password.n ? (const char *)password.p : ""; }

err_t *password_hash(bytes_t password, const password_cost_t *cost, buf_t *out) {
    TRY(check_length(password));
    char text[crypto_pwhash_STRBYTES];
    if (fault_memory() || crypto_pwhash_str_alg(text, chars(password), password.n, cost->passes,
                                                cost->memory, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_nomem(); /* its only way to fail with costs in range */
    return buf_add_str(out, text);
}

/* One "x=NUMBER" of the parameters. */
static bool parameter(bytes_t field, const char *name, uint64_t max) {
    if (!bytes_starts(field, bytes_str(name))) return false;
    uint64_t value = 0;
    err_t *e = text_u64(bytes_from(field, strlen(name)), max, &value);
    err_free(e);
    return !e && value != 0;
}

/*
 * libsodium spends whatever the text asks for, so what it asks is looked at first:
 * "$argon2id$v=19$m=KIB,t=PASSES,p=1$salt$hash".
 */
static bool affordable(bytes_t hash) {
    bytes_t head = BYTES_LIT("$argon2id$v=19$");
    if (hash.n > PASSWORD_HASH_MAX || bytes_has_nul(hash) || !bytes_starts(hash, head))
        return false;
    bytes_t rest = bytes_from(hash, head.n);
    bytes_t costs = bytes_slice(rest, 0, bytes_find(rest, '$'));
    size_t first = bytes_find(costs, ',');
    bytes_t after = bytes_from(costs, first + 1);
    size_t second = bytes_find(after, ',');
    return parameter(bytes_slice(costs, 0, first), "m=", HASH_KIB_MAX) &&
           parameter(bytes_slice(after, 0, second), "t=", HASH_PASSES_MAX) &&
           bytes_eq_str(bytes_from(after, second + 1), "p=1");
}

err_t *password_verify(bytes_t password, bytes_t hash, const password_cost_t *cost, bool *ret_ok,
                       bool *ret_needs_rehash) {
    TRY(check_length(password));
    if (!affordable(hash)) return err_new(ERR_INVALID, "not an Argon2id password hash of ours");
    char text[crypto_pwhash_STRBYTES] = {0};
    bytes_put(text, hash);
    int rehash = crypto_pwhash_str_needs_rehash(text, cost->passes, cost->memory);
    if (rehash < 0) return err_new(ERR_INVALID, "not an Argon2id password hash of ours");
    if (fault_memory()) return err_nomem();
    errno = 0;
    bool ok = crypto_pwhash_str_verify(text, chars(password), password.n) == 0;
    /* libsodium says EINVAL for a wrong password; anything else is a lack of memory. */
    if (!ok && errno != EINVAL) return err_nomem();
    *ret_ok = ok;
    if (ret_needs_rehash) *ret_needs_rehash = ok && rehash == 1;
    return NULL;
}

err_t *password_derive(bytes_t password, bytes_t salt, const password_cost_t *cost, size_t n,
                       secret_t **ret_key) {
    TRY(check_length(password));
    if (salt.n != PASSWORD_SALT_SIZE || n < crypto_pwhash_BYTES_MIN || n > 64)
        return err_new(ERR_USAGE, "Argon2id with a salt of %zu bytes into %zu bytes", salt.n, n);
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(secret_new(n, &key));
    if (fault_memory() ||
        crypto_pwhash(secret_data(key), n, chars(password), password.n, salt.p, cost->passes,
                      cost->memory, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_nomem();
    *ret_key = STEAL(key);
    return NULL;
}

/* An evenly distributed letter: bytes past the last whole multiple are thrown away. */
static err_t *letter(const rnd_t *rnd, char *ret_letter) {
    uint8_t byte = 0;
    do {
        TRY(rnd_fill(rnd, &byte, 1));
    } while (byte >= 256 - 256 % ALPHABET_SIZE);
    *ret_letter = alphabet[byte % ALPHABET_SIZE];
    return NULL;
}

err_t *password_generate(const rnd_t *rnd, buf_t *out) {
    char text[GROUPS * (GROUP_SIZE + 1) - 1];
    err_t *e = NULL;
    for (size_t i = 0; i < sizeof text && !e; i++) {
        if (i % (GROUP_SIZE + 1) == GROUP_SIZE) text[i] = '-';
        else e = letter(rnd, &text[i]);
    }
    if (!e) e = buf_add(out, BYTES_ARRAY(text));
    mem_wipe(text, sizeof text);
    return e;
}
