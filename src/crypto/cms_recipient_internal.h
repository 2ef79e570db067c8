/*
 * For the files of src/crypto only: recipientInfos taken apart (RFC 5652 section 6.2) and the
 * content key taken out of one.
 */
#ifndef COFFER_CRYPTO_CMS_RECIPIENT_INTERNAL_H
#define COFFER_CRYPTO_CMS_RECIPIENT_INTERNAL_H

#include "crypto/cms_open.h"

typedef struct {
    cms_recipient_t name;
    bytes_t algorithm;  /* keyEncryptionAlgorithm's content octets */
    bytes_t encrypted;  /* encryptedKey */
    bytes_t originator; /* ECDH: the point */
    bytes_t ukm;        /* ECDH: user keying material; has_ukm */
    bool has_ukm;
} cms_recipient_info_t;

/* Calls `each` for every recipientInfo of the SET's content octets, every key of an ECDH one. */
err_t *cms_recipient_each(bytes_t set, err_t *(*each)(void *arg, const cms_recipient_info_t *info),
                          void *arg) WARN_UNUSED;
/*
 * The content key, `n` bytes, into out. RSA PKCS#1 v1.5 gives random bytes when the padding is
 * wrong (see cms_unwrap_pkcs1); the others ERR_VERIFY.
 */
err_t *cms_recipient_unwrap(const cms_recipient_info_t *info, const pkey_t *key, uint8_t *out,
                            size_t n) WARN_UNUSED;

#endif
