/*
 * The recipient's file: see request_key.h. On the recipient's machine.
 */
#include "escrow/request_key.h"

#include "base/limits.h"

enum { CODE_GROUP = 4, CODE_LETTERS = 12 };

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

err_t *request_key_code(const escrow_request_t *request, char out[REQUEST_KEY_CODE]) {
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* 31: none is mistaken */
    uint8_t hash[ESCROW_HASH];
    size_t at = 0;
    TRY(escrow_request_hash(request, hash));
    for (size_t i = 0; i < CODE_LETTERS; i++) {
        /* 16 bits a letter: the remainder's slant is below a thousandth. */
        unsigned value = (unsigned)hash[2 * i] << 8 | hash[2 * i + 1];
        if (i && i % CODE_GROUP == 0) out[at++] = '-';
        out[at++] = letters[value % (sizeof letters - 1)];
    }
    out[at] = '\0';
    return NULL;
}
