/*
 * Edits without a folder and looking back (sync/engine/edit.h, history.h), against the simulated
 * service, an honest one and one that shows another past.
 */
#include "../unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "sim_world.h"
#include "sync/engine/edit.h"
#include "sync/engine/engine_internal.h"
#include "sync/engine/history.h"
#include "sync/engine/look.h"

typedef struct {
    sim_world_t *world;
    sync_engine_t *engine;
    sim_client_t *client;
    char folder[64];
    char told[64][128]; /* "3 changed a" */
    size_t told_n, stop_at;
} stage_t;

static int setup(void **state) {
    stage_t *s = calloc(1, sizeof *s);
    sim_plan_t plan = {.seed = 7, .clients = 2};
    assert_non_null(s);
    assert_ok(crypto_init());
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/coffer-past-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    plan.folder = s->folder;
    assert_ok(sim_world_new(&plan, &s->world));
    s->client = &s->world->client[0];
    assert_ok(sim_world_restart(s->world, s->client));
    s->engine = s->client->engine;
    *state = s;
    return 0;
}

static int teardown(void **state) {
    stage_t *s = *state;
    char command[128];
    sim_world_free(s->world);
    (void)snprintf(command, sizeof command, "rm -rf %s", s->folder);
    free(s);
    return system(command);
}

/* ---- doing ---- */

static err_t *edit(stage_t *s, sync_edit_t edit) {
    sync_report_t report;
    err_t *e = sync_engine_edit(s->engine, &s->client->folder, &edit, 1, &report);
    clk_fake_advance(&s->client->clk, 1000);
    return e;
}

/* The source of what is put is the simulated disk, where it lies under the same path. */
static void put(stage_t *s, const char *path, const char *text) {
    sim_disk_t *disk = s->client->disk;
    sync_stat_t stat;
    uint64_t inode = 0;
    bool found = false;
    sim_disk_person_begin(disk);
    err_free(sim_disk_unlink(disk, path));
    assert_ok(sim_disk_create(disk, path, 0644, &inode));
    assert_ok(sim_disk_write_inode(disk, inode, 0, bytes_str(text)));
    sim_disk_person_end(disk);
    assert_ok(s->client->folder.stat(s->client->folder.ctx, path, &found, &stat));
    assert_true(found);
    assert_ok(edit(s, (sync_edit_t){.kind = SYNC_EDIT_PUT, .path = path, .stat = stat}));
}

static err_t *make(stage_t *s, const char *path) {
    sim_disk_person_begin(s->client->disk);
    err_free(sim_disk_mkdir(s->client->disk, path, 0755));
    sim_disk_person_end(s->client->disk);
    return edit(s, (sync_edit_t){.kind = SYNC_EDIT_FOLDER, .path = path});
}

static err_t *take_away(stage_t *s, const char *path, bool deep) {
    return edit(s, (sync_edit_t){.kind = SYNC_EDIT_REMOVE, .path = path, .deep = deep});
}

static err_t *restore(stage_t *s, const char *path, uint64_t version, sync_report_t *report,
                      sync_restored_t *restored) {
    *restored = (sync_restored_t){0};
    return sync_engine_restore(s->engine, path, version, report, restored);
}

/* ---- looking ---- */

static err_t *tell(void *arg, const sync_past_t *event, bool *ret_stop) {
    static const char *const names[] = {"added", "changed", "moved", "deleted"};
    stage_t *s = arg;
    assert_true(s->told_n < 64);
    (void)snprintf(s->told[s->told_n++], sizeof s->told[0], "%u %s %s", (unsigned)event->version,
                   names[event->what], event->path);
    assert_string_not_equal(event->device, "?");
    *ret_stop = s->told_n == s->stop_at;
    return NULL;
}

static err_t *history(stage_t *s, const char *path, sync_past_reach_t *reach) {
    sync_report_t report;
    s->told_n = 0;
    TRY(sync_engine_fetch(s->engine, &report));
    return sync_history(s->engine, path, tell, NULL, s, reach);
}

static void assert_told(stage_t *s, const char *path, const char *const *wanted) {
    sync_past_reach_t reach = {0};
    size_t n = 0;
    assert_ok(history(s, path, &reach));
    for (; wanted[n]; n++) {
        assert_true(n < s->told_n);
        assert_string_equal(s->told[n], wanted[n]);
    }
    assert_int_equal(s->told_n, n);
    assert_int_equal(reach.oldest, 1);
}

