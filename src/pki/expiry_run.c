/*
 * A run of the expiry watch: see expiry_run.h. In coffer-courier's watch thread; status and release
 * in coffer-web too.
 */
#include "pki/expiry_run.h"

#include <stdio.h>
#include <stdlib.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/expiry_internal.h"
#include "store/jobs.h"
#include "store/tokens.h"

enum {
    PAGE = 500,
    PAGE_ARENA = 16 * 1024 * 1024,
    KEPT_ARENA = 512 * 1024 * 1024, /* bytes at most: the brake's certificates */
    GROUP = 200,                    /* certificates of one webhook or program's run */
    RELEASE_MS = 3600 * 1000,
    DAY_MS = 86400 * 1000,
    KEY_SIZE = LIMIT_NOTICE_KEY,
    PURGE_AFTER_S = 90 * 86400,
};

#define META_LAST     "expiry.last_run_ms"
#define META_CHECKED  "expiry.checked_ms"
#define META_RELEASED "expiry.released_until_ms"
#define META_ALARM    "expiry.alarm_day"
#define META_HELD     "expiry.held"
#define META_COUNT    "expiry.held_count"

/* ---- what is remembered between runs ---- */

static err_t *get_number(db_conn_t *conn, arena_t *arena, const char *name, int64_t *ret_value) {
    const char *text = NULL;
    bool found = false;
    TRY(db_meta_get(conn, arena, name, &text, &found));
    if (!found) {
        *ret_value = 0;
        return NULL;
    }
    return text_i64(bytes_str(text), ret_value);
}

static err_t *set_number(db_conn_t *conn, const char *name, int64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return db_meta_set(conn, name, text);
}

err_t *expiry_release(db_conn_t *conn, int64_t now_ms) {
    return set_number(conn, META_RELEASED, now_ms + RELEASE_MS);
}

err_t *expiry_status(db_conn_t *conn, arena_t *arena, expiry_status_t *ret_status) {
    expiry_status_t status = {.held = ""};
    bool found = false;
    TRY(get_number(conn, arena, META_CHECKED, &status.checked_ms));
    TRY(get_number(conn, arena, META_COUNT, &status.held_count));
    TRY(db_meta_get(conn, arena, META_HELD, &status.held, &found));
    if (!found) status.held = "";
    *ret_status = status;
    return NULL;
}

/* ---- JSON ---- */

err_t *expiry_json(const db_expiring_t *cert, const db_expiry_facts_t *facts, int64_t threshold,
                   int64_t now_ms, json_t *object) {
    CLEANUP(buf_done) buf_t hex;
    json_t *part = NULL;
    buf_init(&hex, 2 * 64);
    TRY(text_hex(cert->fingerprint, &hex));
    TRY(jso_set_string(object, "fingerprint", buf_bytes(&hex)));
    TRY(jso_set_str(object, "serial", cert->serial));
    TRY(jso_set_str(object, "subject", cert->subject));
    TRY(jso_set_str(object, "issuer", cert->issuer));
    TRY(jso_set_str(object, "profile", cert->profile[0] ? cert->profile : NULL));
    TRY(jso_set_str(object, "source", cert->source[0] ? cert->source : NULL));
    TRY(jso_set_time(object, "not_after", cert->not_after));
    TRY(jso_set_int(object, "days_left", expiry_days_left(cert->not_after, now_ms / 1000)));
    if (threshold) TRY(jso_set_int(object, "threshold", threshold));
    TRY(jso_set_str(object, "holder", cert->email[0] ? cert->email : NULL));
    if (!facts) return NULL;
    if (facts->device_id[0]) {
        TRY(jso_set_object(object, "device", &part));
        TRY(jso_set_str(part, "id", facts->device_id));
        TRY(jso_set_str(part, "name", facts->device_name));
        TRY(jso_set_str(part, "serial_number", facts->device_serial));
    }
    expiry_cause_t cause;
    expiry_cause(cert, facts, now_ms, &cause);
    TRY(jso_set_object(object, "cause", &part));
    TRY(jso_set_str(part, "code", cause.code));
    return jso_set_str(part, "text", cause.text);
}

/* ---- finding ---- */

static err_t *keep_str(arena_t *arena, const char **text) {
    bytes_t copy;
    TRY(arena_copy(arena, bytes_str(*text), &copy));
    *text = (const char *)copy.p;
    return NULL;
}

