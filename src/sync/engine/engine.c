/*
 * One device's part in a region: see engine.h. In the client; one thread.
 */
#include "sync/engine/engine.h"

#include <stdio.h>

#include "base/mem.h"
#include "sync/engine/engine_internal.h"
#include "sync/engine/members.h"
#include "sync/engine/scan.h"

enum { BRAKE_PERCENT = 25, BRAKE_LEAST = 20, FETCH_TRIES = 3 };

/* ---- life ---- */

static err_t *load_alarm(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, sizeof engine->alarm - 1);
    TRY(db_local_get(engine->c.state, STATE_META, BYTES_LIT("alarm"), &found, &value));
    bytes_put(engine->alarm, buf_bytes(&value));
    return NULL;
}

static void init_buffers(sync_engine_t *engine) {
    buf_init(&engine->out.runs, SYNC_REMOTE_ANSWER);
    buf_init(&engine->out.notes, CHANGES_MAX);
    buf_init(&engine->out.added, CHANGES_MAX);
    buf_init(&engine->out.dropped, CHANGES_MAX);
    buf_init(&engine->part, SYNC_HEADER + (size_t)SYNC_PART_CHUNKS * SYNC_SEALED_CHUNK);
    buf_init(&engine->record, SYNC_REMOTE_ANSWER);
    buf_init(&engine->packed, PLAIN_MAX);
    buf_init(&engine->list, PLAIN_MAX);
    buf_init(&engine->path, SYNC_PATH_MAX + 1);
    buf_init(&engine->path2, SYNC_PATH_MAX + 1);
}

err_t *sync_engine_new(const sync_engine_config_t *config, sync_engine_t **ret_engine) {
    CLEANUP(sync_engine_free) sync_engine_t *engine = mem_zalloc(sizeof *engine);
    if (!engine) return err_nomem();
    init_buffers(engine);
    engine->c = *config;
    if (!engine->c.brake_percent) engine->c.brake_percent = BRAKE_PERCENT;
    if (!engine->c.brake_least) engine->c.brake_least = BRAKE_LEAST;
    TRY(keys_load(engine));
    TRY(roots_load(engine));
    TRY(load_alarm(engine));
    *ret_engine = STEAL(engine);
    return NULL;
}

void engine_rest(sync_engine_t *engine) {
    mem_free(engine->by_inode);
    engine->by_inode = NULL;
    engine->by_inode_n = 0;
    sync_tree_free(engine->tree);
    engine->tree = NULL;
    persist_pages_done(engine);
    engine->out.waiting = 0;
    buf_done(&engine->out.runs);
    buf_done(&engine->out.notes);
    buf_done(&engine->out.added);
    buf_done(&engine->out.dropped);
    buf_done(&engine->part);
    buf_done(&engine->record);
    buf_done(&engine->packed);
    buf_done(&engine->list);
    buf_done(&engine->path);
    buf_done(&engine->path2);
    init_buffers(engine);
}

void sync_engine_free(sync_engine_t *engine) {
    if (!engine) return;
    engine_rest(engine);
    sync_chain_free(engine->chain);
    secret_free(engine->key);
    secret_free(engine->old_key);
    mem_strings_free(engine->allowed);
    mem_free(engine);
}

sync_news_t sync_engine_known(const sync_engine_t *engine) {
    return (sync_news_t){.root = engine->seen.counter, .entries = sync_chain_count(engine->chain)};
}

/* ---- what is synced here ---- */

const char *const *sync_engine_allowed(const sync_engine_t *engine) {
    return (const char *const *)engine->allowed;
}

bool engine_syncs(const sync_engine_t *engine, const char *path) {
    return sync_allowed(sync_engine_allowed(engine), path) && sync_chosen(engine->c.folders, path);
}

err_t *engine_may_have(const sync_engine_t *engine, const char *path) {
    if (sync_allowed(sync_engine_allowed(engine), path)) return NULL;
    return err_new(ERR_DENIED,
                   "%s: your organisation's rules keep it from this device (coffer sync status "
                   "shows what they leave)",
                   path);
}

/* ---- alarms ---- */

/* Whether it is what an attacker does: only a person may go on after it. */
static bool is_attack(const char *word) {
    static const char *const others[] = {SYNC_ALARM_BRAKE, SYNC_ALARM_VANISHED, SYNC_ALARM_REVOKED,
                                         SYNC_ALARM_DISABLED, SYNC_ALARM_WIPE};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(word, others[i]) == 0) return false;
    return word[0] != '\0';
}

static err_t *alarm_error(const char *word, err_t *cause) {
    err_code_t code = is_attack(word) ? ERR_VERIFY : ERR_DENIED;
    if (!cause) return err_new(code, "%s", word);
    return err_recode(err_wrap(cause, "%s", word), code);
}

