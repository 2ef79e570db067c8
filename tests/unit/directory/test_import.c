/* People of a directory: log-in by it, taking over, leaving, the brake. The directory is a table.
 */
#include "../store/store_fixture.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/secret.h"
#include "directory/import.h"
#include "directory/publish.h"
#include "store/jobs.h"

enum { PEOPLE = 40 };

typedef struct {
    directory_entry_t entries[PEOPLE];
    size_t n;
    size_t asked; /* log-ins */
    err_code_t broken;
    bool is_broken;
} table_t;

typedef struct {
    fixture_t f;
    audit_t audit;
    table_t table;
    directory_source_t source;
    directory_t *directory;
    arena_t *arena;
    size_t left; /* calls */
} room_t;

static err_t *table_log_in(void *ctx, arena_t *arena, bytes_t name, bytes_t password,
                           bool *ret_good, directory_entry_t *ret_entry) {
    table_t *table = ctx;
    (void)arena;
    table->asked++;
    if (table->is_broken) return err_new(table->broken, "ldaps://192.0.2.1 is away");
    *ret_good = false;
    for (size_t i = 0; i < table->n; i++)
        if (bytes_eq_str(name, table->entries[i].email) && bytes_eq_str(password, "good")) {
            *ret_good = true;
            *ret_entry = table->entries[i];
        }
    return NULL;
}

static err_t *table_people(void *ctx, arena_t *arena, directory_entry_t **ret_entries,
                           size_t *ret_count) {
    table_t *table = ctx;
    directory_entry_t *entries = NULL;
    if (table->is_broken) return err_new(table->broken, "away");
    TRY(arena_alloc(arena, (table->n + 1) * sizeof *entries, &entries));
    for (size_t i = 0; i < table->n; i++) entries[i] = table->entries[table->n - 1 - i];
    *ret_entries = entries;
    *ret_count = table->n;
    return NULL;
}

static void put(room_t *room, const char *id, const char *email, directory_role_t role) {
    room->table.entries[room->table.n++] = (directory_entry_t){.external_id = id,
                                                               .dn = "uid=x",
                                                               .email = email,
                                                               .name = "A Person",
                                                               .login = "x",
                                                               .role = role};
}

static int setup(void **state) {
    static room_t room;
    room = (room_t){0};
    assert_ok(crypto_init());
    fixture_migrated(&room.f);
    room.audit = (audit_t){.node = "test/web", .clk = &room.f.clk.clk};
    room.source = (directory_source_t){&room.table, table_log_in, table_people};
    assert_ok(directory_new(&(directory_options_t){.db = room.f.db,
                                                   .audit = &room.audit,
                                                   .clk = &room.f.clk.clk,
                                                   .rnd = rnd_real(),
                                                   .cheap_passwords = true,
                                                   .source = &room.source},
                            &room.directory));
    assert_ok(arena_new(4 << 20, &room.arena));
    put(&room, "id-nurse", "nurse@example.org", DIRECTORY_MEMBER);
    put(&room, "id-chief", "chief@example.org", DIRECTORY_ADMIN);
    *state = &room;
    return 0;
}

static int teardown(void **state) {
    room_t *room = *state;
    directory_free(room->directory);
    arena_free(room->arena);
    fixture_done(&room->f);
    return 0;
}

static err_t *log_in(room_t *room, const char *email, const char *password,
                     db_person_t *ret_person) {
    return directory_log_in(room->directory, room->arena, bytes_str(email), bytes_str(password),
                            "::1", ret_person);
}

static err_t *on_left(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                      size_t *ret_revoked) {
    room_t *room = ctx;
    (void)conn;
    (void)arena;
    assert_true(person->disabled);
    room->left++;
    *ret_revoked = 2;
    return NULL;
}

static err_t *run_sync(room_t *room, bool force, directory_sync_report_t *ret_report) {
    const directory_sync_t how = {
        .actor = "test", .force = force, .brake = 20, .left = on_left, .ctx = room};
    return directory_sync(room->directory, &how, ret_report);
}

typedef struct {
    arena_t *arena;
    const char *email;
    db_person_t row;
    bool found;
} find_t;

static err_t *find_fn(db_conn_t *conn, void *arg) {
    find_t *find = arg;
    return db_people_by_email(conn, find->arena, find->email, &find->row, &find->found);
}

static db_person_t person(room_t *room, const char *email) {
    find_t find = {.arena = room->arena, .email = email};
    assert_ok(db_read(room->f.db, find_fn, &find));
    assert_true(find.found);
    return find.row;
}

