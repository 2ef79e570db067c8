/* Log-in: uniform answers, throttling that survives a restart, tokens, audit entries. */
#include "../store/store_fixture.h"

#include "base/limits.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "directory/directory_internal.h"

typedef struct {
    fixture_t f;
    audit_t audit;
    directory_t *directory;
    arena_t *arena;
} room_t;

static void open_with_cost(room_t *room, bool cheap) {
    directory_options_t options = {.db = room->f.db,
                                   .audit = &room->audit,
                                   .clk = &room->f.clk.clk,
                                   .rnd = rnd_real(),
                                   .cheap_passwords = cheap};
    assert_ok(directory_new(&options, &room->directory));
}

static void open_directory(room_t *room) { open_with_cost(room, true); }

static int setup(void **state) {
    static room_t room;
    room = (room_t){0};
    assert_ok(crypto_init());
    fixture_migrated(&room.f);
    room.audit = (audit_t){.node = "test/web", .clk = &room.f.clk.clk};
    open_directory(&room);
    assert_ok(arena_new(1 << 20, &room.arena));
    assert_ok(directory_add_person(room.directory, &DIRECTORY_SYSTEM,
                                   BYTES_LIT("Admin@Example.org"), BYTES_LIT("Admin"),
                                   BYTES_LIT("admin"), BYTES_LIT("correct horse"), NULL));
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

static err_t *log_in(room_t *room, const char *email, const char *password) {
    db_person_t person = {0};
    TRY(directory_log_in(room->directory, room->arena, bytes_str(email), bytes_str(password), "::1",
                         &person));
    assert_string_equal(person.email, "admin@example.org");
    return NULL;
}

static void test_login__right_password_in_any_case_of_address(void **state) {
    assert_ok(log_in(*state, "admin@example.org", "correct horse"));
    assert_ok(log_in(*state, " ADMIN@example.ORG ", "correct horse"));
}

static void test_login__is_audited_under_the_person(void **state) {
    room_t *room = *state;
    assert_ok(log_in(room, "admin@example.org", "correct horse"));
    assert_err(ERR_AUTH, log_in(room, "admin@example.org", "wrong horse"));
    assert_int_equal(fixture_number(room->f.db,
                                    "SELECT COUNT(*) FROM audit_entry WHERE action LIKE "
                                    "'person.login%' AND actor = 'person:admin@example.org'"),
                     2);
}

static void test_directory__a_known_address_is_named_without_its_table(void **state) {
    room_t *room = *state;
    CLEANUP(err_free)
    err_t *e =
        directory_add_person(room->directory, &DIRECTORY_SYSTEM, BYTES_LIT("admin@example.org"),
                             BYTES_LIT("x"), BYTES_LIT("member"), BYTES_LIT("correct horse"), NULL);
    char text[200];
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_EXISTS);
    assert_string_equal(err_text(e, text, sizeof text),
                        "admin@example.org is in the directory already");
}

static void test_login__failures_say_the_same(void **state) {
    room_t *room = *state;
    const char *const attempts[][2] = {{"admin@example.org", "wrong horse"},
                                       {"nobody@example.org", "correct horse"},
                                       {"not an address", "correct horse"},
                                       {"admin@example.org", ""},
                                       {"disabled@example.org", "correct horse"}};
    assert_ok(directory_add_person(room->directory, &DIRECTORY_SYSTEM,
                                   BYTES_LIT("disabled@example.org"), BYTES_LIT("x"),
                                   BYTES_LIT("member"), BYTES_LIT("correct horse"), NULL));
    assert_ok(directory_set_disabled(room->directory, "system", BYTES_LIT("disabled@example.org"),
                                     true, false));
    char first[200] = "", text[200];
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        err_t *e = log_in(room, attempts[i][0], attempts[i][1]);
        assert_non_null(e);
        assert_int_equal(err_code(e), ERR_AUTH);
        (void)err_text(e, text, sizeof text);
        err_free(e);
        if (i == 0) (void)snprintf(first, sizeof first, "%s", text);
        assert_string_equal(text, first);
    }
}