err_t *engine_alarm(sync_engine_t *engine, const char *word, err_t *cause) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    if (engine->alarm[0]) return cause ? cause : err_new(ERR_VERIFY, "%s", engine->alarm);
    (void)snprintf(engine->alarm, sizeof engine->alarm, "%s", word);
    if (is_attack(word)) {
        err_t *e = db_local_put(&changes, STATE_META, BYTES_LIT("alarm"), bytes_str(word));
        if (!e) e = db_local_apply(engine->c.state, buf_bytes(&changes));
        err_free(e); /* without it the next step meets the same again */
    }
    return alarm_error(word, cause);
}

err_t *sync_engine_pardon(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    TRY(db_local_drop(&changes, STATE_META, BYTES_LIT("alarm")));
    TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
    engine->pardoned = strcmp(engine->alarm, SYNC_ALARM_ROLLBACK) == 0 ||
                       strcmp(engine->alarm, SYNC_ALARM_FORK) == 0;
    memset(engine->alarm, 0, sizeof engine->alarm);
    return NULL;
}

err_t *engine_judge(sync_engine_t *engine, err_t *e) {
    if (!e) return NULL;
    engine->from_service = true;
    if (err_code(e) != ERR_DENIED) return e;
    switch (engine->c.remote->refusal(engine->c.remote->ctx)) {
    case SYNC_REFUSED_REVOKED: return engine_alarm(engine, SYNC_ALARM_REVOKED, e);
    case SYNC_REFUSED_DISABLED: return engine_alarm(engine, SYNC_ALARM_DISABLED, e);
    case SYNC_REFUSED_WIPE: return engine_alarm(engine, SYNC_ALARM_WIPE, e);
    case SYNC_REFUSED_NOT: break;
    }
    return e;
}

void engine_left(sync_engine_t *engine, const char *path, err_t *why) {
    char text[128] = "";
    if (why) (void)err_text(why, text, sizeof text);
    if (engine->report->left++ == 0)
        (void)snprintf(engine->report->first_left, sizeof engine->report->first_left, "%.120s: %s",
                       path, text);
    err_free(why);
}

void engine_progress(sync_engine_t *engine, const char *path, uint64_t bytes, uint64_t files) {
    engine->progress.bytes_done += bytes;
    engine->progress.files_done += files;
    engine->progress.path = path;
    if (engine->c.progress) engine->c.progress(engine->c.progress_ctx, &engine->progress);
}

/* ---- a step ---- */

static err_t *check_folder(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t value;
    CLEANUP(buf_done) buf_t changes;
    bool known = false;
    const sync_disk_t *disk = engine->c.disk;
    buf_init(&value, 16);
    buf_init(&changes, 1024);
    TRY(db_local_get(engine->c.state, STATE_META, BYTES_LIT("folder"), &known, &value));
    err_t *e = disk->present(disk->ctx, !known);
    if (e && err_code(e) == ERR_NOT_FOUND) return engine_alarm(engine, SYNC_ALARM_VANISHED, e);
    if (e || known) return e;
    TRY(db_local_put(&changes, STATE_META, BYTES_LIT("folder"), BYTES_LIT("1")));
    return db_local_apply(engine->c.state, buf_bytes(&changes));
}

static err_t *stop_at_one(void *arg, bytes_t key, bytes_t value) {
    (void)key;
    (void)value;
    *(bool *)arg = true;
    return err_new(ERR_EXISTS, "there is one");
}

unsigned engine_uploads(const sync_engine_t *engine) {
    return engine->editing ? STATE_PUTS : STATE_UPLOADS;
}

err_t *engine_find_uploads(sync_engine_t *engine) {
    engine->uploads_kept = false;
    err_t *e =
        db_local_each(engine->c.state, engine_uploads(engine), stop_at_one, &engine->uploads_kept);
    if (!engine->uploads_kept) return e;
    err_free(e);
    return NULL;
}

/* A copy: the remote's changes whenever it is asked for news, and may fail to. */
static err_t *take_allowed(sync_engine_t *engine) {
    const sync_remote_t *remote = engine->c.remote;
    const char *const *names = remote->allowed ? remote->allowed(remote->ctx) : NULL;
    char **copy = names ? mem_strings_copy(names) : NULL;
    if (names && !copy) return err_nomem();
    mem_strings_free(engine->allowed);
    engine->allowed = copy;
    return NULL;
}

err_t *engine_fetch_all(sync_engine_t *engine) {
    const sync_remote_t *remote = engine->c.remote;
    sync_news_t known = sync_engine_known(engine), news = known;
    TRY(engine_judge(engine, remote->news(remote->ctx, &known, 0, &news)));
    TRY(take_allowed(engine));
    TRY(keys_follow(engine, news.entries));
    TRY(sync_members_deliver(engine));
    TRY(roots_follow(engine, news.root));
    TRY(persist_load(engine));
    return fetch_tree(engine);
}