static void test_import__a_login_makes_the_person(void **state) {
    room_t *room = *state;
    db_person_t who;
    assert_ok(log_in(room, "Chief@Example.org", "good", &who));
    assert_string_equal(who.role, "admin");
    db_person_t row = person(room, "chief@example.org");
    assert_string_equal(row.source, "ldap");
    assert_string_equal(row.external_id, "id-chief");
    assert_string_equal(row.password_hash, "");
    assert_ok(log_in(room, "chief@example.org", "good", &who));
    assert_int_equal(fixture_number(room->f.db, "SELECT COUNT(*) FROM person"), 1);
    assert_err(ERR_AUTH, log_in(room, "chief@example.org", "bad", &who));
    assert_err(ERR_AUTH, log_in(room, "nobody@example.org", "bad", &who));
}

static void test_import__an_empty_password_asks_nobody(void **state) {
    room_t *room = *state;
    db_person_t who;
    assert_err(ERR_AUTH, log_in(room, "nurse@example.org", "", &who));
    assert_int_equal(room->table.asked, 0);
}

static void test_import__failures_are_throttled_without_asking(void **state) {
    room_t *room = *state;
    db_person_t who;
    assert_ok(log_in(room, "nurse@example.org", "good", &who));
    for (int i = 0; i < LIMIT_LOGIN_FAILURES; i++)
        assert_err(ERR_AUTH, log_in(room, "nurse@example.org", "bad", &who));
    size_t asked = room->table.asked;
    assert_err(ERR_BUSY, log_in(room, "nurse@example.org", "good", &who));
    assert_int_equal(room->table.asked, asked);
    for (int i = 0; i < LIMIT_LOGIN_FAILURES; i++)
        assert_err(ERR_AUTH, log_in(room, "stranger@example.org", "bad", &who));
    assert_err(ERR_BUSY, log_in(room, "stranger@example.org", "bad", &who));
}

static void test_import__an_absent_directory_counts_as_no_failure(void **state) {
    room_t *room = *state;
    db_person_t who;
    char text[300];
    assert_ok(directory_add_person(room->directory, &DIRECTORY_SYSTEM,
                                   BYTES_LIT("local@example.org"), BYTES_LIT("L"),
                                   BYTES_LIT("member"), BYTES_LIT("correct horse"), NULL));
    room->table.is_broken = true;
    room->table.broken = ERR_TIMEOUT;
    for (int i = 0; i < 2 * LIMIT_LOGIN_FAILURES; i++) {
        CLEANUP(err_free) err_t *e = log_in(room, "nurse@example.org", "good", &who);
        assert_non_null(e);
        assert_int_equal(err_code(e), ERR_UNAVAILABLE);
        assert_null(strstr(err_message(e), "192.0.2.1"));
        assert_non_null(strstr(err_text(e, text, sizeof text), "192.0.2.1"));
    }
    assert_ok(log_in(room, "local@example.org", "correct horse", &who));
    room->table.is_broken = false;
    assert_ok(log_in(room, "nurse@example.org", "good", &who));
}

static void test_import__local_people_are_never_taken_over(void **state) {
    room_t *room = *state;
    db_person_t who;
    directory_sync_report_t report;
    assert_ok(directory_add_person(room->directory, &DIRECTORY_SYSTEM,
                                   BYTES_LIT("chief@example.org"), BYTES_LIT("L"),
                                   BYTES_LIT("member"), BYTES_LIT("correct horse"), NULL));
    assert_err(ERR_AUTH, log_in(room, "chief@example.org", "good", &who));
    assert_int_equal(room->table.asked, 0);
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.conflicts, 1);
    assert_string_equal(report.conflict, "chief@example.org");
    assert_string_equal(person(room, "chief@example.org").role, "member");
}

static void test_import__a_sync_adds_changes_and_sends_away(void **state) {
    room_t *room = *state;
    directory_sync_report_t report;
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.added, 2);
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.added + report.changed + report.left, 0);
    room->table.entries[0].email = "sister@example.org";
    room->table.entries[1].disabled = true;
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.changed, 1);
    assert_int_equal(report.left, 1);
    assert_int_equal(report.revoked, 2);
    assert_int_equal(room->left, 1);
    assert_true(person(room, "chief@example.org").disabled);
    assert_string_equal(person(room, "sister@example.org").external_id, "id-nurse");
    room->table.entries[1].disabled = false;
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.back, 1);
    assert_false(person(room, "chief@example.org").disabled);
    room->table.entries[1].role = DIRECTORY_NOBODY; /* no group any more */
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.left, 1);
}

