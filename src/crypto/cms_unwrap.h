/*
 * The content key of an envelope, taken out where the private key is: the keeper does it for the
 * gateway, which reads the message but holds no key. RFC 5652 section 6.2, RFC 5753. Any thread.
 */
#ifndef COFFER_CRYPTO_CMS_UNWRAP_H
#define COFFER_CRYPTO_CMS_UNWRAP_H

#include "crypto/cms_open.h"

enum { CMS_CONTENT_KEY_MAX = 32 };

/*
 * The content key, `n` bytes (16, 24 or 32), into ret_key. For RSA PKCS#1 v1.5 ret_key is filled
 * with random bytes first and keeps them when the padding is wrong, without an error: nobody may
 * learn which it was (RFC 3218). ERR_VERIFY otherwise.
 */
err_t *cms_unwrap(const cms_wrapped_t *wrapped, const pkey_t *key, const rnd_t *rnd,
                  uint8_t *ret_key, size_t n) WARN_UNUSED;

#endif
