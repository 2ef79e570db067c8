/*
 * Members of shares at the service: see share.h. In coffer-web, worker threads.
 */
#include "sync/service/share.h"

#include <stdio.h>

#include "audit/note.h"
#include "store/sync_members.h"
#include "sync/service/service_internal.h"
#include "sync/share.h"

enum { READ_RECORDS = 256, READ_ENTRIES = 1000 };

/* ---- records of members ---- */

typedef struct {
    sync_call_t *call;
    sync_members_t members;
    bytes_t record;
    uint8_t hash[SYNC_HASH];
    db_sync_members_t newest;
    bool found;
} write_t;

static err_t *newest_fn(db_conn_t *conn, void *arg) {
    write_t *w = arg;
    bytes_t region = w->call->region.region;
    TRY(call_region(w->call, conn, region.p));
    return db_sync_members_newest(conn, w->call->arena, w->call->region.seq, &w->newest, &w->found);
}

static err_t *add_fn(db_conn_t *conn, void *arg) {
    write_t *w = arg;
    sync_call_t *call = w->call;
    const char *object = NULL;
    char count[16], number[24];
    db_sync_members_t row = {.region_seq = call->region.seq,
                             .counter = (int64_t)w->members.counter,
                             .hash = BYTES_ARRAY(w->hash),
                             .position = (int64_t)w->members.position,
                             .record = w->record,
                             .added_ms = clk_unix_ms(call->service->o.clk)};
    TRY(call_same_chain(call, conn));
    err_t *e = db_sync_members_add(conn, &row);
    if (e && err_code(e) == ERR_EXISTS) return err_recode(e, ERR_BUSY);
    if (e) return e;
    TRY(call_object(call, &object));
    (void)snprintf(count, sizeof count, "%u", (unsigned)w->members.count);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)w->members.counter);
    return audit_note(call->service->o.audit, conn, call->actor, "sync.members", object, "number",
                      number, "members", count, NULL);
}

static err_t *admit(write_t *w) {
    sync_call_t *call = w->call;
    CLEANUP(chain_lock_done) chain_lock_t lock = {call->service, NULL, false};
    sync_members_seen_t seen = {0};
    if (w->found) {
        seen.counter = (uint64_t)w->newest.counter;
        seen.position = (uint64_t)w->newest.position;
        bytes_put(seen.hash, bytes_slice(w->newest.hash, 0, SYNC_HASH));
    }
    TRY(chain_open(call, &lock.held));
    err_t *e = sync_members_admit(&w->members, lock.held->chain, &seen);
    if (!e) return NULL;
    err_code_t code = err_code(e);
    if (code == ERR_NOMEM || code == ERR_INTERNAL) return e;
    err_free(e);
    if (code == ERR_DENIED) return sync_no(call, SYNC_WORD_ROLE, "this needs the role manage");
    return sync_no(call, code == ERR_NOT_FOUND ? SYNC_WORD_POSITION : SYNC_WORD_SIGNATURE,
                   "the record of members does not hold here");
}

static err_t *write_once(write_t *w, bool *ret_new) {
    sync_call_t *call = w->call;
    TRY(db_read(call->service->o.db, newest_fn, w));
    uint64_t have = w->found ? (uint64_t)w->newest.counter : 0;
    if (w->found && bytes_eq(w->newest.record, w->record)) {
        *ret_new = false;
        return NULL;
    }
    if (w->members.counter != have + 1) {
        call->current = w->found ? w->newest.record : BYTES_NONE;
        return sync_no(call, SYNC_WORD_NEWER, "record %llu is the newest",
                       (unsigned long long)have);
    }
    TRY(admit(w));
    TRY(db_write(call->service->o.db, add_fn, w));
    *ret_new = true;
    return NULL;
}