static void test_import__what_an_admin_disabled_stays(void **state) {
    room_t *room = *state;
    db_person_t who;
    directory_sync_report_t report;
    assert_ok(run_sync(room, false, &report));
    assert_ok(directory_set_disabled(room->directory, "admin", BYTES_LIT("nurse@example.org"), true,
                                     false));
    assert_ok(run_sync(room, false, &report));
    assert_true(person(room, "nurse@example.org").disabled);
    assert_err(ERR_AUTH, log_in(room, "nurse@example.org", "good", &who));
    assert_err(ERR_DENIED, directory_set_password(room->directory, &DIRECTORY_SYSTEM,
                                                  BYTES_LIT("chief@example.org"),
                                                  BYTES_LIT("a new password"), NULL, NULL));
}

static void test_import__who_is_made_anew_is_the_same_only_after_leaving(void **state) {
    room_t *room = *state;
    directory_sync_report_t report;
    assert_ok(run_sync(room, false, &report));
    db_person_t before = person(room, "nurse@example.org");
    /* two entries with one address: the first stays who it was */
    put(room, "id-other", "nurse@example.org", DIRECTORY_ADMIN);
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.conflicts, 1);
    assert_string_equal(person(room, "nurse@example.org").external_id, "id-nurse");
    room->table.entries[0] = room->table.entries[--room->table.n]; /* the first is gone */
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.back, 1);
    db_person_t after = person(room, "nurse@example.org");
    assert_string_equal(after.id, before.id);
    assert_string_equal(after.external_id, "id-other");
}

static void test_import__the_brake_holds(void **state) {
    room_t *room = *state;
    static char ids[PEOPLE][16], mails[PEOPLE][32];
    directory_sync_report_t report;
    for (int i = 0; i < 18; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "p%02d", i);
        (void)snprintf(mails[i], sizeof mails[i], "p%d@example.org", i);
        put(room, ids[i], mails[i], DIRECTORY_MEMBER);
    }
    assert_ok(run_sync(room, false, &report));
    room->table.n = 15; /* 5 of 20 are gone */
    assert_err(ERR_DENIED, run_sync(room, false, &report));
    assert_int_equal(room->left, 0);
    room->table.n = 16; /* 4 of 20: not more than the brake */
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(report.left, 4);
    room->table.n = 2;
    assert_err(ERR_DENIED, run_sync(room, false, &report));
    assert_ok(run_sync(room, true, &report));
    assert_int_equal(report.left, 14);
    room->table.n = 0; /* two are few, but they are all */
    assert_err(ERR_DENIED, run_sync(room, false, &report));
}

static void test_import__lies_and_absence_change_nothing(void **state) {
    room_t *room = *state;
    directory_sync_report_t report;
    assert_ok(run_sync(room, false, &report));
    put(room, "id-new", "new@example.org", DIRECTORY_MEMBER);
    put(room, "id-new", "new2@example.org", DIRECTORY_MEMBER);
    assert_err(ERR_INVALID, run_sync(room, true, &report));
    room->table.is_broken = true;
    room->table.broken = ERR_UNAVAILABLE;
    assert_err(ERR_UNAVAILABLE, run_sync(room, true, &report));
    assert_int_equal(fixture_number(room->f.db, "SELECT COUNT(*) FROM person WHERE disabled = 0"),
                     2);
}

static void test_import__a_sync_without_memory_fails_whole(void **state) {
    room_t *room = *state;
    directory_sync_report_t report;
    bool done = false;
    for (long n = 1; n < 400 && !done; n++) {
        fault_arm_memory((unsigned long)n);
        err_t *e = run_sync(room, false, &report);
        fault_arm_memory(0);
        done = !e;
        if (e)
            assert_int_equal(err_code(e) == ERR_NOMEM || err_code(e) == ERR_INTERNAL ||
                                 err_code(e) == ERR_IO,
                             true);
        err_free(e);
    }
    assert_true(done);
    assert_int_equal(fixture_number(room->f.db, "SELECT COUNT(*) FROM person"), 2);
}

/* ---- publishing ---- */

typedef struct {
    room_t *room;
    directory_publish_plan_t plan;
    const char *job;
} plan_t;

static err_t *plan_fn(db_conn_t *conn, void *arg) {
    plan_t *p = arg;
    return directory_publish_plan(conn, p->room->arena, p->job, BYTES_LIT("mail, other"),
                                  clk_unix_ms(&p->room->f.clk.clk), &p->plan);
}

static directory_publish_t planned(room_t *room, const char *job) {
    plan_t p = {.room = room, .job = job};
    assert_ok(db_read(room->f.db, plan_fn, &p));
    return p.plan.what;
}

