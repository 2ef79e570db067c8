/*
 * A cheap look at foreign CMS bytes before OpenSSL sees them: a pure walk over the BER structure
 * (X.690) without recursion or allocation, bounded in depth and number of elements.
 */
#ifndef COFFER_CRYPTO_CMS_HEAD_H
#define COFFER_CRYPTO_CMS_HEAD_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cert.h"

typedef enum {
    CMS_SIGNED_DATA,        /* 1.2.840.113549.1.7.2 */
    CMS_ENVELOPED_DATA,     /* 1.2.840.113549.1.7.3 */
    CMS_AUTHENVELOPED_DATA, /* 1.2.840.113549.1.9.16.1.23 */
} cms_type_t;

/*
 * ERR_INVALID unless message is exactly one well-formed ContentInfo of one of these types: every
 * length inside its parent, indefinite ones closed, nothing behind. ERR_LIMIT past
 * LIMIT_CMS_BYTES, LIMIT_CMS_DEPTH, LIMIT_CMS_ELEMENTS, and past what costs OpenSSL most:
 * LIMIT_CMS_CERTIFICATES, LIMIT_CMS_DIGESTS, LIMIT_CMS_RECIPIENTS.
 */
err_t *cms_head_check(bytes_t message, cms_type_t *ret_type) WARN_UNUSED;
/*
 * The content encryption algorithm of a message that passed cms_head_check, as the object
 * identifier's content octets, borrowed. ERR_INVALID if there is none.
 */
err_t *cms_head_cipher_oid(bytes_t message, bytes_t *ret_oid) WARN_UNUSED;
/*
 * Whether a message is enveloped to this certificate by its issuer and serial number, byte for
 * byte: to choose among certificates of ours before one is used. False for what is malformed.
 */
bool cms_head_names(bytes_t message, const cert_t *cert);

#endif
