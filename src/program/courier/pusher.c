/*
 * Push jobs: see pusher.h. A job is leased while its push is in flight; a courier that dies
 * leaves the lease to run out, and the push is sent again: it is only a hint. Push jobs are never
 * given up, for a device that is not told waits for ever: they are repeated at most hourly.
 */
#include "program/courier/pusher.h"

#include "arrival/app_push.h"
#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "device/push.h"
#include "http/multi.h"
#include "store/app_pushes.h"
#include "store/devices.h"
#include "store/jobs.h"

enum {
    LEASE_MS = 60 * 1000,          /* longer than any request may take */
    EXPIRY_S = 7 * 86400,          /* how long APNs keeps a push for a sleeping device */
    ROUND_ARENA = 4 * 1024 * 1024, /* bytes for the rows of one batch */
    OURS_EVERY_MS = 3600 * 1000,   /* our certificate is wrong: try again after this */
    COMPLAIN_EVERY_MS = 60 * 1000, /* and say so this often */
};

typedef struct flight flight_t;
struct flight {
    pusher_t *pusher;
    flight_t *next; /* in pusher->finished */
    int64_t seq;
    int64_t generation;
    int64_t attempts;
    int64_t token_ms;
    char *device_id;
    push_verdict_t verdict;
};

struct pusher {
    pusher_options_t o;
    http_multi_t *multi;
    flight_t *finished;
    int64_t complained_ms;
};

static void flight_free(flight_t *flight) {
    if (!flight) return;
    mem_free(flight->device_id);
    mem_free(flight);
}
DEFINE_CLEANUP(flight_t, flight_free)

err_t *pusher_new(const pusher_options_t *options, pusher_t **ret_pusher) {
    CLEANUP(pusher_free) pusher_t *pusher = mem_zalloc(sizeof *pusher);
    if (!pusher) return err_nomem();
    pusher->o = *options;
    TRY(http_multi_new(&options->http, 1, LIMIT_APNS_STREAMS, &pusher->multi));
    *ret_pusher = STEAL(pusher);
    return NULL;
}

void pusher_free(pusher_t *pusher) {
    if (!pusher) return;
    http_multi_free(pusher->multi); /* calls back what is in flight: into `finished` */
    for (flight_t *f = pusher->finished; f;) {
        flight_t *next = f->next;
        flight_free(f);
        f = next;
    }
    mem_free(pusher);
}

void pusher_wake(pusher_t *pusher) { http_multi_wake(pusher->multi); }

static void on_answer(void *ctx, const http_response_t *response) {
    flight_t *flight = ctx;
    pusher_t *pusher = flight->pusher;
    if (response->end == HTTP_END_OK) {
        bytes_t retry_after = BYTES_NONE;
        (void)http_response_header(response, "retry-after", &retry_after);
        flight->verdict =
            push_judge(response->status, buf_bytes(&response->body), retry_after, flight->token_ms);
    } else {
        const char *end = http_end_name(response->end);
        flight->verdict = (push_verdict_t){.outcome = PUSH_RETRY};
        size_t n = strlen(end) < sizeof flight->verdict.reason - 1
                       ? strlen(end)
                       : sizeof flight->verdict.reason - 1;
        memcpy(flight->verdict.reason, end, n);
    }
    flight->next = pusher->finished;
    pusher->finished = flight;
}

/* ---- taking ---- */

/* Whom a job is for. */
typedef struct {
    bool there; /* else there is nothing to push */
    const char *device_id;
    bytes_t token;
    int64_t token_ms;
    const char *topic; /* of an MDM push, or "" */
    const char *magic; /* of an MDM push */
} target_t;

typedef struct {
    pusher_t *pusher;
    arena_t *arena;
    size_t room;
    db_job_t *jobs;
    target_t *targets; /* parallel to jobs */
    size_t count;
} batch_t;

static const char *job_kind(const pusher_t *pusher) {
    switch (pusher->o.kind) {
    case PUSHER_MDM: return "push";
    case PUSHER_APP: return APP_PUSH_JOB;
    }
    return "";
}

