/*
 * What the push stand-in demands: see apns_check.h. Pure; main thread.
 */
#include "program/sim/apns_check.h"

#include <string.h>

#include "base/text.h"
#include "format/json.h"

static const char PATH_PREFIX[] = "/3/device/";

void apns_request_header(apns_request_t *request, bytes_t name, bytes_t value) {
    const struct {
        const char *name;
        char *out;
        size_t size;
    } fields[] = {
        {":method", request->method, sizeof request->method},
        {":path", request->path, sizeof request->path},
        {"apns-topic", request->topic, sizeof request->topic},
        {"apns-push-type", request->push_type, sizeof request->push_type},
        {"apns-expiration", request->expiration, sizeof request->expiration},
        {"apns-priority", request->priority, sizeof request->priority},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!bytes_eq_str(name, fields[i].name)) continue;
        if (value.n >= fields[i].size || bytes_has_nul(value)) {
            request->too_long = true;
            return;
        }
        bytes_put(fields[i].out, value);
        fields[i].out[value.n] = '\0';
    }
}

static void refuse(apns_verdict_t *v, unsigned status, const char *reason) {
    v->status = status;
    v->reason = reason;
}

static bool read_token(const char *path, apns_verdict_t *v) {
    const char *hex = path + sizeof PATH_PREFIX - 1;
    size_t n = strlen(hex);
    if (n == 0 || n > APNS_TOKEN_HEX || n % 2) return false;
    for (size_t i = 0; i < n; i++) {
        bool ok = (hex[i] >= '0' && hex[i] <= '9') || (hex[i] >= 'a' && hex[i] <= 'f') ||
                  (hex[i] >= 'A' && hex[i] <= 'F');
        if (!ok) return false;
    }
    memcpy(v->token, hex, n + 1);
    text_lower(v->token);
    return true;
}

/* Exactly {"mdm":"magic"}: one member, whatever the white space. */
static bool read_magic(bytes_t body, apns_verdict_t *v) {
    CLEANUP(jso_free) json_t *object = NULL;
    bytes_t magic = BYTES_NONE;
    err_t *e = jso_parse_object(body, &object);
    if (!e) e = jso_only(object, "mdm", NULL);
    if (!e) e = jso_get_string(object, "mdm", LIMIT_PUSH_MAGIC, true, &magic);
    bool ok = !e && magic.n > 0 && text_printable(magic);
    err_free(e);
    if (ok) bytes_put(v->magic, magic);
    return ok;
}

static bool read_expiry(const char *text, apns_verdict_t *v) {
    uint64_t number = 0;
    err_t *e = text_u64(bytes_str(text), UINT32_MAX, &number);
    if (e) {
        err_free(e);
        return false;
    }
    v->expiry = (int64_t)number;
    return true;
}

/* An object with "aps"; what only wakes the app has no alert, and the other kind has one. */
static bool read_app(bytes_t body, bool background) {
    CLEANUP(jso_free) json_t *object = NULL;
    json_t *aps = NULL, *alert = NULL;
    err_t *e = jso_parse_object(body, &object);
    if (!e) e = jso_get_object(object, "aps", true, &aps);
    if (!e) e = jso_get_object(aps, "alert", !background, &alert);
    bool ok = !e && background != (alert != NULL);
    err_free(e);
    return ok;
}

static void judge_app(const apns_request_t *r, bytes_t body, apns_verdict_t *v) {
    bool background = strcmp(r->push_type, "background") == 0;
    v->app = true;
    if (!background && strcmp(r->push_type, "alert") != 0) refuse(v, 400, "InvalidPushType");
    else if (!read_expiry(r->expiration, v)) refuse(v, 400, "BadExpirationDate");
    else if (background && strcmp(r->priority, "5") != 0) refuse(v, 400, "BadPriority");
    else if (body.n == 0) refuse(v, 400, "PayloadEmpty");
    else if (body.n > LIMIT_APNS_PAYLOAD) refuse(v, 413, "PayloadTooLarge");
    else if (!read_app(body, background)) refuse(v, 400, "BadPayload");
}

static bool is_mdm(const char *topic) { return strncmp(topic, "com.apple.mgmt.", 15) == 0; }

static void judge(const apns_request_t *r, bytes_t body, const char *topic, apns_verdict_t *v) {
    if (r->too_long) refuse(v, 400, "BadMessageId");
    else if (strncmp(r->path, PATH_PREFIX, sizeof PATH_PREFIX - 1) != 0) refuse(v, 404, "BadPath");
    else if (strcmp(r->method, "POST") != 0) refuse(v, 405, "MethodNotAllowed");
    else if (!topic[0]) refuse(v, 403, "BadCertificate");
    else if (!read_token(r->path, v)) refuse(v, 400, "BadDeviceToken");
    else if (!r->topic[0]) refuse(v, 400, "MissingTopic");
    else if (is_mdm(topic) && !is_mdm(r->topic)) refuse(v, 400, "BadTopic");
    else if (strcmp(r->topic, topic) != 0) refuse(v, 400, "TopicDisallowed");
    else if (!is_mdm(topic)) judge_app(r, body, v);
    else if (strcmp(r->push_type, "mdm") != 0) refuse(v, 400, "InvalidPushType");
    else if (!read_expiry(r->expiration, v)) refuse(v, 400, "BadExpirationDate");
    else if (r->priority[0] && strcmp(r->priority, "10") != 0 && strcmp(r->priority, "5") != 0)
        refuse(v, 400, "BadPriority");
    else if (body.n == 0) refuse(v, 400, "PayloadEmpty");
    else if (body.n > LIMIT_APNS_PAYLOAD) refuse(v, 413, "PayloadTooLarge");
    else if (!read_magic(body, v)) refuse(v, 400, "BadPayload");
}

apns_verdict_t apns_check(const apns_request_t *request, bytes_t body, const char *topic) {
    apns_verdict_t verdict = {.status = 200, .reason = ""};
    judge(request, body, topic, &verdict);
    return verdict;
}
