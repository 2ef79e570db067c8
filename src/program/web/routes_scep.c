/*
 * /scep: decodes what HTTP carries (RFC 8894 section 4.1) and hands it to pki/scep.h. Clients
 * authenticate by the challenge inside their message.
 */
#include "base/limits.h"
#include "http/query.h"
#include "pki/scep.h"
#include "program/web/web.h"

static err_t *operation_of(http_request_t *request, buf_t *operation) {
    bool found = false;
    TRY(http_query_get(request->raw_query, "operation", HTTP_PLUS_KEPT, operation, &found));
    if (!found)
        return err_new(ERR_INVALID, "RFC 8894 section 4.1: the query has no operation; try "
                                    "?operation=GetCACaps");
    return NULL;
}

static err_t *answer(web_t *web, http_request_t *request, bytes_t operation, bytes_t message,
                     http_reply_t *reply) {
    CLEANUP(scep_answer_done) scep_answer_t out;
    scep_answer_init(&out);
    /* Before any private key moves. */
    if (bytes_eq_str(operation, "PKIOperation")) TRY(http_rate_take(web->rate, request->peer));
    TRY(scep_handle(web->pki, operation, message, request->peer, &out));
    return http_reply_body(reply, 200, out.content_type, &out.body);
}

err_t *route_scep_get(void *ctx, http_request_t *request, http_reply_t *reply) {
    CLEANUP(buf_done) buf_t operation;
    CLEANUP(buf_done) buf_t message;
    bytes_t raw = BYTES_NONE;
    bool found = false;
    buf_init(&operation, 64);
    buf_init(&message, LIMIT_HTTP_BODY_SCEP);
    TRY(operation_of(request, &operation));
    TRY(http_query_get_raw(request->raw_query, "message", &raw, &found));
    /* The others carry an optional name of the CA there: it is not base64. */
    bool coded = bytes_eq_str(buf_bytes(&operation), "PKIOperation");
    if (coded) TRY(scep_decode_get_message(raw, &message));
    return answer(ctx, request, buf_bytes(&operation), coded ? buf_bytes(&message) : raw, reply);
}

err_t *route_scep_post(void *ctx, http_request_t *request, http_reply_t *reply) {
    CLEANUP(buf_done) buf_t operation;
    buf_init(&operation, 64);
    TRY(operation_of(request, &operation));
    return answer(ctx, request, buf_bytes(&operation), request->body, reply);
}
