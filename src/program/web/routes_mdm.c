/*
 * /mdm/checkin, /mdm/command and /enrol/ota: what devices send. They authenticate by signature or
 * client certificate inside device/. A device is never answered 401: it would un-enrol.
 */
#include "device/device.h"
#include "program/web/web.h"

static err_t *send_answer(device_answer_t *answer, http_reply_t *reply) {
    if (answer->body.n == 0) return http_reply_empty(reply, (unsigned)answer->status);
    return http_reply_body(reply, (unsigned)answer->status, answer->content_type, &answer->body);
}

static err_t *never_401(err_t *e) {
    return e && err_code(e) == ERR_AUTH ? err_recode(e, ERR_DENIED) : e;
}

err_t *route_mdm(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    device_request_t in = {
        .body = request->body, .client_cert = request->client_cert, .peer = request->peer};
    bool found = false;
    TRY(http_request_header_once(request, "Mdm-Signature", &in.signature, &found));
    bool checkin = http_request_is_type(request, "application/x-apple-aspen-mdm-checkin");
    err_t *e = checkin ? devices_checkin(web->devices, &in, &answer)
                       : devices_session(web->devices, &in, &answer);
    if (e) return never_401(e);
    return send_answer(&answer, reply);
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
