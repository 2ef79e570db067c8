/*
 * /api/v1/sync for administrators: usage, quotas, holds, devices, remote wipe, stores. Worker
 * threads.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/text.h"
#include "program/web/api_escrow.h"
#include "program/web/api_sync.h"

enum { REASON = 400, WIPE_ID = 16 };

/* ---- usage and quotas ---- */

static err_t *usage_fn(db_conn_t *conn, void *arg) { return db_sync_usage(conn, arg); }

static err_t *sync_usage_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    db_sync_usage_t u;
    (void)call;
    (void)request;
    TRY(db_read(web->db, usage_fn, &u));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "regions", u.regions));
    TRY(jso_set_int(out, "people", u.people));
    TRY(jso_set_int(out, "devices", u.devices));
    TRY(jso_set_int(out, "packages", u.packages));
    TRY(jso_set_int(out, "bytes", u.bytes));
    TRY(jso_set_int(out, "versions", u.versions));
    TRY(jso_set_int(out, "version_bytes", u.version_bytes));
    TRY(jso_set_int(out, "used", u.used));
    return api_send(reply, 200, out);
}

typedef struct {
    web_t *web;
    sync_call_t *call;
    const char *email;
    db_person_t person;
    int64_t bytes;
} quota_t;

static err_t *find_person(sync_call_t *call, db_conn_t *conn, const char *email,
                          db_person_t *ret_person) {
    bool found = false;
    TRY(db_people_by_email(conn, call->arena, email, ret_person, &found));
    return found ? NULL : sync_no(call, SYNC_WORD_ABSENT, "nobody here has the address %s", email);
}

static err_t *quota_fn(db_conn_t *conn, void *arg) {
    quota_t *q = arg;
    char bytes[24];
    TRY(find_person(q->call, conn, q->email, &q->person));
    TRY(db_sync_quota_put(conn, q->person.id, q->bytes));
    (void)snprintf(bytes, sizeof bytes, "%lld", (long long)q->bytes);
    return audit_note(&q->web->audit, conn, q->call->actor, "sync.quota", q->email, "bytes",
                      q->bytes < 0 ? "default" : bytes, NULL);
}

static err_t *sync_quota_put_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL;
    quota_t q = {.web = web, .call = call, .bytes = -1};
    TRY(api_param(request, "email", &q.email));
    TRY(api_sync_body(call, request, &body));
    TRY(jso_only(body, "bytes", NULL));
    TRY(jso_get_int(body, "bytes", 0, INT64_MAX, false, &q.bytes));
    TRY(db_write(web->db, quota_fn, &q));
    return http_reply_empty(reply, 204);
}

/* ---- holds ---- */

typedef struct {
    web_t *web;
    sync_call_t *call;
    const char *email;
    db_sync_hold_t row;
    db_sync_hold_t *rows;
    const char **emails;
    const char *hex; /* of the region */
    size_t n;
} hold_t;

static err_t *holds_fn(db_conn_t *conn, void *arg) {
    hold_t *h = arg;
    TRY(db_sync_hold_list(conn, h->call->arena, LIMIT_SYNC_HOLDS, &h->rows, &h->n));
    TRY(arena_alloc(h->call->arena, (h->n + 1) * sizeof *h->emails, &h->emails));
    for (size_t i = 0; i < h->n; i++) {
        db_person_t person;
        bool found = false;
        if (!h->rows[i].person_id[0]) continue;
        TRY(db_people_by_id(conn, h->call->arena, h->rows[i].person_id, &person, &found));
        if (found) h->emails[i] = person.email;
    }
    return NULL;
}

static err_t *sync_holds_list_run(web_t *web, sync_call_t *call, http_request_t *request,
                                  http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    hold_t h = {.web = web, .call = call};
    (void)request;
    TRY(db_read(web->db, holds_fn, &h));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "holds", &list));
    for (size_t i = 0; i < h.n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_int(item, "hold", h.rows[i].seq));
        TRY(api_sync_set_hash(item, "region", h.rows[i].region));
        TRY(jso_set_str(item, "person", h.emails[i]));
        TRY(jso_set_str(item, "reason", h.rows[i].reason));
        TRY(jso_set_str(item, "by", h.rows[i].actor));
        TRY(api_set_ms(item, "created", h.rows[i].created_ms));
    }
    return api_send(reply, 200, out);
}

