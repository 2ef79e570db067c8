/*
 * What all handlers of sync share: who asks, refusals with their words, ids in hex. Worker threads.
 */
#include "program/web/api_sync.h"

#include "base/mem.h"
#include "base/text.h"
#include "http/auth.h"
#include "http/query.h"

enum { CALL_ARENA = 64 * 1024 * 1024 };

/* ---- refusals ---- */

static err_t *add_missing(const sync_call_t *call, json_t *out) {
    json_t *list = NULL;
    TRY(jso_set_array(out, "missing", &list));
    for (bytes_t rest = call->missing; rest.n; rest = bytes_from(rest, SYNC_HASH)) {
        CLEANUP(mem_free) char *hex = NULL;
        TRY(text_hex_new(bytes_slice(rest, 0, SYNC_HASH), &hex));
        TRY(jso_add_string(list, bytes_str(hex)));
    }
    return NULL;
}

static err_t *add_wipe(const sync_call_t *call, json_t *out) {
    json_t *wipe = NULL;
    TRY(jso_set_object(out, "wipe", &wipe));
    TRY(api_sync_set_hash(wipe, "id", call->wipe));
    TRY(api_sync_set_hash(wipe, "region", call->region.region));
    return api_sync_set_hash(wipe, "device", BYTES_ARRAY(call->device));
}

static err_t *refusal(const sync_call_t *call, const err_t *e, const char *id,
                      http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *error = NULL;
    unsigned status = sync_word_status(call->word);
    http_reply_clear(reply);
    if (call->word == SYNC_WORD_NEWER && call->current.n)
        return http_reply_bytes(reply, status, "application/octet-stream", call->current);
    TRY(jso_object(&out));
    TRY(jso_set_object(out, "error", &error));
    TRY(jso_set_str(error, "code", err_code_name(err_code(e))));
    TRY(jso_set_str(error, "message",
                    call->word == SYNC_WORD_FULL ? "the stores are full" : err_message(e)));
    TRY(jso_set_str(error, "reason", sync_word_name(call->word)));
    TRY(jso_set_str(error, "request", id));
    if (call->word == SYNC_WORD_WIPE) TRY(add_wipe(call, out));
    if (call->word == SYNC_WORD_MISSING) TRY(add_missing(call, out));
    if (status == 429) TRY(http_reply_header(reply, "Retry-After", "2"));
    return api_send(reply, status, out);
}

/* ---- who asks ---- */

static err_t *bearer(const http_request_t *request, bytes_t *ret_token) {
    bytes_t authorization;
    bool found = false;
    *ret_token = BYTES_NONE;
    TRY(http_request_header_once(request, "Authorization", &authorization, &found));
    if (found) TRY(http_auth_bearer(authorization, ret_token, &found));
    return NULL;
}

static void take_caller(sync_call_t *call, const web_caller_t *caller) {
    call->actor = caller->actor;
    call->person = (db_person_t){.id = caller->person_id, .email = caller->email};
    call->admin = strcmp(caller->role, "admin") == 0;
    call->reader = call->admin || strcmp(caller->role, "auditor") == 0;
}

static err_t *find_caller(web_t *web, sync_call_t *call, http_request_t *request, unsigned who) {
    web_caller_t *caller = NULL;
    uint8_t region[SYNC_HASH];
    bytes_t token, hex = http_request_param(request, "region");
    if (hex.n) TRY(api_sync_param(call, request, "region", region));
    if (request->user) { /* the `before` hook found a person already */
        take_caller(call, request->user);
        return hex.n ? sync_call_person(call, region) : NULL;
    }
    if (!who) return NULL;
    TRY(bearer(request, &token));
    if ((who & API_SYNC_DEVICE) && (sync_token_is(token) || !(who & API_SYNC_PERSON)))
        return sync_call_device(call, region, token);
    TRY(web_caller_find(web, request, &caller));
    if (!caller) return sync_no(call, SYNC_WORD_SESSION, "log in, or send an API token");
    take_caller(call, caller);
    return sync_call_person(call, region);
}

