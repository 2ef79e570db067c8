/*
 * The JSON API, /api/v1: handlers and their routes. docs/openapi.yaml describes it. Errors are
 * {"error": {"code", "message"}}. Times are RFC 3339, in UTC.
 */
#ifndef COFFER_PROGRAM_WEB_API_H
#define COFFER_PROGRAM_WEB_API_H

#include "format/json.h"
#include "program/web/web.h"

/* Sends a value (borrowed) as the reply. */
err_t *api_send(http_reply_t *reply, unsigned status, const json_t *json) WARN_UNUSED;
/* The body as a JSON object; an empty body is an empty object. */
err_t *api_body(const http_request_t *request, json_t **ret_object) WARN_UNUSED;
/* ?after=TEXT&limit=N of a list. */
err_t *api_page(http_request_t *request, const char **ret_after, size_t *ret_limit) WARN_UNUSED;
/* The same of a list in order of a number: `start` where no ?after=N is given. */
err_t *api_page_seq(http_request_t *request, int64_t start, int64_t *ret_after,
                    size_t *ret_limit) WARN_UNUSED;
/* Sets "next" to the last line's number where the page is full: there may be more. */
err_t *api_set_next(json_t *object, size_t count, size_t limit, int64_t last) WARN_UNUSED;
/* Sets "name" to the time, or to null for 0. */
err_t *api_set_ms(json_t *object, const char *name, int64_t unix_ms) WARN_UNUSED;
/* What the API tells of every certificate: names, serial, digest, times and the PEM. */
err_t *api_set_cert(json_t *object, const cert_t *cert) WARN_UNUSED;
/* A route parameter as a C string. ERR_INVALID if it can't be one. */
err_t *api_param(http_request_t *request, const char *name, const char **ret_text) WARN_UNUSED;
/* A query parameter that is 1, true or yes. */
err_t *api_flag(const http_request_t *request, const char *name, bool *ret_flag) WARN_UNUSED;

