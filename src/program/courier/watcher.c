/*
 * Rounds of the expiry watch: see watcher.h. The round runs on the "watch" worker's thread, looks
 * on up to LIMIT_WATCH_THREADS more; programs run from the "action" worker's thread.
 */
#include "program/courier/watcher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "audit/note.h"
#include "base/mem.h"
#include "base/text.h"
#include "pki/expiry_cause.h"
#include "pki/expiry_run.h"
#include "program/courier/probe.h"

enum {
    FIRST_MS = 30 * 1000, /* after the start: coffer-web listens by then */
    WATCH_LEASE_MS = 15 * 60 * 1000,
    ACTION_LEASE_MS = (LIMIT_ACTION_S + 30) * 1000,
    ROUND_ARENA = 16 * 1024 * 1024,
    OUTCOME = 64,
    PROBLEM = 400,
    TEMPORARY = 75, /* EX_TEMPFAIL of sysexits.h */
    ATTEMPTS = 10,
};

struct watcher {
    watcher_options_t o;
    expiry_conf_t conf;
    const char *action_names[LIMIT_ACTIONS];
    char *directories[LIMIT_WATCH_CONF]; /* of file: targets */
    runner_t *runner;
    ldappeople_t *people; /* or NULL: there is no directory */
    db_t *db;
    keeper_t *keeper;
    const audit_t *audit;
    const log_t *log;
    const clk_t *clk;
    worker_t *rounds, *actions;
    int64_t asked_mono_ms; /* main thread alone; when the last round was asked for */
    int64_t ran_mono_ms;   /* the round's thread alone; -1: none yet that was not held */
    /* the action worker's thread alone: how the program that is being settled went */
    int64_t started_ms, ended_ms;
    char outcome[OUTCOME];
    buf_t output;
};

/* ---- start ---- */

static err_t *check_watches(watcher_t *w) {
    for (size_t i = 0; i < w->conf.watches_n; i++) {
        watch_target_t target;
        const watch_conf_t *watch = &w->conf.watches[i];
        TRY_WRAP(watch_target_parse(watch->target, &target), "coffer.conf: [watch %s] target",
                 watch->name);
        if (target.kind != WATCH_FILE) continue;
        char *slash = strrchr(target.path, '/');
        w->directories[i] =
            mem_strndup(target.path, slash == target.path ? 1 : (size_t)(slash - target.path));
        if (!w->directories[i]) return err_nomem();
    }
    return NULL;
}

static err_t *start_runner(watcher_t *w) {
    runner_program_t programs[LIMIT_ACTIONS];
    for (size_t i = 0; i < w->conf.actions_n; i++) {
        w->action_names[i] = w->conf.actions[i].name;
        programs[i] =
            (runner_program_t){w->conf.actions[i].run, w->conf.actions[i].timeout_s * 1000};
    }
    return w->conf.actions_n ? runner_start(programs, w->conf.actions_n, &w->runner) : NULL;
}

err_t *watcher_new(const watcher_options_t *options, watcher_t **ret_watcher) {
    CLEANUP(watcher_free) watcher_t *w = mem_zalloc(sizeof *w);
    if (!w) return err_nomem();
    w->o = *options;
    w->ran_mono_ms = -1;
    buf_init(&w->output, LIMIT_ACTION_OUTPUT);
    TRY(expiry_conf_load(options->settings, &w->conf));
    TRY(check_watches(w));
    TRY(start_runner(w));
    *ret_watcher = STEAL(w);
    return NULL;
}

size_t watcher_paths(const watcher_t *w, sandbox_path_t *paths, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < w->conf.watches_n && n < max; i++)
        if (w->directories[i])
            paths[n++] = (sandbox_path_t){w->directories[i], SANDBOX_READ | SANDBOX_OPTIONAL};
    return n;
}

/* ---- sources ---- */

typedef struct {
    watcher_t *w;
    const char *name;
    const char *target;
    const char *problem; /* NULL: it was reached */
    const cert_facts_t *facts;
    size_t count;
} look_t;

