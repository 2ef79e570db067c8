/*
 * What is said at an IMAP server: see idler_internal.h and arrival/imap_watch.h. The idler's
 * thread.
 */
#include "arrival/record.h"
#include "base/limits.h"
#include "program/courier/idler_internal.h"

typedef struct {
    idler_t *idler;
    idler_conn_t *c;
    arena_t *arena;
    arrival_t arrival;
} news_job_t;

/* ---- news ---- */

static err_t *write_news(db_conn_t *conn, void *arg) {
    news_job_t *job = arg;
    arrival_end_t end;
    db_mailbox_t box;
    bool found = false;
    TRY(db_mailboxes_find(conn, job->arena, job->c->account, &box, &found));
    if (!found) return NULL;
    return arrival_record(conn, job->arena, &box, &job->arrival, clk_unix_ms(job->idler->o.clk),
                          &end);
}

/* What it knows now, so that a new connection begins there. The first time is no news. */
static err_t *write_settled(db_conn_t *conn, void *arg) {
    const news_job_t *job = arg;
    TRY(idler_write_state(conn, job->idler, job->c, "watched", ""));
    if (job->c->watch.imap.news) return NULL; /* comes with them */
    const db_mail_mark_t mark = {.account = job->c->account,
                                 .folder = "INBOX",
                                 .uidvalidity = job->arrival.uidvalidity,
                                 .uid = job->arrival.uid,
                                 .modseq = job->arrival.modseq};
    return db_mailbox_folders_put(conn, &mark);
}

/* Of the other folders, in one transaction. What we asked for is compared with what was known. */
static err_t *write_folders(db_conn_t *conn, void *arg) {
    news_job_t *job = arg;
    int64_t now = clk_unix_ms(job->idler->o.clk);
    for (const imap_folder_t *f = job->c->watch.imap.folders.first; f; f = f->next) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        arrival_end_t end;
        db_mailbox_t box;
        bool found = false;
        TRY(arena_new(IDLER_ARENA, &arena));
        TRY(db_mailboxes_find(conn, arena, job->c->account, &box, &found));
        if (!found) return NULL;
        if (f->asked) TRY(arrival_settle(conn, arena, &box, &f->arrival, now, &end));
        else if (f->arrival.uid) TRY(arrival_record(conn, arena, &box, &f->arrival, now, &end));
    }
    return NULL;
}

static err_t *take_news(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    imap_watch_t *w = &c->watch.imap;
    int64_t now = idler_now(idler);
    bool news = w->news, folders = w->folders.first && c->watched;
    if ((!news && !folders) || now - c->news_ms < IDLER_SHORT_MS) return NULL; /* the tick does */
    c->news_ms = now;
    TRY(arena_new(IDLER_ARENA, &arena));
    news_job_t job = {.idler = idler, .c = c, .arena = arena};
    if (folders) {
        TRY(db_write(idler->o.db, write_folders, &job));
        imap_folders_done(&w->folders);
    }
    if (!news) return NULL;
    job.arrival = imap_watch_news(w);
    return db_write(idler->o.db, write_news, &job);
}

/* ---- talk ---- */

static err_t *imap_begin(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    arrival_t from = {.folder = "INBOX"};
    idler_row_t row;
    TRY(arena_new(IDLER_ARENA, &arena));
    TRY(idler_row(idler, c, arena, &row));
    if (row.marked)
        from = (arrival_t){"INBOX", row.mark.uidvalidity, row.mark.uid, row.mark.modseq};
    imap_watch_init(&c->watch.imap, &from);
    return NULL;
}

static err_t *log_in(idler_t *idler, idler_conn_t *c) {
    CLEANUP(buf_done) buf_t password;
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    TRY(idler_password(idler, c, &password));
    return imap_watch_login(&c->watch.imap, c->login, buf_bytes(&password), &c->out);
}

static err_t *imap_input(idler_t *idler, idler_conn_t *c, bytes_t data) {
    imap_state_t before = c->watch.imap.state;
    TRY(imap_watch_input(&c->watch.imap, data, &c->out));
    if (c->watch.imap.state == IMAP_LOGIN) TRY(log_in(idler, c));
    if (c->watch.imap.state != before) c->deadline_ms = idler_now(idler) + IDLER_TALK_MS;
    return NULL;
}

/* It waits for mail: all is well. */
static err_t *settle(idler_t *idler, idler_conn_t *c) {
    const imap_watch_t *w = &c->watch.imap;
    news_job_t job = {
        .idler = idler, .c = c, .arrival = {"INBOX", w->uidvalidity, w->uid, w->modseq}};
    c->deadline_ms = INT64_MAX;
    if (c->watched) return NULL;
    idler_conn_settled(idler, c);
    c->due_ms = idler_now(idler) + idler->o.reconcile_s * 1000;
    return db_write(idler->o.db, write_settled, &job);
}

static err_t *imap_waits(idler_t *idler, idler_conn_t *c) {
    if (c->watch.imap.state == IMAP_IDLE) TRY(settle(idler, c));
    return take_news(idler, c);
}

static err_t *imap_look(idler_t *idler, idler_conn_t *c, int64_t now) {
    TRY(take_news(idler, c));
    if (now < c->due_ms) return NULL;
    c->due_ms = now + idler->o.reconcile_s * 1000;
    if (c->watch.imap.state != IMAP_IDLE) return NULL;
    c->deadline_ms = now + IDLER_TALK_MS;
    return imap_watch_look(&c->watch.imap, &c->out);
}

static void imap_end(idler_conn_t *c, bool gone) {
    (void)gone;
    imap_watch_done(&c->watch.imap);
    c->watch.imap = (imap_watch_t){0};
}

const idler_kind_t IDLER_IMAP = {
    .parse = mail_server_imap,
    .begin = imap_begin,
    .input = imap_input,
    .waits = imap_waits,
    .look = imap_look,
    .end = imap_end,
};
