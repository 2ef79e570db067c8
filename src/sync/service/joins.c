/*
 * Joins and deliveries of keys: see service.h. The service carries what both devices say and never
 * learns a key; that nobody stands between is what people see in the digits (sync/sas.h).
 */
#include <stdio.h>

#include "audit/note.h"
#include "sync/epoch.h"
#include "sync/sas.h"
#include "sync/service/service_internal.h"

enum { JOIN_MS = 24 * 3600 * 1000 };

typedef struct {
    sync_call_t *call;
    int64_t seq;
    db_sync_join_t row;
    db_sync_join_t *rows;
    size_t n;
    bytes_t m, opened;
    int64_t position;
    sync_card_t card;
} join_t;

static int64_t now_ms(const sync_call_t *call) { return clk_unix_ms(call->service->o.clk); }

/* ---- asking ---- */

static err_t *check_card(join_t *j, db_conn_t *conn) {
    db_person_t person;
    db_sync_device_t device;
    sync_policy_t policy;
    bool found = false;
    TRY(call_card_person(j->call, conn, &j->card, &person));
    if (strcmp(person.id, j->call->person.id) != 0)
        return sync_no(j->call, SYNC_WORD_PERSON, "the card is of another person");
    TRY(call_policy(j->call, conn, &person, j->row.device.p, &policy));
    if (!policy.may_sync) return sync_no(j->call, SYNC_WORD_POLICY, "you may not sync");
    TRY(db_sync_device_find(conn, j->call->arena, j->call->region.seq, j->row.device, &device,
                            &found));
    if (found && device.state == SYNC_DEVICE_ENDED)
        return sync_no(j->call, SYNC_WORD_REVOKED, "these keys ended: make new ones");
    return NULL;
}

static err_t *ask_fn(db_conn_t *conn, void *arg) {
    join_t *j = arg;
    sync_call_t *call = j->call;
    const char *object = NULL, *device = NULL;
    TRY(check_card(j, conn));
    TRY(db_sync_join_list(conn, call->arena, call->region.seq, "", j->row.created_ms,
                          LIMIT_SYNC_JOINS, &j->rows, &j->n));
    for (size_t i = 0; i < j->n; i++)
        if (bytes_eq(j->rows[i].card, j->row.card) &&
            bytes_eq(j->rows[i].commitment, j->row.commitment)) {
            j->seq = j->rows[i].seq;
            return NULL;
        }
    if (j->n == LIMIT_SYNC_JOINS)
        return sync_no(call, SYNC_WORD_BUSY, "%d devices want into this region already",
                       LIMIT_SYNC_JOINS);
    TRY(db_sync_join_add(conn, &j->row, &j->seq));
    TRY(db_sync_region_joined(conn, call->region.seq));
    TRY(call_object(call, &object));
    TRY(call_hex(call, j->row.device, &device));
    return audit_note(call->service->o.audit, conn, call->actor, "sync.join", object, "device",
                      device, "name", j->card.name, NULL);
}

static err_t *parse_ask(join_t *j, bytes_t body, uint8_t ret_id[SYNC_HASH]) {
    wire_reader_t r = wire_reader(body);
    TRY(wire_get_bytes(&r, LIMIT_SYNC_ENTRY, &j->row.card));
    TRY(wire_get_raw(&r, SYNC_HASH, &j->row.commitment));
    TRY(wire_done(&r));
    TRY(sync_card_parse(j->row.card, &j->card));
    TRY(sync_card_verify(&j->card));
    return sync_card_id(&j->card, ret_id);
}

err_t *sync_join_ask(sync_call_t *call, bytes_t body, int64_t *ret_join) {
    uint8_t id[SYNC_HASH];
    join_t j = {.call = call};
    if (!call->person.id[0]) return sync_no(call, SYNC_WORD_PERSON, "use a person's token");
    err_t *e = parse_ask(&j, body, id);
    if (e) {
        sync_word_t word = err_code(e) == ERR_VERIFY ? SYNC_WORD_SIGNATURE : SYNC_WORD_MALFORMED;
        err_free(e);
        return sync_no(call, word, "not a device's card and its commitment");
    }
    j.row.region_seq = call->region.seq;
    j.row.device = BYTES_ARRAY(id);
    j.row.person_id = call->person.id;
    j.row.created_ms = now_ms(call);
    j.row.expires_ms = j.row.created_ms + JOIN_MS;
    TRY(db_write(call->service->o.db, ask_fn, &j));
    call_changed(call, call->region.root, call->region.entries, call->region.joins + 1);
    *ret_join = j.seq;
    return NULL;
}

/* ---- looking ---- */

static err_t *list_fn(db_conn_t *conn, void *arg) {
    join_t *j = arg;
    const char *person = j->call->is_device ? "" : j->call->person.id;
    return db_sync_join_list(conn, j->call->arena, j->call->region.seq, person, now_ms(j->call),
                             LIMIT_SYNC_JOINS, &j->rows, &j->n);
}