static err_t *write_look(db_conn_t *conn, void *arg) {
    const look_t *look = arg;
    int64_t now = clk_unix_ms(look->w->clk);
    TRY(db_watch_set_state(conn, look->name, look->problem ? "unreachable" : "ok",
                           look->problem ? look->problem : "", now));
    if (look->problem) return NULL; /* what it showed last stays watched */
    TRY(db_watch_certs_clear(conn, look->name));
    for (size_t i = 0; i < look->count; i++) {
        const cert_facts_t *f = &look->facts[i];
        db_watch_cert_t row = {look->name, BYTES_ARRAY(f->sha256), f->subject,  f->issuer,
                               f->serial,  f->not_before,          f->not_after};
        TRY(db_watch_certs_add(conn, &row));
    }
    return NULL;
}

static err_t *look_up(watcher_t *w, const char *address, cert_facts_t *facts, size_t *ret_count) {
    CLEANUP(cert_list_done) cert_list_t list = {0};
    if (!w->people)
        return err_new(ERR_UNAVAILABLE, "there is no directory: coffer.conf has no [ldap] url");
    TRY(ldappeople_certificates(w->people, bytes_str(address), &list));
    if (list.n == 0) return err_new(ERR_NOT_FOUND, "the directory has none for %s", address);
    _Static_assert(LIMIT_LDAP_CERTIFICATES <= LIMIT_WATCH_CERTIFICATES, "room for all");
    for (size_t i = 0; i < list.n; i++) TRY(cert_facts_der(cert_der(list.certs[i]), &facts[i]));
    *ret_count = list.n;
    return NULL;
}

static err_t *look_at(watcher_t *w, const db_watch_source_t *source, cert_facts_t *facts) {
    watch_target_t target;
    look_t look = {.w = w, .name = source->name, .facts = facts};
    char text[PROBLEM];
    err_t *e = watch_target_parse(source->target, &target);
    if (!e)
        e = target.kind == WATCH_LDAP ? look_up(w, target.address, facts, &look.count)
                                      : probe_target(&target, w->clk, facts, &look.count);
    if (e) look.problem = err_text(e, text, sizeof text);
    err_t *written = db_write(w->db, write_look, &look);
    err_free(e);
    return written;
}

typedef struct {
    watcher_t *w;
    const db_watch_source_t *sources;
    size_t count;
    _Atomic size_t next;
} looks_t;

static void *look_thread(void *arg) {
    looks_t *looks = arg;
    cert_facts_t *facts = mem_array(LIMIT_WATCH_CERTIFICATES, sizeof *facts);
    for (size_t i; facts && (i = atomic_fetch_add(&looks->next, 1)) < looks->count;) {
        if (looks->sources[i].target[0])
            log_error(looks->w->log, LOG_WARNING, look_at(looks->w, &looks->sources[i], facts),
                      "watching %s", looks->sources[i].name);
    }
    mem_free(facts);
    return NULL;
}

static void look_at_all(watcher_t *w, const db_watch_source_t *sources, size_t count) {
    looks_t looks = {.w = w, .sources = sources, .count = count};
    pthread_t threads[LIMIT_WATCH_THREADS - 1];
    size_t started = 0;
    while (started < LIMIT_WATCH_THREADS - 1 && started + 1 < count &&
           pthread_create(&threads[started], NULL, look_thread, &looks) == 0)
        started++;
    (void)look_thread(&looks);
    for (size_t i = 0; i < started; i++) (void)pthread_join(threads[i], NULL);
}

/* ---- our own ---- */

typedef struct {
    watcher_t *w;
    arena_t *arena;
    char tls_target[128];
    db_watch_source_t *sources;
    size_t count;
    bytes_t ocsp;
    bool has_ocsp;
} round_t;

