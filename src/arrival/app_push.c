/*
 * A mail program's push: see app_push.h.
 */
#include "arrival/app_push.h"

#include <string.h>

#include "base/limits.h"

/* Shown by the device where the program itself may not run; nothing of the mail. */
static err_t *add_aps(json_t *object) {
    json_t *aps = NULL, *alert = NULL;
    TRY(jso_set_object(object, "aps", &aps));
    TRY(jso_set_object(aps, "alert", &alert));
    TRY(jso_set_str(alert, "body", "New mail"));
    TRY(jso_set_int(aps, "content-available", 1));
    return jso_set_int(aps, "mutable-content", 1);
}

static err_t *write_payload(const char *event, json_t *release, buf_t *out) {
    CLEANUP(jso_free) json_t *object = NULL;
    json_t *ours = NULL;
    TRY(jso_object(&object));
    TRY(add_aps(object));
    TRY(jso_set_object(object, "coffer", &ours));
    TRY(jso_set_str(ours, "event", event));
    if (release) TRY(jso_set(ours, "release", json_incref(release)));
    return jso_write(object, false, out);
}

err_t *app_push_payload(const char *event, json_t *release, buf_t *out) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_APNS_PAYLOAD);
    err_t *e = write_payload(event, release, &text);
    if (e && err_code(e) == ERR_LIMIT && release) {
        err_free(e);
        buf_done(&text);
        buf_init(&text, LIMIT_APNS_PAYLOAD);
        e = write_payload(event, NULL, &text);
    }
    return e ? e : buf_add(out, buf_bytes(&text));
}

err_t *app_push_name(const char *name, bytes_t *ret_device, const char **ret_account) {
    const char *space = strchr(name, ' ');
    if (!space || space == name || !space[1])
        return err_new(ERR_INVALID, "a push job without device or account");
    *ret_device = bytes_make(name, (size_t)(space - name));
    *ret_account = space + 1;
    return NULL;
}
