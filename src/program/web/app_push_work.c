/*
 * See app_push_work.h. One thread.
 */
#include "program/web/app_push_work.h"

#include "arrival/app_push.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/common/worker.h"
#include "program/web/api_leases.h"
#include "store/app_pushes.h"

enum { LEASE_MS = 60 * 1000, ATTEMPTS = 5, ARENA = 64 * 1024, ID_MAX = 64 };

struct app_push_work {
    web_t *web;
    void (*wake)(void *web);
    worker_t *worker;
    buf_t payload; /* of the job at hand; empty: nothing is to be sent */
};

typedef struct {
    arena_t *arena;
    const char *device;
    db_app_push_t row;
    bool found;
} look_t;

static err_t *look(db_conn_t *conn, void *arg) {
    look_t *x = arg;
    return db_app_pushes_find(conn, x->arena, x->device, &x->row, &x->found);
}

/* *ret_release NULL: a cap, or no lease. The device asks itself then, when it needs the key. */
static err_t *ask(app_push_work_t *w, const lease_ref_t *ref, const char *event,
                  json_t **ret_release) {
    err_t *e = push_release_json(w->web->escrow, ref, event, ret_release);
    if (!e) return NULL;
    if (err_code(e) != ERR_NOT_FOUND && err_code(e) != ERR_BUSY && err_code(e) != ERR_DENIED)
        return e;
    err_free(e);
    return NULL;
}

static err_t *make(app_push_work_t *w, const db_job_t *job) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(jso_free) json_t *release = NULL;
    char device[ID_MAX];
    const char *account = NULL;
    bytes_t id, event;
    look_t x = {.device = device};
    TRY(arena_new(ARENA, &arena));
    x.arena = arena;
    TRY(app_push_name(job->name, &id, &account));
    if (id.n >= sizeof device) return err_new(ERR_INVALID, "a push job for no device");
    bytes_put(device, id);
    device[id.n] = '\0';
    TRY(jso_parse_object(bytes_str(job->payload), &json));
    TRY(jso_get_string(json, "event", LIMIT_LEASE_EVENT, true, &event));
    TRY(db_read(w->web->db, look, &x));
    if (!x.found) return NULL; /* it ended meanwhile */
    const lease_ref_t ref = {.device_id = device, .account = account, .actor = "system"};
    if (x.row.release) TRY(ask(w, &ref, (const char *)event.p, &release));
    return app_push_payload((const char *)event.p, release, &w->payload);
}

static void work(void *ctx, const db_job_t *job, work_result_t *result) {
    app_push_work_t *w = ctx;
    buf_done(&w->payload);
    buf_init(&w->payload, LIMIT_APNS_PAYLOAD);
    result->end = WORK_DONE;
    err_t *e = make(w, job);
    if (e) work_failed(result, err_code(e) == ERR_INVALID ? WORK_BURY : WORK_RETRY, e);
}

/* A push that still waits for the same device and account gives way to the newer one. */
static err_t *settled(void *ctx, db_conn_t *conn, const db_job_t *job,
                      const work_result_t *result) {
    app_push_work_t *w = ctx;
    const char *payload = NULL;
    int64_t now = clk_unix_ms(clk_real());
    if (result->end != WORK_DONE || w->payload.n == 0) return NULL;
    TRY(buf_cstr(&w->payload, &payload));
    TRY(db_jobs_put(conn, APP_PUSH_JOB, job->name, payload, now, now));
    return db_after_commit(conn, w->wake, w->web);
}

/* Without a certificate nobody is pushed to: nothing may wait for it. Devices say their tokens
 * again. */
static err_t *clear(db_conn_t *conn, void *arg) {
    (void)arg;
    TRY(db_app_pushes_clear(conn));
    TRY(db_jobs_clear(conn, APP_PUSH_RELEASE_JOB));
    return db_jobs_clear(conn, APP_PUSH_JOB);
}

err_t *app_push_work_start(web_t *web, void (*wake)(void *web), app_push_work_t **ret_work) {
    if (!web->settings.mailbox.push_certificate[0]) return db_write(web->db, clear, NULL);
    app_push_work_t *w = mem_zalloc(sizeof *w);
    if (!w) return err_nomem();
    w->web = web;
    w->wake = wake;
    const worker_kind_t kind = {.kind = APP_PUSH_RELEASE_JOB,
                                .lease_ms = LEASE_MS,
                                .attempts = ATTEMPTS,
                                .ctx = w,
                                .work = work,
                                .settled = settled};
    buf_init(&w->payload, LIMIT_APNS_PAYLOAD);
    err_t *e = worker_start(web->db, &web->log, clk_real(), &kind, &w->worker);
    if (e) {
        mem_free(w);
        return e;
    }
    *ret_work = w;
    return NULL;
}

void app_push_work_wake(void *work) {
    app_push_work_t *w = work;
    if (w) worker_wake(w->worker);
}

void app_push_work_stop(app_push_work_t *w) {
    if (!w) return;
    worker_stop(w->worker);
    buf_done(&w->payload);
    mem_free(w);
}
