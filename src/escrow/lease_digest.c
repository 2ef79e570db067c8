/*
 * See lease_digest.h. A page of people in a transaction, with the jobs that mail them.
 */
#include "escrow/lease_digest.h"

#include <stdio.h>

#include "base/text.h"
#include "escrow/escrow_internal.h"
#include "store/lease_digests.h"
#include "store/tokens.h"

#define META_DAY "lease_digest"

enum {
    DAY_MS = 86400 * 1000,
    PAGE = 200,
    ARENA = 256 * 1024,
    NUMBER = 24,
    ID_MAX = 64,
    WAITS_DAYS = 6, /* a single opening */
    KEPT_DAYS = 30, /* of devices that are nobody's */
};

typedef struct {
    escrow_t *escrow;
    arena_t *arena;
    int64_t now_ms;
    char after[ID_MAX]; /* the person that was told last */
    bool due, more;
} digest_t;

/* ---- whether ---- */

static err_t *read_day(db_conn_t *conn, void *arg) {
    digest_t *d = arg;
    const char *text = NULL;
    int64_t day = 0;
    bool found = false;
    TRY(db_meta_get(conn, d->arena, META_DAY, &text, &found));
    if (found) TRY(text_i64(bytes_str(text), &day));
    d->due = day != d->now_ms / DAY_MS;
    return NULL;
}

static err_t *write_day(db_conn_t *conn, void *arg) {
    const digest_t *d = arg;
    char text[NUMBER];
    (void)snprintf(text, sizeof text, "%lld", (long long)(d->now_ms / DAY_MS));
    TRY(db_lease_digests_purge(conn, d->now_ms - KEPT_DAYS * (int64_t)DAY_MS));
    return db_meta_set(conn, META_DAY, text);
}

/* ---- telling ---- */

static const char *times(int64_t count, char out[NUMBER]) {
    if (count == 1) return "once";
    (void)snprintf(out, NUMBER, "%lld times", (long long)count);
    return out;
}

typedef struct {
    int64_t count, first_ms, last_ms;
} sum_t;

static sum_t sum_of(const db_lease_digest_t *rows, size_t n) {
    sum_t sum = {.first_ms = rows[0].first_ms};
    for (size_t i = 0; i < n; i++) {
        sum.count += rows[i].count;
        if (rows[i].first_ms < sum.first_ms) sum.first_ms = rows[i].first_ms;
        if (rows[i].last_ms > sum.last_ms) sum.last_ms = rows[i].last_ms;
    }
    return sum;
}

static err_t *write_text(const db_lease_digest_t *rows, size_t n, const sum_t *sum, buf_t *out) {
    char number[NUMBER], first[TEXT_TIME_SIZE], last[TEXT_TIME_SIZE];
    TRY(buf_printf(out,
                   "Hello %s,\n\nwhile it was locked, a device of yours was given the key of a"
                   " mailbox %s, to put\nnew mail into it, between %s and %s:\n\n",
                   rows[0].person, times(sum->count, number),
                   text_time(sum->first_ms / 1000, first), text_time(sum->last_ms / 1000, last)));
    for (size_t i = 0; i < n; i++)
        TRY(buf_printf(out, "  %s on %s: %s\n", rows[i].account,
                       rows[i].device[0] ? rows[i].device : "a device without a name",
                       times(rows[i].count, number)));
    return buf_add_str(out,
                       "\nThis is what happens when mail comes, and nobody can read by it. If you"
                       " had no such device\nthen, tell your administrators at once: they end it"
                       " with `coffer device lost`.\n");
}

static err_t *mail(db_conn_t *conn, const digest_t *d, const db_lease_digest_t *rows, size_t n,
                   const sum_t *sum) {
    CLEANUP(buf_done) buf_t text;
    char number[NUMBER], key[NUMBER * 2], subject[LIMIT_NOTICE_SUBJECT];
    (void)snprintf(key, sizeof key, "lease-digest-%lld", (long long)(d->now_ms / DAY_MS));
    (void)snprintf(subject, sizeof subject, "Your mailbox was opened %s while locked",
                   times(sum->count, number));
    notice_t notice = {.event = "lease.digest", .key = key, .subject = subject};
    buf_init(&text, LIMIT_NOTICE_TEXT);
    TRY(write_text(rows, n, sum, &text));
    TRY(buf_cstr(&text, &notice.text));
    return notify_mail(d->escrow->o.notify, conn, rows[0].email, &notice);
}

static err_t *tell(db_conn_t *conn, const digest_t *d, const db_lease_digest_t *rows, size_t n) {
    sum_t sum = sum_of(rows, n);
    char count[NUMBER];
    bool waits = d->now_ms - sum.first_ms < WAITS_DAYS * (int64_t)DAY_MS;
    if (sum.count == 1 && waits) return NULL;
    TRY(mail(conn, d, rows, n, &sum));
    for (size_t i = 0; i < n; i++)
        TRY(db_lease_digests_remove(conn, rows[i].device_id, rows[i].account));
    (void)snprintf(count, sizeof count, "%lld", (long long)sum.count);
    return audit_note(d->escrow->o.audit, conn, "system", "lease.digest", rows[0].email, "releases",
                      count, NULL);
}

/* Of a full page the last person may have more rows behind it: the next page begins there. */
static err_t *write_page(db_conn_t *conn, void *arg) {
    digest_t *d = arg;
    db_lease_digest_t *rows = NULL;
    size_t count = 0;
    TRY(db_lease_digests_list(conn, d->arena, d->after, PAGE, &rows, &count));
    d->more = count == PAGE;
    for (size_t i = 0, n; i < count; i += n) {
        const char *person = rows[i].person_id;
        for (n = 1; i + n < count && strcmp(rows[i + n].person_id, person) == 0;) n++;
        if (d->more && i > 0 && i + n == count) return NULL;
        TRY(tell(conn, d, &rows[i], n));
        if (strlen(person) >= sizeof d->after) return err_new(ERR_LIMIT, "a person's long id");
        (void)snprintf(d->after, sizeof d->after, "%s", person);
    }
    return NULL;
}

err_t *lease_digest_run(escrow_t *escrow) {
    CLEANUP(arena_free) arena_t *first = NULL;
    TRY(arena_new(ARENA, &first));
    digest_t d = {.escrow = escrow, .arena = first, .now_ms = escrow_now_ms(escrow), .more = true};
    TRY(db_read(escrow->o.db, read_day, &d));
    if (!d.due) return NULL;
    while (d.more) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        TRY(arena_new(ARENA, &arena));
        d.arena = arena;
        TRY(db_write(escrow->o.db, write_page, &d));
    }
    return db_write(escrow->o.db, write_day, &d);
}
