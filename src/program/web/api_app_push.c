/*
 * See api_app_push.h. Worker threads.
 */
#include "program/web/api_app_push.h"

#include "base/limits.h"
#include "program/web/api_escrow.h"
#include "store/app_pushes.h"

static err_t *write_row(db_conn_t *conn, void *arg) { return db_app_pushes_put(conn, arg); }

static err_t *remove_row(db_conn_t *conn, void *arg) {
    return db_app_pushes_remove(conn, arg, INT64_MAX);
}

err_t *push_app_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    device_caller_t caller;
    bool release = false;
    db_app_push_t row = {.token_ms = clk_unix_ms(clk_real())};
    TRY(push_find_device(web, request, &caller));
    if (!web->settings.mailbox.push_certificate[0])
        return err_new(ERR_DENIED, "this instance sends no pushes to mail programs");
    TRY(api_body(request, &body));
    TRY(jso_only(body, "token", "release", NULL));
    TRY(api_record(request, body, "token", LIMIT_TOKEN, &row.token));
    TRY(jso_get_bool(body, "release", false, &release));
    if (row.token.n == 0) return err_new(ERR_INVALID, "a push token is not empty");
    row.device_id = caller.device_id;
    row.release = release ? 1 : 0;
    TRY(db_write(web->db, write_row, &row));
    return http_reply_empty(reply, 204);
}

err_t *push_app_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    device_caller_t caller;
    TRY(push_find_device(web, request, &caller));
    TRY(db_write(web->db, remove_row, (void *)(uintptr_t)caller.device_id));
    return http_reply_empty(reply, 204);
}
