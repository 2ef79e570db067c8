/*
 * Links at the service: see link.h. In coffer-web, worker threads.
 */
#include "sync/service/link.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/note.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "sync/link_terms.h"
#include "sync/service/service_internal.h"

/* "link:HEX" */
static err_t *link_object(sync_call_t *call, const uint8_t id[SYNC_NODE], const char **ret_object) {
    CLEANUP(buf_done) buf_t text;
    bytes_t copy;
    buf_init(&text, 64);
    TRY(buf_add_str(&text, "link:"));
    TRY(text_hex(bytes_make(id, SYNC_NODE), &text));
    TRY(arena_copy(call->arena, buf_bytes(&text), &copy));
    *ret_object = (const char *)copy.p;
    return NULL;
}

/* ---- made by devices ---- */

typedef struct {
    sync_call_t *call;
    const sync_link_terms_t *terms;
    db_sync_link_t row;
    bool fresh;
} put_t;

static err_t *put_fn(db_conn_t *conn, void *arg) {
    put_t *put = arg;
    const sync_link_terms_t *t = put->terms;
    char until[TEXT_TIME_SIZE], files[24], count[24];
    const char *region = NULL, *object = NULL;
    TRY(db_sync_link_add(conn, &put->row, t->roots, &put->fresh));
    if (!put->fresh) return NULL;
    TRY(call_hex(put->call, put->call->region.region, &region));
    TRY(link_object(put->call, t->id, &object));
    (void)snprintf(files, sizeof files, "%zu", t->roots.n / SYNC_HASH);
    (void)snprintf(count, sizeof count, "%" PRIu32, t->count);
    return audit_note(put->call->service->o.audit, conn, put->call->actor, "sync.link.make", object,
                      "region", region, "files", files, "openings", t->count ? count : "any",
                      "password", t->password ? "yes" : "no", "expires",
                      text_time(t->expires, until), NULL);
}

static err_t *check_put(sync_call_t *call, const uint8_t id[SYNC_NODE],
                        const sync_link_terms_t *terms) {
    CLEANUP(buf_done) buf_t missing;
    buf_init(&missing, terms->roots.n);
    int64_t now = clk_unix(call->service->o.clk);
    if (memcmp(terms->id, id, SYNC_NODE) != 0)
        return sync_no(call, SYNC_WORD_MALFORMED, "the terms are another link's");
    if (!(call->roles & SYNC_WRITE))
        return sync_no(call, SYNC_WORD_ROLE, "links are made by devices that may write");
    if (!call->policy.may_share_outside)
        return sync_no(call, SYNC_WORD_POLICY,
                       "sharing outside is not allowed for you: an administrator can "
                       "allow it (may_share_outside)");
    if (terms->expires <= now || terms->expires > now + LIMIT_SYNC_LINK_LIFE_S)
        return sync_no(call, SYNC_WORD_LIMIT, "a link lives up to %d days",
                       LIMIT_SYNC_LINK_LIFE_S / 86400);
    TRY(sync_data_missing(call, terms->roots, &missing));
    if (missing.n) {
        TRY(arena_copy(call->arena, buf_bytes(&missing), &call->missing));
        return sync_no(call, SYNC_WORD_MISSING, "the link names data that is not here");
    }
    return NULL;
}

err_t *sync_link_put(sync_call_t *call, const uint8_t id[SYNC_NODE], bytes_t record,
                     bool *ret_new) {
    sync_link_terms_t terms;
    err_t *e = sync_link_terms_parse(record, &terms);
    if (e) {
        bool memory = err_code(e) == ERR_NOMEM;
        if (memory) return e;
        err_free(e);
        return sync_no(call, SYNC_WORD_MALFORMED, "these are no link's terms");
    }
    TRY(check_put(call, id, &terms));
    put_t put = {.call = call,
                 .terms = &terms,
                 .row = {.id = bytes_make(terms.id, SYNC_NODE),
                         .region = call->region.region,
                         .device = bytes_make(call->device, SYNC_HASH),
                         .person = call->person.email,
                         .token_hash = bytes_make(terms.token_hash, SYNC_HASH),
                         .list = terms.list,
                         .label = terms.label,
                         .password = terms.password,
                         .openings = terms.count,
                         .created_ms = clk_unix_ms(call->service->o.clk),
                         .expires_ms = terms.expires * 1000}};
    e = db_write(call->service->o.db, put_fn, &put);
    if (e && err_code(e) == ERR_LIMIT) call->word = SYNC_WORD_LIMIT;
    if (e) return e;
    *ret_new = put.fresh;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    bytes_t after;
    size_t limit;
    db_sync_link_t **rows;
    size_t *count;
} list_t;

