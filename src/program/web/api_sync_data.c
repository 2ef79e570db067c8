/*
 * /api/v1/sync: data in parts, packages, roots, events, the log of chain heads. Worker threads.
 */
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/note.h"
#include "program/web/api_sync.h"

/* ---- data ---- */

static err_t *sync_missing_run(web_t *web, sync_call_t *call, http_request_t *request,
                               http_reply_t *reply) {
    CLEANUP(buf_done) buf_t ids;
    (void)web;
    buf_init(&ids, SYNC_BODY_IDS);
    TRY(sync_data_missing(call, request->body, &ids));
    return api_sync_records(reply, 200, &ids);
}

static err_t *sync_parts_list_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL;
    uint8_t root[SYNC_HASH];
    sync_held_t held;
    (void)web;
    TRY(api_sync_param(call, request, "root", root));
    TRY(sync_data_parts(call, root, &held));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "size", (int64_t)held.size));
    TRY(jso_set_array(out, "parts", &list));
    for (uint32_t i = 0; i < held.held; i++) TRY(jso_add_int(list, held.list[i]));
    return api_send(reply, 200, out);
}

static err_t *sync_parts_put_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    uint8_t root[SYNC_HASH];
    uint64_t part = 0, size = 0;
    bool is_new = false;
    (void)web;
    TRY(api_sync_param(call, request, "root", root));
    TRY(api_sync_number(call, request, "part", UINT32_MAX, &part));
    TRY(api_sync_query(call, request, "size", 0, &size));
    TRY(sync_part_put(call, root, (uint32_t)part, size, request->body, request->body_sha256,
                      &is_new));
    return http_reply_empty(reply, is_new ? 201 : 200);
}

static err_t *sync_parts_name_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL;
    uint8_t from[SYNC_HASH], root[SYNC_HASH];
    (void)web;
    TRY(api_sync_param(call, request, "root", from));
    TRY(api_sync_body(call, request, &body));
    TRY(api_sync_hex(call, body, "root", SYNC_HASH, root));
    TRY(sync_data_name(call, from, root));
    return http_reply_empty(reply, 204);
}

static err_t *sync_parts_drop_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    uint8_t name[SYNC_HASH];
    (void)web;
    TRY(api_sync_param(call, request, "root", name));
    TRY(sync_data_drop(call, name));
    return http_reply_empty(reply, 204);
}

err_t *api_sync_range(sync_call_t *call, const http_request_t *request, api_sync_range_t *range) {
    bytes_t text, from;
    *range = (api_sync_range_t){.to = UINT64_MAX};
    if (!http_request_header(request, "Range", &text)) return NULL;
    range->asked = true;
    text = text_trim(text);
    bool good = bytes_starts(text, BYTES_LIT("bytes="));
    if (good) text = bytes_from(text, 6);
    err_t *e = NULL;
    good = good && text_split(&text, '-', &from);
    if (good) e = text_u64(from, INT64_MAX, &range->from);
    if (good && !e && text.n) {
        e = text_u64(text, INT64_MAX - 1, &range->to);
        if (!e) range->to++;
    }
    good = good && !e && range->from < range->to;
    err_free(e);
    return good ? NULL : sync_no(call, SYNC_WORD_RANGE, "Range: bytes=FROM-TO");
}

err_t *api_sync_content(sync_call_t *call, http_reply_t *reply, const api_sync_range_t *range,
                        uint64_t size, buf_t *content) {
    char text[96];
    TRY(http_reply_header(reply, "Accept-Ranges", "bytes"));
    if (!range->asked && content->n != size)
        return sync_no(call, SYNC_WORD_RANGE, "%llu bytes: ask for them in ranges",
                       (unsigned long long)size);
    if (!range->asked) return api_sync_records(reply, 200, content);
    (void)snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)range->from,
                   (unsigned long long)(range->from + content->n - 1), (unsigned long long)size);
    TRY(http_reply_header(reply, "Content-Range", text));
    return api_sync_records(reply, 206, content);
}

static err_t *sync_data_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                http_reply_t *reply) {
    CLEANUP(buf_done) buf_t content;
    uint8_t root[SYNC_HASH];
    api_sync_range_t range;
    uint64_t size = 0;
    (void)web;
    buf_init(&content, LIMIT_SYNC_PART);
    TRY(api_sync_param(call, request, "root", root));
    TRY(api_sync_range(call, request, &range));
    TRY(sync_data_read(call, root, range.from, range.to, &content, &size));
    return api_sync_content(call, reply, &range, size, &content);
}

