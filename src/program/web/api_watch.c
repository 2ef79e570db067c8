/*
 * /api/v1/watch and /api/v1/expiry: what is watched, what ends and why, and the programs that ran.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "http/query.h"
#include "pki/expiry_run.h"
#include "pki/watch_target.h"
#include "program/web/api.h"
#include "store/jobs.h"

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *actor;
    const char *name, *target;
    const char *after;
    size_t limit;
    db_watch_source_t *sources;
    db_action_run_t *runs;
    size_t count;
    int64_t before, now_ms;
    expiry_status_t status;
} watch_job_t;

/* ---- the list ---- */

static err_t *read_sources(db_conn_t *conn, void *arg) {
    watch_job_t *job = arg;
    TRY(expiry_status(conn, job->arena, &job->status));
    return db_watch_list(conn, job->arena, job->after, job->limit, &job->sources, &job->count);
}

static err_t *source_json(const db_watch_source_t *s, json_t *out) {
    TRY(jso_set_str(out, "name", s->name));
    TRY(jso_set_str(out, "target", s->target[0] ? s->target : NULL));
    TRY(jso_set_str(out, "origin", s->origin));
    TRY(jso_set_str(out, "state", s->state));
    TRY(api_set_ms(out, "since", s->since_ms));
    TRY(api_set_ms(out, "checked", s->checked_ms));
    TRY(jso_set_str(out, "problem", s->problem[0] ? s->problem : NULL));
    return jso_set_str(out, "created_by", s->created_by);
}

err_t *api_watch_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    watch_job_t job = {.web = web, .arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page(request, &job.after, &job.limit));
    TRY(db_read(web->db, read_sources, &job));
    TRY(jso_object(&out));
    TRY(api_set_ms(out, "checked", job.status.checked_ms));
    TRY(jso_set_int(out, "checked_ms", job.status.checked_ms));
    TRY(jso_set_str(out, "held", job.status.held[0] ? job.status.held : NULL));
    TRY(jso_set_int(out, "held_count", job.status.held_count));
    TRY(jso_set_array(out, "sources", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(source_json(&job.sources[i], item));
    }
    if (job.count == job.limit) TRY(jso_set_str(out, "next", job.sources[job.count - 1].name));
    return api_send(reply, 200, out);
}

/* ---- adding and removing ---- */

static err_t *check_name(bytes_t name) {
    bool fits = name.n > 0 && name.n <= LIMIT_NAME;
    for (size_t i = 0; fits && i < name.n; i++) {
        uint8_t c = name.p[i];
        fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && i > 0 && strchr("._-", c) != NULL);
    }
    return fits ? NULL
                : err_new(ERR_INVALID, "a name has letters, digits, dots, dashes and underscores");
}

static err_t *ask_round(db_conn_t *conn, int64_t now_ms) {
    return db_jobs_put(conn, EXPIRY_JOB_WATCH, "run", "{}", now_ms, now_ms);
}

static err_t *write_source(db_conn_t *conn, void *arg) {
    watch_job_t *job = arg;
    int64_t count = 0;
    TRY(db_watch_count(conn, &count));
    if (count >= LIMIT_WATCH_SOURCES)
        return err_new(ERR_LIMIT, "there are %d watched sources already", LIMIT_WATCH_SOURCES);
    err_t *e = db_watch_add(conn, job->name, job->target, "list", job->actor, job->now_ms);
    if (e && err_code(e) == ERR_EXISTS)
        return err_wrap(e, "there is a watched source %s already", job->name);
    if (e) return e;
    TRY(audit_note(&job->web->audit, conn, job->actor, "watch.added", job->name, "target",
                   job->target, NULL));
    return ask_round(conn, job->now_ms);
}

/* Which files the courier may read is said on this machine, not over the network. */
static err_t *check_target(const char *text) {
    watch_target_t target;
    TRY(watch_target_parse(text, &target));
    if (target.kind == WATCH_FILE)
        return err_new(ERR_DENIED, "files are watched by a [watch NAME] section in coffer.conf");
    return NULL;
}

err_t *api_watch_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    watch_job_t job = {.web = web,
                       .arena = request->arena,
                       .actor = web_caller(request)->actor,
                       .now_ms = clk_unix_ms(clk_real())};
    bytes_t name, target, copy;
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "name", "target", NULL));
    TRY(jso_get_string(body, "name", LIMIT_NAME, true, &name));
    TRY(jso_get_string(body, "target", LIMIT_WATCH_TARGET, true, &target));
    TRY(check_name(name));
    TRY(arena_copy(request->arena, name, &copy));
    job.name = (const char *)copy.p;
    TRY(arena_copy(request->arena, target, &copy));
    job.target = (const char *)copy.p;
    TRY(check_target(job.target));
    TRY(db_write(web->db, write_source, &job));
    return http_reply_empty(reply, 204);
}

static err_t *remove_source(db_conn_t *conn, void *arg) {
    watch_job_t *job = arg;
    bool found = false;
    TRY(db_watch_remove(conn, job->name, "list", &found));
    if (!found)
        return err_new(ERR_NOT_FOUND,
                       "no source %s was added by coffer watch add (those of coffer.conf are "
                       "removed there)",
                       job->name);
    return audit_note(&job->web->audit, conn, job->actor, "watch.removed", job->name, NULL);
}

err_t *api_watch_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    watch_job_t job = {.web = web, .actor = web_caller(request)->actor};
    TRY(api_param(request, "name", &job.name));
    TRY(db_write(web->db, remove_source, &job));
    return http_reply_empty(reply, 204);
}

/* ---- checking and releasing ---- */

static err_t *write_check(db_conn_t *conn, void *arg) {
    const watch_job_t *job = arg;
    return ask_round(conn, job->now_ms);
}

