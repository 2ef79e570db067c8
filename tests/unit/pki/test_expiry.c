/*
 * The expiry watch's rules with a clock of our own, and runs against a database.
 */
#include "../store/store_fixture.h"

#include "base/limits.h"
#include "crypto/secret.h"
#include "pki/expiry.h"
#include "pki/expiry_cause.h"
#include "pki/expiry_run.h"
#include "store/certs.h"
#include "store/people.h"

enum { DAY = 86400 };

static const int64_t days[] = {60, 30, 14, 7, 1};
enum { DAYS_N = sizeof days / sizeof days[0] };

static int64_t at(int64_t left_s) {
    const int64_t now = 1700000000;
    return expiry_threshold(days, DAYS_N, now + left_s - 730 * (int64_t)DAY, now + left_s, now);
}

static void test_expiry__the_nearest_threshold_stands(void **state) {
    (void)state;
    assert_int_equal(at(61 * DAY), 0);
    assert_int_equal(at(60 * DAY + 1), 0);
    assert_int_equal(at(60 * DAY), 60);
    assert_int_equal(at(30 * DAY + 1), 60);
    assert_int_equal(at(30 * DAY), 30);
    assert_int_equal(at(14 * DAY), 14);
    assert_int_equal(at(7 * DAY), 7);
    assert_int_equal(at(DAY + 1), 7);
    assert_int_equal(at(DAY), 1);
    assert_int_equal(at(0), 1);
    assert_int_equal(at(-10 * DAY), 1);
    assert_int_equal(at(-(int64_t)LIMIT_EXPIRY_PAST_S), 1);
    assert_int_equal(at(-(int64_t)LIMIT_EXPIRY_PAST_S - 1), 0);
    assert_int_equal(expiry_threshold(days, 0, 0, 1, 1), 0);
}

static void test_expiry__short_lives_have_fewer_notices(void **state) {
    (void)state;
    const int64_t now = 1700000000;
    for (int64_t left = 1; left <= 90; left++) {
        int64_t stands =
            expiry_threshold(days, DAYS_N, now + (left - 90) * DAY, now + left * DAY, now);
        assert_int_equal(stands, left > 30 ? 0 : left > 14 ? 30 : left > 7 ? 14 : left > 1 ? 7 : 1);
    }
    /* two days: the smallest alone, whatever share of its life that is */
    assert_int_equal(expiry_threshold(days, DAYS_N, now - DAY, now + DAY, now), 1);
    assert_int_equal(expiry_threshold(days, DAYS_N, now, now + 2 * DAY, now), 0);
}

static void test_expiry__each_threshold_goes_once(void **state) {
    (void)state;
    assert_false(expiry_is_due(0, 0));
    assert_true(expiry_is_due(60, 0));
    assert_false(expiry_is_due(60, 60));
    assert_true(expiry_is_due(30, 60));
    assert_false(expiry_is_due(60, 1)); /* the clock went back */
}

static void test_expiry__days_left_are_rounded_up(void **state) {
    (void)state;
    assert_int_equal(expiry_days_left(100, 100), 0);
    assert_int_equal(expiry_days_left(101, 100), 1);
    assert_int_equal(expiry_days_left(DAY, 0), 1);
    assert_int_equal(expiry_days_left(DAY + 1, 0), 2);
    assert_int_equal(expiry_days_left(0, 3 * DAY + 5), -3);
}

static void test_expiry__the_brake_holds_what_can_not_be(void **state) {
    (void)state;
    const int64_t now = 1700000000000, day = (int64_t)DAY * 1000;
    expiry_state_t s = {.now_ms = now, .elapsed_ms = -1, .due = 10, .brake = 10};
    assert_int_equal(expiry_brake(&s), EXPIRY_GO); /* the first run */
    s.due = 11;
    assert_int_equal(expiry_brake(&s), EXPIRY_HOLD_MANY);
    s.released_until_ms = now + 1;
    assert_int_equal(expiry_brake(&s), EXPIRY_GO);
    s = (expiry_state_t){
        .now_ms = now, .last_run_ms = now - 365 * day, .elapsed_ms = 1000, .due = 1, .brake = 10};
    assert_int_equal(expiry_brake(&s), EXPIRY_HOLD_CLOCK);
    s.elapsed_ms = 364 * day; /* it was off for so long, asleep maybe */
    assert_int_equal(expiry_brake(&s), EXPIRY_GO);
    s.elapsed_ms = -1;
    assert_int_equal(expiry_brake(&s), EXPIRY_HOLD_CLOCK);
    s.last_run_ms = now - 20 * day; /* off over the holidays */
    assert_int_equal(expiry_brake(&s), EXPIRY_GO);
    s.last_run_ms = now + 365 * day; /* the clock went back */
    assert_int_equal(expiry_brake(&s), EXPIRY_GO);
    s = (expiry_state_t){
        .now_ms = now, .last_run_ms = now - 365 * day, .elapsed_ms = 1, .due = 0, .brake = 10};
    assert_int_equal(expiry_brake(&s), EXPIRY_GO); /* nothing to hold */
}

