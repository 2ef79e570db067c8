/*
 * Leases over HTTP: see api_leases.h. The key of a lease is never here in clear: it comes sealed to
 * the keeper and goes out sealed to the device's push key. Worker threads.
 */
#include "program/web/api_leases.h"

#include "base/text.h"
#include "http/auth.h"
#include "program/web/api_escrow.h"
#include "store/devices.h"

enum { SPKI_MAX = 256, TOKEN_MAX = 128, SEALED_MAX = LIMIT_LEASE_KEY + 64 }; /* bytes */

/* ---- who asks ---- */

err_t *push_find_device(web_t *web, http_request_t *request, device_caller_t *ret_caller) {
    bytes_t authorization, token = BYTES_NONE;
    bool found = false;
    TRY(http_request_header_once(request, "Authorization", &authorization, &found));
    if (found) TRY(http_auth_bearer(authorization, &token, &found));
    TRY(devices_caller(web->devices, request->arena, request->client_cert, token, ret_caller));
    return http_rate_take_name(web->lease_rate, ret_caller->device_id);
}

static err_t *param_account(http_request_t *request, const char **ret_account) {
    TRY(api_param(request, "account", ret_account));
    if (strlen(*ret_account) > LIMIT_LEASE_ACCOUNT)
        return err_new(ERR_LIMIT, "an account's name has at most %d bytes", LIMIT_LEASE_ACCOUNT);
    return NULL;
}

static err_t *find_ref(web_t *web, http_request_t *request, lease_ref_t *ret_ref) {
    device_caller_t caller;
    lease_ref_t ref = {0};
    TRY(push_find_device(web, request, &caller));
    TRY(param_account(request, &ref.account));
    ref.device_id = caller.device_id;
    ref.actor = caller.actor;
    ref.by_identity = caller.by_identity;
    *ret_ref = ref;
    return NULL;
}

static err_t *get_event(http_request_t *request, const char **ret_event) {
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "event", NULL));
    TRY(api_text(request, body, "event", LIMIT_LEASE_EVENT, true, ret_event));
    return (*ret_event)[0] ? NULL : err_new(ERR_INVALID, "an event has a name");
}

/* ---- what is there ---- */

static err_t *lease_json(const keeper_lease_state_t *lease, const lease_view_t *view, json_t *out) {
    json_t *events = NULL;
    TRY(jso_set_str(out, "account", lease->account));
    TRY(jso_set_str(out, "state", lease->revoked ? "revoked" : "active"));
    TRY(jso_set_int(out, "epoch", (int64_t)lease->epoch));
    TRY(jso_set_time(out, "expires", lease->expires));
    TRY(jso_set_int(out, "releases", lease->releases));
    TRY(api_set_ms(out, "released", lease->last_ms));
    TRY(jso_set_array(out, "events", &events));
    for (size_t i = 0; i < view->events_n; i++)
        if (strcmp(view->events[i].account, lease->account) == 0)
            TRY(jso_add_string(events, bytes_str(view->events[i].event)));
    return NULL;
}

static err_t *send_list(web_t *web, http_request_t *request, const char *device_id,
                        http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    lease_view_t *view = NULL;
    TRY(arena_alloc(request->arena, sizeof *view, &view));
    TRY(leases_view(web->escrow, request->arena, device_id, view));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "device", device_id));
    TRY(jso_set_array(out, "leases", &list));
    for (size_t i = 0; i < view->count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(lease_json(&view->list[i], view, item));
    }
    return api_send(reply, 200, out);
}

err_t *push_lease_key(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t key;
    device_caller_t caller;
    buf_init(&key, SPKI_MAX);
    TRY(push_find_device(web, request, &caller));
    TRY(keeper_public(web->keeper, KEEPER_PUBLIC_LEASE_KEY, &key));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "device", caller.device_id));
    TRY(jso_set_base64(out, "key", buf_bytes(&key)));
    return api_send(reply, 200, out);
}

err_t *push_leases_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    device_caller_t caller;
    TRY(push_find_device(web, request, &caller));
    return send_list(web, request, caller.device_id, reply);
}

/* ---- put, release, revoke ---- */

