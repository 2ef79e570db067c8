/*
 * MDM pushes: see push.h. Standards: Apple "Sending notification requests to APNs".
 */
#include "device/push.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/json.h"

enum { BACKOFF_FIRST_S = 2, BACKOFF_LAST_S = 3600, RETRY_AFTER_MAX_S = 86400 };

static err_t *header(push_message_t *m, size_t index, const char *name, const char *value) {
    m->headers[index] = mem_printf("%s: %s", name, value);
    return m->headers[index] ? NULL : err_nomem();
}

static err_t *make_body(const char *magic, buf_t *out) {
    CLEANUP(jso_free) json_t *object = NULL;
    TRY(jso_object(&object));
    TRY(jso_set_str(object, "mdm", magic));
    return jso_write(object, false, out);
}

/* All but the body. */
static err_t *address(const char *base, const char *topic, const char *type, bytes_t token,
                      int64_t expiry, push_message_t *m) {
    char number[24];
    if (token.n == 0 || token.n > LIMIT_TOKEN)
        return err_new(ERR_LIMIT, "a push token has 1 to %d bytes", LIMIT_TOKEN);
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(token, &hex));
    m->url = mem_printf("%s/3/device/%s", base, hex);
    if (!m->url) return err_nomem();
    (void)snprintf(number, sizeof number, "%lld", (long long)expiry);
    TRY(header(m, 0, "apns-topic", topic));
    TRY(header(m, 1, "apns-push-type", type));
    TRY(header(m, 2, "apns-priority", "10"));
    return header(m, 3, "apns-expiration", number);
}

err_t *push_message(const char *base, const char *topic, bytes_t token, const char *magic,
                    int64_t expiry, push_message_t *ret_message) {
    CLEANUP(push_message_done) push_message_t m = {0};
    buf_init(&m.body, LIMIT_APNS_PAYLOAD);
    TRY(address(base, topic, "mdm", token, expiry, &m));
    TRY(make_body(magic, &m.body));
    *ret_message = m;
    m = (push_message_t){0};
    return NULL;
}

err_t *push_message_app(const char *base, const char *topic, bytes_t token, bytes_t payload,
                        int64_t expiry, push_message_t *ret_message) {
    CLEANUP(push_message_done) push_message_t m = {0};
    buf_init(&m.body, LIMIT_APNS_PAYLOAD);
    TRY(address(base, topic, "alert", token, expiry, &m));
    TRY(buf_add(&m.body, payload));
    *ret_message = m;
    m = (push_message_t){0};
    return NULL;
}

void push_message_done(push_message_t *message) {
    mem_free(message->url);
    for (size_t i = 0; i < PUSH_HEADERS; i++) mem_free(message->headers[i]);
    buf_done(&message->body);
    *message = (push_message_t){0};
}

/* The body is {"reason": "...", "timestamp": ms}; a body that is not gives reason "". */
static void read_reason(bytes_t body, char reason[64], int64_t *timestamp) {
    CLEANUP(jso_free) json_t *object = NULL;
    bytes_t text = BYTES_NONE;
    reason[0] = '\0';
    *timestamp = 0;
    err_t *e = jso_parse_object(body, &object);
    if (!e) e = jso_get_string(object, "reason", 63, false, &text);
    if (!e && text.n && text_printable(text)) {
        bytes_put(reason, text);
        reason[text.n] = '\0';
    }
    if (!e) e = jso_get_int(object, "timestamp", 0, INT64_MAX, false, timestamp);
    err_free(e);
}

static push_outcome_t outcome_of(unsigned status, const char *reason, int64_t timestamp,
                                 int64_t token_ms) {
    if (status == 200) return PUSH_SENT;
    /* An old 410 speaks of the token before this one: try again with what we have now. */
    if (status == 410) return timestamp == 0 || timestamp > token_ms ? PUSH_TOKEN_GONE : PUSH_RETRY;
    if (strcmp(reason, "BadDeviceToken") == 0) return PUSH_TOKEN_GONE;
    if (status == 429 || status >= 500 || status == 0) return PUSH_RETRY;
    return PUSH_OURS;
}

push_verdict_t push_judge(unsigned status, bytes_t body, bytes_t retry_after, int64_t token_ms) {
    push_verdict_t v = {0};
    int64_t timestamp = 0;
    uint64_t seconds = 0;
    read_reason(body, v.reason, &timestamp);
    v.outcome = outcome_of(status, v.reason, timestamp, token_ms);
    if (!v.reason[0]) (void)snprintf(v.reason, sizeof v.reason, "status %u", status);
    err_t *e = text_u64(retry_after, RETRY_AFTER_MAX_S, &seconds);
    if (!e) v.retry_after_s = (int64_t)seconds;
    err_free(e); /* absent or a date: our own back-off serves */
    return v;
}

int64_t push_backoff_ms(int64_t attempts, uint8_t jitter) {
    int64_t seconds = attempts >= 12
                          ? BACKOFF_LAST_S
                          : (int64_t)BACKOFF_FIRST_S << (attempts > 0 ? attempts - 1 : 0);
    if (seconds > BACKOFF_LAST_S) seconds = BACKOFF_LAST_S;
    return seconds * 1000 * (200 + jitter % 100) / 256;
}