err_t *sync_join_list(sync_call_t *call, db_sync_join_t **ret_rows, size_t *ret_count) {
    join_t j = {.call = call};
    if (!call->is_device && !call->person.id[0])
        return sync_no(call, SYNC_WORD_PERSON, "use a person's token");
    TRY(db_read(call->service->o.db, list_fn, &j));
    *ret_rows = j.rows;
    *ret_count = j.n;
    return NULL;
}

static err_t *find_fn(db_conn_t *conn, void *arg) {
    join_t *j = arg;
    sync_call_t *call = j->call;
    bool found = false;
    TRY(db_sync_join_find(conn, call->arena, call->region.seq, j->seq, &j->row, &found));
    if (found && !call->is_device) found = strcmp(j->row.person_id, call->person.id) == 0;
    return found ? NULL : sync_no(call, SYNC_WORD_ABSENT, "there is no such join");
}

err_t *sync_join_find(sync_call_t *call, int64_t join, db_sync_join_t *ret_row) {
    join_t j = {.call = call, .seq = join};
    TRY(db_read(call->service->o.db, find_fn, &j));
    *ret_row = j.row;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    const db_sync_join_t *row;
    const char *state;
} state_t;

static err_t *state_fn(db_conn_t *conn, void *arg) {
    state_t *s = arg;
    db_sync_device_t device;
    bool found = false;
    TRY(db_sync_device_find(conn, s->call->arena, s->call->region.seq, s->row->device, &device,
                            &found));
    if (found && device.state == SYNC_DEVICE_ACTIVE) s->state = "approved";
    else if (found && device.state == SYNC_DEVICE_ENDED) s->state = "ended";
    else if (s->row->expires_ms <= now_ms(s->call)) s->state = "ended";
    else s->state = !s->row->approver.n ? "asked" : !s->row->n.n ? "answered" : "opened";
    return NULL;
}

err_t *sync_join_state(sync_call_t *call, const db_sync_join_t *row, const char **ret_state) {
    state_t s = {call, row, ""};
    TRY(db_read(call->service->o.db, state_fn, &s));
    *ret_state = s.state;
    return NULL;
}

/* ---- answering and opening ---- */

static err_t *still_open(join_t *j, db_conn_t *conn) {
    TRY(find_fn(conn, j));
    if (j->row.expires_ms <= now_ms(j->call))
        return sync_no(j->call, SYNC_WORD_ABSENT, "the join has ended");
    return db_sync_region_joined(conn, j->call->region.seq);
}

static err_t *answer_fn(db_conn_t *conn, void *arg) {
    join_t *j = arg;
    sync_call_t *call = j->call;
    const char *object = NULL, *device = NULL;
    bool changed = false;
    TRY(still_open(j, conn));
    TRY(db_sync_join_answer(conn, j->seq, BYTES_ARRAY(call->device), j->m, j->position, &changed));
    if (!changed) { /* by whom it was answered first */
        bool same =
            bytes_eq(j->row.approver, BYTES_ARRAY(call->device)) && bytes_eq(j->row.m, j->m);
        return same ? NULL : sync_no(call, SYNC_WORD_NEWER, "the join was answered");
    }
    TRY(call_object(call, &object));
    TRY(call_hex(call, j->row.device, &device));
    return audit_note(call->service->o.audit, conn, call->actor, "sync.join.answer", object,
                      "device", device, NULL);
}

static err_t *write_join(join_t *j, db_fn fn) {
    sync_call_t *call = j->call;
    TRY(db_write(call->service->o.db, fn, j));
    call_changed(call, call->region.root, call->region.entries, call->region.joins + 1);
    return NULL;
}

err_t *sync_join_answer(sync_call_t *call, int64_t join, const uint8_t m[SYNC_HASH],
                        int64_t position) {
    join_t j = {.call = call,
                .seq = join,
                .m = bytes_make(m, SYNC_HASH),
                .position = position < 0 ? call->region.entries - 1 : position};
    if (!(call->roles & SYNC_MANAGE))
        return sync_no(call, SYNC_WORD_ROLE, "who approves needs the role manage");
    if (j.position >= call->region.entries)
        return sync_no(call, SYNC_WORD_POSITION, "the chain is not that long");
    return write_join(&j, answer_fn);
}

static err_t *open_fn(db_conn_t *conn, void *arg) {
    join_t *j = arg;
    bool changed = false;
    TRY(still_open(j, conn));
    err_t *e = sync_sas_check(j->row.commitment.p, j->row.device.p, j->opened.p);
    if (e) {
        err_free(e);
        return sync_no(j->call, SYNC_WORD_SIGNATURE, "this is not what was committed to");
    }
    TRY(db_sync_join_open(conn, j->seq, j->opened, &changed));
    if (changed || bytes_eq(j->row.n, j->opened)) return NULL;
    return sync_no(j->call, SYNC_WORD_NEWER, "nobody answered yet");
}

err_t *sync_join_open(sync_call_t *call, int64_t join, const uint8_t n[SYNC_HASH]) {
    join_t j = {.call = call, .seq = join, .opened = bytes_make(n, SYNC_HASH)};
    return write_join(&j, open_fn);
}

