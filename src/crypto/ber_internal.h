/*
 * For the files of src/crypto only: a bounded cursor over BER elements (X.690 section 8.1).
 */
#ifndef COFFER_CRYPTO_BER_INTERNAL_H
#define COFFER_CRYPTO_BER_INTERNAL_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cms_head.h"

/*
 * Takes the first element off rest: its identifier octet and its content octets (of an
 * indefinite one without the end-of-contents). ERR_INVALID, ERR_LIMIT as cms_head_check.
 */
err_t *ber_next(bytes_t *rest, uint8_t *ret_tag, bytes_t *ret_content) WARN_UNUSED;
/* The same for one whose identifier octet must be `tag`. */
err_t *ber_expect(bytes_t *rest, uint8_t tag, bytes_t *ret_content) WARN_UNUSED;

#endif