err_t *api_watch_check(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    watch_job_t job = {.web = web, .now_ms = clk_unix_ms(clk_real())};
    CLEANUP(jso_free) json_t *out = NULL;
    (void)request;
    TRY(db_write(web->db, write_check, &job));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "asked_ms", job.now_ms));
    return api_send(reply, 202, out);
}

static err_t *write_release(db_conn_t *conn, void *arg) {
    const watch_job_t *job = arg;
    TRY(expiry_release(conn, job->now_ms));
    TRY(audit_note(&job->web->audit, conn, job->actor, "expiry.released", "", NULL));
    return ask_round(conn, job->now_ms);
}

err_t *api_watch_release(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    watch_job_t job = {
        .web = web, .actor = web_caller(request)->actor, .now_ms = clk_unix_ms(clk_real())};
    TRY(db_write(web->db, write_release, &job));
    return http_reply_empty(reply, 204);
}

/* ---- programs that ran ---- */

static err_t *read_runs(db_conn_t *conn, void *arg) {
    watch_job_t *job = arg;
    return db_action_runs_list(conn, job->arena, job->before, job->limit, &job->runs, &job->count);
}

err_t *api_watch_runs(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    watch_job_t job = {
        .web = web,
        .arena = request->arena,
    };
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page_seq(request, INT64_MAX, &job.before, &job.limit));
    if (job.limit > 100) job.limit = 100; /* their output is large */
    TRY(db_read(web->db, read_runs, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "runs", &list));
    for (size_t i = 0; i < job.count; i++) {
        const db_action_run_t *run = &job.runs[i];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "action", run->action));
        TRY(jso_set_str(item, "key", run->key));
        TRY(api_set_ms(item, "started", run->started_ms));
        TRY(jso_set_int(item, "milliseconds", run->ended_ms - run->started_ms));
        TRY(jso_set_str(item, "outcome", run->outcome));
        TRY(jso_set_str(item, "output", run->output));
    }
    if (job.count) TRY(api_set_next(out, job.count, job.limit, job.runs[job.count - 1].seq));
    return api_send(reply, 200, out);
}

/* ---- what ends ---- */

typedef struct {
    const web_t *web;
    arena_t *arena;
    db_expiring_at_t at;
    int64_t until, now_ms;
    size_t limit;
    db_expiring_t *rows;
    db_expiry_facts_t *facts;
    bool *late;
    size_t count;
} expiring_job_t;

/* The reason is looked up for those that are late alone. */
static err_t *read_expiring(db_conn_t *conn, void *arg) {
    expiring_job_t *job = arg;
    const expiry_conf_t *conf = &job->web->expiry;
    TRY(db_expiring_list(conn, job->arena, &job->at, job->until, job->limit, &job->rows,
                         &job->count));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->facts, &job->facts));
    TRY(arena_alloc(job->arena, job->count + 1, &job->late));
    for (size_t i = 0; i < job->count; i++) {
        const db_expiring_t *row = &job->rows[i];
        int64_t left = row->not_after - job->now_ms / 1000;
        job->late[i] = left <= 0 || expiry_threshold(conf->days, conf->days_n, row->not_before,
                                                     row->not_after, job->now_ms / 1000) != 0;
        if (job->late[i]) TRY(db_expiry_facts(conn, job->arena, row, job->now_ms, &job->facts[i]));
    }
    return NULL;
}

/* ?after=SECONDS-FINGERPRINT */
static err_t *parse_after(const char *after, arena_t *arena, db_expiring_at_t *ret_at) {
    CLEANUP(buf_done) buf_t raw;
    db_expiring_at_t at;
    bytes_t rest = bytes_str(after), seconds;
    buf_init(&raw, 64);
    if (!after[0]) return NULL;
    if (!text_split(&rest, '_', &seconds)) return err_new(ERR_INVALID, "after");
    TRY_WRAP(text_i64(seconds, &at.not_after), "after");
    TRY_WRAP(text_unhex(rest, &raw), "after");
    TRY(arena_copy(arena, buf_bytes(&raw), &at.fingerprint));
    *ret_at = at;
    return NULL;
}

static err_t *send_expiring(const expiring_job_t *job, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t next;
    json_t *list = NULL, *item = NULL;
    buf_init(&next, 200);
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "certificates", &list));
    for (size_t i = 0; i < job->count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(expiry_json(&job->rows[i], job->late[i] ? &job->facts[i] : NULL, 0, job->now_ms, item));
        TRY(jso_set_int(item, "noticed", job->rows[i].noticed));
    }
    if (job->count == job->limit) {
        const db_expiring_t *last = &job->rows[job->count - 1];
        TRY(buf_printf(&next, "%lld_", (long long)last->not_after));
        TRY(text_hex(last->fingerprint, &next));
        TRY(jso_set_string(out, "next", buf_bytes(&next)));
    }
    return api_send(reply, 200, out);
}

err_t *api_expiry(void *ctx, http_request_t *request, http_reply_t *reply) {
    enum { DAY_S = 86400, WITHIN = 60, WITHIN_MAX = 36500 };
    const char *after = NULL;
    uint64_t within = WITHIN;
    expiring_job_t job = {.web = ctx, .arena = request->arena, .now_ms = clk_unix_ms(clk_real())};
    int64_t now = job.now_ms / 1000;
    TRY(api_page(request, &after, &job.limit));
    TRY(http_query_u64(request->raw_query, "within", WITHIN_MAX, WITHIN, &within));
    job.until = now + (int64_t)within * DAY_S;
    job.at = (db_expiring_at_t){now - LIMIT_EXPIRY_PAST_S - 1, BYTES_NONE};
    TRY(parse_after(after, request->arena, &job.at));
    TRY(db_read(job.web->db, read_expiring, &job));
    return send_expiring(&job, reply);
}