static err_t *end_fn(db_conn_t *conn, void *arg) {
    join_t *j = arg;
    const char *object = NULL;
    TRY(still_open(j, conn));
    TRY(db_sync_join_remove(conn, j->seq));
    TRY(call_object(j->call, &object));
    return audit_note(j->call->service->o.audit, conn, j->call->actor, "sync.join.end", object,
                      NULL);
}

err_t *sync_join_end(sync_call_t *call, int64_t join) {
    join_t j = {.call = call, .seq = join};
    return write_join(&j, end_fn);
}

/* ---- keys on their way ---- */

typedef struct {
    sync_call_t *call;
    db_sync_delivery_t *rows;
    size_t n;
} deliveries_t;

static err_t *put_fn(db_conn_t *conn, void *arg) {
    deliveries_t *d = arg;
    TRY(call_same_chain(d->call, conn));
    for (size_t i = 0; i < d->n; i++) {
        d->rows[i].region_seq = d->call->region.seq;
        TRY(db_sync_delivery_put(conn, &d->rows[i]));
    }
    const char *object = NULL;
    char keys[24];
    (void)snprintf(keys, sizeof keys, "%zu", d->n);
    TRY(call_object(d->call, &object));
    return audit_note(d->call->service->o.audit, conn, d->call->actor, "sync.deliver", object,
                      "keys", keys, NULL);
}

static err_t *check_delivery(sync_call_t *call, const sync_chain_t *chain, bytes_t record,
                             db_sync_delivery_t *row) {
    sync_delivery_t delivery;
    sync_chain_head_t head;
    err_t *e = sync_delivery_parse(record, &delivery);
    if (e) {
        err_free(e);
        return sync_no(call, SYNC_WORD_MALFORMED, "not a delivery of a key");
    }
    TRY(sync_chain_head(chain, &head));
    if (memcmp(delivery.region, head.region, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_REGION, "a delivery of another region");
    if (memcmp(delivery.sender, call->device, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_AUTHOR, "the delivery is of another device");
    e = sync_delivery_check(chain, &delivery);
    if (e) {
        sync_word_t word = sync_word_place(chain, delivery.sender, delivery.position, delivery.head,
                                           SYNC_ALL | SYNC_RECOVER);
        if (!word) word = err_code(e) == ERR_DENIED ? SYNC_WORD_ROLE : SYNC_WORD_SIGNATURE;
        err_free(e);
        return sync_no(call, word, "the delivery does not hold");
    }
    if (delivery.epoch != head.epoch)
        return sync_no(call, SYNC_WORD_EPOCH, "a delivery of another epoch than the present one");
    *row = (db_sync_delivery_t){.epoch = (int64_t)delivery.epoch, .record = record};
    return arena_copy(call->arena, BYTES_ARRAY(delivery.recipient), &row->recipient);
}

static err_t *check_deliveries(sync_call_t *call, bytes_t runs, deliveries_t *d) {
    CLEANUP(chain_lock_done) chain_lock_t lock = {call->service, NULL, false};
    wire_reader_t r = wire_reader(runs);
    d->n = 0;
    TRY(chain_open(call, &lock.held));
    while (r.rest.n) {
        bytes_t record;
        if (d->n == LIMIT_SYNC_ASKED)
            return sync_no(call, SYNC_WORD_LIMIT, "more than %d keys at once", LIMIT_SYNC_ASKED);
        err_t *e = wire_get_bytes(&r, LIMIT_SYNC_DELIVERY, &record);
        if (e) {
            err_free(e);
            return sync_no(call, SYNC_WORD_MALFORMED, "not a list of deliveries");
        }
        TRY(check_delivery(call, lock.held->chain, record, &d->rows[d->n]));
        d->n++;
    }
    return NULL;
}

err_t *sync_deliveries_put(sync_call_t *call, bytes_t runs) {
    deliveries_t d = {.call = call};
    unsigned tries = 0;
    err_t *e = NULL;
    TRY(arena_alloc(call->arena, (LIMIT_SYNC_ASKED + 1) * sizeof *d.rows, &d.rows));
    do {
        e = check_deliveries(call, runs, &d);
        if (!e) e = db_write(call->service->o.db, put_fn, &d);
    } while (call_again(&e, &tries));
    if (e) return e;
    call_changed(call, call->region.root, call->region.entries, call->region.joins);
    return NULL;
}

static err_t *get_fn(db_conn_t *conn, void *arg) {
    deliveries_t *d = arg;
    return db_sync_delivery_list(conn, d->call->arena, d->call->region.seq,
                                 BYTES_ARRAY(d->call->device), LIMIT_SYNC_ASKED, &d->rows, &d->n);
}

err_t *sync_deliveries_read(sync_call_t *call, buf_t *out) {
    deliveries_t d = {.call = call};
    TRY(db_read(call->service->o.db, get_fn, &d));
    for (size_t i = 0; i < d.n; i++) TRY(wire_put_bytes(out, d.rows[i].record));
    return NULL;
}
