/*
 * Apple Push Notification service, the part that is not sockets: what one MDM push looks like
 * (HTTP/2 provider API) and what its answer means. Pure; for coffer-courier.
 */
#ifndef COFFER_DEVICE_PUSH_H
#define COFFER_DEVICE_PUSH_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { PUSH_HEADERS = 5 }; /* with the NULL at the end */

/* One push, ready to send; owned (push_message_done). */
typedef struct {
    char *url;
    char *headers[PUSH_HEADERS]; /* ends with NULL */
    buf_t body;
} push_message_t;

/*
 * base: "https://api.push.apple.com:443". expiry: seconds since 1970, until when APNs keeps the
 * push for a device that is off: without it a sleeping device never hears of it.
 * ERR_LIMIT for a token or magic that is too long.
 */
err_t *push_message(const char *base, const char *topic, bytes_t token, const char *magic,
                    int64_t expiry, push_message_t *ret_message) WARN_UNUSED;
/*
 * The same for a device's mail program: topic is its bundle identifier, payload a JSON object with
 * "aps"; ERR_LIMIT past LIMIT_APNS_PAYLOAD.
 */
err_t *push_message_app(const char *base, const char *topic, bytes_t token, bytes_t payload,
                        int64_t expiry, push_message_t *ret_message) WARN_UNUSED;
void push_message_done(push_message_t *message);

typedef enum {
    PUSH_SENT,       /* 200 */
    PUSH_TOKEN_GONE, /* the device un-enrolled or was erased: no more pushes to this token */
    PUSH_RETRY,      /* later may work: 429, 5xx, network */
    PUSH_OURS,       /* our certificate, topic or message is wrong: an administrator must act */
} push_outcome_t;

typedef struct {
    push_outcome_t outcome;
    char reason[64];       /* APNs' word for it, or the status */
    int64_t retry_after_s; /* 0: the caller's own back-off */
} push_verdict_t;

/*
 * What an answer means. token_ms: when the token was registered with us: a 410 that is older than
 * that speaks of the token before (the device enrolled again since). retry_after: the header's
 * value or none.
 */
push_verdict_t push_judge(unsigned status, bytes_t body, bytes_t retry_after, int64_t token_ms);

/* Milliseconds to wait before attempt number attempts + 1: 2 s doubling to an hour, with jitter. */
int64_t push_backoff_ms(int64_t attempts, uint8_t jitter);

DEFINE_CLEANUP_VALUE(push_message_t, push_message_done)

#endif
