/*
 * The part of the JSON API that is about devices' recoverable secrets.
 */
#ifndef COFFER_PROGRAM_WEB_API_RECOVERABLE_H
#define COFFER_PROGRAM_WEB_API_RECOVERABLE_H

#include "program/web/api.h"

err_t *api_device_secrets(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_device_bypass(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_device_filevault(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_prove(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES. */
#define WEB_RECOVERABLE_ROUTES                                                                     \
    WEB_API_ROUTE("GET", "/devices/:device/secrets", 0, api_device_secrets, WEB_NEED_READ),        \
        WEB_API_ROUTE("POST", "/devices/:device/bypass-code", 0, api_device_bypass,                \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/devices/:device/filevault", 0, api_device_filevault,               \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/escrow/:object/prove", LIMIT_HTTP_BODY_FORM, api_escrow_prove,     \
                      WEB_NEED_ADMIN)

#endif
