/*
 * /api/v1/sync: log-in of devices, regions, chains, joins, deliveries, policy. Worker threads.
 */
#include <stdio.h>

#include "base/text.h"
#include "program/web/api_sync.h"

enum { SIGNATURE = 64 };

/* ---- log-in ---- */

static err_t *get_ids(sync_call_t *call, const json_t *body, uint8_t region[SYNC_HASH],
                      uint8_t device[SYNC_HASH]) {
    TRY(api_sync_hex(call, body, "region", SYNC_HASH, region));
    return api_sync_hex(call, body, "device", SYNC_HASH, device);
}

static err_t *sync_session_run(web_t *web, sync_call_t *call, http_request_t *request,
                               http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL, *out = NULL;
    uint8_t region[SYNC_HASH], device[SYNC_HASH], nonce[SYNC_NONCE];
    TRY(api_sync_body(call, request, &body));
    TRY(get_ids(call, body, region, device));
    TRY(sync_login_begin(web->sync->service, region, device, nonce));
    TRY(jso_object(&out));
    TRY(api_sync_set_hash(out, "nonce", BYTES_ARRAY(nonce)));
    return api_send(reply, 200, out);
}

static err_t *sync_session_proof_run(web_t *web, sync_call_t *call, http_request_t *request,
                                     http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL, *out = NULL;
    CLEANUP(buf_done) buf_t token;
    uint8_t region[SYNC_HASH], device[SYNC_HASH], nonce[SYNC_NONCE], signature[SIGNATURE];
    int64_t expires = 0;
    buf_init_secret(&token, SYNC_TOKEN_TEXT);
    TRY(http_rate_take(web->rate, request->peer));
    TRY(api_sync_body(call, request, &body));
    TRY(get_ids(call, body, region, device));
    TRY(api_sync_hex(call, body, "nonce", SYNC_NONCE, nonce));
    TRY(api_sync_hex(call, body, "signature", SIGNATURE, signature));
    TRY(sync_login_end(call, region, device, nonce, BYTES_ARRAY(signature), &token, &expires));
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "token", buf_bytes(&token)));
    TRY(jso_set_time(out, "expires", expires));
    return api_send(reply, 200, out);
}

/* ---- regions and chains ---- */

static err_t *sync_regions_add_run(web_t *web, sync_call_t *call, http_request_t *request,
                                   http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    uint8_t region[SYNC_HASH];
    bool is_new = false;
    (void)web;
    TRY(sync_region_create(call, request->body, region, &is_new));
    TRY(jso_object(&out));
    TRY(api_sync_set_hash(out, "region", BYTES_ARRAY(region)));
    return api_send(reply, is_new ? 201 : 200, out);
}

static err_t *region_json(const db_sync_region_t *row, json_t *out) {
    TRY(api_sync_set_hash(out, "region", row->region));
    TRY(jso_set_str(out, "person", row->person_id));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(jso_set_int(out, "entries", row->entries));
    TRY(jso_set_int(out, "root", row->root));
    return jso_set_int(out, "used", row->used);
}

static err_t *sync_regions_list_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    db_sync_region_t *rows = NULL;
    uint64_t after = 0;
    size_t n = 0;
    bool all = false;
    (void)web;
    TRY(api_flag(request, "all", &all));
    all = (all || !call->person.id[0]) && call->reader;
    TRY(api_sync_query(call, request, "after", 0, &after));
    TRY(sync_region_list(call, all ? (int64_t)after : -1, &rows, &n));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "regions", &list));
    for (size_t i = 0; i < n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(region_json(&rows[i], item));
    }
    if (all && n == LIMIT_LIST_PAGE) {
        char next[24];
        (void)snprintf(next, sizeof next, "%lld", (long long)rows[n - 1].seq);
        TRY(jso_set_str(out, "next", next));
    }
    return api_send(reply, 200, out);
}

static err_t *sync_chain_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(buf_done) buf_t records;
    uint64_t after = 0;
    char entries[24];
    (void)web;
    buf_init(&records, LIMIT_HTTP_RESPONSE);
    TRY(api_sync_query(call, request, "after", 0, &after));
    TRY(sync_chain_read(call, (int64_t)after, &records));
    (void)snprintf(entries, sizeof entries, "%lld", (long long)call->region.entries);
    TRY(http_reply_header(reply, "Coffer-Entries", entries));
    return api_sync_records(reply, 200, &records);
}

