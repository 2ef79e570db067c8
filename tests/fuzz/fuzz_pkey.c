/*
 * Keys from outside: SubjectPublicKeyInfo, PKCS#8 and PEM of arbitrary bytes. Whatever parses must
 * encode again, to the same key, and must answer every question asked of it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/pkey.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    err_t *e = crypto_init();
    if (e) abort();
    return 0;
}

/* The public part must come back from its own encoding. */
static void check_public(const pkey_t *key) {
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 64 * 1024);
    CLEANUP(pkey_free) pkey_t *again = NULL;
    CLEANUP(err_free) err_t *e = pkey_public_der(key, &der);
    if (!e) e = pkey_parse_public_der(buf_bytes(&der), &again);
    if (e || !pkey_same_public(key, again) || pkey_kind(key) != pkey_kind(again)) abort();
    CLEANUP(err_free)
    err_t *refused = pkey_verify(key, "coffer/v1/fuzz", buf_bytes(&der), buf_bytes(&der));
    if (!refused) abort();
}

static void check_private(const pkey_t *key) {
    if (pkey_kind(key) == PKEY_OTHER) return;
    CLEANUP(secret_free) secret_t *der = NULL;
    CLEANUP(pkey_free) pkey_t *again = NULL;
    CLEANUP(err_free) err_t *e = pkey_private_der(key, &der);
    if (!e) e = pkey_parse_private_der(secret_bytes(der), &again);
    if (e || !pkey_has_private(again)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    typedef err_t *(*parser_t)(bytes_t, pkey_t **);
    static const parser_t parsers[] = {pkey_parse_public_der, pkey_parse_private_der,
                                       pkey_parse_private_pem};
    for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++) {
        CLEANUP(pkey_free) pkey_t *key = NULL;
        CLEANUP(err_free) err_t *e = parsers[i](bytes_make(data, size), &key);
        if (e && key) abort();
        if (e) continue;
        check_public(key);
        if (pkey_has_private(key)) check_private(key);
    }
    return 0;
}
