/*
 * What a peer's mail program can read, as it says itself with its signature: SMIMECapabilities
 * (RFC 8551 section 2.5.2). Pure.
 */
#ifndef COFFER_CRYPTO_CMS_CAPABLE_H
#define COFFER_CRYPTO_CMS_CAPABLE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/* All false: nothing is known. */
typedef struct {
    bool known;      /* the peer has said something */
    bool aes128_cbc; /* id-aes128-CBC */
    bool aes256_cbc;
    bool aes256_gcm; /* AuthEnvelopedData, RFC 5084 */
    bool oaep;       /* id-RSAES-OAEP, with SHA-256 or its parameters left open (RFC 4055) */
    bool ecdh;       /* dhSinglePass-stdDH-* (RFC 5753 section 7.2) */
} cms_capable_t;

/*
 * Reads the DER of SMIMECapabilities. Capabilities that are not known are left out. ERR_INVALID for
 * what is no such list, ERR_LIMIT past LIMIT_MAIL_CAPABILITIES entries.
 */
err_t *cms_capable_read(bytes_t der, cms_capable_t *ret_capable) WARN_UNUSED;

#endif