/* Through the network, so that what is served is seen, not what lies in a file. */
static void own_tls_target(const settings_listen_t *listen, char *out, size_t size) {
    const char *address = listen->address;
    if (strcmp(address, "0.0.0.0") == 0) address = "127.0.0.1";
    if (strcmp(address, "::") == 0) address = "::1";
    bool six = strchr(address, ':') != NULL;
    (void)snprintf(out, size, "tls:%s%s%s:%u", six ? "[" : "", address, six ? "]" : "",
                   listen->port);
}

static bool is_configured(const watcher_t *w, const char *name) {
    for (size_t i = 0; i < w->conf.watches_n; i++)
        if (strcmp(w->conf.watches[i].name, name) == 0) return true;
    return false;
}

/* Brings the table in line with coffer.conf. */
static err_t *sync_sources(db_conn_t *conn, void *arg) {
    round_t *round = arg;
    watcher_t *w = round->w;
    static const char *const own[] = {EXPIRY_OWN_ROOT, EXPIRY_OWN_DEVICE_CA, EXPIRY_OWN_MAIL_CA,
                                      EXPIRY_OWN_PROFILE_SIGNER, EXPIRY_OWN_OCSP};
    int64_t now = clk_unix_ms(w->clk);
    bool found = false;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        TRY(db_watch_put(conn, own[i], "", "own", now));
    TRY(db_watch_put(conn, EXPIRY_OWN_TLS, round->tls_target, "own", now));
    if (w->o.push_pem.n) TRY(db_watch_put(conn, EXPIRY_OWN_PUSH, "", "own", now));
    else TRY(db_watch_remove(conn, EXPIRY_OWN_PUSH, "own", &found));
    for (size_t i = 0; i < w->conf.watches_n; i++)
        TRY(db_watch_put(conn, w->conf.watches[i].name, w->conf.watches[i].target, "conf", now));
    TRY(db_watch_list(conn, round->arena, "", LIMIT_WATCH_SOURCES, &round->sources, &round->count));
    for (size_t i = 0; i < round->count; i++) {
        db_watch_source_t *s = &round->sources[i];
        if (strcmp(s->origin, "conf") != 0 || is_configured(w, s->name)) continue;
        TRY(db_watch_remove(conn, s->name, "conf", &found));
        s->target = ""; /* not looked at */
    }
    return db_watch_ocsp_responder(conn, round->arena, &round->ocsp, &round->has_ocsp);
}

static err_t *note_own(watcher_t *w, const char *name, bytes_t content, err_t *problem) {
    cert_facts_t facts[4];
    char text[PROBLEM];
    look_t look = {.w = w, .name = name, .facts = facts};
    if (!problem)
        problem = cert_facts_file(content, sizeof facts / sizeof facts[0], facts, &look.count);
    if (problem) look.problem = err_text(problem, text, sizeof text);
    err_t *e = db_write(w->db, write_look, &look);
    err_free(problem);
    return e;
}

static err_t *note_ca(watcher_t *w, const char *name, keeper_public_t which) {
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    err_t *e = keeper_public(w->keeper, which, &der);
    return note_own(w, name, buf_bytes(&der), e);
}

static err_t *look_at_own(const round_t *round) {
    watcher_t *w = round->w;
    TRY(note_ca(w, EXPIRY_OWN_ROOT, KEEPER_PUBLIC_ROOT));
    TRY(note_ca(w, EXPIRY_OWN_DEVICE_CA, KEEPER_PUBLIC_DEVICE_CA));
    TRY(note_ca(w, EXPIRY_OWN_MAIL_CA, KEEPER_PUBLIC_MAIL_CA));
    TRY(note_ca(w, EXPIRY_OWN_PROFILE_SIGNER, KEEPER_PUBLIC_PROFILE_SIGNER));
    if (w->o.push_pem.n) TRY(note_own(w, EXPIRY_OWN_PUSH, w->o.push_pem, NULL));
    if (round->has_ocsp) TRY(note_own(w, EXPIRY_OWN_OCSP, round->ocsp, NULL));
    return NULL;
}

/* ---- a round ---- */

