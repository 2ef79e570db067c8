/*
 * For the files of src/crypto only: a bounded cursor over BER elements (X.690 section 8.1).
 */
#ifndef COFFER_CRYPTO_BER_INTERNAL_H
#define COFFER_CRYPTO_BER_INTERNAL_H

#include "base/bytes.h"
#include "base/err.h"

/*
 * Takes the first element off rest: its identifier octet and its content octets (of an
 * indefinite one without the end-of-contents). ERR_INVALID, ERR_LIMIT as cms_head_check.
 */
err_t *ber_next(bytes_t *rest, uint8_t *ret_tag, bytes_t *ret_content) WARN_UNUSED;
/* The content octets of an (Auth)EnvelopedData's content encryption algorithm OID. */
err_t *cms_head_cipher_oid(bytes_t message, bytes_t *ret_oid) WARN_UNUSED;

#endif
