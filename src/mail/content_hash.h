/*
 * Hashes of signed content as it came, and, once a bare LF was seen, also as it would be with every
 * line end CRLF: senders and relays change them (RFC 8551 section 3.1.1).
 */
#ifndef COFFER_MAIL_CONTENT_HASH_H
#define COFFER_MAIL_CONTENT_HASH_H

#include "crypto/cms_signers.h"

typedef struct {
    cms_hashes_t *plain, *canonical; /* canonical NULL: no bare LF so far */
    uint8_t last;
    bool canonicalise;
} content_hash_t;

/* `canonicalise` for multipart/signed only: opaque content is hashed as it is. */
err_t *content_hash_init(content_hash_t *h, unsigned digests, bool canonicalise) WARN_UNUSED;
void content_hash_done(content_hash_t *h);
err_t *content_hash_add(content_hash_t *h, bytes_t data) WARN_UNUSED;
err_t *content_hash_end(content_hash_t *h) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(content_hash_t, content_hash_done)

#endif
