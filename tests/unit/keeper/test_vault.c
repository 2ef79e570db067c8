/*
 * The vault: wrapping, tampering, restart, the log's chain, commits that fail.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/file.h"
#include "keeper_fixture.h"

static int setup(void **state) {
    static keeper_fixture_t fixture;
    keeper_fixture_make(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    keeper_fixture_done(*state);
    return 0;
}

static err_t *get_key(keeper_fixture_t *f, const char *name) {
    secret_t *key = NULL;
    err_t *e = vault_key_get(f->vault, name, VAULT_KEY_PRIVATE, &key, NULL);
    secret_free(key);
    return e;
}

/* Runs one statement while the keeper is down, and starts no keys. */
static void restart_with(keeper_fixture_t *f, const char *sql) {
    keeper_fixture_stop(f);
    keeper_fixture_sql(f, sql);
    secret_t *master = NULL;
    assert_ok(master_provider("file")->load(f->vault_dir, &master));
    vault_options_t options = {f->vault_dir, master, &f->clk.clk, rnd_real()};
    assert_ok(vault_open(&options, false, &f->vault));
    secret_free(master);
}

static void test_vault_key__gives_back_what_was_put(void **state) {
    keeper_fixture_t *f = *state;
    assert_ok(get_key(f, KEY_ROOT));
    assert_ok(get_key(f, KEY_DEVICE_CA));
    assert_err(ERR_NOT_FOUND, get_key(f, "no such key"));
    assert_err(ERR_VERIFY, get_key(f, KEY_STORAGE)); /* of another kind */
    vault_key_t again = {
        .name = KEY_ROOT, .kind = VAULT_KEY_PRIVATE, .private_key = BYTES_LIT("x")};
    assert_err(ERR_EXISTS, vault_key_put(f->vault, &again));
}

static void test_vault_key__refuses_changed_and_swapped_rows(void **state) {
    keeper_fixture_t *f = *state;
    restart_with(f, "CREATE TABLE saved AS SELECT * FROM key;"
                    "UPDATE key SET wrapped = (SELECT wrapped FROM saved WHERE name = 'device-ca')"
                    " WHERE name = 'root';"
                    "UPDATE key SET certificate ="
                    " (SELECT certificate FROM saved WHERE name = 'root')"
                    " WHERE name = 'device-ca';"
                    "UPDATE key SET wrapped = substr(wrapped, 1, length(wrapped) - 1) || x'00'"
                    " WHERE name = 'audit';"
                    "UPDATE key SET name = 'renamed' WHERE name = 'profile-signer';");
    assert_err(ERR_VERIFY, get_key(f, KEY_ROOT));
    assert_err(ERR_VERIFY, get_key(f, KEY_DEVICE_CA));
    assert_err(ERR_VERIFY, get_key(f, KEY_AUDIT));
    assert_err(ERR_VERIFY, get_key(f, "renamed"));
    restart_with(f, "DELETE FROM key; INSERT INTO key SELECT * FROM saved; DROP TABLE saved;");
    assert_ok(get_key(f, KEY_ROOT));
    keeper_fixture_restart(f);
}

static void test_vault_open__refuses_a_second_keeper_and_open_directories(void **state) {
    keeper_fixture_t *f = *state;
    secret_t *master = NULL;
    assert_ok(secret_random(rnd_real(), MASTER_KEY_SIZE, &master));
    vault_options_t options = {f->vault_dir, master, &f->clk.clk, rnd_real()};
    vault_t *second = NULL;
    assert_err(ERR_BUSY, vault_open(&options, false, &second));
    keeper_fixture_stop(f);
    assert_int_equal(chmod(f->vault_dir, 0750), 0);
    assert_err(ERR_DENIED, vault_open(&options, false, &second));
    assert_int_equal(chmod(f->vault_dir, 0700), 0);
    /* Another master key opens the database, but none of its keys. */
    assert_ok(vault_open(&options, false, &f->vault));
    assert_err(ERR_VERIFY, get_key(f, KEY_ROOT));
    secret_free(master);
    keeper_fixture_restart(f);
}

