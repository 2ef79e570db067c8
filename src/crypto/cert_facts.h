/*
 * What is to be known of a foreign certificate to watch its end: names, serial number, dates. More
 * tolerant than cert_t (any number of names and extensions, any key), since nothing is trusted
 * because of it. Pure.
 */
#ifndef COFFER_CRYPTO_CERT_FACTS_H
#define COFFER_CRYPTO_CERT_FACTS_H

#include "base/bytes.h"
#include "base/err.h"

enum { CERT_FACTS_NAME = 400, CERT_FACTS_SERIAL = 130, CERT_FACTS_SHA256 = 32 };

typedef struct {
    char subject[CERT_FACTS_NAME]; /* RFC 2253, printable UTF-8, cut when too long */
    char issuer[CERT_FACTS_NAME];
    char serial[CERT_FACTS_SERIAL]; /* lower-case hex, cut when too long */
    uint8_t sha256[CERT_FACTS_SHA256];
    int64_t not_before, not_after; /* seconds since 1970 UTC */
    bool is_ca;
} cert_facts_t;

/* ERR_INVALID; ERR_LIMIT past LIMIT_CERTIFICATE_BYTES. */
err_t *cert_facts_der(bytes_t der, cert_facts_t *ret_facts) WARN_UNUSED;
/*
 * Every certificate of a file: PEM with as many as there are (at most `max`, then ERR_LIMIT), or
 * one in DER. ERR_INVALID if there is none or one is malformed.
 */
err_t *cert_facts_file(bytes_t content, size_t max, cert_facts_t *facts,
                       size_t *ret_count) WARN_UNUSED;

#endif
