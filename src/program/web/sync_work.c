/*
 * The recurring work of synced files, on one thread of coffer-web: checkpoints of the log, repair,
 * scrub, forgetting what no tree has, collection of blobs nobody needs (decision 0034).
 */
#include "keeper/client_sync.h"
#include "program/web/web_sync.h"
#include "store/sync_clock.h"

enum {
    TURN_S = 1,
    CLOCK_TURNS = 60,
    CLOCK_OFF_MS = 24 * 3600 * 1000,
    REPAIR_TURNS = 30,
    COLLECT_TURNS = 300,
    REPAIR_BATCH = 100,
    COLLECT_BATCH = 200,
    COLLECT_ROUNDS = 50,
};

typedef struct {
    web_t *web;
    background_t *work;
    uint64_t refused; /* leaves of a tree that the keeper does not sign */
    bool scrubbing;
    bool clock_off; /* and said so */
} work_t;

static void report(const work_t *w, err_t *e, const char *what) {
    log_error(&w->web->log, LOG_WARNING, e, "%s", what);
}

/* ---- the clock of ages ---- */

static err_t *clock_fn(db_conn_t *conn, void *arg) {
    const int64_t *now_ms = arg;
    return db_sync_clock_put(conn, *now_ms);
}

/* It goes on from what is kept, whatever the time of day is said to be at the next start. */
static err_t *keep_clock(work_t *w) {
    const clk_steady_t *ages = w->web->sync->ages;
    int64_t now_ms = clk_unix_ms(clk_steady_clk(ages)), off = clk_steady_off(ages);
    bool is_off = off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS;
    if (is_off && !w->clock_off)
        log_line(&w->web->log, LOG_WARNING,
                 "sync: the time of day is %lld hours %s of the time that was counted for synced "
                 "files (a wrong clock, or time off); kept versions age by what was counted",
                 (long long)(off > 0 ? off : -off) / (3600 * 1000), off > 0 ? "ahead" : "behind");
    w->clock_off = is_off;
    return db_write(w->web->db, clock_fn, &now_ms);
}

/* ---- the log ---- */

/* The keeper signs only what goes on from the last tree that it signed, so it is shown a proof. */
static err_t *ask_keeper(const work_t *w, keeper_tree_t *tree, buf_t *note) {
    CLEANUP(buf_done) buf_t proof;
    uint64_t last = 0;
    buf_init(&proof, MERKLE_PROOF_MAX * MERKLE_HASH);
    TRY(sync_log_proof(w->web->sync->service, tree->old_size, tree->size, &proof));
    tree->proof = buf_bytes(&proof);
    TRY(keeper_sync_checkpoint(w->web->keeper, tree, &last, note));
    tree->proof = BYTES_NONE;
    tree->old_size = last;
    return NULL;
}

static err_t *sign_checkpoint(work_t *w) {
    web_sync_t *sync = w->web->sync;
    CLEANUP(buf_done) buf_t note;
    uint8_t root[SYNC_HASH];
    uint64_t size = 0, done = 0;
    buf_init(&note, LIMIT_NOTE_BYTES);
    TRY(sync_log_head(sync->service, &size, root, &done));
    if (size <= done || size == w->refused) return NULL;
    keeper_tree_t tree = {.origin = sync->origin, .size = size, .root = root, .old_size = done};
    err_t *e = ask_keeper(w, &tree, &note);
    /* After a crash between its answer and our row it is further than we know. */
    if (!e && note.n == 0) e = ask_keeper(w, &tree, &note);
    if (e) {
        /* Said once; a tree that grew is another question. */
        if (err_code(e) == ERR_DENIED) w->refused = size;
        return e;
    }
    return sync_log_keep(sync->service, size, buf_bytes(&note));
}

/* ---- blobs ---- */

static err_t *repair(const work_t *w) {
    blobs_work_t done = {0};
    TRY(blobs_repair(w->web->sync->blobs.blobs, REPAIR_BATCH, &done));
    if (done.repaired)
        log_line(&w->web->log, LOG_INFO, "sync: %lld replicas repaired", (long long)done.repaired);
    if (done.lost)
        log_line(&w->web->log, LOG_ERROR, "sync: %lld blobs have no intact replica",
                 (long long)done.lost);
    return NULL;
}

static err_t *scrub(work_t *w) {
    const blob_conf_t *conf = &w->web->sync->blobs;
    blobs_work_t done = {0};
    bool over = false;
    if (!w->scrubbing) return NULL;
    TRY(blobs_scrub_step(conf->blobs, (uint64_t)conf->scrub_rate * TURN_S, &done, &over));
    w->scrubbing = !over;
    if (done.bad)
        log_line(&w->web->log, LOG_WARNING, "sync: scrub found %lld bad replicas, repaired %lld",
                 (long long)done.bad, (long long)done.repaired);
    return NULL;
}

/* One is due: by the calendar, or it was under way, or an administrator wants it. */
static err_t *scrub_due(work_t *w) {
    const blob_conf_t *conf = &w->web->sync->blobs;
    blobs_status_t status;
    if (w->scrubbing) return NULL;
    TRY(blobs_status_all(conf->blobs, &status));
    bool going_on = status.scrubbed && !status.scrub.finished_ms;
    int64_t last = status.scrubbed ? status.scrub.started_ms : status.since_ms;
    int64_t now_ms = clk_unix_ms(clk_real()), every_ms = conf->scrub_every_s * 1000;
    bool due = every_ms && status.blobs && (now_ms - last >= every_ms || last > now_ms);
    if (due && !going_on) TRY(blobs_scrub_begin(conf->blobs));
    w->scrubbing = going_on || due;
    return NULL;
}

static err_t *collect(const work_t *w) {
    web_sync_t *sync = w->web->sync;
    sync_collected_t done = {0};
    blobs_work_t work = {0};
    bool swept = false;
    for (unsigned i = 0; i < COLLECT_ROUNDS && !*background_stopping(w->work); i++) {
        sync_collected_t before = done;
        TRY(sync_collect(sync->service, COLLECT_BATCH, &done));
        if (done.packages == before.packages && done.data == before.data) break;
    }
    if (done.packages || done.data)
        log_line(&w->web->log, LOG_INFO, "sync: %lld packages and %lld bytes forgotten",
                 (long long)done.packages, (long long)done.bytes);
    TRY(blobs_collect(sync->blobs.blobs, COLLECT_BATCH, &work));
    return blobs_sweep(sync->blobs.blobs, &work, &swept);
}

static void turn(work_t *w, unsigned number) {
    bool now = atomic_exchange(&w->web->sync->repair, false);
    report(w, sign_checkpoint(w), "sync: signing a checkpoint");
    if (number % CLOCK_TURNS == 0) report(w, keep_clock(w), "sync: keeping the clock");
    if (now || number % REPAIR_TURNS == 0) {
        report(w, repair(w), "sync: repair");
        report(w, scrub_due(w), "sync: scrub");
    }
    report(w, scrub(w), "sync: scrub");
    if (number % COLLECT_TURNS == 0) report(w, collect(w), "sync: collection");
}

static void run(background_t *background) {
    work_t w = {.web = background_web(background), .work = background};
    for (unsigned number = 0; !background_wait(background, TURN_S); number++) turn(&w, number);
    report(&w, keep_clock(&w), "sync: keeping the clock");
}

err_t *sync_work_start(web_t *web, background_t **ret_work) {
    return background_start(web, "sync work", run, ret_work);
}
