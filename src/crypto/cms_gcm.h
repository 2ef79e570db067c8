/*
 * For the files of src/crypto only: the tag of AES-GCM when what it authenticates besides the
 * content arrives behind it, as AuthEnvelopedData's attributes do (RFC 5083 section 2.1).
 */
#ifndef COFFER_CRYPTO_CMS_GCM_H
#define COFFER_CRYPTO_CMS_GCM_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/openssl_internal.h"

enum { CMS_GCM_TAG = 16 };

/*
 * Turns a tag over `aad` and a ciphertext of `content` bytes (more than none) into the one that
 * the same key and nonce give for that ciphertext alone; *tag has its first tag_n bytes. GHASH
 * (NIST SP 800-38D section 6.4) is linear: the tags of three inputs whose blocks add up to a
 * fourth's add up to its tag.
 */
err_t *cms_gcm_without_aad(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *nonce,
                           bytes_t aad, uint64_t content, uint8_t *tag, size_t tag_n) WARN_UNUSED;

#endif
