/*
 * The recipient's file: see request_key.h. On the recipient's machine.
 */
#include "escrow/request_key.h"

#include <string.h>

#include "base/limits.h"
#include "crypto/digest.h"
#include "ipc/wire.h"

enum {
    CODE_GROUP = 4,
    CODE_NONCE = 8,    /* letters drawn: 39 bits that cannot be foreseen */
    CODE_LETTERS = 20, /* with the hash's 12: 59 bits */
    CODE_INPUT_MAX = 128,
};

static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* 31: none is mistaken */

static const uint8_t head[] = {'c', 'o', 'f', 'f', 'e', 'r', 'R', 'K', ESCROW_VERSION};

void request_key_done(request_key_t *key) {
    pkey_free(key->key);
    *key = (request_key_t){0};
}

err_t *request_key_new(const rnd_t *rnd, secret_t **ret_private, uint8_t ret_public[ESCROW_KEY]) {
    CLEANUP(secret_free) secret_t *private = NULL;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY(secret_random(rnd, ESCROW_KEY, &private));
    TRY(pkey_from_raw_private(PKEY_X25519, secret_bytes(private), &key));
    TRY(pkey_raw_public(key, ret_public));
    *ret_private = STEAL(private);
    return NULL;
}

static err_t *check_pair(const pkey_t *key, const escrow_request_t *request) {
    uint8_t public[ESCROW_KEY];
    TRY(pkey_raw_public(key, public));
    if (memcmp(public, request->recipient_key, ESCROW_KEY) != 0)
        return err_new(ERR_VERIFY, "the request is not for this key");
    return NULL;
}

err_t *request_key_put(const secret_t *private, bytes_t request, buf_t *out) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    escrow_request_t parsed;
    TRY(escrow_request_parse(request, &parsed));
    TRY(pkey_from_raw_private(PKEY_X25519, secret_bytes(private), &key));
    TRY(check_pair(key, &parsed));
    TRY(buf_add(out, BYTES_ARRAY(head)));
    TRY(buf_add(out, secret_bytes(private)));
    return wire_put_bytes(out, request);
}

err_t *request_key_parse(bytes_t record, request_key_t *ret_key) {
    CLEANUP(request_key_done) request_key_t key = {0};
    wire_reader_t r = wire_reader(record);
    bytes_t letters, raw, request;
    TRY(wire_get_raw(&r, sizeof head, &letters));
    if (memcmp(letters.p, head, sizeof head - 1) != 0)
        return err_new(ERR_INVALID, "that is no file of a recovery request");
    if (letters.p[sizeof head - 1] != ESCROW_VERSION)
        return err_new(ERR_VERIFY, "a request's file of version %u, which nobody knows here",
                       letters.p[sizeof head - 1]);
    TRY(wire_get_raw(&r, ESCROW_KEY, &raw));
    TRY(wire_get_bytes(&r, REQUEST_KEY_FILE_MAX, &request));
    TRY(wire_done(&r));
    TRY(escrow_request_parse(request, &key.request));
    TRY(escrow_request_hash(&key.request, key.hash));
    TRY(pkey_from_raw_private(PKEY_X25519, raw, &key.key));
    TRY(check_pair(key.key, &key.request));
    *ret_key = key;
    key = (request_key_t){0};
    return NULL;
}

/* 16 bits a letter: the remainder's slant is below a thousandth. */
static void letters_of(const uint8_t *random, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) {
        unsigned value = (unsigned)random[2 * i] << 8 | random[2 * i + 1];
        out[i] = alphabet[value % (sizeof alphabet - 1)];
    }
}

static err_t *hash_letters(const escrow_request_t *request, char letters[CODE_LETTERS]) {
    CLEANUP(buf_done) buf_t input;
    uint8_t hash[DIGEST_SHA256_SIZE], record[ESCROW_HASH];
    buf_init(&input, CODE_INPUT_MAX);
    TRY(escrow_request_hash(request, record));
    TRY(wire_put_str(&input, "coffer/v1/request/code"));
    TRY(buf_add(&input, BYTES_ARRAY(record)));
    TRY(buf_add(&input, bytes_make(letters, CODE_NONCE)));
    TRY(digest_sha256(buf_bytes(&input), hash));
    letters_of(hash, CODE_LETTERS - CODE_NONCE, letters + CODE_NONCE);
    return NULL;
}

err_t *request_key_code(const rnd_t *rnd, const escrow_request_t *request,
                        char out[REQUEST_KEY_CODE]) {
    uint8_t random[2 * CODE_NONCE];
    char letters[CODE_LETTERS];
    size_t at = 0;
    TRY(rnd_fill(rnd, random, sizeof random));
    letters_of(random, CODE_NONCE, letters);
    TRY(hash_letters(request, letters));
    for (size_t i = 0; i < CODE_LETTERS; i++) {
        if (i && i % CODE_GROUP == 0) out[at++] = '-';
        out[at++] = letters[i];
    }
    out[at] = '\0';
    return NULL;
}

/* The letters alone, as they are hashed. */
static err_t *read_told(bytes_t told, char letters[CODE_LETTERS]) {
    size_t n = 0;
    for (size_t i = 0; i < told.n; i++) {
        uint8_t c = told.p[i];
        if (c == '-' || c == ' ') continue;
        if (c >= 'A' && c <= 'Z') c = (uint8_t)(c - 'A' + 'a');
        if (n == CODE_LETTERS || !memchr(alphabet, c, sizeof alphabet - 1))
            return err_new(ERR_VERIFY, "a code is %d letters and digits, without 0, 1, i, l, o",
                           CODE_LETTERS);
        letters[n++] = (char)c;
    }
    if (n == CODE_LETTERS) return NULL;
    return err_new(ERR_VERIFY, "a code is %d letters and digits; that has %zu", CODE_LETTERS, n);
}

err_t *request_key_code_check(const escrow_request_t *request, bytes_t told) {
    char letters[CODE_LETTERS], right[CODE_LETTERS];
    TRY(read_told(told, letters));
    memcpy(right, letters, CODE_NONCE);
    TRY(hash_letters(request, right));
    if (memcmp(letters, right, CODE_LETTERS) != 0)
        return err_new(ERR_VERIFY, "that is not this request's code: it is not what you were told");
    return NULL;
}
