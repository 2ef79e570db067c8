/*
 * Mail keys on their way to devices that are enrolled: each new key reaches them once, a device
 * that is busy or fails keeps its command or gets another, and none is forgotten.
 */
#include "device_fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "device/device_internal.h"
#include "pki/mail_key.h"
#include "store/mail_deliveries.h"

static const int64_t HOUR = (int64_t)3600 * 1000;

static int setup(void **state) {
    fx_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fx_make(f);
    f->devices->o.mail_key_profile = "mail-encrypt-p256";
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fx_done(*state);
    mem_free(*state);
    return 0;
}

static void new_key(fx_t *f, bool approved) {
    char id[ESCROW_ID_TEXT];
    const mail_key_spec_t spec = {.person_id = f->person.id,
                                  .email = f->person.email,
                                  .name = "",
                                  .profile = "mail-encrypt-p256",
                                  .approved = approved,
                                  .actor = "test"};
    assert_ok(mail_key_make(f->pki, &spec, id));
}

static size_t deliver(fx_t *f, const char *person) {
    size_t count = 0;
    assert_ok(devices_mail_deliver(f->devices, person, &count));
    return count;
}

static err_t *find(db_conn_t *conn, void *arg) {
    fx_t *f = arg;
    db_mail_delivery_t *rows = NULL;
    size_t n = 0;
    TRY(db_mail_deliveries_list(conn, f->arena, "", false, "", 10, &rows, &n));
    (void)snprintf(f->outcome, sizeof f->outcome, "none");
    if (n)
        (void)snprintf(f->outcome, sizeof f->outcome, "%s %lld%s%s", rows[0].state,
                       (long long)rows[0].held_keys, rows[0].why[0] ? " " : "", rows[0].why);
    return NULL;
}

/* A device that enrolled before there were mail keys. */
static fx_device_t *ready(fx_t *f) {
    f->devices->o.mail_key_profile = "";
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    f->devices->o.mail_key_profile = "mail-encrypt-p256";
    return d;
}

/* "STATE KEYS [WHY]" of the one device. */
static const char *shown(fx_t *f) {
    assert_ok(db_read(f->db, find, f));
    return f->outcome;
}

static void test_mail_delivery__follows_the_enrolment(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    fx_enrol(f, d);
    assert_string_equal(fx_authenticate(f, d, NULL), "empty");
    assert_string_equal(shown(f), "none"); /* not before it is enrolled */
    assert_string_equal(fx_token(f, d, NULL), "empty");
    assert_string_equal(shown(f), "queued 0");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "DeviceInformation");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "SecurityInfo");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "InstallProfile");
    assert_string_equal(shown(f), "sent 0");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    assert_string_equal(shown(f), "delivered 1");
    assert_int_equal(fx_number(f, "SELECT length(profile) FROM mail_delivery"), 0);
    assert_string_equal(fx_simple(f, d, "CheckOut"), "empty");
    assert_string_equal(shown(f), "none");
}

static void test_mail_delivery__each_new_key_comes_once(void **state) {
    fx_t *f = *state;
    fx_device_t *d = ready(f);
    for (int keys = 1; keys < 4; keys++) {
        char want[32];
        new_key(f, false);
        assert_int_equal(deliver(f, "nobody"), 0);
        assert_int_equal(deliver(f, f->person.id), 1);
        assert_int_equal(deliver(f, ""), 0);
        assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
        assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
        (void)snprintf(want, sizeof want, "delivered %d", keys);
        assert_string_equal(shown(f), want);
        assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "empty");
    }
}

static void test_mail_delivery__a_busy_device_gets_the_same_again(void **state) {
    fx_t *f = *state;
    CLEANUP(buf_done) buf_t first;
    fx_device_t *d = ready(f);
    buf_init(&first, LIMIT_PROFILE_BYTES);
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 1);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
    assert_ok(buf_add(&first, buf_bytes(&f->body)));
    assert_string_equal(fx_result(f, d, "NotNow", NULL, NULL), "empty");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
    assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&f->body)));
    /* A newer key goes along in the same command. */
    assert_string_equal(fx_result(f, d, "NotNow", NULL, NULL), "empty");
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 1);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
    assert_false(bytes_eq(buf_bytes(&first), buf_bytes(&f->body)));
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    assert_string_equal(shown(f), "delivered 2");
}

static void test_mail_delivery__a_key_made_meanwhile_follows(void **state) {
    fx_t *f = *state;
    fx_device_t *d = ready(f);
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 1);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 1);
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    assert_string_equal(shown(f), "queued 1");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    assert_string_equal(shown(f), "delivered 2");
}

static void test_mail_delivery__a_failure_is_tried_again_later(void **state) {
    static const char chain[] = "<key>ErrorChain</key><array><dict><key>ErrorCode</key>"
                                "<integer>4001</integer><key>LocalizedDescription</key>"
                                "<string>No room.</string></dict></array>";
    fx_t *f = *state;
    fx_device_t *d = ready(f);
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 1);
    for (int64_t wait = HOUR; wait <= 4 * HOUR; wait *= 2) {
        assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
        assert_string_equal(fx_result(f, d, "Error", NULL, chain), "empty");
        assert_string_equal(shown(f), "failed 0 No room.");
        fx_advance(f, wait - 1);
        assert_int_equal(deliver(f, ""), 0);
        fx_advance(f, 1);
        assert_int_equal(deliver(f, ""), 1);
    }
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "InstallProfile");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    assert_string_equal(shown(f), "delivered 1");
}

static void test_mail_delivery__without_the_right_nothing_is_queued(void **state) {
    fx_t *f = *state;
    fx_device_t *d = ready(f);
    f->devices->o.access_rights = 8191 & ~2;
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 1);
    assert_int_equal(strncmp(shown(f), "refused 0 this instance", 23), 0);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "empty");
    /* and where devices get no mail keys at all, nobody looks */
    f->devices->o.mail_key_profile = "";
    new_key(f, false);
    assert_int_equal(deliver(f, ""), 0);
}

static void test_mail_delivery__what_needs_officers_waits_while_there_are_none(void **state) {
    fx_t *f = *state;
    fx_device_t *d = ready(f);
    new_key(f, true);
    assert_int_equal(deliver(f, ""), 1);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "empty");
    assert_int_equal(strncmp(shown(f), "refused 0 there are no officers", 31), 0);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM mail_consent"), 0);
    /* it is tried again by itself */
    fx_advance(f, HOUR);
    assert_int_equal(deliver(f, ""), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_mail_delivery__follows_the_enrolment),
        TEST(test_mail_delivery__each_new_key_comes_once),
        TEST(test_mail_delivery__a_busy_device_gets_the_same_again),
        TEST(test_mail_delivery__a_key_made_meanwhile_follows),
        TEST(test_mail_delivery__a_failure_is_tried_again_later),
        TEST(test_mail_delivery__without_the_right_nothing_is_queued),
        TEST(test_mail_delivery__what_needs_officers_waits_while_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
