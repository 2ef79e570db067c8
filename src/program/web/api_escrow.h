/*
 * The part of the JSON API that is about escrow: officers and their sets, objects, recovery.
 */
#ifndef COFFER_PROGRAM_WEB_API_ESCROW_H
#define COFFER_PROGRAM_WEB_API_ESCROW_H

#include "escrow/escrow.h"
#include "program/web/api.h"
#include "store/mail_deliveries.h"

/* Who asks, as the domain wants it; borrowed from the request. */
static inline escrow_caller_t api_escrow_caller(const http_request_t *request) {
    const web_caller_t *caller = web_caller(request);
    return (escrow_caller_t){caller->actor, caller->person_id, caller->email, caller->not_hers};
}
/* A base64 member, decoded into the request's arena; at most `max` bytes. */
err_t *api_record(http_request_t *request, const json_t *body, const char *name, size_t max,
                  bytes_t *ret_record) WARN_UNUSED;
/* An array of texts, in the arena. */
err_t *api_texts(http_request_t *request, const json_t *body, const char *name, size_t max,
                 const char *const **ret_texts, size_t *ret_count) WARN_UNUSED;
/* A member as a C string in the arena; "" if it is not there. */
err_t *api_text(http_request_t *request, const json_t *body, const char *name, size_t max,
                bool required, const char **ret_text) WARN_UNUSED;
/* A query parameter as a C string in the arena; "" if it is not there. */
err_t *api_query(http_request_t *request, const char *name, const char **ret_text) WARN_UNUSED;
/* A number in the path. */
err_t *api_param_i64(http_request_t *request, const char *name, int64_t *ret_value) WARN_UNUSED;
/* Sets "name" to lower-case hex; null for none. */
err_t *api_set_hex(json_t *object, const char *name, bytes_t data) WARN_UNUSED;
/* An escrow object's public side; `owner` is an address. */
err_t *api_object_json(const db_escrow_t *row, const char *owner, json_t *out) WARN_UNUSED;

