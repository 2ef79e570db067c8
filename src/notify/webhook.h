/*
 * Webhooks: a JSON body by POST, signed with HMAC-SHA256 (RFC 2104) under a shared secret, with a
 * key by which the receiver knows a repetition. docs/guides/expiry.md tells receivers how to check.
 * Pure.
 */
#ifndef COFFER_NOTIFY_WEBHOOK_H
#define COFFER_NOTIFY_WEBHOOK_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Appends "t=UNIX,v1=HEX": the HMAC is over "UNIX." and the body. */
err_t *webhook_signature(bytes_t secret, int64_t unix_seconds, bytes_t body,
                         buf_t *out) WARN_UNUSED;

#endif
