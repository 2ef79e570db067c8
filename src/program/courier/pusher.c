/*
 * Push jobs: see pusher.h. A job is leased while its push is in flight; a courier that dies
 * leaves the lease to run out, and the push is sent again: it is only a hint. Push jobs are never
 * given up, for a device that is not told waits for ever: they are repeated at most hourly.
 */
#include "program/courier/pusher.h"

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "device/push.h"
#include "http/multi.h"
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

typedef struct {
    pusher_t *pusher;
    arena_t *arena;
    size_t room;
    db_job_t *jobs;
    db_device_t *devices; /* parallel to jobs; state NULL: nothing to push */
    size_t count;
} batch_t;

static bool may_push(const db_device_t *device) {
    return strcmp(device->state, "enrolled") == 0 && strcmp(device->push_state, "ok") == 0;
}

static err_t *take(db_conn_t *conn, void *arg) {
    batch_t *batch = arg;
    int64_t now = clk_unix_ms(batch->pusher->o.clk);
    TRY(db_jobs_take(conn, batch->arena, "push", now, now + LEASE_MS, batch->room, &batch->jobs,
                     &batch->count));
    TRY(arena_alloc(batch->arena, (batch->count + 1) * sizeof *batch->devices, &batch->devices));
    for (size_t i = 0; i < batch->count; i++) {
        const db_job_t *job = &batch->jobs[i];
        bool found = false;
        TRY(db_devices_by_id(conn, batch->arena, job->name, &batch->devices[i], &found));
        if (found && may_push(&batch->devices[i])) continue;
        batch->devices[i].state = NULL;
        TRY(db_jobs_done(conn, job->seq, job->generation));
    }
    return NULL;
}

static err_t *send_one(pusher_t *pusher, const db_job_t *job, const db_device_t *device) {
    CLEANUP(push_message_done) push_message_t message = {0};
    CLEANUP(flight_free) flight_t *flight = mem_zalloc(sizeof *flight);
    if (!flight) return err_nomem();
    *flight = (flight_t){.pusher = pusher,
                         .seq = job->seq,
                         .generation = job->generation,
                         .attempts = job->attempts,
                         .token_ms = device->token_ms,
                         .device_id = mem_strdup(device->id)};
    if (!flight->device_id) return err_nomem();
    TRY(push_message(pusher->o.url, device->topic[0] ? device->topic : pusher->o.topic,
                     device->push_token, device->push_magic, clk_unix(pusher->o.clk) + EXPIRY_S,
                     &message));
    TRY(http_multi_add(pusher->multi, "POST", message.url, (const char *const *)message.headers,
                       buf_bytes(&message.body), on_answer, flight));
    flight = NULL; /* on_answer has it now */
    return NULL;
}

static err_t *next_due(db_conn_t *conn, void *arg) {
    int64_t *due = arg;
    bool found = false;
    TRY(db_jobs_next_due(conn, "push", due, &found));
    if (!found) *due = INT64_MAX;
    return NULL;
}

static err_t *take_due(pusher_t *pusher, int64_t *ret_next_ms) {
    int64_t due = INT64_MAX;
    TRY(db_read(pusher->o.db, next_due, &due));
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
        if (batch.devices[i].state)
            log_error(pusher->o.log, LOG_WARNING,
                      send_one(pusher, &batch.jobs[i], &batch.devices[i]), "push to device %s",
                      batch.jobs[i].name);
    return NULL;
}

/* ---- writing down ---- */

static err_t *settle_one(pusher_t *pusher, db_conn_t *conn, const flight_t *f) {
    int64_t now = clk_unix_ms(pusher->o.clk);
    int64_t wait = f->verdict.retry_after_s * 1000;
    switch (f->verdict.outcome) {
    case PUSH_SENT: return db_jobs_done(conn, f->seq, f->generation);
    case PUSH_TOKEN_GONE:
        TRY(db_devices_set_push_state(conn, f->device_id, "unregistered", f->token_ms));
        TRY(db_jobs_done(conn, f->seq, f->generation));
        return audit_note(pusher->o.audit, conn, "apns", "push.unregistered", f->device_id,
                          "reason", f->verdict.reason, NULL);
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
             ours ? " (check [push] certificate and topic in coffer.conf)" : ", will try again");
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