static err_t *hold_add_fn(db_conn_t *conn, void *arg) {
    hold_t *h = arg;
    db_person_t person;
    db_sync_region_t region;
    const char *hex = NULL;
    char seq[24];
    bool found = false;
    TRY(holds_fn(conn, h));
    if (h->n == LIMIT_SYNC_HOLDS)
        return sync_no(h->call, SYNC_WORD_LIMIT, "%d holds", LIMIT_SYNC_HOLDS);
    h->row.person_id = "";
    if (h->email[0]) {
        TRY(find_person(h->call, conn, h->email, &person));
        h->row.person_id = person.id;
    } else {
        TRY(db_sync_region_find(conn, h->call->arena, h->row.region, &region, &found));
        if (!found) return sync_no(h->call, SYNC_WORD_ABSENT, "there is no such region");
        hex = h->hex;
    }
    TRY(db_sync_hold_add(conn, &h->row, &h->row.seq));
    (void)snprintf(seq, sizeof seq, "%lld", (long long)h->row.seq);
    return audit_note(&h->web->audit, conn, h->call->actor, "sync.hold", seq, "region", hex,
                      "person", h->email[0] ? h->email : NULL, "reason", h->row.reason, NULL);
}

static err_t *sync_holds_add_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    CLEANUP(jso_free) json_t *body = NULL, *out = NULL;
    uint8_t region[SYNC_HASH];
    const char *hex = NULL;
    hold_t h = {.web = web, .call = call};
    TRY(api_sync_body(call, request, &body));
    TRY(jso_only(body, "region", "person", "reason", NULL));
    TRY(api_text(request, body, "person", LIMIT_EMAIL, false, &h.email));
    TRY(api_text(request, body, "region", 2 * SYNC_HASH, false, &hex));
    TRY(api_text(request, body, "reason", REASON, true, &h.row.reason));
    if (!hex[0] == !h.email[0] || !h.row.reason[0])
        return sync_no(call, SYNC_WORD_MALFORMED, "a hold has a region or a person, and a reason");
    if (hex[0]) {
        TRY(api_sync_hex(call, body, "region", SYNC_HASH, region));
        h.row.region = BYTES_ARRAY(region);
        h.hex = hex;
    }
    h.row.actor = call->actor;
    h.row.created_ms = clk_unix_ms(clk_real());
    TRY(db_write(web->db, hold_add_fn, &h));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "hold", h.row.seq));
    return api_send(reply, 201, out);
}

static err_t *hold_remove_fn(db_conn_t *conn, void *arg) {
    hold_t *h = arg;
    bool found = false;
    char seq[24];
    TRY(db_sync_hold_remove(conn, h->row.seq, &found));
    if (!found) return sync_no(h->call, SYNC_WORD_ABSENT, "there is no such hold");
    (void)snprintf(seq, sizeof seq, "%lld", (long long)h->row.seq);
    return audit_note(&h->web->audit, conn, h->call->actor, "sync.hold.end", seq, NULL);
}

static err_t *sync_holds_remove_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    hold_t h = {.web = web, .call = call};
    uint64_t seq = 0;
    TRY(api_sync_number(call, request, "hold", INT64_MAX, &seq));
    h.row.seq = (int64_t)seq;
    TRY(db_write(web->db, hold_remove_fn, &h));
    return http_reply_empty(reply, 204);
}

/* ---- devices ---- */

typedef struct {
    sync_call_t *call;
    db_sync_device_t *rows;
    db_sync_wipe_t *wipes; /* id empty: none */
    const char **emails;
    size_t n;
} devices_list_t;

static err_t *devices_fn(db_conn_t *conn, void *arg) {
    devices_list_t *d = arg;
    arena_t *arena = d->call->arena;
    TRY(db_sync_device_list(conn, arena, d->call->region.seq, &d->rows, &d->n));
    TRY(arena_alloc(arena, (d->n + 1) * sizeof *d->wipes, &d->wipes));
    TRY(arena_alloc(arena, (d->n + 1) * sizeof *d->emails, &d->emails));
    for (size_t i = 0; i < d->n; i++) {
        db_person_t person;
        bool found = false;
        TRY(db_sync_wipe_find(conn, arena, d->call->region.seq, d->rows[i].device, &d->wipes[i],
                              &found));
        TRY(db_people_by_id(conn, arena, d->rows[i].person_id, &person, &found));
        if (found) d->emails[i] = person.email;
    }
    return NULL;
}

static err_t *device_json(const devices_list_t *d, size_t i, json_t *out) {
    static const char *const states[] = {"added", "active", "ended"};
    const db_sync_device_t *row = &d->rows[i];
    const db_sync_wipe_t *wipe = &d->wipes[i];
    TRY(api_sync_set_hash(out, "device", row->device));
    TRY(jso_set_str(out, "name", row->name));
    TRY(jso_set_str(out, "person", d->emails[i]));
    TRY(jso_set_str(out, "state", row->state >= 0 && row->state < 3 ? states[row->state] : "?"));
    TRY(jso_set_int(out, "roles", row->roles));
    TRY(api_set_ms(out, "seen", row->seen_ms));
    TRY(jso_set_str(out, "wipe", !wipe->id.n ? NULL : wipe->done_ms ? "done" : "asked"));
    return api_set_ms(out, "wiped", wipe->id.n ? wipe->done_ms : 0);
}

