/*
 * What is said at Exchange's web services: see idler_internal.h and arrival/ews_watch.h. The
 * idler's thread. The subscription outlives its connections, so that nothing is lost between two of
 * them.
 */
#include "arrival/opaque.h"
#include "arrival/record.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/courier/idler_internal.h"

enum { QUIET_MS = 5 * 60 * 1000 }; /* Exchange says every 45 s or so that it is still there */

/* ---- news ---- */

typedef struct {
    idler_t *idler;
    idler_conn_t *c;
    arena_t *arena;
    db_mailbox_t box;
    int64_t now_ms;
} news_job_t;

static err_t *write_one(db_conn_t *conn, news_job_t *job, int64_t opaque) {
    arrival_t arrival;
    arrival_end_t end;
    bool found = false;
    /* Each time as it is now: when an event went out last stands in it. */
    TRY(db_mailboxes_find(conn, job->arena, job->c->account, &job->box, &found));
    if (!found) return NULL;
    TRY(arrival_opaque_arrival(job->arena, opaque, &arrival));
    return arrival_record(conn, job->arena, &job->box, &arrival, job->now_ms, &end);
}

static err_t *write_news(db_conn_t *conn, void *arg) {
    news_job_t *job = arg;
    const ews_watch_t *w = job->c->watch.ews;
    int64_t opaque = 0;
    for (size_t i = 0; i < w->answer.count; i++) TRY(write_one(conn, job, w->answer.news[i]));
    if (w->missed) {
        TRY(arrival_opaque_missed(job->now_ms, IDLER_SHORT_MS, &opaque));
        TRY(write_one(conn, job, opaque));
    }
    return NULL;
}

/* What was missed is told of when the next would not be: devices look once, and then hear. */
static err_t *take_news(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    ews_watch_t *w = c->watch.ews;
    int64_t now = idler_now(idler);
    bool missed = w->missed && w->state == EWS_STREAMS;
    if ((!w->answer.count && !missed) || now - c->news_ms < IDLER_SHORT_MS) return NULL;
    c->news_ms = now;
    TRY(arena_new(IDLER_ARENA, &arena));
    news_job_t job = {.idler = idler, .c = c, .arena = arena, .now_ms = clk_unix_ms(idler->o.clk)};
    TRY(db_write(idler->o.db, write_news, &job));
    w->missed = false;
    ews_answer_took(&w->answer);
    return NULL;
}

/* ---- talk ---- */

static err_t *make_watch(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    idler_row_t row;
    TRY(arena_new(IDLER_ARENA, &arena));
    TRY(idler_row(idler, c, arena, &row));
    c->watch.ews = mem_zalloc(sizeof *c->watch.ews);
    if (!c->watch.ews) return err_nomem();
    ews_watch_init(c->watch.ews, row.box.heard_ms > 0);
    return NULL;
}

static err_t *ews_begin(idler_t *idler, idler_conn_t *c) {
    if (!c->watch.ews) TRY(make_watch(idler, c));
    ews_watch_connected(c->watch.ews);
    return NULL;
}

static err_t *ask(idler_t *idler, idler_conn_t *c) {
    CLEANUP(buf_done) buf_t password;
    mail_server_t server;
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    if (++c->minute_asks > LIMIT_EWS_ASKS)
        return err_new(ERR_LIMIT, "the server ends more than %d answers a minute", LIMIT_EWS_ASKS);
    TRY(mail_server_ews(bytes_str(c->server), &server));
    TRY(idler_password(idler, c, &password));
    const ews_request_t request = {.server = &server,
                                   .account = c->account,
                                   .login = c->login,
                                   .password = buf_bytes(&password),
                                   .all = c->all};
    c->deadline_ms = idler_now(idler) + IDLER_TALK_MS;
    return ews_watch_ask(c->watch.ews, &request, &c->out);
}

static err_t *ews_input(idler_t *idler, idler_conn_t *c, bytes_t data) {
    ews_watch_t *w = c->watch.ews;
    err_t *e = ews_watch_input(w, data);
    c->pause_ms = w->pause_s * 1000;
    if (w->state == EWS_STREAMS) c->deadline_ms = idler_now(idler) + QUIET_MS;
    return e;
}

typedef struct {
    const idler_t *idler;
    const idler_conn_t *c;
} settle_job_t;

static err_t *write_settled(db_conn_t *conn, void *arg) {
    const settle_job_t *job = arg;
    return idler_write_state(conn, job->idler, job->c, "watched", "");
}

static err_t *ews_waits(idler_t *idler, idler_conn_t *c) {
    ews_watch_t *w = c->watch.ews;
    if (w->state == EWS_STREAMS && !c->watched) {
        settle_job_t job = {idler, c};
        idler_conn_settled(idler, c);
        TRY(db_write(idler->o.db, write_settled, &job));
    }
    TRY(take_news(idler, c));
    if (w->state != EWS_ASKS) return NULL;
    c->again = w->closes;
    return w->closes ? NULL : ask(idler, c);
}

static err_t *ews_look(idler_t *idler, idler_conn_t *c, int64_t now) {
    (void)now; /* Exchange tells when it has lost something; there is nothing to compare */
    return take_news(idler, c);
}

static void ews_end(idler_conn_t *c, bool gone) {
    if (!c->watch.ews) return;
    ews_watch_connected(c->watch.ews);
    if (!gone) return;
    ews_watch_done(c->watch.ews);
    mem_free(c->watch.ews);
    c->watch.ews = NULL;
}

const idler_kind_t IDLER_EWS = {
    .parse = mail_server_ews,
    .begin = ews_begin,
    .connected = ask,
    .input = ews_input,
    .waits = ews_waits,
    .look = ews_look,
    .end = ews_end,
};
