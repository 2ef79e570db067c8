/*
 * Migrations: applied once, in order, and never under a program that doesn't know them.
 */
#include "store_fixture.h"

static const migration_t two[] = {
    {1, "0001_one", "aa", "CREATE TABLE one (seq IDENTITY, data BYTES); -- BYTES stays here"},
    {2, "0002_two", "bb", "CREATE TABLE two (text TEXT DEFAULT 'BYTES');"},
};

static void test_migrate__the_embedded_ones_apply_once(void **state) {
    (void)state;
    fixture_t f;
    fixture_open(&f, NULL);
    size_t count = 0;
    (void)migrate_embedded(&count);
    assert_true(count >= 2);
    assert_err(ERR_DENIED, migrate_check(f.db));
    unsigned applied = 0;
    assert_ok(migrate_run(f.db, &applied));
    assert_int_equal(applied, count);
    assert_ok(migrate_check(f.db));
    assert_ok(migrate_run(f.db, &applied));
    assert_int_equal(applied, 0);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM device"), 0);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM audit_entry"), 0);
    fixture_done(&f);
}

static void test_migrate__words_are_replaced_outside_texts(void **state) {
    (void)state;
    fixture_t f;
    fixture_open(&f, NULL);
    unsigned applied = 0;
    assert_ok(migrate_run_set(f.db, two, 2, &applied));
    assert_ok(fixture_script(
        f.db, "INSERT INTO one (data) VALUES ('x'); INSERT INTO two DEFAULT VALUES;"));
    assert_int_equal(fixture_number(f.db, "SELECT seq FROM one"), 1);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM two WHERE text = 'BYTES'"), 1);
    fixture_done(&f);
}

static void test_migrate__a_newer_database_is_refused(void **state) {
    (void)state;
    fixture_t f;
    fixture_open(&f, NULL);
    unsigned applied = 0;
    assert_ok(migrate_run_set(f.db, two, 2, &applied));
    err_t *e = migrate_run_set(f.db, two, 1, &applied);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_DENIED);
    char text[512];
    assert_non_null(strstr(err_text(e, text, sizeof text), "newer than this program"));
    assert_non_null(strstr(text, "0002_two"));
    err_free(e);
    assert_err(ERR_DENIED, migrate_check(f.db));
    fixture_done(&f);
}

static void test_migrate__a_changed_migration_is_refused(void **state) {
    (void)state;
    fixture_t f;
    fixture_open(&f, NULL);
    unsigned applied = 0;
    assert_ok(migrate_run_set(f.db, two, 1, &applied));
    migration_t changed[] = {two[0], two[1]};
    changed[0].sha256 = "cc";
    CLEANUP(err_free) err_t *e = migrate_run_set(f.db, changed, 2, &applied);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_DENIED);
    assert_non_null(strstr(err_message(e), "make a new one")); /* the advice */
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM schema_migration"), 1);
    fixture_done(&f);
}

static void test_migrate__a_failing_one_leaves_nothing(void **state) {
    (void)state;
    fixture_t f;
    fixture_open(&f, NULL);
    unsigned applied = 77;
    const migration_t broken[] = {
        two[0], {2, "0002_broken", "bb", "CREATE TABLE half (a TEXT); CREATE TABLE one (a TEXT);"}};
    assert_err(ERR_INTERNAL, migrate_run_set(f.db, broken, 2, &applied));
    assert_int_equal(applied, 77);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM schema_migration"), 1);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'half'"),
                     0);
    const migration_t gap[] = {two[0], {3, "0003_gap", "dd", "CREATE TABLE gap (a TEXT);"}};
    assert_err(ERR_INTERNAL, migrate_run_set(f.db, gap, 2, &applied));
    assert_ok(migrate_run_set(f.db, two, 2, &applied));
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_migrate__the_embedded_ones_apply_once),
        cmocka_unit_test(test_migrate__words_are_replaced_outside_texts),
        cmocka_unit_test(test_migrate__a_newer_database_is_refused),
        cmocka_unit_test(test_migrate__a_changed_migration_is_refused),
        cmocka_unit_test(test_migrate__a_failing_one_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
