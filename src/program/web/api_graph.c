/*
 * Microsoft Graph's change notifications: see api_graph.h. Worker threads. Graph sends a
 * notification again for hours until it is answered with 2xx, so what is no use is answered with
 * 202 as well; only what we could not store is an error.
 */
#include "program/web/api_graph.h"

#include "arrival/graph.h"
#include "arrival/opaque.h"
#include "arrival/record.h"
#include "base/limits.h"
#include "base/text.h"
#include "http/query.h"
#include "program/web/api.h"
#include "program/web/streams.h"

enum {
    HEARD_EVERY_MS = 60 * 1000,
    MISSED_MS = 60 * 1000,
    SOURCE_MAX = 160,
    PROBLEM_MAX = 128,
    XML_SWELL = 6
};

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *name;
    db_mail_hook_t hook;
    bool found;
    const char *source;
    graph_notice_t *notices;
    size_t count;
    bool news; /* something to write */
    bool told;
    int64_t now_ms;
} graph_job_t;

static err_t *find_hook(db_conn_t *conn, void *arg) {
    graph_job_t *job = arg;
    return db_mail_hooks_by_name(conn, job->arena, job->name, &job->hook, &job->found);
}

/* ---- validation of the URL ---- */

/*
 * Graph wants the token back as it is, decoded. A stranger may ask for any text to be said here, so
 * it is plain text, short, and without anything that a browser could take for markup.
 */
static err_t *validate(const graph_job_t *job, http_request_t *request, bytes_t token,
                       http_reply_t *reply) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_ARRIVAL_VALIDATION * XML_SWELL);
    TRY(http_rate_take(job->web->rate, request->peer));
    if (token.n == 0 || !text_printable(token))
        return err_new(ERR_INVALID, "a validation token is a line of text");
    TRY(buf_add_xml(&out, token));
    return http_reply_bytes(reply, 200, "text/plain; charset=utf-8", buf_bytes(&out));
}

/* ---- notifications ---- */

/* Others' are left out: a wrong clientState is somebody's who guesses, or of a former secret. */
static size_t keep_own(graph_job_t *job) {
    size_t kept = 0;
    for (size_t i = 0; i < job->count; i++)
        if (arrival_graph_is_from(&job->notices[i], job->hook.hash))
            job->notices[kept++] = job->notices[i];
    size_t others = job->count - kept;
    job->count = kept;
    return others;
}

static err_t *get_arrival(const graph_job_t *job, const graph_notice_t *notice, arrival_t *out) {
    int64_t opaque = notice->opaque;
    if (notice->kind == GRAPH_MISSED) TRY(arrival_opaque_missed(job->now_ms, MISSED_MS, &opaque));
    return arrival_opaque_arrival(job->arena, opaque, out);
}

static bool brings_mail(const graph_notice_t *notice) {
    return notice->kind == GRAPH_MAIL || notice->kind == GRAPH_MISSED;
}

/* Most of what comes is doubled or of mailboxes that nobody watches: no transaction for those. */
static err_t *look(db_conn_t *conn, void *arg) {
    graph_job_t *job = arg;
    job->news = false;
    for (size_t i = 0; i < job->count && !job->news; i++) {
        db_mailbox_t box;
        arrival_t arrival;
        bool found = false, old = false;
        TRY(db_mailboxes_by_login(conn, job->arena, job->source, job->notices[i].subscription, &box,
                                  &found));
        if (found && brings_mail(&job->notices[i])) {
            TRY(get_arrival(job, &job->notices[i], &arrival));
            TRY(arrival_is_old(conn, job->arena, box.account, &arrival, &old));
        }
        job->news = found && !old;
    }
    return NULL;
}

/* What the admin or his script has to do; in `coffer mailbox list` until it is done. */
static void say_problem(const graph_notice_t *notice, char out[PROBLEM_MAX]) {
    char when[TEXT_TIME_SIZE];
    if (notice->kind == GRAPH_REMOVED)
        (void)snprintf(out, PROBLEM_MAX, "Graph has removed the subscription");
    else if (notice->expires)
        (void)snprintf(out, PROBLEM_MAX, "renew the subscription before %s",
                       text_time(notice->expires, when));
    else (void)snprintf(out, PROBLEM_MAX, "renew the subscription");
}