static err_t *run_rules(watcher_t *w) {
    const expiry_options_t options = {.db = w->db,
                                      .audit = w->audit,
                                      .clk = w->clk,
                                      .notify = &w->o.notify->notify,
                                      .organisation = w->o.settings->organisation,
                                      .days = w->conf.days,
                                      .days_n = w->conf.days_n,
                                      .brake = w->conf.brake,
                                      .holders = w->conf.holders,
                                      .actions = w->action_names,
                                      .actions_n = w->conf.actions_n};
    expiry_result_t result = {.brake = EXPIRY_GO};
    do { /* past the brake, when an admin released it: as many as it allows each time */
        int64_t now = clk_mono_ms(w->clk);
        TRY(expiry_run(&options, w->ran_mono_ms < 0 ? -1 : now - w->ran_mono_ms, &result));
        if (result.brake == EXPIRY_GO) w->ran_mono_ms = now;
    } while (result.brake == EXPIRY_GO && result.noticed && result.noticed < result.due);
    if (result.brake != EXPIRY_GO)
        log_line(w->log, LOG_ERROR,
                 "notices about %lld certificates that end are held back: %s. coffer watch list "
                 "tells more",
                 (long long)result.due,
                 result.brake == EXPIRY_HOLD_CLOCK ? "the clock ran ahead" : "too many at once");
    return NULL;
}

static err_t *run_round(watcher_t *w) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    round_t round = {.w = w};
    TRY(arena_new(ROUND_ARENA, &arena));
    round.arena = arena;
    own_tls_target(&w->o.settings->listen, round.tls_target, sizeof round.tls_target);
    TRY_WRAP(db_write(w->db, sync_sources, &round), "[watch]");
    TRY(look_at_own(&round));
    look_at_all(w, round.sources, round.count);
    return run_rules(w);
}

static void work_round(void *ctx, const db_job_t *job, work_result_t *result) {
    (void)job;
    err_t *e = run_round(ctx);
    if (e) work_failed(result, WORK_RETRY, e);
    else result->end = WORK_DONE;
}

static err_t *ask(db_conn_t *conn, void *arg) {
    const watcher_t *w = arg;
    int64_t now = clk_unix_ms(w->clk);
    return db_jobs_put(conn, EXPIRY_JOB_WATCH, "run", "{}", now, now);
}

void watcher_use_directory(watcher_t *w, ldappeople_t *people) { w->people = people; }

err_t *watcher_tick(watcher_t *w) {
    int64_t now = clk_mono_ms(w->clk);
    if (now < w->asked_mono_ms) return NULL;
    w->asked_mono_ms = now + w->conf.interval_s * 1000;
    TRY(db_write(w->db, ask, w));
    worker_wake(w->rounds);
    return NULL;
}

/* ---- programs ---- */

static void say_end(watcher_t *w, run_end_t end, int code) {
    switch (end) {
    case RUN_EXIT: (void)snprintf(w->outcome, sizeof w->outcome, "exit %d", code); return;
    case RUN_SIGNAL: (void)snprintf(w->outcome, sizeof w->outcome, "signal %d", code); return;
    case RUN_TIMEOUT: (void)snprintf(w->outcome, sizeof w->outcome, "timeout"); return;
    case RUN_FAILED:
        (void)snprintf(w->outcome, sizeof w->outcome, "failed: %s", strerrordesc_np(code));
        return;
    }
}

static err_t *run_action(watcher_t *w, const db_job_t *job, work_result_t *result) {
    CLEANUP(jso_free) json_t *payload = NULL;
    CLEANUP(buf_done) buf_t input;
    bytes_t name;
    json_t *body = NULL;
    size_t index = 0;
    run_end_t end = RUN_FAILED;
    int code = 0;
    buf_init(&input, LIMIT_JSON_BYTES);
    TRY(jso_parse_object(bytes_str(job->payload), &payload));
    TRY(jso_get_string(payload, "action", LIMIT_NAME, true, &name));
    TRY(jso_get_object(payload, "body", true, &body));
    while (index < w->conf.actions_n && !bytes_eq_str(name, w->action_names[index])) index++;
    if (index == w->conf.actions_n)
        return err_new(ERR_INVALID, "coffer.conf has no [action %.*s] any more", (int)name.n,
                       (const char *)name.p);
    TRY(jso_write(body, true, &input));
    TRY(runner_run(w->runner, index, buf_bytes(&input), &w->output, &end, &code));
    say_end(w, end, code);
    if (end == RUN_EXIT && code == 0) return NULL;
    result->end = end == RUN_EXIT && code == TEMPORARY ? WORK_RETRY : WORK_BURY;
    (void)snprintf(result->why, sizeof result->why, "%s", w->outcome);
    return NULL;
}