/* Its strings are in the page's arena. */
static err_t *keep(expiry_found_t *found, const db_expiring_t *row, int64_t threshold) {
    expiry_due_t *due = &found->due[found->due_n];
    *due = (expiry_due_t){.cert = *row, .threshold = threshold};
    db_expiring_t *c = &due->cert;
    const char **const texts[] = {&c->source,    &c->issuer,  &c->serial,
                                  &c->profile,   &c->subject, &c->enrolment_id,
                                  &c->person_id, &c->email,   &c->person};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        TRY(keep_str(found->arena, texts[i]));
    TRY(arena_copy(found->arena, row->fingerprint, &c->fingerprint));
    found->due_n++;
    return NULL;
}

static err_t *judge_page(db_conn_t *conn, expiry_found_t *found, const db_expiring_t *rows,
                         size_t count) {
    const expiry_options_t *o = found->o;
    for (size_t i = 0; i < count; i++) {
        const db_expiring_t *row = &rows[i];
        int64_t threshold = expiry_threshold(o->days, o->days_n, row->not_before, row->not_after,
                                             found->now_ms / 1000);
        if (!expiry_is_due(threshold, row->noticed)) continue;
        if (found->due_total++ >= o->brake) continue; /* counted, for the alarm */
        TRY(keep(found, row, threshold));
        expiry_due_t *due = &found->due[found->due_n - 1];
        TRY(db_expiry_facts(conn, found->arena, &due->cert, found->now_ms, &due->facts));
    }
    return NULL;
}

static err_t *find_due(db_conn_t *conn, expiry_found_t *found) {
    const expiry_options_t *o = found->o;
    uint8_t last[64];
    int64_t now = found->now_ms / 1000;
    int64_t until = now + (o->days_n ? o->days[0] * 86400 : 0);
    db_expiring_at_t at = {now - LIMIT_EXPIRY_PAST_S - 1, BYTES_NONE};
    for (size_t count = PAGE; count == PAGE;) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        db_expiring_t *rows = NULL;
        TRY(arena_new(PAGE_ARENA, &arena));
        TRY(db_expiring_list(conn, arena, &at, until, PAGE, &rows, &count));
        TRY(judge_page(conn, found, rows, count));
        if (count == 0) break;
        const db_expiring_t *end = &rows[count - 1];
        size_t n = end->fingerprint.n < sizeof last ? end->fingerprint.n : sizeof last;
        memcpy(last, end->fingerprint.p, n);
        at = (db_expiring_at_t){end->not_after, bytes_make(last, n)};
    }
    return NULL;
}

static err_t *find_lost(db_conn_t *conn, expiry_found_t *found) {
    db_watch_source_t *rows = NULL;
    size_t count = 0;
    TRY(db_watch_list(conn, found->arena, "", LIMIT_WATCH_SOURCES, &rows, &count));
    found->lost = rows;
    for (size_t i = 0; i < count; i++) {
        const db_watch_source_t *s = &rows[i];
        bool long_ago = found->now_ms - s->since_ms >= (int64_t)LIMIT_WATCH_UNREACHABLE_S * 1000;
        if (strcmp(s->state, "unreachable") == 0 && s->told_ms == 0 && long_ago)
            rows[found->lost_n++] = *s;
    }
    return NULL;
}

typedef struct {
    expiry_found_t found;
    expiry_state_t state;
    int64_t alarm_day;
    expiry_brake_t brake;
} run_t;

static err_t *find(db_conn_t *conn, void *arg) {
    run_t *run = arg;
    arena_t *arena = run->found.arena;
    TRY(get_number(conn, arena, META_LAST, &run->state.last_run_ms));
    TRY(get_number(conn, arena, META_RELEASED, &run->state.released_until_ms));
    TRY(get_number(conn, arena, META_ALARM, &run->alarm_day));
    TRY(find_due(conn, &run->found));
    return find_lost(conn, &run->found);
}

/* ---- telling ---- */

static int by_holder(const void *a, const void *b) {
    const expiry_ref_t *x = a, *y = b;
    int order = strcmp(x->due->cert.email, y->due->cert.email);
    if (order) return order;
    return x->due < y->due ? -1 : x->due > y->due;
}