static err_t *state_json(sync_call_t *call, bytes_t roots, size_t index, json_t *out) {
    sync_held_t held;
    bool found = false;
    TRY(sync_data_status(call, roots, index, &held, &found));
    TRY(api_sync_set_hash(out, "root", bytes_slice(roots, index * SYNC_HASH, SYNC_HASH)));
    TRY(jso_set_bool(out, "held", found && held.held == held.parts));
    if (!found) return NULL;
    TRY(jso_set_int(out, "size", (int64_t)held.size));
    TRY(jso_set_int(out, "replicas", held.replicas));
    return api_set_ms(out, "verified", held.verified_ms);
}

static err_t *sync_status_run(web_t *web, sync_call_t *call, http_request_t *request,
                              http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    size_t n = request->body.n / SYNC_HASH;
    if (request->body.n % SYNC_HASH)
        return sync_no(call, SYNC_WORD_MALFORMED, "ids have 32 bytes each");
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "wanted", (int64_t)sync_data_wanted(web->sync->service)));
    TRY(jso_set_array(out, "data", &list));
    for (size_t i = 0; i < n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(state_json(call, request->body, i, item));
    }
    return api_send(reply, 200, out);
}

/* ---- packages ---- */

static err_t *send_ids(const buf_t *ids, bool many, bool is_new, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL;
    TRY(jso_object(&out));
    if (!many) {
        TRY(api_sync_set_hash(out, "package", buf_bytes(ids)));
        return api_send(reply, is_new ? 201 : 200, out);
    }
    TRY(jso_set_array(out, "packages", &list));
    for (bytes_t rest = buf_bytes(ids); rest.n; rest = bytes_from(rest, SYNC_HASH)) {
        CLEANUP(mem_free) char *hex = NULL;
        TRY(text_hex_new(bytes_slice(rest, 0, SYNC_HASH), &hex));
        TRY(jso_add_string(list, bytes_str(hex)));
    }
    return api_send(reply, is_new ? 201 : 200, out);
}

static err_t *split_runs(sync_call_t *call, bytes_t body, bytes_t *records, size_t *ret_n) {
    wire_reader_t r = wire_reader(body);
    size_t n = 0;
    for (; r.rest.n; n++) {
        if (n == LIMIT_SYNC_PACKAGES)
            return sync_no(call, SYNC_WORD_LIMIT, "more than %d packages", LIMIT_SYNC_PACKAGES);
        err_t *e = wire_get_bytes(&r, SYNC_PACKAGE_MAX, &records[n]);
        if (e) {
            err_free(e);
            return sync_no(call, SYNC_WORD_MALFORMED, "not packages, each a run");
        }
    }
    *ret_n = n;
    return NULL;
}

static err_t *sync_packages_add_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(buf_done) buf_t ids;
    bytes_t *records = NULL;
    size_t n = 1;
    bool many = false, is_new = false;
    (void)web;
    buf_init(&ids, LIMIT_SYNC_PACKAGES * SYNC_HASH);
    TRY(api_flag(request, "many", &many));
    TRY(arena_alloc(call->arena, (LIMIT_SYNC_PACKAGES + 1) * sizeof *records, &records));
    if (many) TRY(split_runs(call, request->body, records, &n));
    else records[0] = request->body;
    TRY(sync_packages_put(call, records, n, &ids, &is_new));
    return send_ids(&ids, many, is_new, reply);
}

static err_t *sync_packages_show_run(web_t *web, sync_call_t *call, http_request_t *request,
                                     http_reply_t *reply) {
    CLEANUP(buf_done) buf_t record;
    uint8_t id[SYNC_HASH];
    (void)web;
    buf_init(&record, SYNC_PACKAGE_MAX);
    TRY(api_sync_param(call, request, "package", id));
    TRY(sync_package_read(call, id, &record));
    return api_sync_records(reply, 200, &record);
}

static err_t *sync_packages_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(buf_done) buf_t records;
    (void)web;
    buf_init(&records, LIMIT_HTTP_RESPONSE);
    TRY(sync_packages_read(call, request->body, &records));
    return api_sync_records(reply, 200, &records);
}

/* ---- roots ---- */

static err_t *sync_root_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                http_reply_t *reply) {
    CLEANUP(buf_done) buf_t records;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(mem_free) char *tag = NULL;
    bytes_t match;
    (void)web;
    buf_init(&records, LIMIT_HTTP_RESPONSE);
    TRY(text_hex_new(call->region.root_hash, &hex));
    tag = mem_printf("\"%s\"", hex);
    if (!tag) return err_nomem();
    if (call->region.root && http_request_header(request, "If-None-Match", &match) &&
        bytes_eq_str(text_trim(match), tag)) {
        TRY(http_reply_header(reply, "ETag", tag));
        return http_reply_empty(reply, 304);
    }
    TRY(sync_root_read(call, &records));
    TRY(http_reply_header(reply, "ETag", tag));
    return api_sync_records(reply, 200, &records);
}