static err_t *sync_devices_list_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    devices_list_t d = {.call = call};
    (void)request;
    TRY(db_read(web->db, devices_fn, &d));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "devices", &list));
    for (size_t i = 0; i < d.n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(device_json(&d, i, item));
    }
    return api_send(reply, 200, out);
}

static err_t *sync_devices_wipe_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    uint8_t device[SYNC_HASH], id[WIPE_ID];
    (void)web;
    TRY(api_sync_param(call, request, "device", device));
    TRY(sync_wipe_ask(call, device, id));
    TRY(jso_object(&out));
    TRY(api_sync_set_hash(out, "wipe", BYTES_ARRAY(id)));
    return api_send(reply, 202, out);
}

/* ---- stores ---- */

static err_t *store_json(const blob_store_status_t *store, json_t *out) {
    TRY(jso_set_str(out, "name", store->name));
    TRY(jso_set_str(out, "kind", store->kind));
    TRY(jso_set_bool(out, "away", store->away));
    TRY(jso_set_int(out, "good", store->good));
    TRY(jso_set_int(out, "missing", store->missing));
    TRY(jso_set_int(out, "damaged", store->damaged));
    return api_set_ms(out, "verified", store->verified_ms);
}

static err_t *scrub_json(const blobs_status_t *s, json_t *out) {
    json_t *scrub = NULL;
    if (!s->scrubbed) return jso_set_null(out, "scrub");
    TRY(jso_set_object(out, "scrub", &scrub));
    TRY(api_set_ms(scrub, "started", s->scrub.started_ms));
    TRY(api_set_ms(scrub, "finished", s->scrub.finished_ms));
    TRY(jso_set_int(scrub, "checked", s->scrub.checked));
    TRY(jso_set_int(scrub, "bytes", s->scrub.bytes));
    TRY(jso_set_int(scrub, "bad", s->scrub.bad));
    return jso_set_int(scrub, "lost", s->scrub.lost);
}

static err_t *send_store(web_t *web, unsigned status, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    blobs_status_t s;
    TRY(blobs_status_all(web->sync->blobs.blobs, &s));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "blobs", s.blobs));
    TRY(jso_set_int(out, "bytes", s.bytes));
    TRY(jso_set_int(out, "condemned", s.condemned));
    TRY(jso_set_int(out, "deleting", s.deleting));
    TRY(jso_set_int(out, "quorum", (int64_t)s.quorum));
    TRY(jso_set_array(out, "stores", &list));
    for (size_t i = 0; i < s.stores_n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(store_json(&s.stores[i], item));
    }
    TRY(scrub_json(&s, out));
    return api_send(reply, status, out);
}

static err_t *sync_store_get_run(web_t *web, sync_call_t *call, http_request_t *request,
                                 http_reply_t *reply) {
    (void)call;
    (void)request;
    return send_store(web, 200, reply);
}

typedef struct {
    web_t *web;
    const char *actor, *action;
} act_t;

static err_t *note_fn(db_conn_t *conn, void *arg) {
    const act_t *act = arg;
    return audit_note(&act->web->audit, conn, act->actor, act->action, "sync", NULL);
}

static err_t *sync_store_scrub_run(web_t *web, sync_call_t *call, http_request_t *request,
                                   http_reply_t *reply) {
    act_t act = {web, call->actor, "sync.scrub"};
    (void)request;
    TRY(blobs_scrub_begin(web->sync->blobs.blobs));
    TRY(db_write(web->db, note_fn, &act));
    atomic_store(&web->sync->repair, true);
    return send_store(web, 202, reply);
}

static err_t *sync_store_repair_run(web_t *web, sync_call_t *call, http_request_t *request,
                                    http_reply_t *reply) {
    act_t act = {web, call->actor, "sync.repair"};
    (void)request;
    TRY(db_write(web->db, note_fn, &act));
    atomic_store(&web->sync->repair, true);
    return send_store(web, 202, reply);
}

SYNC_HANDLER(sync_usage_get, API_SYNC_PERSON)
SYNC_HANDLER(sync_quota_put, API_SYNC_PERSON)
SYNC_HANDLER(sync_holds_list, API_SYNC_PERSON)
SYNC_HANDLER(sync_holds_add, API_SYNC_PERSON)
SYNC_HANDLER(sync_holds_remove, API_SYNC_PERSON)
SYNC_HANDLER(sync_devices_list, API_SYNC_PERSON)
SYNC_HANDLER(sync_devices_wipe, API_SYNC_PERSON)
SYNC_HANDLER(sync_store_get, API_SYNC_PERSON)
SYNC_HANDLER(sync_store_scrub, API_SYNC_PERSON)
SYNC_HANDLER(sync_store_repair, API_SYNC_PERSON)