static err_t *collect(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

static void assert_was(stage_t *s, const char *path, uint64_t version, const char *text) {
    CLEANUP(buf_done) buf_t content;
    buf_init(&content, 1024);
    assert_ok(sync_past_read(s->engine, path, version, &(sync_sink_t){&content, collect}));
    assert_true(bytes_eq_str(buf_bytes(&content), text));
}

static void assert_is(stage_t *s, const char *path, const char *text) {
    CLEANUP(buf_done) buf_t content;
    buf_init(&content, 1024);
    sync_report_t report;
    assert_ok(sync_engine_fetch(s->engine, &report));
    assert_ok(sync_engine_read(s->engine, path, &(sync_sink_t){&content, collect}));
    assert_true(bytes_eq_str(buf_bytes(&content), text));
}

/* a: 1 one, 3 two, 5 gone; d/b: 4; d: 2, 6 gone */
static void live(stage_t *s) {
    put(s, "a", "one");
    assert_ok(make(s, "d"));
    put(s, "a", "two");
    put(s, "d/b", "bee");
    assert_ok(take_away(s, "a", false));
    assert_ok(take_away(s, "d", true));
}

/* ---- edits ---- */

static void test_edit__refuses_what_has_no_place(void **state) {
    stage_t *s = *state;
    put(s, "a", "one");
    assert_err(ERR_EXISTS, make(s, "a"));
    assert_err(ERR_EXISTS, make(s, "a/b"));
    assert_err(ERR_NOT_FOUND, make(s, "x/y"));
    assert_err(ERR_USAGE, make(s, ".coffer-sync"));
    assert_err(ERR_USAGE, make(s, ".."));
    assert_err(ERR_USAGE, make(s, "/"));
    assert_err(ERR_NOT_FOUND, take_away(s, "x", true));
    assert_ok(make(s, "d"));
    assert_ok(make(s, "d/e"));
    assert_err(ERR_USAGE, take_away(s, "d", false));
    assert_ok(edit(s, (sync_edit_t){.kind = SYNC_EDIT_FOLDER, .path = "d/f/g", .parents = true}));
    assert_ok(edit(s, (sync_edit_t){.kind = SYNC_EDIT_FOLDER, .path = "d/f", .parents = true}));
    assert_int_equal(sync_engine_known(s->engine).root, 4); /* what changes nothing is no version */
}

static void faster(void *ctx) {
    stage_t *s = ctx;
    sync_report_t report;
    assert_ok(sync_engine_step(s->world->client[1].engine, &report));
}

static void test_edit__goes_again_when_others_are_faster(void **state) {
    stage_t *s = *state;
    uint64_t inode = 0;
    assert_ok(sim_world_restart(s->world, &s->world->client[1]));
    put(s, "a", "one");
    sim_disk_t *other = s->world->client[1].disk;
    sim_disk_person_begin(other);
    assert_ok(sim_disk_create(other, "theirs", 0644, &inode));
    sim_disk_person_end(other);
    clk_fake_advance(&s->world->client[1].clk, 5000);
    s->client->net.meanwhile = faster;
    s->client->net.meanwhile_ctx = s;
    s->client->net.meanwhile_in = 3;
    put(s, "b", "two");
    assert_int_equal(sync_engine_known(s->engine).root, 3);
    assert_is(s, "b", "two");
    assert_is(s, "theirs", "");
}

static void hide(sim_table_t *table) {
    for (size_t i = 0; i < table->n; i++) table->p[i].id[0] ^= 1;
}

/* What was uploaded for a root that is refused may be gone at the service: it is sent again. */
static err_t *refuse(void *ctx, bytes_t root, bytes_t change, bool *ret_lost) {
    (void)ctx;
    (void)root;
    (void)change;
    (void)ret_lost;
    return err_new(ERR_VERIFY, "missing");
}

static void test_edit__sends_again_after_a_root_was_refused(void **state) {
    stage_t *s = *state;
    const sync_remote_t honest = s->client->remote;
    sync_report_t report;
    sync_stat_t stat;
    uint64_t inode = 0;
    bool found = false;
    sim_disk_person_begin(s->client->disk);
    assert_ok(sim_disk_create(s->client->disk, "a", 0644, &inode));
    assert_ok(sim_disk_write_inode(s->client->disk, inode, 0, BYTES_LIT("content")));
    sim_disk_person_end(s->client->disk);
    assert_ok(s->client->folder.stat(s->client->folder.ctx, "a", &found, &stat));
    const sync_edit_t it = {.kind = SYNC_EDIT_PUT, .path = "a", .stat = stat};
    s->client->remote.root_post = refuse;
    assert_err(ERR_VERIFY, sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    assert_int_equal(report.uploaded, 1);
    s->client->remote = honest;
    hide(&s->world->service->packages); /* it has forgotten them */
    assert_ok(sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    assert_int_equal(report.uploaded, 1);
    assert_is(s, "a", "content");
}

/* But what is there is not: the net broke after all was sent. */
static err_t *no_net(void *ctx, bytes_t root, bytes_t change, bool *ret_lost) {
    (void)ctx;
    (void)root;
    (void)change;
    (void)ret_lost;
    return err_new(ERR_UNAVAILABLE, "no net");
}

static void test_edit__sends_nothing_twice_when_the_net_breaks(void **state) {
    stage_t *s = *state;
    const sync_remote_t honest = s->client->remote;
    sync_report_t report;
    sync_stat_t stat;
    uint64_t inode = 0;
    bool found = false;
    sim_disk_person_begin(s->client->disk);
    assert_ok(sim_disk_create(s->client->disk, "a", 0644, &inode));
    assert_ok(sim_disk_write_inode(s->client->disk, inode, 0, BYTES_LIT("content")));
    sim_disk_person_end(s->client->disk);
    assert_ok(s->client->folder.stat(s->client->folder.ctx, "a", &found, &stat));
    const sync_edit_t it = {.kind = SYNC_EDIT_PUT, .path = "a", .stat = stat};
    s->client->remote.root_post = no_net;
    assert_err(ERR_UNAVAILABLE, sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    s->client->remote = honest;
    assert_ok(sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    assert_int_equal(report.uploaded, 0);
    assert_is(s, "a", "content");
}

/* A file that is put while the commit fails. */
static uint64_t put_in_vain(stage_t *s, const char *path, const char *text, sync_stat_t *ret_stat) {
    const sync_remote_t honest = s->client->remote;
    sync_report_t report;
    uint64_t inode = 0;
    bool found = false;
    sim_disk_person_begin(s->client->disk);
    assert_ok(sim_disk_create(s->client->disk, path, 0644, &inode));
    assert_ok(sim_disk_write_inode(s->client->disk, inode, 0, bytes_str(text)));
    sim_disk_person_end(s->client->disk);
    assert_ok(s->client->folder.stat(s->client->folder.ctx, path, &found, ret_stat));
    assert_true(found);
    const sync_edit_t it = {.kind = SYNC_EDIT_PUT, .path = path, .stat = *ret_stat};
    s->client->remote.root_post = no_net;
    assert_err(ERR_UNAVAILABLE, sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    assert_int_equal(report.uploaded, 1);
    s->client->remote = honest;
    return inode;
}

static void test_edit__sends_what_changed_and_kept_its_time(void **state) {
    stage_t *s = *state;
    sim_disk_t *disk = s->client->disk;
    sync_report_t report;
    sync_stat_t before, after;
    sim_stat_t stat;
    bool found = false;
    sim_disk_stamps(disk);
    uint64_t inode = put_in_vain(s, "a", "before", &before);
    clk_fake_advance(&s->client->clk, 1000);
    sim_disk_person_begin(disk);
    assert_ok(sim_disk_stat_inode(disk, inode, &stat));
    assert_ok(sim_disk_write_inode(disk, inode, 0, BYTES_LIT("after!")));
    assert_ok(sim_disk_set_inode(disk, inode, stat.mode, stat.mtime_ns));
    sim_disk_person_end(disk);
    assert_ok(s->client->folder.stat(s->client->folder.ctx, "a", &found, &after));
    assert_true(after.size == before.size && after.mtime == before.mtime &&
                after.mtime_ns == before.mtime_ns && after.inode == before.inode);
    const sync_edit_t it = {.kind = SYNC_EDIT_PUT, .path = "a", .stat = after};
    assert_ok(sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    assert_int_equal(report.uploaded, 1);
    assert_is(s, "a", "after!");
}

/* Of a program that kept other rows, say. */
static void test_edit__sends_again_what_a_row_of_another_length_tells_of(void **state) {
    stage_t *s = *state;
    CLEANUP(buf_done) buf_t row, changes;
    uint8_t key[8] = {0};
    sync_report_t report;
    sync_stat_t stat;
    bool found = false;
    (void)put_in_vain(s, "a", "content", &stat);
    for (int i = 0; i < 8; i++) key[i] = (uint8_t)(stat.inode >> (56 - 8 * i));
    buf_init(&row, 256);
    buf_init(&changes, 1024);
    assert_ok(db_local_get(s->client->state, STATE_PUTS, BYTES_ARRAY(key), &found, &row));
    assert_true(found);
    assert_ok(db_local_put(&changes, STATE_PUTS, BYTES_ARRAY(key),
                           bytes_slice(buf_bytes(&row), 0, row.n - 8)));
    assert_ok(db_local_apply(s->client->state, buf_bytes(&changes)));
    const sync_edit_t it = {.kind = SYNC_EDIT_PUT, .path = "a", .stat = stat};
    assert_ok(sync_engine_edit(s->engine, &s->client->folder, &it, 1, &report));
    assert_int_equal(report.uploaded, 1);
    assert_is(s, "a", "content");
}

/* ---- the past ---- */

static void test_history__tells_what_happened(void **state) {
    stage_t *s = *state;
    sync_past_reach_t reach = {0};
    live(s);
    assert_told(s, "a", (const char *const[]){"5 deleted a", "3 changed a", "1 added a", NULL});
    assert_told(s, "d/b", (const char *const[]){"6 deleted d/b", "4 added d/b", NULL});
    assert_told(
        s, "d",
        (const char *const[]){"6 deleted d", "6 deleted d/b", "4 added d/b", "2 added d", NULL});
    assert_told(s, "",
                (const char *const[]){"6 deleted d", "6 deleted d/b", "5 deleted a", "4 added d/b",
                                      "3 changed a", "2 added d", "1 added a", NULL});
    assert_err(ERR_NOT_FOUND, history(s, "never", &reach));
    s->stop_at = 1;
    assert_ok(history(s, "a", &reach));
    assert_true(reach.stopped && s->told_n == 1);
}

static void test_history__begins_again_with_another_file_of_the_name(void **state) {
    stage_t *s = *state;
    live(s);
    put(s, "a", "another one");
    assert_told(
        s, "a",
        (const char *const[]){"7 added a", "5 deleted a", "3 changed a", "1 added a", NULL});
    assert_was(s, "a", 7, "another one");
    assert_was(s, "a", 6 - 2, "two");
    assert_was(s, "a", 2, "one");
}

static void test_history__finds_versions(void **state) {
    stage_t *s = *state;
    uint64_t version = 0;
    live(s);
    assert_ok(sync_past_version(s->engine, &(sync_past_which_t){.path = "a"}, &version));
    assert_int_equal(version, 4);
    assert_ok(sync_past_version(s->engine, &(sync_past_which_t){.path = "d"}, &version));
    assert_int_equal(version, 5);
    sync_past_which_t when = {.path = "a", .by_time = true, .time = clk_unix(&s->client->clk.clk)};
    assert_ok(sync_past_version(s->engine, &when, &version));
    assert_int_equal(version, 6);
    when.time -= 3;
    assert_ok(sync_past_version(s->engine, &when, &version));
    assert_int_equal(version, 4);
    when.time -= 1000;
    assert_err(ERR_NOT_FOUND, sync_past_version(s->engine, &when, &version));
    sync_past_which_t far = {.path = "a", .version = 7};
    assert_err(ERR_NOT_FOUND, sync_past_version(s->engine, &far, &version));
}

/* ---- restoring ---- */

static void test_restore__brings_back_as_a_new_version(void **state) {
    stage_t *s = *state;
    sync_report_t report;
    sync_restored_t restored;
    live(s);
    uint64_t bytes = s->world->service->data.n;
    assert_ok(restore(s, "a", 1, &report, &restored));
    assert_int_equal(restored.files, 1);
    assert_int_equal(report.commits, 1);
    assert_is(s, "a", "one");
    assert_int_equal(s->world->service->data.n, bytes + 1); /* a list, no content */
    assert_ok(restore(s, "", 4, &report, &restored));
    assert_int_equal(restored.files, 2);
    assert_int_equal(restored.folders, 1);
    assert_is(s, "a", "two");
    assert_is(s, "d/b", "bee");
    assert_ok(restore(s, "", 4, &report, &restored));
    assert_int_equal(report.commits, 0);
    assert_err(ERR_NOT_FOUND, restore(s, "d/b", 1, &report, &restored));
    assert_told(s, "a",
                (const char *const[]){"8 changed a", "7 added a", "5 deleted a", "3 changed a",
                                      "1 added a", NULL});
}

static void test_restore__takes_the_place_of_another_file(void **state) {
    stage_t *s = *state;
    sync_report_t report;
    sync_restored_t restored;
    live(s);
    put(s, "a", "another one");
    assert_ok(restore(s, "a", 3, &report, &restored));
    assert_int_equal(restored.replaced, 1);
    assert_is(s, "a", "two");
    assert_ok(restore(s, "a", 7, &report, &restored));
    assert_is(s, "a", "another one");
}

static void test_restore__leaves_what_a_folder_stands_in_the_way_of(void **state) {
    stage_t *s = *state;
    sync_report_t report;
    sync_restored_t restored;
    live(s);
    assert_ok(make(s, "a"));
    assert_ok(make(s, "a/x"));
    assert_err(ERR_EXISTS, restore(s, "a", 3, &report, &restored));
    assert_ok(restore(s, "", 4, &report, &restored));
    assert_int_equal(report.left, 1);
    assert_is(s, "d/b", "bee");
}

/* ---- a service that shows another past, or none ---- */

static void test_past__another_old_root_is_named(void **state) {
    stage_t *s = *state;
    sync_past_reach_t reach;
    live(s);
    sim_record_t *old = &s->world->service->roots.p[1];
    old->bytes.p[old->bytes.n - 1] ^= 1; /* its signature */
    assert_err(ERR_VERIFY, history(s, "a", &reach));
    sync_report_t report;
    assert_err(ERR_VERIFY, sync_engine_fetch(s->engine, &report));
    assert_string_equal(report.alarm, SYNC_ALARM_FORK);
}

static void test_past__what_is_not_kept_is_no_attack(void **state) {
    stage_t *s = *state;
    sync_past_reach_t reach = {0};
    sync_report_t report;
    sync_restored_t restored;
    put(s, "a", "one");
    put(s, "a", "two");
    put(s, "b", "bee");
    assert_ok(sync_engine_fetch(s->engine, &report));
    hide(&s->world->service->packages);
    assert_err(ERR_NOT_FOUND, sync_past_read(s->engine, "a", 1, &(sync_sink_t){s, NULL}));
    assert_err(ERR_NOT_FOUND, restore(s, "a", 1, &report, &restored));
    hide(&s->world->service->packages);
    hide(&s->world->service->data);
    assert_err(ERR_NOT_FOUND, sync_past_read(s->engine, "a", 1, &(sync_sink_t){s, NULL}));
    hide(&s->world->service->data);
    /* Version 1 alone is gone: the first two packages are its file and its list. */
    for (size_t i = 0; i < 2; i++) s->world->service->packages.p[i].id[0] ^= 1;
    assert_ok(history(s, "a", &reach));
    assert_int_equal(reach.oldest, 2);
    assert_int_equal(s->told_n, 1);
    assert_string_equal(s->told[0], "2 changed a");
    assert_is(s, "a", "two");
}

static void test_past__runs_out_of_memory_in_peace(void **state) {
    stage_t *s = *state;
    sync_past_reach_t reach = {0};
    bool fired = true;
    live(s);
    for (unsigned long n = 1; fired; n += 1 + n / 8) {
        sync_report_t report;
        assert_ok(sync_engine_fetch(s->engine, &report));
        s->told_n = 0;
        fault_arm_memory(n);
        err_t *e = sync_history(s->engine, "", tell, NULL, s, &reach);
        fired = fault_memory_fired();
        fault_arm_memory(0);
        if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        else assert_int_equal(s->told_n, 7);
        err_free(e);
    }
    assert_told(s, "a", (const char *const[]){"5 deleted a", "3 changed a", "1 added a", NULL});
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_edit__refuses_what_has_no_place),
        T(test_edit__goes_again_when_others_are_faster),
        T(test_edit__sends_again_after_a_root_was_refused),
        T(test_edit__sends_nothing_twice_when_the_net_breaks),
        T(test_edit__sends_what_changed_and_kept_its_time),
        T(test_edit__sends_again_what_a_row_of_another_length_tells_of),
        T(test_history__tells_what_happened),
        T(test_history__begins_again_with_another_file_of_the_name),
        T(test_history__finds_versions),
        T(test_restore__brings_back_as_a_new_version),
        T(test_restore__takes_the_place_of_another_file),
        T(test_restore__leaves_what_a_folder_stands_in_the_way_of),
        T(test_past__another_old_root_is_named),
        T(test_past__what_is_not_kept_is_no_attack),
        T(test_past__runs_out_of_memory_in_peace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