static err_t *check_brake(sync_engine_t *engine, const sync_plan_t *plan) {
    uint64_t going = plan->removed_here + plan->removed_there;
    if (engine->c.release_brake || going < engine->c.brake_least ||
        going * 100 <= plan->files * engine->c.brake_percent)
        return NULL;
    return engine_alarm(engine, SYNC_ALARM_BRAKE,
                        err_new(ERR_DENIED,
                                "%llu of %llu files would be removed (%llu here, %llu at the "
                                "service)",
                                (unsigned long long)going, (unsigned long long)plan->files,
                                (unsigned long long)plan->removed_here,
                                (unsigned long long)plan->removed_there));
}

bool engine_writes(const sync_engine_t *engine) {
    sync_chain_head_t head;
    const sync_device_t *self = sync_chain_device(engine->chain, engine->c.device->id);
    err_t *e = sync_chain_head(engine->chain, &head);
    bool writes = !e && self && (sync_chain_roles_at(self, head.position) & SYNC_WRITE);
    err_free(e);
    return writes;
}

/* A device that may only read leaves its own changes where they are. */
static void hold_back(sync_engine_t *engine) {
    if (engine_writes(engine)) return;
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 1; i < n; i++) {
        sync_node_t *it = sync_tree_node(engine->tree, i);
        if (it->side[SYNC_GOAL] == it->side[SYNC_REMOTE]) continue;
        it->later = true;
        engine_left(engine, "changes made here", err_new(ERR_DENIED, "this device may only read"));
    }
}

static void expect_work(sync_engine_t *engine, const sync_plan_t *plan) {
    engine->progress =
        (sync_progress_t){.bytes_all = plan->upload_bytes, .files_all = plan->uploads};
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(engine->tree, i);
        const sync_fact_t *l = it->side[SYNC_LOCAL], *goal = it->side[SYNC_GOAL];
        if (!goal || goal->kind != SYNC_ENTRY_FILE || it->upload || it->away ||
            (l && memcmp(l->version, goal->version, SYNC_NODE) == 0))
            continue;
        engine->progress.bytes_all += goal->size;
        engine->progress.files_all++;
    }
    engine_progress(engine, NULL, 0, 0);
}

static err_t *work(sync_engine_t *engine) {
    sync_plan_t plan = {0};
    bool done = false;
    const sync_disk_t *disk = engine->c.disk;
    sync_plan_config_t config = {.rnd = engine->c.rnd,
                                 .device = engine->c.device->card.name,
                                 .now = clk_unix(engine->c.clk),
                                 .fold_names = engine->c.fold_names ||
                                               (disk->folds && disk->folds(disk->ctx))};
    TRY(engine_find_uploads(engine));
    TRY(scan_folder(engine));
    TRY(sync_plan(engine->tree, &config, &plan));
    engine->report->conflicts = plan.conflicts;
    TRY(check_brake(engine, &plan));
    TRY(apply_sweep(engine));
    hold_back(engine);
    expect_work(engine, &plan);
    TRY(upload_files(engine));
    TRY(push_flush(engine));
    TRY(commit_tree(engine, &done));
    if (!done) return NULL;
    engine->report->removed_there = plan.removed_there;
    return apply_goal(engine);
}

err_t *engine_may_go_on(const sync_engine_t *engine) {
    if (!is_attack(engine->alarm)) return NULL;
    return err_new(ERR_VERIFY, "%s: stopped until somebody has looked at it", engine->alarm);
}

static err_t *run(sync_engine_t *engine, bool with_folder) {
    TRY(engine_may_go_on(engine));
    memset(engine->alarm, 0, sizeof engine->alarm);
    engine->from_service = false;
    if (with_folder) TRY(check_folder(engine));
    TRY(engine_fetch_all(engine));
    return with_folder ? work(engine) : NULL;
}

static err_t *step(sync_engine_t *engine, bool with_folder, sync_report_t *ret_report) {
    *ret_report = (sync_report_t){0};
    engine_rest(engine); /* what fills have left */
    engine->report = ret_report;
    err_t *e = run(engine, with_folder);
    memcpy(ret_report->alarm, engine->alarm, sizeof ret_report->alarm);
    engine_rest(engine);
    engine->report = NULL;
    return e;
}

err_t *sync_engine_step(sync_engine_t *engine, sync_report_t *ret_report) {
    return step(engine, engine->c.disk != NULL, ret_report);
}

err_t *sync_engine_fetch(sync_engine_t *engine, sync_report_t *ret_report) {
    for (int tries = 1;; tries++) {
        err_t *e = step(engine, false, ret_report);
        /* Another program wrote the state meanwhile. */
        if (!e || err_code(e) != ERR_BUSY || tries == FETCH_TRIES) return e;
        err_free(e);
    }
}