err_t *api_officers_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_officers_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_officers_remove(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sets_propose(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sets_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sets_sign(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sets_withdraw(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_redeal_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_redeal_batch(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_redeal_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_officers_sample(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_officers_drill(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_redeal_replan(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_redeal_finish(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_escrow_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_history(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_verify(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_drills(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_drill(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_escrow_report(void *ctx, http_request_t *request, http_reply_t *reply);

/* How far mail keys came on a device. */
err_t *api_mail_delivery_json(const db_mail_delivery_t *row, json_t *out) WARN_UNUSED;
err_t *api_mail_deliveries_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_consents_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_consents_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_consents_approve(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_mail_consents_deny(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_keys_deliver(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_storage_key(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_storage_rotate(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *api_recover_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_request(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_show(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_share(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_approve(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_deny(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_open(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_received(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_recover_wrong(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES that is escrow. */
#define WEB_ESCROW_ROUTES                                                                          \
    WEB_API_ROUTE("GET", "/officers", 0, api_officers_list, WEB_NEED_RECOVERY),                    \
        WEB_API_ROUTE("POST", "/officers", LIMIT_HTTP_BODY_FORM, api_officers_add,                 \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/officers/sets", LIMIT_HTTP_BODY_FORM, api_sets_propose,            \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/officers/sets/:epoch", 0, api_sets_show, WEB_NEED_RECOVERY),        \
        WEB_API_ROUTE("DELETE", "/officers/sets/:epoch", 0, api_sets_withdraw, WEB_NEED_ADMIN),    \
        WEB_API_ROUTE("POST", "/officers/sets/:epoch/signatures", LIMIT_HTTP_BODY_FORM,            \
                      api_sets_sign, WEB_NEED_OFFICER),                                            \
        WEB_API_ROUTE("GET", "/officers/drill", 0, api_officers_sample, WEB_NEED_OFFICER),         \
        WEB_API_ROUTE("POST", "/officers/drill", LIMIT_HTTP_BODY_FORM, api_officers_drill,         \
                      WEB_NEED_OFFICER),                                                           \
        WEB_API_ROUTE("GET", "/officers/redeal", 0, api_redeal_show, WEB_NEED_RECOVERY),           \
        WEB_API_ROUTE("POST", "/officers/redeal", LIMIT_HTTP_BODY_API, api_redeal_put,             \
                      WEB_NEED_OFFICER),                                                           \
        WEB_API_ROUTE("GET", "/officers/redeal/objects", 0, api_redeal_batch, WEB_NEED_OFFICER),   \
        WEB_API_ROUTE("POST", "/officers/redeal/dealers", LIMIT_HTTP_BODY_FORM, api_redeal_replan, \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/officers/redeal/finish", LIMIT_HTTP_BODY_FORM, api_redeal_finish,  \
                      WEB_NEED_OFFICER),                                                           \
        WEB_API_ROUTE("DELETE", "/officers/:officer", 0, api_officers_remove, WEB_NEED_ADMIN),     \
        WEB_API_ROUTE("GET", "/escrow", 0, api_escrow_list, WEB_NEED_READ),                        \
        WEB_API_ROUTE("POST", "/escrow", LIMIT_HTTP_BODY_API, api_escrow_put, WEB_NEED_ADMIN),     \
        WEB_API_ROUTE("GET", "/escrow/drills", 0, api_escrow_drills, WEB_NEED_READ),               \
        WEB_API_ROUTE("POST", "/escrow/drills", LIMIT_HTTP_BODY_FORM, api_escrow_drill,            \
                      WEB_NEED_READ),                                                              \
        WEB_API_ROUTE("GET", "/escrow/report", 0, api_escrow_report, WEB_NEED_READ),               \
        WEB_API_ROUTE("GET", "/escrow/:object", 0, api_escrow_show, WEB_NEED_READ),                \
        WEB_API_ROUTE("GET", "/escrow/:object/history", 0, api_escrow_history, WEB_NEED_READ),     \
        WEB_API_ROUTE("POST", "/escrow/:object/verify", 0, api_escrow_verify, WEB_NEED_READ),      \
        WEB_API_ROUTE("GET", "/mail-deliveries", 0, api_mail_deliveries_list, WEB_NEED_RECOVERY),  \
        WEB_API_ROUTE("GET", "/mail-consents", 0, api_mail_consents_list, WEB_NEED_RECOVERY),      \
        WEB_API_ROUTE("GET", "/mail-consents/:consent", 0, api_mail_consents_show,                 \
                      WEB_NEED_RECOVERY),                                                          \
        WEB_API_ROUTE("POST", "/mail-consents/:consent/approvals", LIMIT_HTTP_BODY_FORM,           \
                      api_mail_consents_approve, WEB_NEED_OFFICER),                                \
        WEB_API_ROUTE("POST", "/mail-consents/:consent/deny", LIMIT_HTTP_BODY_FORM,                \
                      api_mail_consents_deny, WEB_NEED_OFFICER),                                   \
        WEB_API_ROUTE("POST", "/people/:email/keys/deliver", 0, api_keys_deliver, WEB_NEED_ADMIN), \
        WEB_API_ROUTE("GET", "/keeper/storage-key", 0, api_storage_key, WEB_NEED_READ),            \
        WEB_API_ROUTE("POST", "/keeper/storage-key", 0, api_storage_rotate, WEB_NEED_ADMIN),       \
        WEB_API_ROUTE("GET", "/recoveries", 0, api_recover_list, WEB_NEED_RECOVERY),               \
        WEB_API_ROUTE("POST", "/recoveries", LIMIT_HTTP_BODY_FORM, api_recover_request,            \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("GET", "/recoveries/:recovery", 0, api_recover_show, WEB_NEED_RECOVERY),     \
        WEB_API_ROUTE("GET", "/recoveries/:recovery/share", 0, api_recover_share,                  \
                      WEB_NEED_OFFICER),                                                           \
        WEB_API_ROUTE("POST", "/recoveries/:recovery/approvals", LIMIT_HTTP_BODY_FORM,             \
                      api_recover_approve, WEB_NEED_OFFICER),                                      \
        WEB_API_ROUTE("POST", "/recoveries/:recovery/deny", LIMIT_HTTP_BODY_FORM,                  \
                      api_recover_deny, WEB_NEED_OFFICER),                                         \
        WEB_API_ROUTE("POST", "/recoveries/:recovery/open", LIMIT_HTTP_BODY_FORM,                  \
                      api_recover_open, WEB_NEED_ADMIN),                                           \
        WEB_API_ROUTE("POST", "/recoveries/:recovery/received", LIMIT_HTTP_BODY_FORM,              \
                      api_recover_received, WEB_NEED_ADMIN),                                       \
        WEB_API_ROUTE("POST", "/recoveries/:recovery/wrong", LIMIT_HTTP_BODY_FORM,                 \
                      api_recover_wrong, WEB_NEED_ADMIN)

#endif
