/*
 * /api/v1/keeper/storage-key: the key that wraps what typed intents may open, and its rotation.
 */
#include "escrow/rewrap.h"
#include "program/web/api_escrow.h"

static err_t *send_view(web_t *web, http_request_t *request, unsigned status, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    rewrap_view_t view;
    TRY(rewrap_view(web->escrow, request->arena, &view));
    bool going_on = view.rotated && !view.last.finished_ms;
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "number", view.number));
    TRY(jso_set_str(out, "state", going_on ? "rotating" : "done"));
    TRY(jso_set_str(out, "by", view.rotated ? view.last.actor : NULL));
    TRY(jso_set_int(out, "wrapped", view.rotated ? view.last.done : 0));
    TRY(jso_set_int(out, "refused", view.rotated ? view.last.refused : 0));
    TRY(jso_set_int(out, "position", going_on ? view.last.last_seq : view.max_seq));
    TRY(jso_set_int(out, "last", view.max_seq));
    TRY(api_set_ms(out, "started", view.rotated ? view.last.started_ms : 0));
    TRY(api_set_ms(out, "finished", view.rotated ? view.last.finished_ms : 0));
    return api_send(reply, status, out);
}

err_t *api_storage_key(void *ctx, http_request_t *request, http_reply_t *reply) {
    return send_view(ctx, request, 200, reply);
}

err_t *api_storage_rotate(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    TRY(rewrap_begin(web->escrow, &caller));
    return send_view(web, request, 202, reply);
}
