/*
 * Issuing revocation lists: see revoke.h. RFC 5280 section 5. Entries are encoded here from the
 * table's rows, page by page; the keeper encodes and digests them for itself and gives the
 * signature (decision 0015). A list is a file, replaced at once, and a row that says which it is.
 * Runs on coffer-web's revocation thread.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "pki/revoke_internal.h"

enum {
    PAGE = 20000,
    ARENA_MAX = 1024 * 1024,
    SMALL_LIST = 20000,         /* entries: a list so small is made anew at every change */
    KEEP_EXPIRED_S = 7 * 86400, /* section 3.3: on one list beyond its end, and for late clocks */
    PIECE_MAX = 96 * 1024,
    NAME_MAX_BYTES = 256,
};

typedef struct {
    revoker_t *revoker;
    arena_t *arena;
    const revoker_issuer_t *issuer;
    const char *profile;
    bool delta;
    db_crl_t full, newest; /* rows there were; newest is full's or delta's number */
    bool full_found;
    db_crl_t row; /* in the making */
    buf_t entries;
    int64_t after_seq;
    size_t page;
    const _Atomic bool *stop; /* NULL: goes on to the end */
    size_t longest;           /* of one page: how far to go on */
} issue_t;

/* A list of a million takes seconds, which whoever stops the program need not wait for. */
static err_t *go_on(const issue_t *x) {
    return x->stop && *x->stop ? err_new(ERR_UNAVAILABLE, "stopped") : NULL;
}

static err_t *find_rows(db_conn_t *conn, void *arg) {
    issue_t *x = arg;
    db_crl_t delta;
    bool found = false;
    TRY(db_crls_get(conn, x->arena, x->issuer->name, x->profile, false, &x->full, &x->full_found));
    TRY(db_crls_get(conn, x->arena, x->issuer->name, x->profile, true, &delta, &found));
    x->newest = x->full;
    if (found && delta.number > x->newest.number) x->newest = delta;
    return NULL;
}

static err_t *take_entry(void *arg, const db_revoked_t *revoked) {
    issue_t *x = arg;
    x->after_seq = revoked->seq;
    x->row.entries++;
    return crl_entry_put(&(crl_entry_t){.serial = revoked->serial,
                                        .time = revoked->revoked_ms / 1000,
                                        .reason = (crl_reason_t)revoked->reason},
                         &x->entries);
}

static err_t *read_page(db_conn_t *conn, void *arg) {
    issue_t *x = arg;
    return db_revocations_each(conn, x->issuer->name, x->profile,
                               x->row.this_update - KEEP_EXPIRED_S, x->after_seq, PAGE, take_entry,
                               x, &x->page);
}

static err_t *read_changes(db_conn_t *conn, void *arg) {
    issue_t *x = arg;
    return db_revocations_changed(conn, x->issuer->name, x->profile, x->row.base_ms, take_entry, x);
}

/* "device-ca.device-identity.delta.crl"; a profile's name may hold anything but a NUL. */
static err_t *path_of(const revoker_t *revoker, const char *issuer, const char *profile, bool delta,
                      char **ret_path) {
    char name[NAME_MAX_BYTES];
    int n = snprintf(name, sizeof name, "%s.", issuer);
    for (const char *c = profile; *c && n < NAME_MAX_BYTES - 16; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-';
        n += snprintf(name + n, sizeof name - (size_t)n, plain ? "%c" : "%%%02X", (uint8_t)*c);
    }
    (void)snprintf(name + n, sizeof name - (size_t)n, delta ? ".delta.crl" : ".crl");
    return file_path(revoker->o.crl_dir, name, ret_path);
}

/* Signs and writes the file. Head, entries, tail and signature are put together once. */
static err_t *write_list(issue_t *x) {
    CLEANUP(buf_done) buf_t head, tail, signature, end, whole;
    buf_init(&head, PIECE_MAX);
    buf_init(&tail, PIECE_MAX);
    buf_init(&signature, PIECE_MAX);
    buf_init(&end, PIECE_MAX);
    buf_init(&whole, 0); /* until its size is known */
    keeper_crl_t ask = {.issuer = x->issuer->name,
                        .profile = x->profile,
                        .number = (uint64_t)x->row.number,
                        .delta = x->delta,
                        .base_number = (uint64_t)x->row.base_number,
                        .this_update = x->row.this_update,
                        .next_update = x->row.next_update,
                        .stop = x->stop};
    TRY(keeper_crl_sign(x->revoker->o.keeper, &ask, buf_bytes(&x->entries), &head, &tail,
                        &signature));
    TRY(crl_put_signature(x->issuer->ca, buf_bytes(&signature), &end));
    size_t inside = head.n + x->entries.n + tail.n + end.n;
    buf_init(&whole, inside + 16);
    TRY(buf_reserve(&whole, inside + 16));
    TRY(crl_put_outer(inside, &whole));
    TRY(buf_add(&whole, buf_bytes(&head)));
    TRY(buf_add(&whole, buf_bytes(&x->entries)));
    buf_done(&x->entries);
    buf_init(&x->entries, 0);
    TRY(buf_add(&whole, buf_bytes(&tail)));
    TRY(buf_add(&whole, buf_bytes(&end)));
    CLEANUP(mem_free) char *path = NULL;
    TRY(path_of(x->revoker, x->issuer->name, x->profile, x->delta, &path));
    x->row.size = (int64_t)whole.n;
    return file_write(path, buf_bytes(&whole), 0600);
}