static err_t *find_device(db_conn_t *conn, arena_t *arena, const db_job_t *job, target_t *t) {
    db_device_t device;
    TRY(db_devices_by_id(conn, arena, job->name, &device, &t->there));
    if (!t->there) return NULL;
    t->there = strcmp(device.state, "enrolled") == 0 && strcmp(device.push_state, "ok") == 0;
    *t = (target_t){.there = t->there,
                    .device_id = device.id,
                    .token = device.push_token,
                    .token_ms = device.token_ms,
                    .topic = device.topic,
                    .magic = device.push_magic};
    return NULL;
}

static err_t *find_app(db_conn_t *conn, arena_t *arena, const db_job_t *job, target_t *t) {
    db_app_push_t row;
    bytes_t id;
    char *device = NULL;
    const char *account = NULL;
    TRY(app_push_name(job->name, &id, &account));
    TRY(arena_alloc(arena, id.n + 1, &device));
    bytes_put(device, id);
    device[id.n] = '\0';
    TRY(db_app_pushes_find(conn, arena, device, &row, &t->there));
    if (t->there)
        *t = (target_t){.there = true,
                        .device_id = device,
                        .token = row.token,
                        .token_ms = row.token_ms,
                        .topic = ""};
    return NULL;
}

static err_t *take(db_conn_t *conn, void *arg) {
    batch_t *batch = arg;
    const pusher_t *pusher = batch->pusher;
    int64_t now = clk_unix_ms(pusher->o.clk);
    TRY(db_jobs_take(conn, batch->arena, job_kind(pusher), now, now + LEASE_MS, batch->room,
                     &batch->jobs, &batch->count));
    TRY(arena_alloc(batch->arena, (batch->count + 1) * sizeof *batch->targets, &batch->targets));
    for (size_t i = 0; i < batch->count; i++) {
        const db_job_t *job = &batch->jobs[i];
        target_t *t = &batch->targets[i];
        *t = (target_t){0};
        TRY(pusher->o.kind == PUSHER_MDM ? find_device(conn, batch->arena, job, t)
                                         : find_app(conn, batch->arena, job, t));
        if (!t->there) TRY(db_jobs_done(conn, job->seq, job->generation));
    }
    return NULL;
}

static err_t *make_message(const pusher_t *pusher, const db_job_t *job, const target_t *t,
                           push_message_t *message) {
    int64_t expiry = clk_unix(pusher->o.clk) + EXPIRY_S;
    const char *topic = t->topic[0] ? t->topic : pusher->o.topic;
    if (pusher->o.kind == PUSHER_APP)
        return push_message_app(pusher->o.url, topic, t->token, bytes_str(job->payload), expiry,
                                message);
    return push_message(pusher->o.url, topic, t->token, t->magic, expiry, message);
}

static err_t *send_one(pusher_t *pusher, const db_job_t *job, const target_t *t) {
    CLEANUP(push_message_done) push_message_t message = {0};
    CLEANUP(flight_free) flight_t *flight = mem_zalloc(sizeof *flight);
    if (!flight) return err_nomem();
    *flight = (flight_t){.pusher = pusher,
                         .seq = job->seq,
                         .generation = job->generation,
                         .attempts = job->attempts,
                         .token_ms = t->token_ms,
                         .device_id = mem_strdup(t->device_id)};
    if (!flight->device_id) return err_nomem();
    TRY(make_message(pusher, job, t, &message));
    TRY(http_multi_add(pusher->multi, "POST", message.url, (const char *const *)message.headers,
                       buf_bytes(&message.body), on_answer, flight));
    flight = NULL; /* on_answer has it now */
    return NULL;
}

typedef struct {
    const pusher_t *pusher;
    int64_t due_ms;
} due_t;

static err_t *next_due(db_conn_t *conn, void *arg) {
    due_t *x = arg;
    bool found = false;
    TRY(db_jobs_next_due(conn, job_kind(x->pusher), &x->due_ms, &found));
    if (!found) x->due_ms = INT64_MAX;
    return NULL;
}