err_t *api_sync_run(web_t *web, http_request_t *request, http_reply_t *reply, unsigned who,
                    api_sync_fn fn) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    if (!web->sync)
        return err_new(ERR_NOT_FOUND, "files are not synced here: an administrator can turn it on "
                                      "([sync] enabled = yes in coffer.conf)");
    TRY(arena_new(CALL_ARENA, &arena));
    sync_call_t call = {.service = web->sync->service,
                        .arena = arena,
                        .actor = "nobody",
                        .person = {.id = "", .email = ""}};
    err_t *e = find_caller(web, &call, request, who);
    if (!e) e = fn(web, &call, request, reply);
    if (!e || !call.word) return e;
    err_t *failed = refusal(&call, e, request->id, reply);
    err_free(e);
    return failed;
}

/* ---- what is in requests ---- */

err_t *api_sync_hash(bytes_t hex, uint8_t ret_hash[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t bytes;
    buf_init(&bytes, 2 * SYNC_HASH);
    if (hex.n != 2 * (size_t)SYNC_HASH) return err_new(ERR_INVALID, "not 32 bytes in hex");
    TRY(text_unhex(hex, &bytes));
    bytes_put(ret_hash, buf_bytes(&bytes));
    return NULL;
}

err_t *api_sync_param(sync_call_t *call, const http_request_t *request, const char *name,
                      uint8_t ret_hash[SYNC_HASH]) {
    err_t *e = api_sync_hash(http_request_param(request, name), ret_hash);
    if (!e) return NULL;
    err_free(e);
    return sync_no(call, SYNC_WORD_ABSENT, "the path's %s is no 32 bytes in hex", name);
}

err_t *api_sync_number(sync_call_t *call, const http_request_t *request, const char *name,
                       uint64_t max, uint64_t *ret_value) {
    err_t *e = text_u64(http_request_param(request, name), max, ret_value);
    if (!e) return NULL;
    err_free(e);
    return sync_no(call, SYNC_WORD_ABSENT, "the path's %s is no such number", name);
}

err_t *api_sync_query(sync_call_t *call, const http_request_t *request, const char *name,
                      uint64_t otherwise, uint64_t *ret_value) {
    err_t *e = http_query_u64(request->raw_query, name, INT64_MAX, otherwise, ret_value);
    if (!e) return NULL;
    err_free(e);
    return sync_no(call, SYNC_WORD_MALFORMED, "%s is a number", name);
}

err_t *api_sync_hex(sync_call_t *call, const json_t *body, const char *name, size_t n,
                    uint8_t *ret_bytes) {
    CLEANUP(buf_done) buf_t bytes;
    bytes_t hex;
    buf_init(&bytes, 2 * n);
    err_t *e = jso_get_string(body, name, 2 * n, true, &hex);
    if (!e) e = text_unhex(hex, &bytes);
    if (!e && bytes.n == n) {
        bytes_put(ret_bytes, buf_bytes(&bytes));
        return NULL;
    }
    err_free(e);
    return sync_no(call, SYNC_WORD_MALFORMED, "%s has %zu bytes in hex", name, n);
}

err_t *api_sync_body(sync_call_t *call, const http_request_t *request, json_t **ret_body) {
    err_t *e = api_body(request, ret_body);
    if (!e || err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    return sync_no(call, SYNC_WORD_MALFORMED, "the body is no JSON object");
}

err_t *api_sync_records(http_reply_t *reply, unsigned status, buf_t *records) {
    return http_reply_body(reply, status, "application/octet-stream", records);
}

err_t *api_sync_set_hash(json_t *object, const char *name, bytes_t hash) {
    CLEANUP(mem_free) char *hex = NULL;
    if (!hash.n) return jso_set_null(object, name);
    TRY(text_hex_new(hash, &hex));
    return jso_set_str(object, name, hex);
}