static void test_publish__follows_the_database(void **state) {
    room_t *room = *state;
    static const char job[] = "aa000000000000000000000000000000000000000000000000000000000000bb";
    directory_sync_report_t report;
    assert_ok(run_sync(room, false, &report));
    assert_int_equal(planned(room, job), PUBLISH_NOTHING); /* there is no such certificate */
    assert_ok(fixture_script(
        room->f.db,
        "INSERT INTO certificate (fingerprint, issuer, serial, profile, subject, enrolment_id,"
        " person_id, spki_sha256, not_before, not_after, revoked_ms, der, created_ms)"
        " SELECT X'aa000000000000000000000000000000000000000000000000000000000000bb', 'device-ca',"
        " '01', 'mail', 'CN=x', '', id, X'00', 0, 4000000000, 0, X'30', 0 FROM person"
        " WHERE email = 'nurse@example.org'"));
    assert_int_equal(planned(room, job), PUBLISH_ADD);
    assert_ok(directory_publish_sweep(room->f.db, BYTES_LIT("other, mail"), 1));
    assert_int_equal(fixture_number(room->f.db, "SELECT COUNT(*) FROM job"), 1);
    assert_ok(fixture_script(room->f.db,
                             "DELETE FROM job;"
                             "INSERT INTO directory_certificate SELECT fingerprint, 'id-nurse', "
                             "X'31', 1 FROM certificate"));
    assert_int_equal(planned(room, job), PUBLISH_NOTHING);
    assert_ok(directory_publish_sweep(room->f.db, BYTES_LIT("mail"), 1));
    assert_int_equal(fixture_number(room->f.db, "SELECT COUNT(*) FROM job"), 0);
    static const char *const ends[][2] = {
        {"UPDATE certificate SET revoked_ms = 5", "UPDATE certificate SET revoked_ms = 0"},
        {"UPDATE certificate SET not_after = 5", "UPDATE certificate SET not_after = 4000000000"},
        {"UPDATE person SET disabled = 1", "UPDATE person SET disabled = 0"},
        {"UPDATE person SET external_id = 'new-' || external_id",
         "UPDATE person SET external_id = substr(external_id, 5)"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        assert_ok(fixture_script(room->f.db, ends[i][0]));
        assert_int_equal(planned(room, job), PUBLISH_REMOVE);
        assert_ok(directory_publish_sweep(room->f.db, BYTES_LIT("mail"), 1700000000000));
        assert_int_equal(fixture_number(room->f.db, "SELECT COUNT(*) FROM job"), 1);
        assert_ok(fixture_script(room->f.db, ends[i][1]));
        assert_ok(fixture_script(room->f.db, "DELETE FROM job"));
        assert_int_equal(planned(room, job), PUBLISH_NOTHING);
    }
}

/* ---- the wire ---- */

static void test_entry__goes_over_the_wire_and_back(void **state) {
    room_t *room = *state;
    CLEANUP(buf_done) buf_t out;
    directory_entry_t back;
    buf_init(&out, 4096);
    assert_ok(directory_entry_write(&room->table.entries[1], &out));
    wire_reader_t r = wire_reader(buf_bytes(&out));
    assert_ok(directory_entry_read(&r, room->arena, &back));
    assert_ok(wire_done(&r));
    assert_string_equal(back.email, "chief@example.org");
    assert_int_equal(back.role, DIRECTORY_ADMIN);
    for (size_t n = 0; n < out.n; n++) {
        wire_reader_t cut = wire_reader(bytes_make(out.p, n));
        assert_err(ERR_INVALID, directory_entry_read(&cut, room->arena, &back));
    }
    out.p[out.n - 2] = 7; /* no such role */
    wire_reader_t odd = wire_reader(buf_bytes(&out));
    assert_err(ERR_INVALID, directory_entry_read(&odd, room->arena, &back));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_import__a_login_makes_the_person),
        TEST(test_import__an_empty_password_asks_nobody),
        TEST(test_import__failures_are_throttled_without_asking),
        TEST(test_import__an_absent_directory_counts_as_no_failure),
        TEST(test_import__local_people_are_never_taken_over),
        TEST(test_import__a_sync_adds_changes_and_sends_away),
        TEST(test_import__what_an_admin_disabled_stays),
        TEST(test_import__who_is_made_anew_is_the_same_only_after_leaving),
        TEST(test_import__the_brake_holds),
        TEST(test_import__lies_and_absence_change_nothing),
        TEST(test_import__a_sync_without_memory_fails_whole),
        TEST(test_publish__follows_the_database),
        TEST(test_entry__goes_over_the_wire_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