err_t *api_session(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_status(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_jobs(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_people_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_people_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_people_disable(void *ctx, http_request_t *request, http_reply_t *reply);
/* The part of api_people_left that is not about certificates. */
err_t *api_people_gone(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_people_enable(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_people_password(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_login(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_tokens_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_tokens_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_tokens_remove(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_devices_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_devices_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_devices_release(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_devices_push(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_commands_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_commands_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_commands_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_commands_cancel(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_certs_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_certs_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_certs_revoke(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_crls_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_devices_lost(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_keys_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_keys_import(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_people_left(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_profiles_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_profiles_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_profiles_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_profiles_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_profiles_assign(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_profiles_unassign(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_ca(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_scep_challenge(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_scep_pending_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_scep_approve(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_scep_deny(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_scep_trace(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_watch_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_watch_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_watch_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_watch_check(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_watch_release(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_watch_runs(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_expiry(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_directory_test(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_directory_sync(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_directory_person(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_directory_certificates(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_mail_recipients(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_harvest(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_certs(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_certs_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_trust(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_trust_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_trust_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_groups(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_groups_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_groups_remove(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_audit_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_audit_export(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_keeper_log(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_backups_begin(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_backups_copy(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_backups_read(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_backups_finish(void *ctx, http_request_t *request, http_reply_t *reply);

#define WEB_API_ROUTE(method, path, body, handler, need)                                           \
    { method, "/api/v1" path, body, WEB_ON_HTTPS, HTTP_AUTH_SESSION_OR_TOKEN, handler, need, true }
/* The part of WEB_ROUTES that is the API. */
#define WEB_API_ROUTES                                                                             \
    WEB_API_ROUTE("GET", "/session", 0, api_session, WEB_NEED_NOTHING),                            \
        WEB_API_ROUTE("GET", "/status", 0, api_status, WEB_NEED_READ),                             \
        WEB_API_ROUTE("GET", "/jobs", 0, api_jobs, WEB_NEED_READ),                                 \
        WEB_API_ROUTE("GET", "/people", 0, api_people_list, WEB_NEED_READ),                        \
        WEB_API_ROUTE("POST", "/people", LIMIT_HTTP_BODY_FORM, api_people_add, WEB_NEED_ADMIN),    \
        WEB_API_ROUTE("POST", "/people/:email/disable", 0, api_people_disable, WEB_NEED_ADMIN),    \
        WEB_API_ROUTE("POST", "/people/:email/enable", 0, api_people_enable, WEB_NEED_ADMIN),      \
        WEB_API_ROUTE("POST", "/people/:email/password", LIMIT_HTTP_BODY_FORM,                     \
                      api_people_password, WEB_NEED_ADMIN),                                        \
        WEB_API_ROUTE("GET", "/tokens", 0, api_tokens_list, WEB_NEED_ADMIN),                       \
        WEB_API_ROUTE("POST", "/tokens", LIMIT_HTTP_BODY_FORM, api_tokens_add, WEB_NEED_ADMIN),    \
        WEB_API_ROUTE("DELETE", "/tokens/:name", 0, api_tokens_remove, WEB_NEED_ADMIN),            \
        WEB_API_ROUTE("GET", "/devices", 0, api_devices_list, WEB_NEED_READ),                      \
        WEB_API_ROUTE("GET", "/devices/:device", 0, api_devices_show, WEB_NEED_READ),              \
        WEB_API_ROUTE("POST", "/devices/:device/push", 0, api_devices_push, WEB_NEED_ADMIN),       \
        WEB_API_ROUTE("POST", "/devices/:device/release", 0, api_devices_release, WEB_NEED_ADMIN), \
        WEB_API_ROUTE("GET", "/devices/:device/commands", 0, api_commands_list, WEB_NEED_READ),    \
        WEB_API_ROUTE("POST", "/devices/:device/commands", LIMIT_HTTP_BODY_API, api_commands_add,  \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/devices/:device/commands/:uuid", 0, api_commands_show,              \
                      WEB_NEED_READ),                                                              \
        WEB_API_ROUTE("DELETE", "/devices/:device/commands/:uuid", 0, api_commands_cancel,         \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/people/:email/keys", 0, api_keys_add, WEB_NEED_ADMIN),             \
        WEB_API_ROUTE("POST", "/people/:email/keys/import", LIMIT_HTTP_BODY_API, api_keys_import,  \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/people/:email/left", 0, api_people_left, WEB_NEED_ADMIN),          \
        WEB_API_ROUTE("POST", "/devices/:device/lost", 0, api_devices_lost, WEB_NEED_ADMIN),       \
        WEB_API_ROUTE("GET", "/certificates", 0, api_certs_list, WEB_NEED_READ),                   \
        WEB_API_ROUTE("GET", "/certificates/:certificate", 0, api_certs_show, WEB_NEED_READ),      \
        WEB_API_ROUTE("POST", "/certificates/:certificate/revoke", LIMIT_HTTP_BODY_FORM,           \
                      api_certs_revoke, WEB_NEED_ADMIN),                                           \
        WEB_API_ROUTE("GET", "/revocation-lists", 0, api_crls_list, WEB_NEED_READ),                \
        WEB_API_ROUTE("GET", "/mail/recipients", 0, api_mail_recipients, WEB_NEED_NOTHING),        \
        WEB_API_ROUTE("POST", "/mail/recipients", LIMIT_HTTP_BODY_API, api_mail_recipients,        \
                      WEB_NEED_NOTHING),                                                           \
        WEB_API_ROUTE("POST", "/mail/harvest", LIMIT_HTTP_BODY_MAIL, api_mail_harvest,             \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/mail/certificates", 0, api_mail_certs, WEB_NEED_READ),              \
        WEB_API_ROUTE("DELETE", "/mail/certificates/:sha256", 0, api_mail_certs_remove,            \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/mail/trust", 0, api_mail_trust, WEB_NEED_READ),                     \
        WEB_API_ROUTE("POST", "/mail/trust", LIMIT_HTTP_BODY_API, api_mail_trust_add,              \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("DELETE", "/mail/trust/:sha256", 0, api_mail_trust_remove, WEB_NEED_ADMIN),  \
        WEB_API_ROUTE("GET", "/mail/groups", 0, api_mail_groups, WEB_NEED_READ),                   \
        WEB_API_ROUTE("POST", "/mail/groups", LIMIT_HTTP_BODY_API, api_mail_groups_put,            \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("DELETE", "/mail/groups/:address", 0, api_mail_groups_remove,                \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/profiles", 0, api_profiles_list, WEB_NEED_READ),                    \
        WEB_API_ROUTE("POST", "/profiles", LIMIT_HTTP_BODY_API, api_profiles_put, WEB_NEED_ADMIN), \
        WEB_API_ROUTE("GET", "/profiles/:identifier", 0, api_profiles_show, WEB_NEED_READ),        \
        WEB_API_ROUTE("DELETE", "/profiles/:identifier", 0, api_profiles_remove, WEB_NEED_ADMIN),  \
        WEB_API_ROUTE("POST", "/profiles/:identifier/assignments", LIMIT_HTTP_BODY_FORM,           \
                      api_profiles_assign, WEB_NEED_ADMIN),                                        \
        WEB_API_ROUTE("DELETE", "/profiles/:identifier/assignments/:device", 0,                    \
                      api_profiles_unassign, WEB_NEED_ADMIN),                                      \
        WEB_API_ROUTE("GET", "/ca", 0, api_ca, WEB_NEED_READ),                                     \
        WEB_API_ROUTE("POST", "/scep/challenges", LIMIT_HTTP_BODY_FORM, api_scep_challenge,        \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/scep/pending", 0, api_scep_pending_list, WEB_NEED_READ),            \
        WEB_API_ROUTE("POST", "/scep/pending/:id/approve", 0, api_scep_approve, WEB_NEED_ADMIN),   \
        WEB_API_ROUTE("POST", "/scep/pending/:id/deny", LIMIT_HTTP_BODY_FORM, api_scep_deny,       \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/scep/trace", 0, api_scep_trace, WEB_NEED_READ),                     \
        WEB_API_ROUTE("GET", "/watch", 0, api_watch_list, WEB_NEED_READ),                          \
        WEB_API_ROUTE("POST", "/watch", LIMIT_HTTP_BODY_FORM, api_watch_add, WEB_NEED_ADMIN),      \
        WEB_API_ROUTE("DELETE", "/watch/:name", 0, api_watch_remove, WEB_NEED_ADMIN),              \
        WEB_API_ROUTE("POST", "/watch-check", 0, api_watch_check, WEB_NEED_ADMIN),                 \
        WEB_API_ROUTE("POST", "/watch-release", 0, api_watch_release, WEB_NEED_ADMIN),             \
        WEB_API_ROUTE("GET", "/watch-runs", 0, api_watch_runs, WEB_NEED_READ),                     \
        WEB_API_ROUTE("GET", "/expiry", 0, api_expiry, WEB_NEED_READ),                             \
        WEB_API_ROUTE("POST", "/directory/test", 0, api_directory_test, WEB_NEED_READ),            \
        WEB_API_ROUTE("POST", "/directory/sync", LIMIT_HTTP_BODY_FORM, api_directory_sync,         \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/directory/people/:person", 0, api_directory_person, WEB_NEED_READ), \
        WEB_API_ROUTE("GET", "/directory/certificates/:address", 0, api_directory_certificates,    \
                      WEB_NEED_READ),                                                              \
        WEB_API_ROUTE("POST", "/backups", LIMIT_HTTP_BODY_FORM, api_backups_begin,                 \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/backups/:id/copy", 0, api_backups_copy, WEB_NEED_ADMIN),           \
        WEB_API_ROUTE("GET", "/backups/:id/chunks/:first", 0, api_backups_read, WEB_NEED_ADMIN),   \
        WEB_API_ROUTE("POST", "/backups/:id/finish", LIMIT_HTTP_BODY_FORM, api_backups_finish,     \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/audit", 0, api_audit_list, WEB_NEED_READ),                          \
        WEB_API_ROUTE("GET", "/audit/export", 0, api_audit_export, WEB_NEED_READ),                 \
        WEB_API_ROUTE("GET", "/keeper/log", 0, api_keeper_log, WEB_NEED_READ)

#endif
