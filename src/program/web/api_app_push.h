/*
 * /push/v1/app: a device says how its mail program is reached by the push service.
 */
#ifndef COFFER_WEB_API_APP_PUSH_H
#define COFFER_WEB_API_APP_PUSH_H

#include "program/web/api_leases.h"

err_t *push_app_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *push_app_remove(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES. */
#define WEB_APP_PUSH_ROUTES                                                                        \
    WEB_PUSH_ROUTE("PUT", "/push/v1/app", LIMIT_HTTP_BODY_FORM, push_app_put),                     \
        WEB_PUSH_ROUTE("DELETE", "/push/v1/app", 0, push_app_remove)

#endif
