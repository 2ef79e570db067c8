/*
 * Signing webhooks: see webhook.h. In the courier's webhook thread.
 */
#include "notify/webhook.h"

#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"

err_t *webhook_signature(bytes_t secret, int64_t unix_seconds, bytes_t body, buf_t *out) {
    CLEANUP(buf_done) buf_t text;
    uint8_t mac[DIGEST_SHA256_SIZE];
    buf_init(&text, LIMIT_JSON_BYTES + 64);
    TRY(buf_printf(&text, "%lld.", (long long)unix_seconds));
    TRY(buf_add(&text, body));
    TRY(digest_hmac_sha256(secret, buf_bytes(&text), mac));
    TRY(buf_printf(out, "t=%lld,v1=", (long long)unix_seconds));
    return text_hex(BYTES_ARRAY(mac), out);
}
