/*
 * /api/v1/directory: the organisation's LDAP directory, asked through coffer-courier.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/web/api.h"
#include "program/web/directory_work.h"

static err_t *demand_directory(const web_t *web) {
    if (web->remote) return NULL;
    return err_new(ERR_NOT_FOUND, "there is no directory: coffer.conf has no [ldap] url");
}

/*
 * An admin must read what is wrong with the directory, which as an error of the server's own would
 * only stand in the log.
 */
static err_t *explain(const web_t *web, err_t *e, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *error = NULL;
    char text[512];
    if (!e || (err_code(e) != ERR_UNAVAILABLE && err_code(e) != ERR_TIMEOUT)) return e;
    (void)err_text(e, text, sizeof text);
    log_error(&web->log, LOG_WARNING, e, "directory");
    TRY(jso_object(&out));
    TRY(jso_set_object(out, "error", &error));
    TRY(jso_set_str(error, "code", err_code_name(ERR_UNAVAILABLE)));
    TRY(jso_set_str(error, "message", text));
    return api_send(reply, 503, out);
}

/* Sends the courier's own JSON. */
static err_t *send_answer(const buf_t *text, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_parse_object(buf_bytes(text), &json));
    return api_send(reply, 200, json);
}

err_t *api_directory_test(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(buf_done) buf_t out;
    (void)request;
    buf_init(&out, LIMIT_FRAME_BYTES);
    TRY(demand_directory(web));
    err_t *e = directory_remote_test(web->remote, &out);
    return e ? explain(web, e, reply) : send_answer(&out, reply);
}

err_t *api_directory_sync(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    directory_sync_report_t report;
    bool force = false;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "force", NULL));
    TRY(jso_get_bool(body, "force", false, &force));
    TRY(demand_directory(web));
    err_t *e = directory_work_sync(web, web_caller(request)->actor, force, &report);
    if (e) return explain(web, e, reply);
    TRY(jso_object(&out));
    TRY(directory_work_report(&report, out));
    return api_send(reply, 200, out);
}

err_t *api_directory_person(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(buf_done) buf_t out;
    const char *person = NULL;
    buf_init(&out, LIMIT_FRAME_BYTES);
    TRY(api_param(request, "person", &person));
    TRY(demand_directory(web));
    err_t *e = directory_remote_find(web->remote, bytes_str(person), &out);
    return e ? explain(web, e, reply) : send_answer(&out, reply);
}

static err_t *certificate_json(const cert_t *cert, json_t *out) {
    int64_t now = clk_unix(clk_real());
    TRY(api_set_cert(out, cert));
    return jso_set_bool(out, "valid_now",
                        now >= cert_not_before(cert) && now <= cert_not_after(cert));
}

err_t *api_directory_certificates(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    const char *address = NULL;
    TRY(api_param(request, "address", &address));
    TRY(directory_check_email(request->arena, bytes_str(address), &address));
    TRY(demand_directory(web));
    err_t *e = directory_find_certificates(web->remote, bytes_str(address), &certs);
    if (e) return explain(web, e, reply);
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "certificates", &list));
    for (size_t i = 0; i < certs.n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(certificate_json(certs.certs[i], item));
    }
    return api_send(reply, 200, out);
}