static err_t *sync_roots_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(buf_done) buf_t records;
    uint64_t after = 0;
    (void)web;
    buf_init(&records, LIMIT_HTTP_RESPONSE);
    TRY(api_sync_query(call, request, "after", 0, &after));
    TRY(sync_roots_read(call, (int64_t)after, &records));
    return api_sync_records(reply, 200, &records);
}

static err_t *sync_root_post_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    bool is_new = false;
    (void)web;
    TRY(sync_root_write(call, request->body, &is_new));
    return http_reply_empty(reply, is_new ? 201 : 200);
}

/* What it waits for came, or its time is over: route_sync_step. */
static err_t *sync_events_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    const db_sync_region_t *row = &call->region;
    (void)request;
    /* From now on something newer than this wakes who waits. */
    sync_events_changed(web->sync->events, row->region.p, row->root, row->entries, row->joins);
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "root", row->root));
    TRY(jso_set_int(out, "chain", row->entries));
    TRY(jso_set_int(out, "joins", row->joins));
    TRY(api_sync_set_folders(call, out));
    return api_send(reply, 200, out);
}

/* ---- the log ---- */

static err_t *sync_log_checkpoint_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                          http_reply_t *reply) {
    CLEANUP(buf_done) buf_t note;
    (void)web;
    (void)request;
    buf_init(&note, LIMIT_NOTE_BYTES);
    TRY(sync_log_checkpoint(call, &note));
    return http_reply_body(reply, 200, "text/plain; charset=utf-8", &note);
}

static err_t *sync_log_key_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                   http_reply_t *reply) {
    CLEANUP(buf_done) buf_t der, text;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    (void)call;
    (void)request;
    buf_init(&der, 256);
    buf_init(&text, LIMIT_NOTE_BYTES);
    TRY(keeper_public(web->keeper, KEEPER_PUBLIC_SYNC_LOG, &der));
    TRY(pkey_parse_public_der(buf_bytes(&der), &key));
    TRY(note_verifier_text(key, web->sync->origin, &text));
    TRY(buf_add_byte(&text, '\n'));
    return http_reply_body(reply, 200, "text/plain; charset=utf-8", &text);
}

static err_t *sync_log_tile_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(buf_done) buf_t tile;
    (void)web;
    buf_init(&tile, LIMIT_HTTP_RESPONSE);
    TRY(sync_log_tile(call, http_request_param(request, "tile"), &tile));
    return api_sync_records(reply, 200, &tile);
}

static err_t *sync_log_index_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                     http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    uint8_t region[SYNC_HASH];
    uint64_t position = 0;
    int64_t index = 0;
    (void)web;
    TRY(api_sync_param(call, request, "region", region));
    TRY(api_sync_number(call, request, "position", INT64_MAX, &position));
    TRY(sync_log_index(call, region, (int64_t)position, &index));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "index", index));
    return api_send(reply, 200, out);
}

SYNC_HANDLER(sync_missing, API_SYNC_DEVICE)
SYNC_HANDLER(sync_parts_list, API_SYNC_DEVICE)
SYNC_HANDLER(sync_parts_put, API_SYNC_DEVICE)
SYNC_HANDLER(sync_parts_name, API_SYNC_DEVICE)
SYNC_HANDLER(sync_parts_drop, API_SYNC_DEVICE)
SYNC_HANDLER(sync_data_get, API_SYNC_DEVICE)
SYNC_HANDLER(sync_status, API_SYNC_DEVICE)
SYNC_HANDLER(sync_packages_add, API_SYNC_DEVICE)
SYNC_HANDLER(sync_packages_show, API_SYNC_DEVICE)
SYNC_HANDLER(sync_packages_get, API_SYNC_DEVICE)
SYNC_HANDLER(sync_root_get, API_SYNC_DEVICE)
SYNC_HANDLER(sync_roots_get, API_SYNC_DEVICE)
SYNC_HANDLER(sync_root_post, API_SYNC_DEVICE)
SYNC_HANDLER(sync_events_get, API_SYNC_DEVICE)
SYNC_HANDLER(sync_log_checkpoint_get, 0)
SYNC_HANDLER(sync_log_key_get, 0)
SYNC_HANDLER(sync_log_tile_get, 0)
SYNC_HANDLER(sync_log_index_get, 0)
