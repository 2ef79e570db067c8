/*
 * Causes: see expiry_cause.h. In coffer-courier (notices) and coffer-web (the report).
 */
#include "pki/expiry_cause.h"

#include <stdio.h>

#include "base/text.h"

enum { AWAY_DAYS = 7, DAY_MS = 86400 * 1000, DAY_SIZE = 11 };

/* "2026-11-22" */
static const char *day(int64_t ms, char out[TEXT_TIME_SIZE]) {
    (void)text_time(ms / 1000, out);
    out[DAY_SIZE - 1] = '\0';
    return out;
}

#define SAY(cause, name, ...)                                                                      \
    do {                                                                                           \
        (cause)->code = (name);                                                                    \
        (void)snprintf((cause)->text, sizeof(cause)->text, __VA_ARGS__);                           \
    } while (0)

static bool own_cause(const db_expiring_t *cert, expiry_cause_t *cause) {
    static const char *const own[][2] = {
        {EXPIRY_OWN_ROOT, "no rollover replaces the root CA: devices must enrol again, at an "
                          "instance with a new one"},
        {EXPIRY_OWN_DEVICE_CA, "the device CA is replaced by coffer ca rollover: begin in time"},
        {EXPIRY_OWN_MAIL_CA, "no rollover replaces the mail CA: after its end no key for mail is "
                             "certified by this instance"},
        {EXPIRY_OWN_PROFILE_SIGNER, "no rollover replaces the signer of profiles: after its end "
                                    "devices don't trust this instance's profiles"},
        {EXPIRY_OWN_TLS, "this server's TLS certificate (tls/cert.pem) is replaced by an admin"},
        {EXPIRY_OWN_PUSH, "the push certificate is renewed in Apple's portal with the same "
                          "Apple Account: devices must enrol again if it is not"},
        {EXPIRY_OWN_OCSP, "the OCSP responder's certificate is replaced by itself: if this comes, "
                          "look at the log of coffer-web"},
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(cert->source, own[i][0]) != 0) continue;
        SAY(cause, "own", "%s", own[i][1]);
        return true;
    }
    return false;
}

static bool request_cause(const db_expiry_facts_t *f, expiry_cause_t *cause) {
    char when[TEXT_TIME_SIZE];
    if (strcmp(f->pending_state, "waiting") == 0) {
        SAY(cause, "pending-approval",
            "a request waits for approval since %s: coffer cert approve %s",
            day(f->pending_ms, when), f->pending_id);
        return true;
    }
    if (strcmp(f->pending_state, "denied") == 0) {
        SAY(cause, "denied", "the request of %s was denied: %.200s", day(f->pending_ms, when),
            f->pending_reason[0] ? f->pending_reason : "no reason given");
        return true;
    }
    return false;
}

static bool is_failure(const char *outcome) {
    static const char *const failures[] = {"refused", "malformed", "failed"};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (strcmp(outcome, failures[i]) == 0) return true;
    return false;
}

static bool device_cause(const db_expiry_facts_t *f, int64_t now_ms, expiry_cause_t *cause) {
    char when[TEXT_TIME_SIZE];
    if (!f->device_id[0]) return false;
    if (strcmp(f->device_state, "removed") == 0) {
        SAY(cause, "device-removed", "the device left management; last seen %s",
            day(f->last_seen_ms, when));
        return true;
    }
    if (f->last_seen_ms && now_ms - f->last_seen_ms > (int64_t)AWAY_DAYS * DAY_MS) {
        SAY(cause, "device-away", "the device is away since %s", day(f->last_seen_ms, when));
        return true;
    }
    if (strcmp(f->push_state, "unregistered") == 0) {
        SAY(cause, "push-fails", "the device takes no pushes any more (unregistered)");
        return true;
    }
    if (f->push_error[0]) {
        SAY(cause, "push-fails", "pushes to the device fail: %.200s", f->push_error);
        return true;
    }
    return false;
}

void expiry_cause(const db_expiring_t *cert, const db_expiry_facts_t *f, int64_t now_ms,
                  expiry_cause_t *ret_cause) {
    expiry_cause_t *cause = ret_cause;
    char when[TEXT_TIME_SIZE];
    if (own_cause(cert, cause)) return;
    if (cert->source[0]) {
        SAY(cause, "foreign", "it is renewed where it was issued: %.300s", cert->issuer);
    } else if (request_cause(f, cause)) {
        return;
    } else if (is_failure(f->outcome) && f->trace_ms / 1000 > cert->not_before) {
        SAY(cause, "refused", "the last request, of %s, was %s%s%s: %.200s", day(f->trace_ms, when),
            f->outcome, f->fail_info[0] ? " with " : "", f->fail_info, f->problem);
    } else if (device_cause(f, now_ms, cause)) {
        return;
    } else if (f->challenge_expired_ms / 1000 > cert->not_before) {
        SAY(cause, "challenge-expired", "a challenge for it ended unused on %s",
            day(f->challenge_expired_ms, when));
    } else {
        SAY(cause, "not-asked", "nobody asked for a renewal");
    }
}