static err_t *tell_holders(db_conn_t *conn, const run_t *run) {
    const expiry_found_t *found = &run->found;
    expiry_ref_t *rows = NULL;
    char key[KEY_SIZE];
    if (!found->o->holders || !found->due_n) return NULL;
    TRY(arena_alloc(found->arena, found->due_n * sizeof *rows, &rows));
    for (size_t i = 0; i < found->due_n; i++) rows[i].due = &found->due[i];
    qsort(rows, found->due_n, sizeof *rows, by_holder);
    (void)snprintf(key, sizeof key, "expiry-holder-%lld", (long long)found->now_ms);
    for (size_t i = 0, n; i < found->due_n; i += n) {
        const char *email = rows[i].due->cert.email;
        for (n = 1; i + n < found->due_n && strcmp(rows[i + n].due->cert.email, email) == 0;) n++;
        if (!email[0]) continue;
        CLEANUP(buf_done) buf_t text;
        notice_t notice = {
            .event = "certificate.expiring", .key = key, .subject = "Your certificate ends soon"};
        buf_init(&text, LIMIT_NOTICE_TEXT);
        TRY(expiry_text_holder(found, &rows[i], n, &text));
        TRY(buf_cstr(&text, &notice.text));
        TRY(notify_mail(found->o->notify, conn, email, &notice));
    }
    return NULL;
}

static err_t *tell_admins(db_conn_t *conn, const run_t *run) {
    const expiry_found_t *found = &run->found;
    CLEANUP(buf_done) buf_t text;
    char key[KEY_SIZE], subject[LIMIT_NOTICE_SUBJECT];
    buf_init(&text, LIMIT_NOTICE_TEXT);
    if (!found->due_n && !found->lost_n) return NULL;
    (void)snprintf(key, sizeof key, "expiry-%lld", (long long)found->now_ms);
    if (found->due_n)
        (void)snprintf(subject, sizeof subject, "%.100s: %zu certificate%s end%s soon",
                       found->o->organisation, found->due_n, found->due_n == 1 ? "" : "s",
                       found->due_n == 1 ? "s" : "");
    else
        (void)snprintf(subject, sizeof subject, "%.100s: %zu watched source%s can't be reached",
                       found->o->organisation, found->lost_n, found->lost_n == 1 ? "" : "s");
    notice_t notice = {.event = "certificate.expiring", .key = key, .subject = subject};
    TRY(expiry_text_admin(found, &text));
    TRY(buf_cstr(&text, &notice.text));
    return notify_admins_mail(found->o->notify, conn, found->arena, &notice);
}

/* Webhooks and programs get the certificates, at most GROUP at once. */
static err_t *tell_programs(db_conn_t *conn, const run_t *run, size_t from, size_t n) {
    const expiry_found_t *found = &run->found;
    const expiry_options_t *o = found->o;
    CLEANUP(jso_free) json_t *data = NULL;
    json_t *list = NULL, *item = NULL;
    char key[KEY_SIZE], subject[LIMIT_NOTICE_SUBJECT];
    (void)snprintf(key, sizeof key, "expiry-%lld-%zu", (long long)found->now_ms, from / GROUP);
    (void)snprintf(subject, sizeof subject, "%zu certificate%s end%s soon", n, n == 1 ? "" : "s",
                   n == 1 ? "s" : "");
    TRY(jso_object(&data));
    TRY(jso_set_array(data, "certificates", &list));
    for (size_t i = from; i < from + n; i++) {
        const expiry_due_t *due = &found->due[i];
        TRY(jso_add_object(list, &item));
        TRY(expiry_json(&due->cert, &due->facts, due->threshold, found->now_ms, item));
    }
    notice_t notice = {
        .event = "certificate.expiring", .key = key, .subject = subject, .text = "", .data = data};
    TRY(notify_webhooks(o->notify, conn, &notice));
    for (size_t i = 0; i < o->actions_n; i++) {
        CLEANUP(buf_done) buf_t text;
        CLEANUP(jso_free) json_t *payload = NULL;
        char name[KEY_SIZE * 2];
        const char *body = NULL;
        json_t *sent = NULL;
        buf_init(&text, LIMIT_JSON_BYTES);
        TRY(jso_object(&payload));
        TRY(jso_set_str(payload, "action", o->actions[i]));
        TRY(jso_set_str(payload, "key", key));
        TRY(jso_set_object(payload, "body", &sent));
        TRY(jso_set_str(sent, "event", notice.event));
        TRY(jso_set_str(sent, "key", key));
        TRY(jso_set_str(sent, "instance", o->notify->instance));
        TRY(jso_set_time(sent, "time", found->now_ms / 1000));
        TRY(jso_set(sent, "data", json_incref(data)));
        TRY(jso_write(payload, false, &text));
        TRY(buf_cstr(&text, &body));
        (void)snprintf(name, sizeof name, "%s:%s", key, o->actions[i]);
        TRY(db_jobs_put(conn, EXPIRY_JOB_ACTION, name, body, found->now_ms, found->now_ms));
    }
    return NULL;
}