/*
 * That a subscription was renewed shows in a later expiry; one that is gone is not mended by what
 * was still under way.
 */
static err_t *note_state(db_conn_t *conn, const graph_job_t *job, const db_mailbox_t *box,
                         const graph_notice_t *notice) {
    const bool failed = strcmp(box->state, "failed") == 0, mail = brings_mail(notice);
    const char *state = failed || notice->kind == GRAPH_REMOVED ? "failed" : "watched";
    char problem[PROBLEM_MAX] = "";
    say_problem(notice, problem);
    bool same = strcmp(box->problem, problem) == 0;
    const char *says = problem;
    if (failed) says = box->problem;
    else if (mail) says = same || !notice->expires ? box->problem : "";
    bool changed = strcmp(box->problem, says) != 0 || strcmp(box->state, state) != 0;
    if (!changed && job->now_ms - box->heard_ms <= HEARD_EVERY_MS) return NULL;
    TRY(db_mailboxes_heard(conn, box->account, state, says, job->now_ms));
    if (changed && says[0])
        log_line(&job->web->log, LOG_WARNING, "mailbox %s: %s", box->account, says);
    return NULL;
}

static err_t *record_notice(db_conn_t *conn, graph_job_t *job, const graph_notice_t *notice) {
    db_mailbox_t box;
    arrival_t arrival;
    arrival_end_t end = ARRIVAL_UNKNOWN;
    bool found = false;
    TRY(db_mailboxes_by_login(conn, job->arena, job->source, notice->subscription, &box, &found));
    if (!found) return NULL;
    if (brings_mail(notice)) {
        TRY(get_arrival(job, notice, &arrival));
        TRY(arrival_record(conn, job->arena, &box, &arrival, job->now_ms, &end));
    }
    if (end == ARRIVAL_TOLD) job->told = true;
    if (notice->kind == GRAPH_MISSED)
        log_line(&job->web->log, LOG_WARNING, "mailbox %s: Graph has lost notifications",
                 box.account);
    return note_state(conn, job, &box, notice);
}

static err_t *record(db_conn_t *conn, void *arg) {
    graph_job_t *job = arg;
    job->told = false;
    for (size_t i = 0; i < job->count; i++) TRY(record_notice(conn, job, &job->notices[i]));
    if (job->now_ms - job->hook.heard_ms > HEARD_EVERY_MS)
        TRY(db_mail_hooks_heard(conn, job->hook.name, job->now_ms));
    return job->told ? db_after_commit(conn, streams_wake, job->web->streams) : NULL;
}

static err_t *take(graph_job_t *job, http_request_t *request) {
    char source[SOURCE_MAX];
    TRY(arrival_graph_parse(request->arena, request->body, &job->notices, &job->count));
    if (keep_own(job) > 0) {
        if (job->count == 0) TRY(http_rate_take(job->web->rate, request->peer));
        log_line(&job->web->log, LOG_WARNING,
                 "notifications for the hook %s with another clientState are dropped", job->name);
    }
    (void)snprintf(source, sizeof source, "graph:%s", job->name);
    job->source = source;
    TRY(db_read(job->web->db, look, job));
    return job->news ? db_write(job->web->db, record, job) : NULL;
}

err_t *push_graph(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(buf_done) buf_t token;
    bool validates = false;
    graph_job_t job = {.web = web, .arena = request->arena, .now_ms = clk_unix_ms(clk_real())};
    buf_init(&token, LIMIT_ARRIVAL_VALIDATION);
    TRY(api_param(request, "name", &job.name));
    TRY(db_read(web->db, find_hook, &job));
    if (!job.found) {
        TRY(http_rate_take(web->rate, request->peer));
        return err_new(ERR_NOT_FOUND, "there is no hook of this name");
    }
    TRY(http_query_get(request->raw_query, "validationToken", HTTP_PLUS_SPACE, &token, &validates));
    if (validates) return validate(&job, request, buf_bytes(&token), reply);
    TRY(take(&job, request));
    return http_reply_empty(reply, 202);
}