static err_t *list_fn(db_conn_t *conn, void *arg) {
    list_t *list = arg;
    return db_sync_link_list(conn, list->call->arena, list->call->region.region, list->after,
                             list->limit, list->rows, list->count);
}

err_t *sync_link_list(sync_call_t *call, bytes_t after, size_t limit, db_sync_link_t **ret_rows,
                      size_t *ret_count) {
    list_t list = {call, after, limit, ret_rows, ret_count};
    return db_read(call->service->o.db, list_fn, &list);
}

typedef struct {
    sync_call_t *call;
    const uint8_t *id;
    bool found;
} remove_t;

static err_t *remove_fn(db_conn_t *conn, void *arg) {
    remove_t *job = arg;
    sync_call_t *call = job->call;
    const char *object = NULL;
    TRY(db_sync_link_remove(conn, call->region.region, bytes_make(job->id, SYNC_NODE),
                            &job->found));
    if (!job->found) return NULL;
    TRY(link_object(call, job->id, &object));
    return audit_note(call->service->o.audit, conn, call->actor, "sync.link.remove", object, NULL);
}

err_t *sync_link_remove(sync_call_t *call, const uint8_t id[SYNC_NODE]) {
    remove_t job = {call, id, false};
    if (!(call->roles & SYNC_WRITE))
        return sync_no(call, SYNC_WORD_ROLE, "links are removed by devices that may write");
    TRY(db_write(call->service->o.db, remove_fn, &job));
    return job.found ? NULL : sync_no(call, SYNC_WORD_ABSENT, "there is no such link");
}

const char *sync_link_state(const db_sync_link_t *row, int64_t now_ms) {
    if (row->password && row->wrong >= LIMIT_SYNC_LINK_WRONG) return "locked";
    bool ended = row->expires_ms <= now_ms || (row->openings && row->opened >= row->openings);
    return ended ? "ended" : "open";
}

/* ---- opened by anybody ---- */

typedef struct {
    sync_call_t *call;
    const uint8_t *id;
    const char *peer;
    uint8_t token_hash[SYNC_HASH], ticket_hash[SYNC_HASH];
    db_sync_link_t row;
    db_link_open_t how;
} open_t;

/*
 * What a thief or somebody who left has made ends with what he may: the device is still active, and
 * its person may still share outside.
 */
static err_t *maker_may(sync_call_t *call, db_conn_t *conn, const db_sync_link_t *row,
                        bool *ret_may) {
    db_sync_device_t device;
    db_person_t person;
    db_sync_wipe_t wipe;
    sync_policy_t policy = {0};
    bool found = false;
    *ret_may = false;
    TRY(call_region(call, conn, row->region.p));
    TRY(db_sync_device_find(conn, call->arena, call->region.seq, row->device, &device, &found));
    if (!found || device.state != SYNC_DEVICE_ACTIVE) return NULL;
    TRY(db_sync_wipe_find(conn, call->arena, call->region.seq, row->device, &wipe, &found));
    if (found) return NULL; /* somebody has that device who shouldn't */
    TRY(db_people_by_id(conn, call->arena, device.person_id, &person, &found));
    if (!found || person.disabled) return NULL;
    TRY(call_policy(call, conn, &person, row->device.p, &policy));
    *ret_may = policy.may_share_outside;
    return NULL;
}

static const char *action_of(db_link_open_t how, const db_sync_link_t *row) {
    switch (how) {
    case DB_LINK_OPEN: return "sync.link.open";
    /* A link that nobody can guess is not worth a note each time that somebody's URL was cut. */
    case DB_LINK_WRONG: return row->password ? "sync.link.wrong" : NULL;
    case DB_LINK_NONE:
    case DB_LINK_LOCKED:
    case DB_LINK_ENDED:
    case DB_LINK_BUSY: break;
    }
    return NULL;
}