static void test_master__refuses_a_file_others_may_read(void **state) {
    keeper_fixture_t *f = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/master.key", f->vault_dir);
    secret_t *master = NULL;
    assert_int_equal(chmod(path, 0640), 0);
    assert_err(ERR_DENIED, master_provider("file")->load(f->vault_dir, &master));
    assert_int_equal(chmod(path, 0600), 0);
    assert_null(master_provider("tpm2"));
    assert_err(ERR_EXISTS, master_provider("file")->create(f->vault_dir, rnd_real(), &master));
}

static void test_vault_log__chain_holds_and_tampering_shows(void **state) {
    keeper_fixture_t *f = *state;
    uint64_t entries = 0;
    CLEANUP(buf_done) buf_t lines;
    buf_init(&lines, 1 << 20);
    for (int i = 0; i < 20; i++) {
        CLEANUP(buf_done) buf_t sealed;
        buf_init(&sealed, 4096);
        assert_ok(keeper_seal_secret(f->keeper, "pin", "device", i, BYTES_LIT("1234"), &sealed));
    }
    keeper_fixture_restart(f);
    assert_ok(vault_log_verify(f->vault, &entries));
    assert_true(entries >= 20);
    uint64_t last = 0;
    assert_ok(vault_log_read(f->vault, entries - 1, 1 << 16, &lines, &last));
    assert_int_equal(last, entries);
    assert_true(bytes_starts(buf_bytes(&lines), BYTES_LIT("{\"seq\":")));
    keeper_fixture_sql(f, "UPDATE log SET object = 'kind=pin device=other' WHERE seq = 3");
    assert_err(ERR_VERIFY, vault_log_verify(f->vault, &entries));
}

typedef struct {
    vault_op_t op;
    atomic_int calls;
    err_code_t code;
    bool failed;
} test_op_t;

static void on_done(vault_op_t *op, err_t *e) {
    test_op_t *t = (test_op_t *)(void *)op;
    t->failed = e != NULL;
    if (e) t->code = err_code(e);
    err_free(e);
    atomic_fetch_add(&t->calls, 1);
}

static void test_vault_writer__a_failed_commit_is_the_answer_and_others_are_kept(void **state) {
    keeper_fixture_t *f = *state;
    uint64_t certificates = 0, before = 0, after = 0;
    keeper_fixture_restart(f);
    vault_counts(f->vault, &certificates, &before);
    static test_op_t waits, beside;
    waits = (test_op_t){.op = {.role = "web", .intent = "test", .waits = true, .done = on_done}};
    beside = (test_op_t){.op = {.role = "web", .intent = "test", .done = on_done}};
    fault_arm_io(2); /* the statement after BEGIN */
    assert_ok(vault_submit(f->vault, &beside.op));
    assert_ok(vault_submit(f->vault, &waits.op));
    vault_stop(f->vault); /* commits what is left */
    fault_arm_io(0);
    assert_int_equal(atomic_load(&waits.calls), 1);
    assert_int_equal(atomic_load(&beside.calls), 1);
    vault_counts(f->vault, &certificates, &after);
    assert_true(after - before == (waits.failed ? 0U : 1U) + (beside.failed ? 0U : 1U));
    assert_true(waits.failed || beside.failed);
    keeper_fixture_restart(f);
}

static void test_vault_writer__an_entry_nobody_waits_for_is_tried_again(void **state) {
    keeper_fixture_t *f = *state;
    uint64_t certificates = 0, before = 0, after = 0;
    keeper_fixture_restart(f);
    vault_counts(f->vault, &certificates, &before);
    static test_op_t beside;
    beside = (test_op_t){.op = {.role = "web", .intent = "test", .done = on_done}};
    fault_arm_io(1);
    assert_ok(vault_submit(f->vault, &beside.op));
    while (!atomic_load(&beside.calls)) (void)sched_yield();
    assert_true(fault_io_fired());
    fault_arm_io(0);
    assert_false(beside.failed);
    vault_counts(f->vault, &certificates, &after);
    assert_int_equal(after, before + 1);
    assert_false(vault_is_failing(f->vault));
}