static err_t *take_due(pusher_t *pusher, int64_t *ret_next_ms) {
    due_t x = {.pusher = pusher, .due_ms = INT64_MAX};
    TRY(db_read(pusher->o.db, next_due, &x));
    int64_t due = x.due_ms;
    int64_t now = clk_unix_ms(pusher->o.clk);
    *ret_next_ms = due > now ? due - now : 0;
    size_t room = http_multi_room(pusher->multi);
    if (due > now || room == 0) return NULL;
    batch_t batch = {.pusher = pusher, .room = room < LIMIT_JOB_BATCH ? room : LIMIT_JOB_BATCH};
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ROUND_ARENA, &arena));
    batch.arena = arena;
    TRY(db_write(pusher->o.db, take, &batch));
    for (size_t i = 0; i < batch.count; i++) /* what can't be sent now waits for its lease's end */
        if (batch.targets[i].there)
            log_error(pusher->o.log, LOG_WARNING,
                      send_one(pusher, &batch.jobs[i], &batch.targets[i]), "push to device %s",
                      batch.targets[i].device_id);
    return NULL;
}

/* ---- writing down ---- */

static err_t *settle_one(pusher_t *pusher, db_conn_t *conn, const flight_t *f) {
    int64_t now = clk_unix_ms(pusher->o.clk);
    int64_t wait = f->verdict.retry_after_s * 1000;
    switch (f->verdict.outcome) {
    case PUSH_SENT: return db_jobs_done(conn, f->seq, f->generation);
    case PUSH_TOKEN_GONE:
        TRY(pusher->o.kind == PUSHER_APP
                ? db_app_pushes_remove(conn, f->device_id, f->token_ms)
                : db_devices_set_push_state(conn, f->device_id, "unregistered", f->token_ms));
        TRY(db_jobs_done(conn, f->seq, f->generation));
        return audit_note(pusher->o.audit, conn, "apns", "push.unregistered", f->device_id, "app",
                          pusher->o.kind == PUSHER_APP ? pusher->o.topic : NULL, "reason",
                          f->verdict.reason, NULL);
    case PUSH_RETRY:
        if (wait == 0) wait = push_backoff_ms(f->attempts, (uint8_t)f->seq);
        return db_jobs_retry(conn, f->seq, f->generation, now + wait, f->verdict.reason);
    case PUSH_OURS:
        return db_jobs_retry(conn, f->seq, f->generation, now + OURS_EVERY_MS, f->verdict.reason);
    }
    return NULL;
}

static err_t *settle(db_conn_t *conn, void *arg) {
    pusher_t *pusher = arg;
    for (const flight_t *f = pusher->finished; f; f = f->next) TRY(settle_one(pusher, conn, f));
    return NULL;
}

static void complain(pusher_t *pusher, const flight_t *f) {
    int64_t now = clk_mono_ms(pusher->o.clk);
    bool ours = f->verdict.outcome == PUSH_OURS;
    if (!ours && f->verdict.outcome != PUSH_RETRY) return;
    if (pusher->complained_ms && now - pusher->complained_ms < COMPLAIN_EVERY_MS) return;
    pusher->complained_ms = now;
    log_line(pusher->o.log, ours ? LOG_ERROR : LOG_WARNING, "push to device %s failed: %s%s",
             f->device_id, f->verdict.reason,
             ours ? pusher->o.kind == PUSHER_APP
                        ? " (check [mailbox] push_certificate and app in coffer.conf)"
                        : " (check [push] certificate and topic in coffer.conf)"
                  : ", will try again");
}

static err_t *settle_finished(pusher_t *pusher) {
    if (!pusher->finished) return NULL;
    for (const flight_t *f = pusher->finished; f; f = f->next) complain(pusher, f);
    err_t *e = db_write(pusher->o.db, settle, pusher);
    if (e) return e; /* they stay in the list: tried again with the next round */
    while (pusher->finished) {
        flight_t *f = pusher->finished;
        pusher->finished = f->next;
        flight_free(f);
    }
    return NULL;
}

err_t *pusher_round(pusher_t *pusher, int wait_ms) {
    int64_t next_ms = INT64_MAX;
    TRY_WRAP(take_due(pusher, &next_ms), "taking push jobs");
    if (next_ms == 0 && http_multi_room(pusher->multi) == 0) next_ms = wait_ms;
    err_t *e = http_multi_step(pusher->multi, next_ms < wait_ms ? (int)next_ms : wait_ms);
    err_t *settled = settle_finished(pusher);
    if (!e) return settled;
    err_free(settled);
    return err_wrap(e, "talking to APNs");
}
