/*
 * /api/v1/devices/:device/mail-app for admins: see device/mail_app.h.
 */
#ifndef COFFER_WEB_API_MAIL_APP_H
#define COFFER_WEB_API_MAIL_APP_H

#include "program/web/api.h"

err_t *api_devices_mail_app(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES. */
#define WEB_MAIL_APP_ROUTES                                                                        \
    WEB_API_ROUTE("POST", "/devices/:device/mail-app", LIMIT_HTTP_BODY_FORM, api_devices_mail_app, \
                  WEB_NEED_ADMIN)

#endif