/* A request that never ends holds a commit up for a moment only, and one that ends not at all. */
static void test_vault_writer__a_commit_waits_for_others_at_work_but_not_for_ever(void **state) {
    keeper_fixture_t *f = *state;
    uint64_t certificates = 0, before = 0, after = 0;
    keeper_fixture_restart(f);
    vault_counts(f->vault, &certificates, &before);
    static test_op_t ops[3];
    for (size_t i = 0; i < 3; i++)
        ops[i] =
            (test_op_t){.op = {.role = "web", .intent = "test", .waits = true, .done = on_done}};
    vault_expect(f->vault);
    assert_ok(vault_submit(f->vault, &ops[0].op));
    assert_ok(vault_submit(f->vault, &ops[1].op));
    while (!atomic_load(&ops[0].calls) || !atomic_load(&ops[1].calls)) (void)sched_yield();
    vault_expect_done(f->vault);
    assert_ok(vault_submit(f->vault, &ops[2].op));
    while (!atomic_load(&ops[2].calls)) (void)sched_yield();
    vault_counts(f->vault, &certificates, &after);
    assert_int_equal(after, before + 3);
    for (size_t i = 0; i < 3; i++) assert_false(ops[i].failed);
}

static void test_init__is_all_or_nothing(void **state) {
    keeper_fixture_t *f = *state;
    char dir[] = "/tmp/coffer-init-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    keeper_init_t init = {
        .dir = dir,
        .organisation = "Example",
        .host = "192.0.2.1",
        .profiles = &f->profiles,
        .clk = &f->clk.clk,
        .rnd = rnd_real(),
    };
    (void)snprintf(path, sizeof path, "%s/vault", dir);
    bool made = false;
    for (unsigned long n = 1; !made && n < 200; n += 7) {
        fault_arm_io(n);
        err_t *e = keeper_init(&init);
        made = !fault_io_fired();
        fault_arm_io(0);
        if (made) assert_null(e);
        else if (e) assert_false(file_exists(path));
        else made = true; /* the fault hit a clean-up that may fail */
        err_free(e);
    }
    assert_true(made);
    assert_err(ERR_EXISTS, keeper_init(&init));
    char command[96];
    (void)snprintf(command, sizeof command, "%s/tls/key.pem", dir);
    struct stat st;
    assert_int_equal(stat(command, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    keeper_fixture_t other = {.role = ROLE_WEB};
    (void)snprintf(other.dir, sizeof other.dir, "%s", dir);
    (void)snprintf(other.vault_dir, sizeof other.vault_dir, "%s/vault", dir);
    clk_fake_init(&other.clk, clk_unix_ms(clk_real()));
    keeper_fixture_start(&other);
    keeper_fixture_done(&other);
    init.organisation = "";
    assert_err(ERR_USAGE, keeper_init(&init));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vault_key__gives_back_what_was_put),
        cmocka_unit_test(test_vault_key__refuses_changed_and_swapped_rows),
        cmocka_unit_test(test_vault_open__refuses_a_second_keeper_and_open_directories),
        cmocka_unit_test(test_master__refuses_a_file_others_may_read),
        cmocka_unit_test(test_vault_writer__a_failed_commit_is_the_answer_and_others_are_kept),
        cmocka_unit_test(test_vault_writer__an_entry_nobody_waits_for_is_tried_again),
        cmocka_unit_test(test_vault_writer__a_commit_waits_for_others_at_work_but_not_for_ever),
        cmocka_unit_test(test_init__is_all_or_nothing),
        cmocka_unit_test(test_vault_log__chain_holds_and_tampering_shows),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