static err_t *tell(db_conn_t *conn, const run_t *run) {
    const expiry_found_t *found = &run->found;
    char count[24];
    for (size_t i = 0; i < found->due_n; i++)
        TRY(db_notices_put(conn, found->due[i].cert.fingerprint, found->due[i].threshold,
                           found->due[i].cert.not_after, found->now_ms));
    for (size_t i = 0; i < found->lost_n; i++)
        TRY(db_watch_set_told(conn, found->lost[i].name, found->now_ms));
    TRY(tell_admins(conn, run));
    TRY(tell_holders(conn, run));
    for (size_t i = 0; i < found->due_n; i += GROUP)
        TRY(tell_programs(conn, run, i, found->due_n - i < GROUP ? found->due_n - i : GROUP));
    TRY(db_notices_purge(conn, found->now_ms / 1000 - PURGE_AFTER_S));
    if (!found->due_n) return NULL;
    (void)snprintf(count, sizeof count, "%zu", found->due_n);
    return audit_note(found->o->audit, conn, "courier", "expiry.noticed", "", "certificates", count,
                      NULL);
}

/* Once a day while it lasts. */
static err_t *alarm(db_conn_t *conn, const run_t *run) {
    const expiry_found_t *found = &run->found;
    CLEANUP(buf_done) buf_t text;
    char key[KEY_SIZE];
    int64_t today = found->now_ms / DAY_MS;
    buf_init(&text, LIMIT_NOTICE_TEXT);
    if (run->alarm_day == today) return NULL;
    (void)snprintf(key, sizeof key, "expiry-brake-%lld", (long long)today);
    notice_t notice = {.event = "expiry.held",
                       .key = key,
                       .subject = "Coffer holds back notices about certificates that end"};
    TRY(expiry_text_alarm(found, run->brake, &text));
    TRY(buf_cstr(&text, &notice.text));
    TRY(set_number(conn, META_ALARM, today));
    TRY(notify_admins(found->o->notify, conn, found->arena, &notice));
    return audit_note(found->o->audit, conn, "courier", "expiry.held", "", "why",
                      run->brake == EXPIRY_HOLD_CLOCK ? "clock" : "many", NULL);
}

static err_t *settle(db_conn_t *conn, void *arg) {
    const run_t *run = arg;
    const expiry_found_t *found = &run->found;
    static const char *const names[] = {"", "clock", "many"};
    bool held = run->brake != EXPIRY_GO;
    TRY(set_number(conn, META_CHECKED, found->now_ms));
    TRY(db_meta_set(conn, META_HELD, names[run->brake]));
    TRY(set_number(conn, META_COUNT, held ? found->due_total : 0));
    if (held) return alarm(conn, run);
    TRY(set_number(conn, META_LAST, found->now_ms));
    return tell(conn, run);
}

err_t *expiry_run(const expiry_options_t *options, int64_t elapsed_ms,
                  expiry_result_t *ret_result) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    int64_t now = clk_unix_ms(options->clk);
    run_t run = {.found = {.o = options, .now_ms = now}, .state = {.now_ms = now}};
    TRY(arena_new(KEPT_ARENA, &arena));
    run.found.arena = arena;
    TRY(arena_alloc(arena, (size_t)(options->brake + 1) * sizeof *run.found.due, &run.found.due));
    TRY_WRAP(db_read(options->db, find, &run), "looking for certificates that end");
    run.state.elapsed_ms = elapsed_ms;
    run.state.due = run.found.due_total;
    run.state.brake = options->brake;
    run.brake = expiry_brake(&run.state);
    /* Released past the brake: as many as it allows now, the others with the next run. */
    TRY_WRAP(db_write(options->db, settle, &run), "noting what was told");
    *ret_result =
        (expiry_result_t){.brake = run.brake,
                          .due = run.found.due_total,
                          .noticed = run.brake == EXPIRY_GO ? (int64_t)run.found.due_n : 0};
    return NULL;
}
