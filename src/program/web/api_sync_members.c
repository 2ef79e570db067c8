/*
 * /api/v1/sync/r/R/members, people, homes: shares with people (docs/formats/sync-shares.md). Worker
 * threads.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/web/api_sync.h"
#include "program/web/share.h"
#include "sync/service/share.h"

static err_t *add(web_t *web, sync_call_t *call, http_request_t *request, http_reply_t *reply) {
    (void)web;
    bool fresh = false;
    TRY(sync_members_write(call, request->body, &fresh));
    return http_reply_empty(reply, fresh ? 201 : 200);
}

err_t *api_sync_members_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, add);
}

static err_t *list(web_t *web, sync_call_t *call, http_request_t *request, http_reply_t *reply) {
    (void)web;
    CLEANUP(buf_done) buf_t out;
    uint64_t after = 0;
    buf_init(&out, (size_t)LIMIT_SYNC_ANSWER + LIMIT_SYNC_MEMBERS_RECORD + 4);
    TRY(api_sync_query(call, request, "after", 0, &after));
    TRY(sync_members_read(call, (int64_t)after, &out));
    return api_sync_records(reply, 200, &out);
}

err_t *api_sync_members_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, list);
}

static err_t *homes(web_t *web, sync_call_t *call, http_request_t *request, http_reply_t *reply) {
    (void)web;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *array = NULL;
    const char *email = NULL, *person = NULL;
    db_sync_region_t *rows = NULL;
    size_t n = 0;
    TRY(api_param(request, "email", &email));
    TRY(sync_homes_of(call, email, &person, &rows, &n));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "person", person));
    TRY(jso_set_array(out, "homes", &array));
    for (size_t i = 0; i < n; i++) {
        CLEANUP(mem_free) char *hex = NULL;
        TRY(text_hex_new(rows[i].region, &hex));
        TRY(jso_add_string(array, bytes_str(hex)));
    }
    return api_send(reply, 200, out);
}

err_t *api_sync_homes(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, homes);
}

static err_t *group(web_t *web, sync_call_t *call, http_request_t *request, http_reply_t *reply) {
    (void)web;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *array = NULL;
    const char *name = NULL;
    db_mail_member_t *rows = NULL;
    size_t n = 0;
    TRY(api_param(request, "group", &name));
    TRY(sync_group_of(call, name, &rows, &n));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "group", name));
    TRY(jso_set_array(out, "members", &array));
    for (size_t i = 0; i < n; i++) TRY(jso_add_string(array, bytes_str(rows[i].member)));
    return api_send(reply, 200, out);
}

err_t *api_sync_group(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, group);
}

static err_t *home_chain(web_t *web, sync_call_t *call, http_request_t *request,
                         http_reply_t *reply) {
    (void)web;
    CLEANUP(buf_done) buf_t out;
    uint8_t home[SYNC_HASH];
    uint64_t after = 0;
    int64_t entries = 0;
    char text[24];
    buf_init(&out, (size_t)LIMIT_SYNC_ANSWER);
    TRY(api_sync_param(call, request, "home", home));
    TRY(api_sync_query(call, request, "after", 0, &after));
    TRY(sync_home_chain(call, home, (int64_t)after, &out, &entries));
    TRY(api_sync_records(reply, 200, &out));
    (void)snprintf(text, sizeof text, "%" PRId64, entries);
    return http_reply_header(reply, "Coffer-Entries", text);
}

err_t *api_sync_home_chain(void *ctx, http_request_t *request, http_reply_t *reply) {
    return api_sync_run(ctx, request, reply, API_SYNC_DEVICE, home_chain);
}