static double cpu_ms(void) {
    struct timespec at;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

/* The least of several, which others' load does not change; each after the delay of the last. */
static double least_ms(room_t *room, const char *email, const char *password) {
    double least = 1e9;
    for (int i = 0; i < 4; i++) {
        clk_fake_advance(&room->f.clk, (int64_t)86400 * 1000);
        double before = cpu_ms();
        assert_err(ERR_AUTH, log_in(room, email, password));
        double took = cpu_ms() - before;
        if (took < least) least = took;
    }
    return least;
}

/* An unknown address, a disabled person and a wrong password cost the same hash and wait for the
 * disk alike. */
static void test_login__failures_take_the_same_time(void **state) {
    room_t *room = *state;
    directory_free(room->directory);
    open_with_cost(room, false);
    assert_ok(directory_set_password(room->directory, &DIRECTORY_SYSTEM,
                                     BYTES_LIT("admin@example.org"), BYTES_LIT("correct horse"),
                                     NULL, NULL));
    assert_ok(directory_add_person(room->directory, &DIRECTORY_SYSTEM,
                                   BYTES_LIT("disabled@example.org"), BYTES_LIT("x"),
                                   BYTES_LIT("member"), BYTES_LIT("correct horse"), NULL));
    assert_ok(directory_set_disabled(room->directory, "system", BYTES_LIT("disabled@example.org"),
                                     true, false));
    double wrong = least_ms(room, "admin@example.org", "wrong horse");
    const char *const others[][2] = {{"nobody@example.org", "wrong horse"},
                                     {"disabled@example.org", "correct horse"}};
    for (size_t i = 0; i < 2; i++) {
        double took = least_ms(room, others[i][0], others[i][1]);
        if (took < wrong * 0.6 || took > wrong * 1.7)
            fail_msg("%s takes %.2f ms, a wrong password %.2f ms", others[i][0], took, wrong);
    }
    assert_int_equal(
        fixture_number(room->f.db, "SELECT COUNT(*) FROM meta WHERE name = 'login.stranger'"), 1);
}

static void test_login__throttles_and_forgets_after_success(void **state) {
    room_t *room = *state;
    for (int i = 0; i < LIMIT_LOGIN_FAILURES; i++)
        assert_err(ERR_AUTH, log_in(room, "admin@example.org", "wrong horse"));
    assert_err(ERR_BUSY, log_in(room, "admin@example.org", "correct horse"));
    directory_free(room->directory); /* a restart does not help */
    open_directory(room);
    assert_err(ERR_BUSY, log_in(room, "admin@example.org", "correct horse"));
    clk_fake_advance(&room->f.clk, 1001);
    assert_err(ERR_AUTH, log_in(room, "admin@example.org", "wrong horse"));
    clk_fake_advance(&room->f.clk, 1001); /* the second delay is twice as long */
    assert_err(ERR_BUSY, log_in(room, "admin@example.org", "correct horse"));
    clk_fake_advance(&room->f.clk, 1000);
    assert_ok(log_in(room, "admin@example.org", "correct horse"));
    assert_err(ERR_AUTH, log_in(room, "admin@example.org", "wrong horse"));
    assert_ok(log_in(room, "admin@example.org", "correct horse"));
}

/* Which slot an address would have if its plain hash chose. */
static size_t plain_slot(const char *address) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    assert_ok(digest_sha256(bytes_str(address), hash));
    return ((size_t)hash[0] << 8 | hash[1]) % DIRECTORY_STRANGERS;
}

