/*
 * /api/v1/sync/.../links: links to synced files, left by devices and opened by whoever has the URL
 * (docs/formats/sync-shares.md). Worker threads.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/auth.h"
#include "program/web/api_sync.h"
#include "program/web/share.h"
#include "sync/service/link.h"

enum { OPENED_MAX = LIMIT_SYNC_LINK_BYTES + 4096 };

static err_t *link_id(sync_call_t *call, const http_request_t *request, uint8_t ret_id[SYNC_NODE]) {
    CLEANUP(buf_done) buf_t id;
    bytes_t hex = http_request_param(request, "id");
    buf_init(&id, 2 * SYNC_NODE);
    err_t *e = hex.n == 2 * SYNC_NODE ? text_unhex(hex, &id) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (id.n != SYNC_NODE) return sync_no(call, SYNC_WORD_ABSENT, "that is no link");
    memcpy(ret_id, id.p, SYNC_NODE);
    return NULL;
}

/* ---- by devices ---- */

static err_t *put(web_t *web, sync_call_t *call, http_request_t *request, http_reply_t *reply) {
    (void)web;
    uint8_t id[SYNC_NODE];
    bool fresh = false;
    TRY(link_id(call, request, id));
    TRY(sync_link_put(call, id, request->body, &fresh));
    return http_reply_empty(reply, fresh ? 201 : 200);
}

err_t *api_sync_link_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, put);
}

static err_t *take_away(web_t *web, sync_call_t *call, http_request_t *request,
                        http_reply_t *reply) {
    (void)web;
    uint8_t id[SYNC_NODE];
    TRY(link_id(call, request, id));
    TRY(sync_link_remove(call, id));
    return http_reply_empty(reply, 204);
}

err_t *api_sync_link_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, take_away);
}

static err_t *set_label(json_t *out, bytes_t label) {
    CLEANUP(buf_done) buf_t text;
    const char *base64 = NULL;
    buf_init(&text, 4096);
    TRY(text_base64(label, &text));
    TRY(buf_cstr(&text, &base64));
    return jso_set_str(out, "label", base64);
}

static err_t *link_json(const db_sync_link_t *row, json_t *out) {
    TRY(api_sync_set_hash(out, "id", row->id));
    TRY(api_sync_set_hash(out, "device", row->device));
    TRY(set_label(out, row->label));
    TRY(jso_set_str(out, "person", row->person));
    TRY(jso_set_bool(out, "password", row->password));
    TRY(jso_set_int(out, "count", row->openings));
    TRY(jso_set_int(out, "opened", row->opened));
    TRY(jso_set_int(out, "wrong", row->wrong));
    TRY(jso_set_str(out, "state", sync_link_state(row, clk_unix_ms(clk_real()))));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(api_set_ms(out, "expires", row->expires_ms));
    return api_set_ms(out, "last", row->last_ms);
}

static err_t *list(web_t *web, sync_call_t *call, http_request_t *request, http_reply_t *reply) {
    (void)web;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t after;
    const char *text = NULL;
    json_t *links = NULL, *item = NULL;
    db_sync_link_t *rows = NULL;
    size_t limit = 0, n = 0;
    buf_init(&after, LIMIT_NAME);
    TRY(api_page(request, &text, &limit));
    TRY(text_unhex(bytes_str(text), &after));
    TRY(sync_link_list(call, buf_bytes(&after), limit, &rows, &n));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "links", &links));
    for (size_t i = 0; i < n; i++) {
        TRY(jso_add_object(links, &item));
        TRY(link_json(&rows[i], item));
    }
    if (n == limit) TRY(api_sync_set_hash(out, "next", rows[n - 1].id));
    return api_send(reply, 200, out);
}

err_t *api_sync_link_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, list);
}

/* ---- by anybody ---- */

static err_t *open_link(web_t *web, sync_call_t *call, http_request_t *request,
                        http_reply_t *reply) {
    (void)web;
    uint8_t id[SYNC_NODE], token[SYNC_KEY];
    char ticket[SYNC_TICKET_TEXT];
    bytes_t record = BYTES_NONE;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, OPENED_MAX);
    TRY(link_id(call, request, id));
    TRY(api_sync_body(call, request, &body));
    TRY(jso_only(body, "token", NULL));
    TRY(api_sync_hex(call, body, "token", SYNC_KEY, token));
    err_t *e = sync_link_open_by(call, id, token, request->peer, ticket, &record);
    mem_wipe(token, sizeof token);
    if (e) return e;
    TRY(wire_put_str(&out, ticket));
    mem_wipe(ticket, sizeof ticket);
    TRY(wire_put_bytes(&out, record));
    return api_sync_records(reply, 200, &out);
}

err_t *api_sync_link_open(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    TRY(http_rate_take(web->rate, request->peer));
    return api_sync_run(web, request, reply, 0, open_link);
}

static err_t *get_data(web_t *web, sync_call_t *call, http_request_t *request,
                       http_reply_t *reply) {
    (void)web;
    uint8_t id[SYNC_NODE], root[SYNC_HASH];
    bytes_t authorization, ticket = BYTES_NONE;
    bool found = false;
    api_sync_range_t range;
    uint64_t size = 0;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_SYNC_PART);
    TRY(link_id(call, request, id));
    TRY(api_sync_param(call, request, "root", root));
    TRY(http_request_header_once(request, "Authorization", &authorization, &found));
    if (found) TRY(http_auth_bearer(authorization, &ticket, &found));
    if (!found) return err_new(ERR_AUTH, "open the link first, and send its ticket");
    TRY(api_sync_range(call, request, &range));
    TRY(sync_link_data(call, id, ticket, root, range.from, range.to, &out, &size));
    return api_sync_content(call, reply, &range, size, &out);
}

err_t *api_sync_link_data(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, 0, get_data);
}
