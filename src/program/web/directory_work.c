/*
 * Syncing with the directory: see directory_work.h.
 */
#include "program/web/directory_work.h"

#include "base/mem.h"
#include "device/caller.h"
#include "directory/publish.h"
#include "store/tokens.h"

/* Certificates that came to the end of their time are looked for this often. */
enum { FIRST_S = 5, SWEEP_S = 300, LAST_MAX = 4096 };
static const char LAST[] = "directory.sync"; /* in the table meta */

/* ---- one sync ---- */

static err_t *revoke_left(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                          size_t *ret_revoked) {
    web_t *web = ctx;
    TRY(device_end_reach_of(conn, arena, person->id, "person left", clk_unix_ms(clk_real())));
    return revoke_person(web->revoker, conn, arena, person->id, REVOKE_ON_LEAVE, "directory",
                         ret_revoked);
}

err_t *directory_work_report(const directory_sync_report_t *report, json_t *out) {
    TRY(jso_set_int(out, "people", (int64_t)report->people));
    TRY(jso_set_int(out, "added", (int64_t)report->added));
    TRY(jso_set_int(out, "changed", (int64_t)report->changed));
    TRY(jso_set_int(out, "back", (int64_t)report->back));
    TRY(jso_set_int(out, "left", (int64_t)report->left));
    TRY(jso_set_int(out, "revoked", (int64_t)report->revoked));
    TRY(jso_set_int(out, "conflicts", (int64_t)report->conflicts));
    return jso_set_str(out, "first_conflict", report->conflict[0] ? report->conflict : NULL);
}

static err_t *write_last(db_conn_t *conn, void *arg) { return db_meta_set(conn, LAST, arg); }

/* `problem` NULL: it went well. */
static err_t *keep_last(web_t *web, const directory_sync_report_t *report, const err_t *problem) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(mem_free) char *copy = NULL;
    char text[512];
    buf_init(&out, LAST_MAX);
    TRY(jso_object(&json));
    TRY(jso_set_time(json, "time", clk_unix(clk_real())));
    TRY(jso_set_bool(json, "good", problem == NULL));
    TRY(jso_set_str(json, "problem", problem ? err_text(problem, text, sizeof text) : NULL));
    if (!problem) TRY(directory_work_report(report, json));
    TRY(jso_write(json, false, &out));
    TRY(buf_steal_str(&out, &copy));
    return db_write(web->db, write_last, copy);
}

static err_t *directory_work_publish(web_t *web) {
    TRY(directory_publish_sweep(web->db, web->settings.ldap.publish, clk_unix_ms(clk_real())));
    err_ignore(rpc_notify(web->courier_rpc, COURIER_WAKE, BYTES_NONE)); /* it polls as well */
    return NULL;
}

err_t *directory_work_sync(web_t *web, const char *actor, bool force,
                           directory_sync_report_t *ret_report) {
    const directory_sync_t sync = {.actor = actor,
                                   .force = force,
                                   .brake = web->settings.ldap.brake,
                                   .left = revoke_left,
                                   .ctx = web};
    directory_sync_report_t report = {0};
    if (!web->remote) return err_new(ERR_NOT_FOUND, "coffer.conf has no [ldap] url: no directory");
    if (atomic_exchange(&web->syncing, true))
        return err_new(ERR_BUSY, "a sync with the directory is running");
    err_t *e = directory_sync(web->directory, &sync, &report);
    if (!e) e = directory_work_publish(web);
    err_t *kept = keep_last(web, &report, e);
    atomic_store(&web->syncing, false);
    if (e) {
        err_free(kept);
        return e;
    }
    if (kept) return kept;
    *ret_report = report;
    return NULL;
}

typedef struct {
    arena_t *arena;
    const char *text;
    bool found;
} last_t;

static err_t *read_last(db_conn_t *conn, void *arg) {
    last_t *last = arg;
    return db_meta_get(conn, last->arena, LAST, &last->text, &last->found);
}

err_t *directory_work_last(web_t *web, arena_t *arena, json_t **ret_json) {
    last_t last = {.arena = arena};
    TRY(db_read(web->db, read_last, &last));
    if (last.found) return jso_parse_object(bytes_str(last.text), ret_json);
    *ret_json = NULL;
    return NULL;
}

/* ---- again and again ---- */

static void sync_once(web_t *web) {
    directory_sync_report_t r;
    err_t *e = directory_work_sync(web, "directory", false, &r);
    if (e && err_code(e) == ERR_BUSY) {
        err_free(e);
        return;
    }
    if (!e)
        log_line(&web->log, r.conflicts ? LOG_WARNING : LOG_INFO,
                 "directory sync: %zu people, %zu added, %zu changed, %zu back, %zu left, "
                 "%zu in conflict %s",
                 r.people, r.added, r.changed, r.back, r.left, r.conflicts, r.conflict);
    log_error(&web->log, LOG_WARNING, e, "directory sync");
}

static void run(background_t *work) {
    web_t *web = background_web(work);
    int64_t every_ms = web->settings.ldap.sync_every_s * 1000, due_ms = 0;
    for (int64_t wait_s = FIRST_S; !background_wait(work, wait_s);) {
        int64_t now = clk_mono_ms(clk_real());
        bool due = every_ms && now >= due_ms;
        if (due) {
            sync_once(web);
            due_ms = now + every_ms;
        } else
            log_error(&web->log, LOG_WARNING, directory_work_publish(web),
                      "looking for certificates to publish");
        int64_t left_s = every_ms ? (due_ms - now + 999) / 1000 : SWEEP_S;
        wait_s = left_s < SWEEP_S ? left_s : SWEEP_S;
    }
}

err_t *directory_work_start(web_t *web, background_t **ret_work) {
    return web->remote ? background_start(web, "directory", run, ret_work) : NULL;
}