/* Whether `victim` still has to wait after someone tried an address with the same plain slot. */
static bool keeps_waiting(room_t *room, const char *victim) {
    char other[64];
    for (unsigned i = 0; i < LIMIT_LOGIN_FAILURES; i++)
        assert_err(ERR_AUTH, log_in(room, victim, "wrong horse"));
    assert_err(ERR_BUSY, log_in(room, victim, "wrong horse"));
    for (unsigned n = 0;; n++) {
        (void)snprintf(other, sizeof other, "%u%s", n, victim);
        if (plain_slot(other) == plain_slot(victim)) break;
    }
    assert_err(ERR_AUTH, log_in(room, other, "wrong horse"));
    err_t *e = log_in(room, victim, "wrong horse");
    bool busy = e && err_code(e) == ERR_BUSY;
    err_free(e);
    return busy;
}

/*
 * Who could choose the slot would end another address's wait, and learn that nobody has it. Three
 * tries, for two addresses may have one slot by chance.
 */
static void test_login__nobody_aims_at_a_strangers_slot(void **state) {
    room_t *room = *state;
    assert_true(keeps_waiting(room, "a@example.org") || keeps_waiting(room, "b@example.org") ||
                keeps_waiting(room, "c@example.org"));
}

static void test_login__throttles_strangers_just_the_same(void **state) {
    room_t *room = *state;
    for (int i = 0; i < LIMIT_LOGIN_FAILURES; i++)
        assert_err(ERR_AUTH, log_in(room, "nobody@example.org", "wrong horse"));
    assert_err(ERR_BUSY, log_in(room, "nobody@example.org", "wrong horse"));
    assert_ok(log_in(room, "admin@example.org", "correct horse"));
    clk_fake_advance(&room->f.clk, 1001);
    assert_err(ERR_AUTH, log_in(room, "nobody@example.org", "wrong horse"));
    assert_err(ERR_BUSY, log_in(room, "nobody@example.org", "wrong horse"));
}