static err_t *sync_chain_post_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    bool is_new = false;
    (void)web;
    TRY(sync_chain_write(call, request->body, &is_new));
    return http_reply_empty(reply, is_new ? 201 : 200);
}

/* ---- joins ---- */

static err_t *join_json(sync_call_t *call, const db_sync_join_t *row, json_t *out) {
    const char *state = NULL;
    TRY(sync_join_state(call, row, &state));
    TRY(jso_set_int(out, "join", row->seq));
    TRY(api_sync_set_hash(out, "device", row->device));
    TRY(jso_set_base64(out, "card", row->card));
    TRY(api_sync_set_hash(out, "commitment", row->commitment));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(api_set_ms(out, "expires", row->expires_ms));
    TRY(jso_set_str(out, "state", state));
    TRY(api_sync_set_hash(out, "approver", row->approver));
    TRY(api_sync_set_hash(out, "m", row->m));
    if (row->approver.n) TRY(jso_set_int(out, "position", row->position));
    else TRY(jso_set_null(out, "position"));
    return api_sync_set_hash(out, "n", row->n);
}

static err_t *send_join(sync_call_t *call, int64_t join, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    db_sync_join_t row;
    TRY(sync_join_find(call, join, &row));
    TRY(jso_object(&out));
    TRY(join_json(call, &row, out));
    return api_send(reply, 200, out);
}

static err_t *get_join(sync_call_t *call, const http_request_t *request, int64_t *ret_join) {
    uint64_t join = 0;
    TRY(api_sync_number(call, request, "join", INT64_MAX, &join));
    *ret_join = (int64_t)join;
    return NULL;
}

static err_t *sync_joins_add_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    int64_t join = 0;
    (void)web;
    TRY(sync_join_ask(call, request->body, &join));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "join", join));
    return api_send(reply, 201, out);
}

static err_t *sync_joins_list_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    db_sync_join_t *rows = NULL;
    size_t n = 0;
    (void)web;
    (void)request;
    TRY(sync_join_list(call, &rows, &n));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "joins", &list));
    for (size_t i = 0; i < n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(join_json(call, &rows[i], item));
    }
    return api_send(reply, 200, out);
}

static err_t *sync_joins_show_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    int64_t join = 0;
    (void)web;
    TRY(get_join(call, request, &join));
    return send_join(call, join, reply);
}

static err_t *sync_joins_answer_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL;
    uint8_t approver[SYNC_HASH], m[SYNC_HASH];
    int64_t join = 0, position = -1;
    (void)web;
    TRY(get_join(call, request, &join));
    TRY(api_sync_body(call, request, &body));
    TRY(api_sync_hex(call, body, "approver", SYNC_HASH, approver));
    TRY(api_sync_hex(call, body, "m", SYNC_HASH, m));
    TRY(jso_get_int(body, "position", 0, LIMIT_SYNC_CHAIN, false, &position));
    if (memcmp(approver, call->device, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_AUTHOR, "another device answers");
    TRY(sync_join_answer(call, join, m, position));
    return send_join(call, join, reply);
}

static err_t *sync_joins_open_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL;
    uint8_t n[SYNC_HASH];
    int64_t join = 0;
    (void)web;
    TRY(get_join(call, request, &join));
    TRY(api_sync_body(call, request, &body));
    TRY(api_sync_hex(call, body, "n", SYNC_HASH, n));
    TRY(sync_join_open(call, join, n));
    return send_join(call, join, reply);
}

static err_t *sync_joins_remove_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    int64_t join = 0;
    (void)web;
    TRY(get_join(call, request, &join));
    TRY(sync_join_end(call, join));
    return http_reply_empty(reply, 204);
}

/* ---- keys for devices ---- */