static void work_action(void *ctx, const db_job_t *job, work_result_t *result) {
    watcher_t *w = ctx;
    buf_clear(&w->output);
    w->outcome[0] = '\0';
    w->started_ms = clk_unix_ms(w->clk);
    result->end = WORK_DONE;
    err_t *e = run_action(w, job, result);
    w->ended_ms = clk_unix_ms(w->clk);
    if (e) work_failed(result, err_code(e) == ERR_INVALID ? WORK_BURY : WORK_RETRY, e);
    for (size_t i = 0; i < w->output.n; i++) { /* text for people: printable ASCII and lines */
        uint8_t *c = &w->output.p[i];
        if ((*c < 0x20 && *c != '\n' && *c != '\t') || *c > 0x7e) *c = '?';
    }
}

static err_t *note_action(void *ctx, db_conn_t *conn, const db_job_t *job,
                          const work_result_t *result) {
    watcher_t *w = ctx;
    const char *output = NULL;
    const char *colon = strrchr(job->name, ':'); /* KEY:ACTION */
    CLEANUP(mem_free)
    char *key = mem_strndup(job->name, colon ? (size_t)(colon - job->name) : strlen(job->name));
    if (!key) return err_nomem();
    if (!w->outcome[0]) (void)snprintf(w->outcome, sizeof w->outcome, "%.60s", result->why);
    TRY(buf_cstr(&w->output, &output));
    db_action_run_t row = {.action = colon ? colon + 1 : "",
                           .key = key,
                           .started_ms = w->started_ms,
                           .ended_ms = w->ended_ms,
                           .outcome = w->outcome,
                           .output = output};
    TRY(db_action_runs_add(conn, &row));
    return audit_note(w->audit, conn, "courier", "action.run", row.action, "key", key, "outcome",
                      w->outcome, NULL);
}

/* ---- life ---- */

err_t *watcher_start(watcher_t *w, db_t *db, keeper_t *keeper, const audit_t *audit,
                     const log_t *log, const clk_t *clk) {
    worker_kind_t rounds = {.kind = EXPIRY_JOB_WATCH,
                            .batch = 1,
                            .lease_ms = WATCH_LEASE_MS,
                            .ctx = w,
                            .work = work_round};
    worker_kind_t actions = {.kind = EXPIRY_JOB_ACTION,
                             .batch = 1,
                             .lease_ms = ACTION_LEASE_MS,
                             .attempts = ATTEMPTS,
                             .ctx = w,
                             .work = work_action,
                             .settled = note_action};
    w->db = db;
    w->keeper = keeper;
    w->audit = audit;
    w->log = log;
    w->clk = clk;
    w->asked_mono_ms = clk_mono_ms(clk) + FIRST_MS;
    TRY(worker_start(db, log, clk, &rounds, &w->rounds));
    return w->runner ? worker_start(db, log, clk, &actions, &w->actions) : NULL;
}

void watcher_wake(watcher_t *watcher) {
    if (!watcher) return;
    worker_wake(watcher->rounds);
    worker_wake(watcher->actions);
}

void watcher_free(watcher_t *watcher) {
    if (!watcher) return;
    worker_stop(watcher->rounds);
    worker_stop(watcher->actions);
    runner_free(watcher->runner);
    for (size_t i = 0; i < LIMIT_WATCH_CONF; i++) mem_free(watcher->directories[i]);
    buf_done(&watcher->output);
    mem_free(watcher);
}