static void test_directory__refuses_bad_people(void **state) {
    room_t *room = *state;
    directory_t *d = room->directory;
    bytes_t role = BYTES_LIT("member"), name = BYTES_LIT("N"), good = BYTES_LIT("long enough pw");
    static const char *const bad[] = {"", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (strcmp(bad[i], "a@b\n") != 0) /* trimmed, therefore fine */
            assert_err(ERR_INVALID, directory_add_person(d, &DIRECTORY_SYSTEM, bytes_str(bad[i]),
                                                         name, role, good, NULL));
    assert_err(ERR_INVALID, directory_add_person(d, &DIRECTORY_SYSTEM, BYTES_LIT("a@example.org"),
                                                 name, BYTES_LIT("root"), good, NULL));
    assert_err(ERR_INVALID, directory_add_person(d, &DIRECTORY_SYSTEM, BYTES_LIT("a@example.org"),
                                                 name, role, BYTES_LIT("short"), NULL));
    assert_err(ERR_INVALID, directory_add_person(d, &DIRECTORY_SYSTEM, BYTES_LIT("a@example.org"),
                                                 BYTES_LIT("a\x1b[2J"), role, good, NULL));
    assert_err(ERR_EXISTS,
               directory_add_person(d, &DIRECTORY_SYSTEM, BYTES_LIT("ADMIN@example.org"), name,
                                    role, good, NULL));
    assert_err(ERR_NOT_FOUND,
               directory_set_disabled(d, "system", BYTES_LIT("b@example.org"), true, false));
}

static void test_directory__generates_passwords_that_work(void **state) {
    room_t *room = *state;
    CLEANUP(buf_done) buf_t password;
    db_person_t person;
    buf_init_secret(&password, 100);
    assert_ok(directory_add_person(room->directory, &DIRECTORY_SYSTEM, BYTES_LIT("new@example.org"),
                                   BYTES_LIT("New"), BYTES_LIT("member"), BYTES_NONE, &password));
    assert_true(password.n >= 20);
    assert_ok(directory_log_in(room->directory, room->arena, BYTES_LIT("new@example.org"),
                               buf_bytes(&password), "::1", &person));
}

static void test_tokens__work_until_they_expire_or_go(void **state) {
    room_t *room = *state;
    directory_t *d = room->directory;
    CLEANUP(buf_done) buf_t token;
    db_token_t row;
    db_person_t nobody;
    buf_init_secret(&token, 100);
    int64_t soon = clk_unix_ms(&room->f.clk.clk) + 5000;
    assert_ok(directory_add_token(d, &DIRECTORY_SYSTEM, BYTES_LIT("script"), BYTES_LIT("auditor"),
                                  BYTES_NONE, soon, &token));
    assert_ok(directory_check_token(d, room->arena, buf_bytes(&token), &row, &nobody));
    assert_string_equal(row.role, "auditor");
    assert_string_equal(nobody.id, "");
    assert_err(ERR_AUTH,
               directory_check_token(d, room->arena, BYTES_LIT("cft_wrong"), &row, &nobody));
    assert_err(ERR_EXISTS, directory_add_token(d, &DIRECTORY_SYSTEM, BYTES_LIT("script"),
                                               BYTES_LIT("admin"), BYTES_NONE, 0, &token));
    clk_fake_advance(&room->f.clk, 6000);
    bytes_t text = bytes_slice(buf_bytes(&token), 0, 47);
    assert_err(ERR_AUTH, directory_check_token(d, room->arena, text, &row, &nobody));
    assert_ok(directory_remove_token(d, "system", BYTES_LIT("script")));
    assert_err(ERR_NOT_FOUND, directory_remove_token(d, "system", BYTES_LIT("script")));
}

static void test_tokens__of_a_person_end_with_the_person(void **state) {
    room_t *room = *state;
    directory_t *d = room->directory;
    CLEANUP(buf_done) buf_t token;
    CLEANUP(buf_done) buf_t password;
    db_token_t row;
    db_person_t person;
    buf_init_secret(&token, 100);
    buf_init_secret(&password, 100);
    bytes_t email = BYTES_LIT("Officer@example.org"), role = BYTES_LIT("officer");
    assert_err(ERR_INVALID, directory_add_token(d, &DIRECTORY_SYSTEM, BYTES_LIT("o"), role,
                                                BYTES_NONE, 0, &token));
    assert_err(ERR_NOT_FOUND,
               directory_add_token(d, &DIRECTORY_SYSTEM, BYTES_LIT("o"), role, email, 0, &token));
    assert_ok(directory_add_person(d, &DIRECTORY_SYSTEM, email, BYTES_LIT("O"), BYTES_LIT("member"),
                                   BYTES_NONE, &password));
    assert_ok(directory_add_token(d, &DIRECTORY_SYSTEM, BYTES_LIT("o"), role, email, 0, &token));
    assert_ok(directory_check_token(d, room->arena, buf_bytes(&token), &row, &person));
    assert_string_equal(row.role, "officer");
    assert_string_equal(person.email, "officer@example.org");
    assert_ok(directory_set_disabled(d, "system", email, true, false));
    assert_err(ERR_AUTH, directory_check_token(d, room->arena, buf_bytes(&token), &row, &person));
}

static void test_tokens__tell_through_whose_hands_a_person_went(void **state) {
    room_t *room = *state;
    directory_t *d = room->directory;
    CLEANUP(buf_done) buf_t made;
    const bytes_t dora = BYTES_LIT("dora@example.org"), admin = BYTES_LIT("admin");
    const directory_by_t ben = {"person:ben", "ben", false}, carl = {"token:x", "carl", false};
    db_token_t token;
    db_person_t person, logged;
    const char *name = NULL;
    size_t before = 0;
    assert_ok(directory_add_person(d, &DIRECTORY_SYSTEM, dora, BYTES_LIT("D"), admin,
                                   BYTES_LIT("correct horse"), NULL));
    const char *const count = "SELECT COUNT(*) FROM credential_hand WHERE hand <> ''";
    assert_int_equal(fixture_number(room->f.db, count), 0);
    buf_init_secret(&made, 256);
    assert_ok(directory_add_token(d, &DIRECTORY_SYSTEM, BYTES_LIT("t1"), admin, dora, 0, &made));
    assert_ok(directory_check_token(d, room->arena, buf_bytes(&made), &token, &person));
    assert_true(token.not_hers);
    assert_string_equal(token.maker, "");
    before = made.n;
    assert_ok(directory_add_token(d, &ben, BYTES_LIT("t2"), admin, dora, 0, &made));
    assert_ok(directory_check_token(d, room->arena, bytes_from(buf_bytes(&made), before), &token,
                                    &person));
    assert_false(token.not_hers);
    assert_string_equal(token.maker, "ben");
    assert_int_equal(fixture_number(room->f.db, count), 1);
    assert_ok(directory_set_password(d, &carl, dora, BYTES_LIT("other horse"), NULL, NULL));
    assert_int_equal(fixture_number(room->f.db, count), 2);
    /* A token of her own goes through nobody's hands. */
    before = made.n;
    assert_ok(directory_log_in(d, room->arena, dora, BYTES_LIT("other horse"), "::1", &logged));
    assert_ok(directory_login_token(d, room->arena, &logged, "admin",
                                    clk_unix_ms(&room->f.clk.clk) + 1000, &name, &made));
    assert_ok(directory_check_token(d, room->arena, bytes_from(buf_bytes(&made), before), &token,
                                    &person));
    assert_false(token.not_hers);
    assert_string_equal(token.maker, person.id);
    assert_string_equal(token.name, name);
    assert_int_equal(fixture_number(room->f.db, count), 2);
    /* It is worth no more than she is; one that another admin gave stays. */
    assert_ok(fixture_script(room->f.db,
                             "UPDATE person SET role = 'member' WHERE email = 'dora@example.org'"));
    assert_err(ERR_AUTH, directory_check_token(d, room->arena, bytes_from(buf_bytes(&made), before),
                                               &token, &person));
    assert_ok(directory_check_token(d, room->arena, bytes_slice(buf_bytes(&made), 0, made.n / 3),
                                    &token, &person));
    assert_ok(fixture_script(room->f.db,
                             "UPDATE person SET role = 'admin' WHERE email = 'dora@example.org'"));
    /* Another password ends what the former one gave, and only that. */
    int64_t ended = 0;
    assert_ok(directory_set_password(d, &carl, dora, BYTES_LIT("third horse"), NULL, &ended));
    assert_int_equal(ended, 1);
    assert_err(ERR_AUTH, directory_check_token(d, room->arena, bytes_from(buf_bytes(&made), before),
                                               &token, &person));
    assert_ok(directory_check_token(d, room->arena, bytes_slice(buf_bytes(&made), 0, made.n / 3),
                                    &token, &person));
    before = made.n;
    assert_ok(directory_login_token(d, room->arena, &logged, "admin",
                                    clk_unix_ms(&room->f.clk.clk) + 1000, &name, &made));
    /* Those that expired go when she logs in again. */
    clk_fake_advance(&room->f.clk, 2000);
    assert_ok(directory_login_token(d, room->arena, &logged, "admin",
                                    clk_unix_ms(&room->f.clk.clk) + 1000, &name, &made));
    assert_int_equal(
        fixture_number(room->f.db, "SELECT COUNT(*) FROM api_token WHERE name LIKE 'login-%'"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_login__right_password_in_any_case_of_address, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_login__is_audited_under_the_person, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory__a_known_address_is_named_without_its_table,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_login__failures_say_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_login__failures_take_the_same_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_login__throttles_and_forgets_after_success, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_login__nobody_aims_at_a_strangers_slot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_login__throttles_strangers_just_the_same, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_directory__refuses_bad_people, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory__generates_passwords_that_work, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_tokens__of_a_person_end_with_the_person, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_tokens__work_until_they_expire_or_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens__tell_through_whose_hands_a_person_went, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