err_t *sync_members_write(sync_call_t *call, bytes_t record, bool *ret_new) {
    write_t w = {.call = call, .record = record};
    if (!call->policy.may_share)
        return sync_no(call, SYNC_WORD_POLICY, "sharing is not allowed for you");
    err_t *e = sync_members_parse(record, &w.members);
    if (e) {
        if (err_code(e) == ERR_NOMEM) return e;
        err_free(e);
        return sync_no(call, SYNC_WORD_MALFORMED, "not a record of members");
    }
    if (memcmp(w.members.device, call->device, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_AUTHOR, "the record is of another device");
    TRY(sync_members_hash(&w.members, w.hash));
    unsigned tries = 0;
    do {
        e = write_once(&w, ret_new);
    } while (call_again(&e, &tries));
    return e;
}

typedef struct {
    sync_call_t *call;
    int64_t after;
    db_sync_members_t *rows;
    size_t n;
} list_t;

static err_t *list_fn(db_conn_t *conn, void *arg) {
    list_t *l = arg;
    return db_sync_members_list(conn, l->call->arena, l->call->region.seq, l->after, READ_RECORDS,
                                &l->rows, &l->n);
}

err_t *sync_members_read(sync_call_t *call, int64_t after, buf_t *out) {
    list_t l = {.call = call, .after = after};
    TRY(db_read(call->service->o.db, list_fn, &l));
    for (size_t i = 0; i < l.n && out->n < LIMIT_SYNC_ANSWER; i++)
        TRY(wire_put_bytes(out, l.rows[i].record));
    return NULL;
}

/* ---- what members are known by ---- */

typedef struct {
    sync_call_t *call;
    const char *email;
    db_person_t person;
    db_sync_region_t *rows;
    size_t n;
} homes_t;

static err_t *homes_fn(db_conn_t *conn, void *arg) {
    homes_t *h = arg;
    bool found = false;
    TRY(db_people_by_email(conn, h->call->arena, h->email, &h->person, &found));
    if (!found || h->person.disabled)
        return sync_no(h->call, SYNC_WORD_PERSON, "nobody here is %.128s", h->email);
    return db_sync_homes_of(conn, h->call->arena, h->person.id, LIMIT_SYNC_REGIONS, &h->rows,
                            &h->n);
}

err_t *sync_homes_of(sync_call_t *call, const char *email, const char **ret_person,
                     db_sync_region_t **ret_rows, size_t *ret_count) {
    homes_t h = {.call = call, .email = email};
    TRY(db_read(call->service->o.db, homes_fn, &h));
    *ret_person = h.person.email;
    *ret_rows = h.rows;
    *ret_count = h.n;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    const char *group;
    db_mail_member_t *rows;
    size_t n;
} group_t;

static err_t *group_fn(db_conn_t *conn, void *arg) {
    group_t *g = arg;
    TRY(db_mail_groups_of(conn, g->call->arena, g->group, LIMIT_SYNC_MEMBERS, &g->rows, &g->n));
    return g->n ? NULL : sync_no(g->call, SYNC_WORD_ABSENT, "nobody is in %.128s", g->group);
}

err_t *sync_group_of(sync_call_t *call, const char *group, db_mail_member_t **ret_rows,
                     size_t *ret_count) {
    group_t g = {.call = call, .group = group};
    if (!call->policy.may_share)
        return sync_no(call, SYNC_WORD_POLICY, "sharing is not allowed for you");
    TRY(db_read(call->service->o.db, group_fn, &g));
    *ret_rows = g.rows;
    *ret_count = g.n;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    const uint8_t *home;
    int64_t from, entries;
    db_sync_entry_t *rows;
    size_t n;
} chain_t;

/* Only of what devices are known by: who shares what with whom is for its members. */
static err_t *chain_fn(db_conn_t *conn, void *arg) {
    chain_t *c = arg;
    db_sync_region_t region;
    db_sync_members_t members;
    bool found = false, share = false;
    TRY(db_sync_region_find(conn, c->call->arena, bytes_make(c->home, SYNC_HASH), &region, &found));
    if (found) TRY(db_sync_members_newest(conn, c->call->arena, region.seq, &members, &share));
    if (!found || share) return sync_no(c->call, SYNC_WORD_ABSENT, "nobody's devices are there");
    c->entries = region.entries;
    return db_sync_entry_list(conn, c->call->arena, region.seq, c->from, READ_ENTRIES, &c->rows,
                              &c->n);
}

err_t *sync_home_chain(sync_call_t *call, const uint8_t home[SYNC_HASH], int64_t from, buf_t *out,
                       int64_t *ret_entries) {
    chain_t c = {.call = call, .home = home, .from = from};
    TRY(db_read(call->service->o.db, chain_fn, &c));
    for (size_t i = 0; i < c.n; i++) TRY(wire_put_bytes(out, c.rows[i].record));
    *ret_entries = c.entries;
    return NULL;
}
