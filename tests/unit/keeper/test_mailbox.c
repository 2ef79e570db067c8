/*
 * Passwords of mailboxes that are watched.
 */
#include "base/mem.h"
#include "keeper/client_escrow.h"
#include "keeper/client_mailbox.h"
#include "keeper_fixture.h"

typedef struct {
    keeper_fixture_t f;
    buf_t sealed, password;
} mailbox_t;

static const keeper_mailbox_t alice = {"alice@example.org", "imaps://imap.example.org", "alice"};

static int setup(void **state) {
    mailbox_t *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    keeper_fixture_make(&t->f);
    buf_init(&t->sealed, LIMIT_MAILBOX_SEALED);
    buf_init_secret(&t->password, LIMIT_PASSWORD_MAX);
    assert_ok(keeper_mailbox_seal(t->f.keeper, &alice, BYTES_LIT("secret"), &t->sealed));
    *state = t;
    return 0;
}

static int teardown(void **state) {
    mailbox_t *t = *state;
    buf_done(&t->sealed);
    buf_done(&t->password);
    keeper_fixture_done(&t->f);
    mem_free(t);
    return 0;
}

static err_t *open_for(mailbox_t *t, const keeper_mailbox_t *mailbox) {
    return keeper_mailbox_open(t->f.keeper, mailbox, buf_bytes(&t->sealed), &t->password);
}

static void test_mailbox__the_courier_gets_it_back(void **state) {
    mailbox_t *t = *state;
    uint32_t number = 0;
    assert_ok(keeper_storage_key_new(t->f.keeper, &number));
    keeper_fixture_restart(&t->f);
    t->f.role = ROLE_COURIER;
    assert_ok(open_for(t, &alice));
    assert_true(bytes_eq_str(buf_bytes(&t->password), "secret"));
}

static void test_mailbox__for_nothing_else(void **state) {
    mailbox_t *t = *state;
    static const keeper_mailbox_t others[] = {
        {"bob@example.org", "imaps://imap.example.org", "alice"},
        {"alice@example.org", "imaps://evil.example.org", "alice"},
        {"alice@example.org", "imaps://imap.example.org", "bob"},
    };
    t->f.role = ROLE_COURIER;
    for (size_t i = 0; i < 3; i++) assert_err(ERR_VERIFY, open_for(t, &others[i]));
    t->sealed.p[t->sealed.n - 1] ^= 1;
    assert_err(ERR_VERIFY, open_for(t, &alice));
    t->sealed.p[4]++; /* another storage key */
    assert_err(ERR_VERIFY, open_for(t, &alice));
    t->sealed.n = 3;
    assert_err(ERR_VERIFY, open_for(t, &alice));
    assert_int_equal(t->password.n, 0);
}

static void test_mailbox__to_nobody_else(void **state) {
    mailbox_t *t = *state;
    static const role_t others[] = {ROLE_WEB, ROLE_MAILGATE};
    for (size_t i = 0; i < 2; i++) {
        t->f.role = others[i];
        assert_err(ERR_DENIED, open_for(t, &alice));
    }
    t->f.role = ROLE_COURIER;
    assert_err(ERR_DENIED, keeper_mailbox_seal(t->f.keeper, &alice, BYTES_LIT("x"), &t->password));
    t->f.role = ROLE_WEB;
    assert_err(ERR_INVALID, keeper_mailbox_seal(t->f.keeper, &alice, BYTES_NONE, &t->password));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_mailbox__##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_courier_gets_it_back),
        TEST(for_nothing_else),
        TEST(to_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
