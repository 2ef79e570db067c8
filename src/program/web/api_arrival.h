/*
 * Mail that arrives while devices are locked: /push/v1/hook for mail servers, /push/v1/stream for
 * devices, /api/v1/mailboxes and /api/v1/mail-hooks for admins.
 */
#ifndef COFFER_PROGRAM_WEB_API_ARRIVAL_H
#define COFFER_PROGRAM_WEB_API_ARRIVAL_H

#include "program/web/api_leases.h"

err_t *push_hook(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *push_stream(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_mail_hooks_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_hooks_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_hooks_remove(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_mailboxes_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mailboxes_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mailboxes_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mailboxes_releases(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES. */
#define WEB_ARRIVAL_ROUTES                                                                         \
    WEB_PUSH_ROUTE("GET", "/push/v1/stream", 0, push_stream),                                      \
        {"PUT", "/push/v1/hook", LIMIT_ARRIVAL_HOOK, WEB_ON_HTTPS, HTTP_AUTH_OWN, push_hook, 0,    \
         true},                                                                                    \
        {"POST", "/push/v1/hook", LIMIT_ARRIVAL_HOOK, WEB_ON_HTTPS, HTTP_AUTH_OWN, push_hook, 0,   \
         true},                                                                                    \
        WEB_API_ROUTE("GET", "/mail-hooks", 0, api_mail_hooks_list, WEB_NEED_READ),                \
        WEB_API_ROUTE("POST", "/mail-hooks", LIMIT_HTTP_BODY_FORM, api_mail_hooks_add,             \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("DELETE", "/mail-hooks/:name", 0, api_mail_hooks_remove, WEB_NEED_ADMIN),    \
        WEB_API_ROUTE("GET", "/mailboxes", 0, api_mailboxes_list, WEB_NEED_READ),                  \
        WEB_API_ROUTE("POST", "/mailboxes", LIMIT_HTTP_BODY_FORM, api_mailboxes_add,               \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("DELETE", "/mailboxes/:account", 0, api_mailboxes_remove, WEB_NEED_ADMIN),   \
        WEB_API_ROUTE("GET", "/mailboxes/:account/releases", 0, api_mailboxes_releases,            \
                      WEB_NEED_NOTHING)

#endif