static err_t *open_fn(db_conn_t *conn, void *arg) {
    open_t *job = arg;
    const char *object = NULL;
    bool found = false, may = false;
    TRY(db_sync_link_head(conn, job->call->arena, bytes_make(job->id, SYNC_NODE), &job->row,
                          &found));
    if (found) TRY(maker_may(job->call, conn, &job->row, &may));
    job->how = found ? DB_LINK_ENDED : DB_LINK_NONE;
    if (!may) return NULL;
    TRY(db_sync_link_open(conn, job->call->arena, bytes_make(job->id, SYNC_NODE),
                          BYTES_ARRAY(job->token_hash), BYTES_ARRAY(job->ticket_hash),
                          clk_unix_ms(job->call->service->o.clk), &job->row, &job->how));
    const char *action = action_of(job->how, &job->row);
    if (!action) return NULL;
    TRY(link_object(job->call, job->id, &object));
    return audit_note(job->call->service->o.audit, conn, "outsider", action, object, "address",
                      job->peer, NULL);
}

static err_t *refusal(sync_call_t *call, db_link_open_t how) {
    switch (how) {
    case DB_LINK_OPEN: return NULL;
    case DB_LINK_WRONG: return err_new(ERR_DENIED, "the password is wrong, or the link is damaged");
    case DB_LINK_NONE:
    case DB_LINK_ENDED:
        return sync_no(call, SYNC_WORD_ABSENT,
                       "this link does not exist, was removed, has expired "
                       "or was opened as often as was allowed");
    case DB_LINK_LOCKED:
        return sync_no(call, SYNC_WORD_ABSENT,
                       "this link was ended after too many wrong passwords");
    case DB_LINK_BUSY:
        return sync_no(call, SYNC_WORD_BUSY, "the link is open too often: try again later");
    }
    return err_new(ERR_INTERNAL, "an answer that is none");
}

err_t *sync_link_open_by(sync_call_t *call, const uint8_t id[SYNC_NODE],
                         const uint8_t token[SYNC_KEY], const char *peer,
                         char ret_ticket[SYNC_TICKET_TEXT], bytes_t *ret_list) {
    CLEANUP(buf_done) buf_t text;
    uint8_t ticket[SYNC_TICKET];
    open_t job = {.call = call, .id = id, .peer = peer};
    buf_init_secret(&text, SYNC_TICKET_TEXT);
    TRY(digest_sha256(bytes_make(token, SYNC_KEY), job.token_hash));
    TRY(rnd_fill(call->service->o.rnd, ticket, sizeof ticket));
    TRY(text_hex(BYTES_ARRAY(ticket), &text));
    mem_wipe(ticket, sizeof ticket);
    TRY(digest_sha256(buf_bytes(&text), job.ticket_hash));
    TRY(db_write(call->service->o.db, open_fn, &job));
    TRY(refusal(call, job.how));
    bytes_put(ret_ticket, buf_bytes(&text));
    ret_ticket[text.n] = '\0';
    *ret_list = job.row.list;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    const uint8_t *id, *root;
    uint8_t ticket_hash[SYNC_HASH];
    bool may;
} fetch_t;

static err_t *fetch_fn(db_conn_t *conn, void *arg) {
    fetch_t *job = arg;
    db_sync_link_t row;
    bool found = false;
    TRY(db_sync_link_may_fetch(conn, job->call->arena, bytes_make(job->id, SYNC_NODE),
                               BYTES_ARRAY(job->ticket_hash), bytes_make(job->root, SYNC_HASH),
                               clk_unix_ms(job->call->service->o.clk), &row, &found));
    return found ? maker_may(job->call, conn, &row, &job->may) : NULL;
}

err_t *sync_link_data(sync_call_t *call, const uint8_t id[SYNC_NODE], bytes_t ticket,
                      const uint8_t root[SYNC_HASH], uint64_t from, uint64_t to, buf_t *out,
                      uint64_t *ret_size) {
    fetch_t job = {.call = call, .id = id, .root = root};
    TRY(digest_sha256(ticket, job.ticket_hash));
    TRY(db_read(call->service->o.db, fetch_fn, &job));
    if (!job.may) return err_new(ERR_AUTH, "open the link again: it was an hour, or it has ended");
    return sync_data_read(call, root, from, to, out, ret_size);
}