/* ---- runs ---- */

typedef struct {
    fixture_t f;
    audit_t audit;
    notify_t notify;
    expiry_options_t o;
} run_t;

static const char *const admins[] = {"admin@example.org"};

static void run_init(run_t *r) {
    *r =
        (run_t){.notify = {.instance = "https://c", .mail = true, .admins = admins, .admins_n = 1}};
    fixture_migrated(&r->f);
    r->audit = (audit_t){"host/courier", &r->f.clk.clk};
    r->o = (expiry_options_t){.db = r->f.db,
                              .audit = &r->audit,
                              .clk = &r->f.clk.clk,
                              .notify = &r->notify,
                              .organisation = "Example Clinic",
                              .days = days,
                              .days_n = DAYS_N,
                              .brake = 5,
                              .holders = true};
}

typedef struct {
    int number;
    int64_t not_after;
    const char *enrolment;
    const char *person;
} add_t;

static err_t *add_fn(db_conn_t *conn, void *arg) {
    const add_t *a = arg;
    uint8_t fingerprint[32] = {0};
    char serial[16];
    fingerprint[0] = (uint8_t)(a->number >> 8);
    fingerprint[1] = (uint8_t)a->number;
    (void)snprintf(serial, sizeof serial, "%x", (unsigned)a->number);
    db_certificate_t row = {.fingerprint = BYTES_ARRAY(fingerprint),
                            .issuer = "device-ca",
                            .serial = serial,
                            .profile = "device-identity",
                            .subject = "CN=x",
                            .enrolment_id = a->enrolment,
                            .person_id = a->person,
                            .spki_sha256 = BYTES_LIT("k"),
                            .not_before = a->not_after - 365 * DAY,
                            .not_after = a->not_after,
                            .der = BYTES_LIT("d")};
    return db_certificates_add(conn, &row);
}

static void add(run_t *r, int number, int64_t left_days, const char *enrolment) {
    add_t a = {number, clk_unix(&r->f.clk.clk) + left_days * DAY, enrolment, ""};
    assert_ok(db_write(r->f.db, add_fn, &a));
}

static expiry_result_t run(run_t *r, int64_t elapsed_ms) {
    expiry_result_t result = {.brake = EXPIRY_HOLD_CLOCK};
    assert_ok(expiry_run(&r->o, elapsed_ms, &result));
    return result;
}

static int64_t mails(run_t *r) {
    return fixture_number(r->f.db, "SELECT COUNT(*) FROM job WHERE kind = 'mail'");
}

static void test_expiry_run__notices_go_once_as_time_passes(void **state) {
    (void)state;
    run_t r;
    run_init(&r);
    assert_int_equal(run(&r, -1).due, 0);
    assert_int_equal(mails(&r), 0);
    add(&r, 1, 62, "e1");
    int64_t count = 0;
    for (int day = 0; day < 100; day++) { /* a year would be slow, this passes all thresholds */
        count += run(&r, day ? (int64_t)DAY * 1000 : -1).noticed;
        clk_fake_advance(&r.f.clk, (int64_t)DAY * 1000);
    }
    assert_int_equal(count, DAYS_N);
    fixture_done(&r.f);
}

static void test_expiry_run__what_was_followed_is_not_told(void **state) {
    (void)state;
    run_t r;
    run_init(&r);
    add(&r, 1, 5, "e1");
    add(&r, 2, 300, "e1");
    add(&r, 3, 5, "e2");
    add(&r, 4, 5, ""); /* the same subject, no enrolment */
    add(&r, 5, 400, "");
    assert_int_equal(run(&r, -1).noticed, 1);
    assert_int_equal(
        fixture_number(r.f.db, "SELECT COUNT(*) FROM expiry_notice WHERE fingerprint ="
                               " (SELECT fingerprint FROM certificate WHERE enrolment_id = 'e2')"),
        1);
    fixture_done(&r.f);
}

static void test_expiry_run__a_clock_a_year_ahead_is_held_and_repaired(void **state) {
    (void)state;
    run_t r;
    run_init(&r);
    add(&r, 1, 340, "e1");
    assert_int_equal(run(&r, -1).brake, EXPIRY_GO);
    clk_fake_advance(&r.f.clk, (int64_t)365 * DAY * 1000);
    expiry_result_t held = run(&r, 6 * 3600 * 1000);
    assert_int_equal(held.brake, EXPIRY_HOLD_CLOCK);
    assert_int_equal(held.due, 1);
    assert_int_equal(fixture_number(r.f.db, "SELECT COUNT(*) FROM expiry_notice"), 0);
    assert_int_equal(mails(&r), 1); /* the alarm */
    assert_int_equal(run(&r, 7 * 3600 * 1000).brake, EXPIRY_HOLD_CLOCK);
    assert_int_equal(mails(&r), 1);
    clk_fake_advance(&r.f.clk, -(int64_t)365 * DAY * 1000 + 3600 * 1000);
    assert_int_equal(run(&r, 8 * 3600 * 1000).brake, EXPIRY_GO);
    clk_fake_advance(&r.f.clk, (int64_t)290 * DAY * 1000); /* and so long it takes in truth */
    assert_int_equal(run(&r, (int64_t)290 * DAY * 1000).noticed, 1);
    fixture_done(&r.f);
}

