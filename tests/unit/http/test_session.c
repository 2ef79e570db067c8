/*
 * Sessions: src/http/session.c on a clock that the test moves.
 */
#include "http/session.h"

#include "../unit.h"
#include "base/fault.h"
#include "base/mem.h"

typedef struct {
    clk_fake_t clk;
    sessions_t *sessions;
} fixture_t;

static int setup(void **state) {
    fixture_t *f = mem_zalloc(sizeof *f);
    if (!f) return -1;
    clk_fake_init(&f->clk, 1700000000000);
    err_t *e = sessions_new(&f->clk.clk, rnd_real(), 60, 600, 20, &f->sessions);
    *state = f;
    return e ? -1 : 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    sessions_free(f->sessions);
    mem_free(f);
    return 0;
}

static void test_session__create_check_drop(void **state) {
    fixture_t *f = *state;
    char token[SESSION_TOKEN_SIZE];
    session_t session = {.subject = NULL};
    assert_ok(session_create(f->sessions, "person-1", token));
    assert_int_equal(strlen(token), SESSION_TOKEN_SIZE - 1);
    assert_ok(session_check(f->sessions, bytes_str(token), &session));
    assert_string_equal(session.subject, "person-1");
    assert_int_equal(session.begun_unix, 1700000000);
    assert_ok(session_check_csrf(&session, bytes_str(session.csrf)));
    assert_err(ERR_DENIED, session_check_csrf(&session, BYTES_LIT("guess")));
    assert_err(ERR_DENIED, session_check_csrf(&session, BYTES_NONE));
    session_done(&session);
    session_drop(f->sessions, bytes_str(token));
    assert_err(ERR_AUTH, session_check(f->sessions, bytes_str(token), &session));
    assert_int_equal(sessions_count(f->sessions), 0);
}

static void test_session__refuses_other_tokens(void **state) {
    fixture_t *f = *state;
    char token[SESSION_TOKEN_SIZE];
    session_t session = {.subject = NULL};
    assert_ok(session_create(f->sessions, "person-1", token));
    for (size_t i = 0; i < sizeof token - 1; i++) { /* every part of it counts */
        char other[SESSION_TOKEN_SIZE];
        memcpy(other, token, sizeof other);
        other[i] = other[i] == 'A' ? 'B' : 'A';
        assert_err(ERR_AUTH, session_check(f->sessions, bytes_str(other), &session));
    }
    assert_err(ERR_AUTH, session_check(f->sessions, BYTES_LIT("x"), &session));
    assert_err(ERR_AUTH, session_check(f->sessions, BYTES_NONE, &session));
    assert_null(session.subject);
}

static void test_session__ends_when_idle_and_when_old(void **state) {
    fixture_t *f = *state;
    char token[SESSION_TOKEN_SIZE];
    session_t session = {.subject = NULL};
    assert_ok(session_create(f->sessions, "person-1", token));
    for (int i = 0; i < 11; i++) { /* used often enough to stay */
        clk_fake_advance(&f->clk, 54000);
        assert_ok(session_check(f->sessions, bytes_str(token), &session));
        session_done(&session);
    }
    clk_fake_advance(&f->clk, 10000); /* 604 seconds old */
    assert_err(ERR_AUTH, session_check(f->sessions, bytes_str(token), &session));
    assert_ok(session_create(f->sessions, "person-1", token));
    clk_fake_advance(&f->clk, 60000);
    assert_err(ERR_AUTH, session_check(f->sessions, bytes_str(token), &session));
}

static void test_session__oldest_makes_room(void **state) {
    fixture_t *f = *state;
    char tokens[21][SESSION_TOKEN_SIZE];
    session_t session = {.subject = NULL};
    for (int i = 0; i < 20; i++) {
        assert_ok(session_create(f->sessions, "person", tokens[i]));
        clk_fake_advance(&f->clk, 1);
    }
    assert_ok(session_check(f->sessions, bytes_str(tokens[0]), &session));
    session_done(&session);
    assert_ok(session_create(f->sessions, "person", tokens[20]));
    assert_int_equal(sessions_count(f->sessions), 20);
    assert_err(ERR_AUTH, session_check(f->sessions, bytes_str(tokens[1]), &session));
    assert_ok(session_check(f->sessions, bytes_str(tokens[0]), &session));
    session_done(&session);
}

static void test_session__drops_a_subject(void **state) {
    fixture_t *f = *state;
    char token[SESSION_TOKEN_SIZE];
    session_t session = {.subject = NULL};
    assert_ok(session_create(f->sessions, "person-1", token));
    assert_ok(session_create(f->sessions, "person-1", token));
    assert_ok(session_create(f->sessions, "person-2", token));
    session_drop_subject(f->sessions, "person-1");
    assert_int_equal(sessions_count(f->sessions), 1);
    assert_ok(session_check(f->sessions, bytes_str(token), &session));
    session_done(&session);
}

static void test_session__survives_lack_of_memory(void **state) {
    fixture_t *f = *state;
    unsigned long n = 1;
    for (;; n++) {
        char token[SESSION_TOKEN_SIZE] = "unset";
        session_t session = {.subject = NULL};
        fault_arm_memory(n);
        err_t *e = session_create(f->sessions, "person-1", token);
        if (!e) e = session_check(f->sessions, bytes_str(token), &session);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        session_done(&session);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_err(ERR_NOMEM, e);
    }
    assert_true(n > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_session__create_check_drop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__refuses_other_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__ends_when_idle_and_when_old, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__oldest_makes_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__drops_a_subject, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session__survives_lack_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