static err_t *keep_row(db_conn_t *conn, void *arg) {
    issue_t *x = arg;
    return db_crls_put(conn, &x->row);
}

static err_t *issue(issue_t *x) {
    const revoker_options_t *o = &x->revoker->o;
    TRY(db_read(o->db, find_rows, x));
    int64_t now_ms = clk_unix_ms(o->clk);
    x->row = (db_crl_t){.issuer = x->issuer->name,
                        .profile = x->profile,
                        .delta = x->delta,
                        .number = x->newest.number + 1,
                        .this_update = now_ms / 1000,
                        .next_update = now_ms / 1000 + o->crl_lifetime_s};
    if (x->delta && !x->full_found) return err_new(ERR_NOT_FOUND, "no full list to lay it over");
    /* Section 5.2.3: lists of one moment have one number. */
    if (x->delta && x->full.this_update == x->row.this_update && x->full.number == x->newest.number)
        x->row.number = x->full.number;
    /* A commit begun before base_ms may end after it: a delta rather tells it again. */
    x->row.base_ms = x->delta ? x->full.base_ms : now_ms - 60000;
    x->row.base_number = x->delta ? x->full.number : 0;
    if (x->delta) {
        TRY(db_read(o->db, read_changes, x));
    } else {
        do {
            TRY(go_on(x));
            TRY(db_read(o->db, read_page, x));
        } while (x->page == PAGE);
    }
    TRY(write_list(x));
    return db_write(o->db, keep_row, x);
}

err_t *crl_issue(revoker_t *revoker, const char *issuer, const char *profile, bool delta,
                 const _Atomic bool *stop) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    issue_t x = {.revoker = revoker,
                 .arena = arena,
                 .issuer = revoker_issuer(revoker, issuer),
                 .profile = profile,
                 .delta = delta,
                 .stop = stop};
    if (!x.issuer) return err_new(ERR_NOT_FOUND, "there is no CA %s", issuer);
    buf_init(&x.entries, LIMIT_CRL_BYTES);
    err_t *e = issue(&x);
    buf_done(&x.entries);
    if (e) return err_wrap(e, "%s list of %s %s", delta ? "delta" : "revocation", issuer, profile);
    return NULL;
}

/* ---- what is due ---- */

typedef struct {
    arena_t *arena;
    const char *issuer, *profile;
    bool delta;
    db_crl_t row;
    bool found;
} find_t;

static err_t *find_row(db_conn_t *conn, void *arg) {
    find_t *x = arg;
    return db_crls_get(conn, x->arena, x->issuer, x->profile, x->delta, &x->row, &x->found);
}

static err_t *find_profile(db_conn_t *conn, void *arg) {
    find_t *x = arg;
    return db_cert_profiles_next(conn, x->arena, x->issuer, x->profile, &x->profile, &x->found);
}

err_t *crl_find(revoker_t *revoker, arena_t *arena, const char *issuer, const char *profile,
                bool delta, db_crl_t *ret_row, char **ret_path) {
    find_t x = {.arena = arena, .issuer = issuer, .profile = profile, .delta = delta};
    TRY(db_read(revoker->o.db, find_row, &x));
    if (!x.found) return err_new(ERR_NOT_FOUND, "there is no such revocation list");
    TRY(path_of(revoker, issuer, profile, delta, ret_path));
    *ret_row = x.row;
    return NULL;
}

static bool is_due(const find_t *x, const char *path, int64_t now, int64_t every_s) {
    return !x->found || !file_exists(path) || now >= x->row.this_update + every_s ||
           now < x->row.this_update - every_s; /* the clock was set back */
}

/* Full and delta of one profile. */
static err_t *issue_pair(revoker_t *revoker, arena_t *arena, const char *issuer,
                         const char *profile, bool changed, const _Atomic bool *stop) {
    const revoker_options_t *o = &revoker->o;
    int64_t now = clk_unix(o->clk);
    for (int delta = 0; delta < 2; delta++) {
        find_t x = {.arena = arena, .issuer = issuer, .profile = profile, .delta = delta};
        CLEANUP(mem_free) char *path = NULL;
        TRY(db_read(o->db, find_row, &x));
        TRY(path_of(revoker, issuer, profile, delta, &path));
        bool now_too = changed && (delta || x.row.entries <= SMALL_LIST);
        if (now_too || is_due(&x, path, now, delta ? o->delta_every_s : o->crl_every_s))
            TRY(crl_issue(revoker, issuer, profile, delta, stop));
    }
    return NULL;
}

err_t *crl_issue_due(revoker_t *revoker, const _Atomic bool *stop) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    bool changed = atomic_exchange(&revoker->changed, false);
    err_t *e = NULL;
    int64_t now = clk_unix(revoker->o.clk);
    for (size_t i = 0; !e && i < revoker->issuers_n; i++) {
        if (cert_not_after(revoker->issuers[i].ca) < now) continue; /* section 3.3 */
        find_t x = {.arena = arena, .issuer = revoker->issuers[i].name, .profile = "", .found = 1};
        while (!e && x.found) {
            e = issue_pair(revoker, arena, x.issuer, x.profile, changed, stop);
            if (!e) e = db_read(revoker->o.db, find_profile, &x);
        }
    }
    if (e && changed) atomic_store(&revoker->changed, true); /* tried again */
    return e;
}