static err_t *sync_deliveries_list_run(web_t *web, sync_call_t *call, http_request_t *request,
                                       http_reply_t *reply) {
    CLEANUP(buf_done) buf_t records;
    (void)web;
    (void)request;
    buf_init(&records, LIMIT_HTTP_RESPONSE);
    TRY(sync_deliveries_read(call, &records));
    return api_sync_records(reply, 200, &records);
}

static err_t *sync_deliveries_add_run(web_t *web, sync_call_t *call, http_request_t *request,
                                      http_reply_t *reply) {
    (void)web;
    TRY(sync_deliveries_put(call, request->body));
    return http_reply_empty(reply, 204);
}

/* ---- policy, wipe ---- */

err_t *api_sync_set_folders(const sync_call_t *call, json_t *out) {
    json_t *list = NULL;
    bytes_t names = bytes_str(call->policy.folders), name;
    if (!names.n) return jso_set_null(out, "folders");
    TRY(jso_set_array(out, "folders", &list));
    while (text_split(&names, '\n', &name)) TRY(jso_add_string(list, name));
    return NULL;
}

static err_t *sync_policy_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    int64_t used = 0, quota = 0;
    (void)request;
    TRY(sync_used(call, &used, &quota));
    TRY(jso_object(&out));
    TRY(jso_set_bool(out, "may_sync", call->policy.may_sync));
    TRY(jso_set_bool(out, "may_share", call->policy.may_share));
    TRY(jso_set_bool(out, "may_share_outside", call->policy.may_share_outside));
    TRY(api_sync_set_folders(call, out));
    TRY(jso_set_int(out, "quota", quota));
    TRY(jso_set_int(out, "used", used));
    if (web->sync->conf.has_recovery)
        TRY(api_sync_set_hash(out, "recovery", BYTES_ARRAY(web->sync->conf.recovery)));
    else TRY(jso_set_null(out, "recovery"));
    return api_send(reply, 200, out);
}

static err_t *sync_wipe_done_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL;
    uint8_t signature[SIGNATURE];
    sync_receipt_t receipt = {.signature = BYTES_ARRAY(signature)};
    int64_t files = 0;
    (void)web;
    TRY(api_sync_param(call, request, "region", receipt.region));
    TRY(api_sync_body(call, request, &body));
    TRY(api_sync_hex(call, body, "device", SYNC_HASH, receipt.device));
    TRY(api_sync_hex(call, body, "wipe", sizeof receipt.wipe, receipt.wipe));
    TRY(api_sync_hex(call, body, "signature", SIGNATURE, signature));
    TRY(jso_get_int(body, "time", 0, INT64_MAX, true, &receipt.time));
    TRY(jso_get_int(body, "files", 0, INT64_MAX, true, &files));
    receipt.files = (uint64_t)files;
    TRY(sync_wipe_receipt(call, &receipt));
    return http_reply_empty(reply, 204);
}

SYNC_HANDLER(sync_session, 0)
SYNC_HANDLER(sync_session_proof, 0)
SYNC_HANDLER(sync_regions_add, API_SYNC_PERSON)
SYNC_HANDLER(sync_regions_list, API_SYNC_PERSON)
SYNC_HANDLER(sync_chain_get, API_SYNC_DEVICE | API_SYNC_PERSON)
SYNC_HANDLER(sync_chain_post, API_SYNC_DEVICE)
SYNC_HANDLER(sync_joins_add, API_SYNC_PERSON)
SYNC_HANDLER(sync_joins_list, API_SYNC_DEVICE | API_SYNC_PERSON)
SYNC_HANDLER(sync_joins_show, API_SYNC_DEVICE | API_SYNC_PERSON)
SYNC_HANDLER(sync_joins_answer, API_SYNC_DEVICE)
SYNC_HANDLER(sync_joins_open, API_SYNC_PERSON)
SYNC_HANDLER(sync_joins_remove, API_SYNC_DEVICE | API_SYNC_PERSON)
SYNC_HANDLER(sync_deliveries_list, API_SYNC_DEVICE)
SYNC_HANDLER(sync_deliveries_add, API_SYNC_DEVICE)
SYNC_HANDLER(sync_policy_get, API_SYNC_DEVICE)
SYNC_HANDLER(sync_wipe_done, 0)
