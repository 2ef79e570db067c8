/*
 * /mdm/checkin, /mdm/command and /enrol/ota: what devices send. They authenticate by signature or
 * client certificate inside device/. A device is never answered 401: it would un-enrol.
 */
#include "device/device.h"
#include "program/web/web.h"

enum { STEP_BODY_MAX = 64 * 1024 }; /* bytes; what is longer would hold up an event thread */

static err_t *send_answer(device_answer_t *answer, http_reply_t *reply) {
    if (answer->body.n == 0) return http_reply_empty(reply, (unsigned)answer->status);
    return http_reply_body(reply, (unsigned)answer->status, answer->content_type, &answer->body);
}

static err_t *never_401(err_t *e) {
    return e && err_code(e) == ERR_AUTH ? err_recode(e, ERR_DENIED) : e;
}

static bool is_checkin(const http_request_t *request) {
    return http_request_is_type(request, "application/x-apple-aspen-mdm-checkin");
}

static err_t *device_request(const http_request_t *request, device_request_t *ret_in) {
    bool found = false;
    *ret_in = (device_request_t){
        .body = request->body, .client_cert = request->client_cert, .peer = request->peer};
    return http_request_header_once(request, "Mdm-Signature", &ret_in->signature, &found);
}

err_t *route_mdm(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_request_t in;
    device_answer_init(&answer);
    TRY(device_request(request, &in));
    err_t *e = request->state        ? device_session_end(request->state, &answer)
               : is_checkin(request) ? devices_checkin(web->devices, &in, &answer)
                                     : devices_session(web->devices, &in, &answer);
    if (e) return never_401(e);
    return send_answer(&answer, reply);
}

static void on_ready(void *request) { http_request_wake(request); }
static void state_free(void *state) { device_session_free(state); }

static err_t *begin(web_t *web, http_request_t *request, http_next_t *ret_next) {
    device_request_t in;
    device_session_t *session = NULL;
    TRY(device_request(request, &in));
    err_t *e = devices_session_begin(web->devices, &in, on_ready, request, &session);
    if (e) return never_401(e);
    request->state = session;
    request->state_free = state_free;
    *ret_next = HTTP_STEP_WAIT;
    return NULL;
}

err_t *route_mdm_step(void *ctx, http_request_t *request, http_reply_t *reply,
                      http_next_t *ret_next) {
    web_t *web = ctx;
    if (request->route->handler != route_mdm) return NULL;
    if (!request->state) {
        if (is_checkin(request) || request->body.n > STEP_BODY_MAX) return NULL;
        return begin(web, request, ret_next);
    }
    if (device_session_waits(request->state)) return NULL; /* for the keeper: route_mdm does */
    TRY(route_mdm(ctx, request, reply));
    *ret_next = HTTP_STEP_DONE;
    return NULL;
}

err_t *route_ota(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    TRY(http_rate_take(web->rate, request->peer));
    err_t *e = devices_enrol_ota(web->devices, request->body, request->peer, &answer);
    if (e) return never_401(e);
    return send_answer(&answer, reply);
}