static void test_expiry_run__a_clock_that_went_back_repeats_nothing(void **state) {
    (void)state;
    run_t r;
    run_init(&r);
    add(&r, 1, 5, "e1");
    assert_int_equal(run(&r, -1).noticed, 1);
    clk_fake_advance(&r.f.clk, -(int64_t)40 * DAY * 1000);
    assert_int_equal(run(&r, 1000).noticed, 0);
    clk_fake_advance(&r.f.clk, (int64_t)40 * DAY * 1000);
    assert_int_equal(run(&r, 2000).noticed, 0);
    fixture_done(&r.f);
}

static err_t *release_fn(db_conn_t *conn, void *arg) {
    return expiry_release(conn, *(int64_t *)arg);
}

static void test_expiry_run__past_the_brake_nothing_goes_until_released(void **state) {
    (void)state;
    run_t r;
    run_init(&r);
    for (int i = 0; i < 12; i++) {
        char enrolment[8];
        (void)snprintf(enrolment, sizeof enrolment, "e%d", i);
        add(&r, i + 1, 5, enrolment);
    }
    expiry_result_t held = run(&r, -1);
    assert_int_equal(held.brake, EXPIRY_HOLD_MANY);
    assert_int_equal(held.due, 12);
    assert_int_equal(fixture_number(r.f.db, "SELECT COUNT(*) FROM expiry_notice"), 0);
    int64_t now = clk_unix_ms(&r.f.clk.clk);
    assert_ok(db_write(r.f.db, release_fn, &now));
    assert_int_equal(run(&r, -1).noticed, 5);
    clk_fake_advance(&r.f.clk, 1000);
    assert_int_equal(run(&r, 1000).noticed, 5);
    clk_fake_advance(&r.f.clk, 1000);
    assert_int_equal(run(&r, 1000).noticed, 2);
    fixture_done(&r.f);
}

/* ---- causes ---- */

static void test_expiry_cause__names_the_one_that_helps(void **state) {
    (void)state;
    const int64_t day = (int64_t)DAY * 1000, now = 1700000000000;
    const db_expiring_t cert = {.source = "", .issuer = "device-ca", .not_before = 1600000000};
    const db_expiry_facts_t none = {"", "", "", "", "", "", 0, "", "", "", 0, "", "", "", 0, 0};
    db_expiry_facts_t f = none;
    expiry_cause_t cause;
    expiry_cause(&cert, &f, now, &cause);
    assert_string_equal(cause.code, "not-asked");
    f.challenge_expired_ms = now - day;
    expiry_cause(&cert, &f, now, &cause);
    assert_string_equal(cause.code, "challenge-expired");
    f.device_id = "d1";
    f.device_state = "enrolled";
    f.last_seen_ms = now - 30 * day;
    expiry_cause(&cert, &f, now, &cause);
    assert_string_equal(cause.text, "the device is away since 2023-10-15");
    f.outcome = "refused";
    f.fail_info = "badTime";
    f.problem = "too early";
    f.trace_ms = now - day;
    expiry_cause(&cert, &f, now, &cause);
    assert_string_equal(cause.text,
                        "the last request, of 2023-11-13, was refused with badTime: too early");
    f.pending_state = "waiting";
    f.pending_id = "AB12";
    f.pending_ms = now;
    expiry_cause(&cert, &f, now, &cause);
    assert_string_equal(cause.code, "pending-approval");
    db_expiring_t foreign = cert;
    foreign.source = EXPIRY_OWN_PUSH;
    expiry_cause(&foreign, &none, now, &cause);
    assert_string_equal(cause.code, "own");
    foreign.source = "mail";
    expiry_cause(&foreign, &none, now, &cause);
    assert_string_equal(cause.code, "foreign");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expiry__the_nearest_threshold_stands),
        cmocka_unit_test(test_expiry__short_lives_have_fewer_notices),
        cmocka_unit_test(test_expiry__each_threshold_goes_once),
        cmocka_unit_test(test_expiry__days_left_are_rounded_up),
        cmocka_unit_test(test_expiry__the_brake_holds_what_can_not_be),
        cmocka_unit_test(test_expiry_run__notices_go_once_as_time_passes),
        cmocka_unit_test(test_expiry_run__what_was_followed_is_not_told),
        cmocka_unit_test(test_expiry_run__a_clock_a_year_ahead_is_held_and_repaired),
        cmocka_unit_test(test_expiry_run__a_clock_that_went_back_repeats_nothing),
        cmocka_unit_test(test_expiry_run__past_the_brake_nothing_goes_until_released),
        cmocka_unit_test(test_expiry_cause__names_the_one_that_helps),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
