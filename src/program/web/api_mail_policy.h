/*
 * /api/v1/mail/policy: rules of the mail gateway, and telling the keeper of them.
 */
#ifndef COFFER_PROGRAM_WEB_API_MAIL_POLICY_H
#define COFFER_PROGRAM_WEB_API_MAIL_POLICY_H

#include "program/web/api.h"

err_t *api_mail_policy_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_policy_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_policy_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_policy_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_policy_apply(void *ctx, http_request_t *request, http_reply_t *reply);

/*
 * Tells the keeper what the gateway may do for a person, where that isn't what it was told before,
 * and keeps the certificate of a new signing key. *ret_changed: it was told.
 */
err_t *mail_policy_grant(web_t *web, const db_person_t *person, const char *actor,
                         bool *ret_changed) WARN_UNUSED;

/* For everybody, in the background: people who came, keys that end. */
err_t *mail_policy_apply_all(web_t *web, const _Atomic bool *stopping) WARN_UNUSED;

#define WEB_MAIL_POLICY_ROUTES                                                                     \
    WEB_API_ROUTE("GET", "/mail/policy", 0, api_mail_policy_list, WEB_NEED_READ),                  \
        WEB_API_ROUTE("POST", "/mail/policy", LIMIT_HTTP_BODY_FORM, api_mail_policy_put,           \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/mail/policy/:name", 0, api_mail_policy_show, WEB_NEED_READ),        \
        WEB_API_ROUTE("DELETE", "/mail/policy/:name", 0, api_mail_policy_remove, WEB_NEED_ADMIN),  \
        WEB_API_ROUTE("POST", "/mail/policy-apply", 0, api_mail_policy_apply, WEB_NEED_ADMIN)

#endif
