/*
 * /api/v1/devices/DEVICE/mail-app: managed configuration of a device's mail program.
 */
#include "program/web/api_mail_app.h"

#include "base/limits.h"
#include "program/web/api_escrow.h"

err_t *api_devices_mail_app(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    const char *device = NULL, *uuid = NULL, *name = "";
    mail_app_t app = web->settings.mailbox.app;
    TRY(api_param(request, "device", &device));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "app", "lease", "hours", NULL));
    TRY(api_text(request, body, "app", LIMIT_DEVICE_ATTRIBUTE, false, &name));
    if (name[0]) app.identifier = name;
    TRY(jso_get_bool(body, "lease", false, &app.lease));
    TRY(jso_get_int(body, "hours", 1, MAIL_APP_HOURS_MAX, false, &app.hours));
    TRY(devices_mail_app(web->devices, request->arena, device, &app, web_caller(request)->actor,
                         &uuid));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "uuid", uuid));
    TRY(jso_set_bool(out, "queued", true));
    return api_send(reply, 202, out);
}