static err_t *read_put(http_request_t *request, keeper_lease_t *lease, bytes_t *ret_sealed) {
    CLEANUP(jso_free) json_t *body = NULL;
    bytes_t push_key;
    int64_t epoch = 0;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "epoch", "expires", "push_key", "sealed", NULL));
    TRY(jso_get_int(body, "epoch", 1, INT64_MAX, true, &epoch));
    TRY(jso_get_time(body, "expires", true, &lease->expires));
    TRY(api_record(request, body, "push_key", LEASE_PUSH_KEY, &push_key));
    TRY(api_record(request, body, "sealed", SEALED_MAX, ret_sealed));
    if (push_key.n != LEASE_PUSH_KEY)
        return err_new(ERR_INVALID, "a push key has %d bytes", LEASE_PUSH_KEY);
    lease->epoch = (uint64_t)epoch;
    memcpy(lease->push_key, push_key.p, LEASE_PUSH_KEY);
    return NULL;
}

err_t *push_leases_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    lease_ref_t ref;
    bytes_t sealed;
    TRY(find_ref(web, request, &ref));
    keeper_lease_t lease = {
        .device = ref.device_id, .account = ref.account, .may_change = ref.by_identity};
    TRY(read_put(request, &lease, &sealed));
    TRY(leases_put(web->escrow, &ref, &lease, sealed));
    return http_reply_empty(reply, 204);
}

err_t *push_release_json(escrow_t *escrow, const lease_ref_t *ref, const char *event,
                         json_t **ret_json) {
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t sealed;
    keeper_lease_t lease;
    buf_init(&sealed, SEALED_MAX);
    TRY(leases_release(escrow, ref, event, &lease, &sealed));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "event", event));
    TRY(jso_set_int(out, "epoch", (int64_t)lease.epoch));
    TRY(jso_set_time(out, "expires", lease.expires));
    TRY(jso_set_base64(out, "push_key", BYTES_ARRAY(lease.push_key)));
    TRY(jso_set_base64(out, "sealed", buf_bytes(&sealed)));
    *ret_json = STEAL(out);
    return NULL;
}

err_t *push_leases_release(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *out = NULL;
    lease_ref_t ref;
    const char *event = NULL;
    TRY(find_ref(web, request, &ref));
    TRY(get_event(request, &event));
    TRY(push_release_json(web->escrow, &ref, event, &out));
    return api_send(reply, 200, out);
}

err_t *push_leases_revoke(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    lease_ref_t ref;
    TRY(find_ref(web, request, &ref));
    TRY(leases_revoke(web->escrow, &ref, "the device's own wish"));
    return http_reply_empty(reply, 204);
}

/* ---- for admins ---- */

typedef struct {
    arena_t *arena;
    const char *text, *id;
} find_job_t;

static err_t *find_row(db_conn_t *conn, void *arg) {
    find_job_t *job = arg;
    db_device_t row;
    bool found = false;
    TRY(db_devices_find(conn, job->arena, job->text, &row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no device %s", job->text);
    job->id = row.id;
    return NULL;
}

static err_t *param_device(web_t *web, http_request_t *request, const char **ret_id) {
    find_job_t job = {.arena = request->arena};
    TRY(api_param(request, "device", &job.text));
    TRY(db_read(web->db, find_row, &job));
    *ret_id = job.id;
    return NULL;
}

err_t *api_leases_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device_id = NULL;
    TRY(param_device(web, request, &device_id));
    return send_list(web, request, device_id, reply);
}

static err_t *admin_ref(web_t *web, http_request_t *request, lease_ref_t *ref) {
    *ref = (lease_ref_t){.actor = web_caller(request)->actor};
    TRY(param_device(web, request, &ref->device_id));
    return param_account(request, &ref->account);
}

err_t *api_leases_event(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    lease_ref_t ref;
    const char *event = NULL;
    TRY(admin_ref(web, request, &ref));
    TRY(get_event(request, &event));
    TRY(leases_note_event(web->escrow, &ref, event));
    return http_reply_empty(reply, 202);
}

err_t *api_leases_revoke(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    lease_ref_t ref;
    TRY(admin_ref(web, request, &ref));
    TRY(leases_revoke(web->escrow, &ref, "an admin's wish"));
    return http_reply_empty(reply, 204);
}

err_t *api_leases_reset(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    lease_ref_t ref = {.account = "", .actor = web_caller(request)->actor};
    TRY(param_device(web, request, &ref.device_id));
    TRY(leases_reset(web->escrow, &ref));
    return http_reply_empty(reply, 204);
}

err_t *api_devices_token(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t token;
    const char *device = NULL;
    buf_init_secret(&token, TOKEN_MAX);
    TRY(api_param(request, "device", &device));
    TRY(devices_token_make(web->devices, device, web_caller(request)->actor, &token));
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "token", buf_bytes(&token)));
    return api_send(reply, 201, out);
}
