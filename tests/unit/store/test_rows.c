/*
 * The table families: what their rules promise beyond storing a row.
 */
#include "store_fixture.h"

#include <pthread.h>

#include "base/limits.h"
#include "store/certs.h"
#include "store/challenges.h"
#include "store/commands.h"
#include "store/devices.h"
#include "store/enrolments.h"
#include "store/jobs.h"
#include "store/people.h"
#include "store/profiles.h"
#include "store/scep.h"
#include "store/tokens.h"

#define HASH(letter) BYTES_LIT(letter letter letter letter)

/* Runs a test's body inside one db_write, with an arena. */
typedef struct {
    err_t *(*body)(db_conn_t *conn, arena_t *arena);
} body_t;

static err_t *body_fn(db_conn_t *conn, void *arg) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(1 << 20, &arena));
    return ((body_t *)arg)->body(conn, arena);
}

static void run_body(err_t *(*body)(db_conn_t *, arena_t *)) {
    fixture_t f;
    fixture_migrated(&f);
    body_t b = {body};
    assert_ok(db_write(f.db, body_fn, &b));
    fixture_done(&f);
}

/* ---- people --------------------------------------------------------------------------------- */

static const db_person_t person = {.id = "p1",
                                   .email = "user@example.org",
                                   .name = "User",
                                   .role = "member",
                                   .password_hash = "$argon2id$",
                                   .created_ms = 5};

static err_t *people_body(db_conn_t *conn, arena_t *arena) {
    db_person_t got;
    bool found = true;
    TRY(db_people_by_id(conn, arena, "p1", &got, &found));
    assert_false(found);
    TRY(db_people_add(conn, &person));
    db_person_t same = person;
    same.id = "p2";
    assert_err(ERR_EXISTS, db_people_add(conn, &same));
    same.email = "another@example.org";
    TRY(db_people_add(conn, &same));
    TRY(db_people_login_failed(conn, "p1", 3, 99));
    TRY(db_people_by_email(conn, arena, "user@example.org", &got, &found));
    assert_true(found && !got.disabled && got.failures == 3 && got.retry_after_ms == 99);
    assert_string_equal(got.id, "p1");
    assert_string_equal(got.name, "User");
    assert_int_equal(got.created_ms, 5);
    TRY(db_people_login_ok(conn, "p1"));
    TRY(db_people_set_password(conn, "p1", "new"));
    TRY(db_people_set_disabled(conn, "user@example.org", true, &found));
    assert_true(found);
    TRY(db_people_by_id(conn, arena, "p1", &got, &found));
    assert_true(got.disabled && got.failures == 0 && got.retry_after_ms == 0);
    assert_string_equal(got.password_hash, "new");
    TRY(db_people_set_disabled(conn, "nobody@example.org", true, &found));
    assert_false(found);
    db_person_t *rows = NULL;
    size_t count = 0;
    TRY(db_people_list(conn, arena, "", 10, &rows, &count));
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].email, "another@example.org");
    TRY(db_people_list(conn, arena, "another@example.org", 10, &rows, &count));
    assert_int_equal(count, 1);
    return NULL;
}

static void test_rows__people(void **state) {
    (void)state;
    run_body(people_body);
}

/* ---- enrolments, challenges, certificates --------------------------------------------------- */

static err_t *enrolment_body(db_conn_t *conn, arena_t *arena) {
    db_enrolment_t row = {.id = "e1",
                          .person_id = "p1",
                          .challenge_hash = HASH("h"),
                          .state = "offered",
                          .created_ms = 1,
                          .expires_ms = 100};
    assert_err(ERR_INVALID, db_enrolments_add(conn, &row)); /* no such person */
    TRY(db_people_add(conn, &person));
    TRY(db_enrolments_add(conn, &row));
    bool changed = true;
    TRY(db_enrolments_identify(conn, "e1", "U1", "S", "P", "17", 100, &changed));
    assert_false(changed); /* expired */
    TRY(db_enrolments_identify(conn, "e1", "U1", "S", "P", "17", 99, &changed));
    assert_true(changed);
    TRY(db_enrolments_identify(conn, "e1", "U2", "S", "P", "17", 99, &changed));
    assert_false(changed); /* another device */
    TRY(db_enrolments_identify(conn, "e1", "U1", "S", "P", "17", 99, &changed));
    assert_true(changed); /* repeated */
    bool found = false;
    db_enrolment_t got;
    TRY(db_enrolments_by_challenge(conn, arena, HASH("h"), &got, &found));
    assert_true(found);
    assert_string_equal(got.state, "identified");
    assert_string_equal(got.udid, "U1");
    TRY(db_enrolments_certified(conn, "e1"));
    TRY(db_enrolments_by_id(conn, arena, "e1", &got, &found));
    assert_string_equal(got.state, "certified");
    TRY(db_enrolments_set_state(conn, "e1", "delivered"));
    TRY(db_enrolments_certified(conn, "e1")); /* one that came later */
    TRY(db_enrolments_by_id(conn, arena, "e1", &got, &found));
    assert_string_equal(got.state, "delivered");
    row.id = "e2";
    row.challenge_hash = HASH("i");
    TRY(db_enrolments_add(conn, &row));
    TRY(db_enrolments_purge(conn, 101));
    TRY(db_enrolments_by_id(conn, arena, "e2", &got, &found));
    assert_false(found);
    TRY(db_enrolments_by_id(conn, arena, "e1", &got, &found));
    assert_true(found);
    return NULL;
}

static void test_rows__enrolments(void **state) {
    (void)state;
    run_body(enrolment_body);
}

static const db_challenge_t challenge = {.hash = {(const uint8_t *)"hash", 4},
                                         .profile = "device",
                                         .created_by = "system",
                                         .created_ms = 1,
                                         .expires_ms = 100};

static err_t *challenge_body(db_conn_t *conn, arena_t *arena) {
    TRY(db_challenges_add(conn, &challenge));
    bool used = true;
    TRY(db_challenges_use(conn, challenge.hash, 100, &used));
    assert_false(used); /* expired */
    TRY(db_challenges_use(conn, HASH("x"), 50, &used));
    assert_false(used); /* unknown */
    TRY(db_challenges_use(conn, challenge.hash, 50, &used));
    assert_true(used);
    TRY(db_challenges_use(conn, challenge.hash, 51, &used));
    assert_false(used); /* twice */
    db_challenge_t got;
    bool found = false;
    TRY(db_challenges_by_hash(conn, arena, challenge.hash, &got, &found));
    assert_true(found && got.used_ms == 50);
    assert_string_equal(got.subject, "");
    TRY(db_challenges_purge(conn, 101));
    TRY(db_challenges_by_hash(conn, arena, challenge.hash, &got, &found));
    assert_false(found);
    return NULL;
}

static void test_rows__challenges(void **state) {
    (void)state;
    run_body(challenge_body);
}

static err_t *add_challenge(db_conn_t *conn, void *arg) {
    (void)arg;
    return db_challenges_add(conn, &challenge);
}

static err_t *use_challenge(db_conn_t *conn, void *arg) {
    return db_challenges_use(conn, challenge.hash, 50, arg);
}

typedef struct {
    db_t *db;
    bool used;
} user_t;

static void *use_thread(void *arg) {
    user_t *u = arg;
    return db_write(u->db, use_challenge, &u->used);
}

static void test_rows__of_two_users_of_a_challenge_one_wins(void **state) {
    (void)state;
    fixture_t f;
    fixture_migrated(&f);
    assert_ok(db_write(f.db, add_challenge, NULL));
    pthread_t threads[8];
    user_t users[8];
    unsigned winners = 0;
    for (size_t i = 0; i < 8; i++) {
        users[i] = (user_t){f.db, false};
        assert_int_equal(pthread_create(&threads[i], NULL, use_thread, &users[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        void *e = NULL;
        assert_int_equal(pthread_join(threads[i], &e), 0);
        assert_null(e);
        winners += users[i].used;
    }
    assert_int_equal(winners, 1);
    fixture_done(&f);
}

static err_t *certificate_body(db_conn_t *conn, arena_t *arena) {
    db_certificate_t row = {.fingerprint = HASH("a"),
                            .issuer = "device-ca",
                            .serial = "01",
                            .profile = "device",
                            .subject = "CN=x",
                            .enrolment_id = "e1",
                            .spki_sha256 = HASH("k"),
                            .not_before = 1,
                            .not_after = 2,
                            .der = BYTES_LIT("\x30\0"),
                            .created_ms = 10};
    TRY(db_certificates_add(conn, &row));
    row.fingerprint = HASH("b");
    assert_err(ERR_EXISTS, db_certificates_add(conn, &row)); /* the serial number */
    row.serial = "02";
    row.created_ms = 11;
    TRY(db_certificates_add(conn, &row));
    db_certificate_t got;
    bool found = false;
    TRY(db_certificates_by_enrolment(conn, arena, "e1", &got, &found));
    assert_true(found);
    assert_string_equal(got.serial, "02");
    TRY(db_certificates_by_fingerprint(conn, arena, HASH("a"), &got, &found));
    assert_true(found && bytes_eq(got.der, BYTES_LIT("\x30\0")) && got.not_after == 2);
    int64_t count = 0;
    TRY(db_certificates_count(conn, &count));
    assert_int_equal(count, 2);
    TRY(db_scep_transactions_add(conn, HASH("t"), HASH("k"), HASH("a"), 1));
    TRY(db_scep_transactions_add(conn, HASH("t"), HASH("k"), HASH("b"), 1)); /* the newer one */
    bytes_t fingerprint = BYTES_NONE;
    TRY(db_scep_transactions_get(conn, arena, HASH("t"), HASH("k"), &fingerprint, &found));
    assert_true(found && bytes_eq(fingerprint, HASH("b")));
    TRY(db_scep_transactions_get(conn, arena, HASH("t"), HASH("l"), &fingerprint, &found));
    assert_false(found); /* another key */
    return NULL;
}

static void test_rows__certificates(void **state) {
    (void)state;
    run_body(certificate_body);
}

static err_t *renewal_body(db_conn_t *conn, arena_t *arena) {
    bytes_t from = BYTES_NONE;
    bool found = true;
    int64_t count = 0;
    TRY(db_renewals_from(conn, arena, HASH("b"), &from, &found));
    assert_false(found);
    TRY(db_renewals_add(conn, HASH("b"), HASH("a"), 1));
    TRY(db_renewals_add(conn, HASH("c"), HASH("a"), 1));
    TRY(db_renewals_from(conn, arena, HASH("c"), &from, &found));
    assert_true(found && bytes_eq(from, HASH("a")));
    TRY(db_renewals_count(conn, HASH("a"), &count));
    assert_int_equal(count, 2);
    return NULL;
}

static void test_rows__renewals(void **state) {
    (void)state;
    run_body(renewal_body);
}

static err_t *pending_body(db_conn_t *conn, arena_t *arena) {
    db_scep_pending_t row = {.id = "p1",
                             .transaction_id = HASH("t"),
                             .requester = HASH("r"),
                             .state = "waiting",
                             .profile = "router",
                             .csr = HASH("c"),
                             .created_ms = 1,
                             .expires_ms = 100};
    db_scep_pending_t got, *rows = NULL;
    bool found = false, changed = true;
    int64_t count = 0;
    size_t n = 0;
    TRY(db_scep_pending_add(conn, &row));
    row.id = "p2";
    assert_err(ERR_EXISTS, db_scep_pending_add(conn, &row)); /* the same transaction */
    row.requester = HASH("s");
    TRY(db_scep_pending_add(conn, &row));
    TRY(db_scep_pending_get(conn, arena, HASH("t"), HASH("r"), &got, &found));
    assert_true(found && bytes_eq(got.csr, HASH("c")) && got.renewed_from.n == 0);
    assert_string_equal(got.id, "p1");
    TRY(db_scep_pending_issued(conn, "p1", &changed));
    assert_false(changed); /* not approved */
    TRY(db_scep_pending_decide(conn, "p1", "approved", "", "me", 100, &changed));
    assert_false(changed); /* expired */
    TRY(db_scep_pending_decide(conn, "p1", "approved", "", "me", 99, &changed));
    assert_true(changed);
    TRY(db_scep_pending_decide(conn, "p1", "denied", "", "you", 99, &changed));
    assert_false(changed); /* decided once */
    TRY(db_scep_pending_count(conn, &count));
    assert_int_equal(count, 1);
    TRY(db_scep_pending_issued(conn, "p1", &changed));
    assert_true(changed);
    TRY(db_scep_pending_list(conn, arena, "", "p1", 10, &rows, &n));
    assert_true(n == 1 && strcmp(rows[0].id, "p2") == 0);
    TRY(db_scep_pending_purge(conn, 101));
    TRY(db_scep_pending_by_id(conn, arena, "p1", &got, &found));
    assert_false(found);
    return NULL;
}

static void test_rows__scep_pending(void **state) {
    (void)state;
    run_body(pending_body);
}

static err_t *trace_body(db_conn_t *conn, arena_t *arena) {
    db_scep_trace_t row = {
        .about = "key", .transaction_id = "t", .udid = "U", .outcome = "refused"};
    db_scep_trace_t *rows = NULL;
    size_t n = 0;
    for (int i = 0; i < LIMIT_SCEP_TRACE_EACH + 5; i++) {
        row.unix_ms = i;
        TRY(db_scep_trace_add(conn, &row));
    }
    row.about = "another";
    row.udid = "";
    TRY(db_scep_trace_add(conn, &row));
    TRY(db_scep_trace_list(conn, arena, "", "", "key", INT64_MAX, 1000, &rows, &n));
    assert_int_equal(n, LIMIT_SCEP_TRACE_EACH);
    assert_int_equal(rows[0].unix_ms, LIMIT_SCEP_TRACE_EACH + 4); /* newest first */
    TRY(db_scep_trace_list(conn, arena, "", "", "key", rows[0].seq, 1, &rows, &n));
    assert_int_equal(rows[0].unix_ms, LIMIT_SCEP_TRACE_EACH + 3);
    TRY(db_scep_trace_list(conn, arena, "", "", "", INT64_MAX, 1000, &rows, &n));
    assert_int_equal(n, LIMIT_SCEP_TRACE_EACH + 1);
    TRY(db_scep_trace_list(conn, arena, "", "U", "", INT64_MAX, 1000, &rows, &n));
    assert_int_equal(n, LIMIT_SCEP_TRACE_EACH);
    TRY(db_scep_trace_list(conn, arena, "e", "", "", INT64_MAX, 1000, &rows, &n));
    assert_int_equal(n, 0);
    return NULL;
}

static void test_rows__scep_trace_is_a_ring(void **state) {
    (void)state;
    run_body(trace_body);
}

/* ---- devices and commands ------------------------------------------------------------------- */

static err_t *add_device(db_conn_t *conn, arena_t *arena, const char *id, const char *key,
                         bytes_t identity, const char **ret_id) {
    db_device_t row = {.id = id,
                       .enrolment_key = key,
                       .udid = key,
                       .serial_number = "SERIAL",
                       .product = "iPhone14,5",
                       .name = "phone",
                       .identity = identity,
                       .topic = "topic",
                       .info = "{}",
                       .created_ms = 7};
    return db_devices_authenticate(conn, arena, &row, ret_id);
}

/* The device pinned to a certificate comes with it, and only with it. */
static err_t *sender_body(db_conn_t *conn, arena_t *arena) {
    const db_certificate_t row = {.fingerprint = HASH("a"),
                                  .issuer = "device-ca",
                                  .serial = "01",
                                  .profile = "device",
                                  .enrolment_id = "e1",
                                  .spki_sha256 = HASH("k"),
                                  .not_before = 1,
                                  .not_after = 2,
                                  .revoked_ms = 3,
                                  .der = BYTES_LIT("\x30\0")};
    const char *id = NULL;
    db_certificate_t certificate;
    db_device_t device;
    bool found = true, pinned = true;
    TRY(db_devices_sender(conn, arena, HASH("a"), &certificate, &found, &device, &pinned));
    assert_false(found || pinned);
    TRY(db_certificates_add(conn, &row));
    TRY(db_devices_sender(conn, arena, HASH("a"), &certificate, &found, &device, &pinned));
    assert_true(found && !pinned);
    assert_string_equal(certificate.serial, "01");
    assert_string_equal(certificate.profile, "device");
    assert_string_equal(certificate.enrolment_id, "e1");
    assert_true(certificate.not_before == 1 && certificate.not_after == 2);
    assert_true(certificate.revoked_ms == 3 && bytes_eq(certificate.fingerprint, HASH("a")));
    TRY(add_device(conn, arena, "d2", "U2", HASH("b"), &id));
    TRY(add_device(conn, arena, "d1", "U1", HASH("a"), &id));
    TRY(db_devices_touch(conn, "d1", 60));
    TRY(db_devices_sender(conn, arena, HASH("a"), &certificate, &found, &device, &pinned));
    assert_true(found && pinned && device.last_seen_ms == 60);
    assert_string_equal(device.id, "d1");
    assert_string_equal(device.enrolment_key, "U1");
    assert_string_equal(device.state, "authenticated");
    assert_string_equal(device.info, "{}");
    assert_true(bytes_eq(device.identity, HASH("a")));
    TRY(db_devices_sender(conn, arena, HASH("b"), &certificate, &found, &device, &pinned));
    assert_false(found || pinned); /* pinned, but not in the records */
    return NULL;
}

static void test_rows__a_sender_is_certificate_and_device(void **state) {
    (void)state;
    run_body(sender_body);
}

static err_t *device_body(db_conn_t *conn, arena_t *arena) {
    const char *id = NULL;
    TRY(add_device(conn, arena, "d1", "U1", HASH("a"), &id));
    assert_string_equal(id, "d1");
    TRY(db_devices_set_token(conn, "d1", BYTES_LIT("tok"), "magic", "topic2", 50));
    db_device_t got;
    bool found = false;
    TRY(db_devices_by_identity(conn, arena, HASH("a"), &got, &found));
    assert_true(found && got.enrolled_ms == 50 && got.token_ms == 50);
    assert_string_equal(got.state, "enrolled");
    assert_string_equal(got.push_state, "ok");
    TRY(db_devices_set_push_state(conn, "d1", "unregistered", 49)); /* for an older token */
    TRY(db_devices_by_id(conn, arena, "d1", &got, &found));
    assert_string_equal(got.push_state, "ok");
    TRY(db_devices_set_push_state(conn, "d1", "unregistered", 50));
    TRY(db_devices_set_info(conn, "d1", "new name", "", "21A", "", "{\"a\":1}"));
    TRY(db_devices_touch(conn, "d1", 60));
    TRY(db_devices_by_key(conn, arena, "U1", &got, &found));
    assert_string_equal(got.push_state, "unregistered");
    assert_string_equal(got.name, "new name");
    assert_string_equal(got.product, "iPhone14,5");
    assert_string_equal(got.build, "21A");
    assert_string_equal(got.info, "{\"a\":1}");
    assert_int_equal(got.last_seen_ms, 60);
    /* Another device must not take over the identity; the same device may enrol again. */
    assert_err(ERR_EXISTS, add_device(conn, arena, "d2", "U2", HASH("a"), &id));
    TRY(add_device(conn, arena, "d3", "U1", HASH("b"), &id));
    assert_string_equal(id, "d1");
    TRY(db_devices_by_id(conn, arena, "d1", &got, &found));
    assert_string_equal(got.state, "authenticated");
    assert_true(got.push_token.n == 0 && got.push_magic[0] == '\0' && got.created_ms == 7);
    assert_true(bytes_eq(got.identity, HASH("b")));
    return NULL;
}

static void test_rows__devices(void **state) {
    (void)state;
    run_body(device_body);
}

static err_t *device_find_body(db_conn_t *conn, arena_t *arena) {
    const char *id = NULL;
    TRY(add_device(conn, arena, "d1", "U1", HASH("a"), &id));
    db_device_t got;
    bool found = false;
    static const char *const names[] = {"d1", "U1", "SERIAL", "phone"};
    for (size_t i = 0; i < 4; i++) {
        TRY(db_devices_find(conn, arena, names[i], &got, &found));
        assert_true(found);
    }
    TRY(db_devices_find(conn, arena, "", &got, &found));
    assert_false(found);
    TRY(add_device(conn, arena, "d2", "U2", HASH("b"), &id));
    assert_err(ERR_EXISTS, db_devices_find(conn, arena, "phone", &got, &found));
    /* A device that calls itself as another is called hides nothing and takes nothing over. */
    const db_device_t liar = {.id = "d3",
                              .enrolment_key = "U3",
                              .udid = "U3",
                              .serial_number = "U1",
                              .product = "",
                              .os_version = "",
                              .build = "",
                              .name = "d1",
                              .person_id = "",
                              .identity = HASH("c"),
                              .topic = "",
                              .info = "{}"};
    TRY(db_devices_authenticate(conn, arena, &liar, &id));
    assert_err(ERR_EXISTS, db_devices_find(conn, arena, "U1", &got, &found));
    TRY(db_devices_find(conn, arena, "d1", &got, &found));
    assert_true(found);
    assert_string_equal(got.udid, "U1");
    TRY(db_devices_set_state(conn, "d3", "enrolled"));
    TRY(db_devices_set_state(conn, "d2", "removed"));
    db_device_t *rows = NULL;
    size_t count = 0;
    TRY(db_devices_list(conn, arena, "", "", 10, &rows, &count));
    assert_int_equal(count, 3);
    TRY(db_devices_list(conn, arena, "removed", "", 10, &rows, &count));
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].id, "d2");
    int64_t number = 0;
    TRY(db_devices_count(conn, "authenticated", &number));
    assert_int_equal(number, 1);
    db_sealed_t sealed = {"d1", "unlock-token", 1, BYTES_LIT("one"), 5};
    TRY(db_sealed_put(conn, &sealed));
    assert_err(ERR_EXISTS, db_sealed_put(conn, &sealed));
    sealed.version = 2;
    sealed.sealed = BYTES_LIT("two");
    TRY(db_sealed_put(conn, &sealed));
    TRY(db_sealed_latest(conn, arena, "d1", "unlock-token", &sealed, &found));
    assert_true(found && sealed.version == 2 && bytes_eq_str(sealed.sealed, "two"));
    TRY(db_sealed_get(conn, arena, "d1", "unlock-token", 1, &sealed, &found));
    assert_true(found && bytes_eq_str(sealed.sealed, "one"));
    TRY(db_sealed_latest(conn, arena, "d2", "unlock-token", &sealed, &found));
    assert_false(found);
    return NULL;
}

static void test_rows__devices_are_found_by_what_a_person_types(void **state) {
    (void)state;
    run_body(device_find_body);
}

static err_t *add_command(db_conn_t *conn, const char *uuid, const char *type) {
    db_command_t row = {.uuid = uuid,
                        .device_id = "d1",
                        .request_type = type,
                        .state = "queued",
                        .payload = BYTES_LIT("<plist/>"),
                        .created_by = "system",
                        .created_ms = 3};
    return db_commands_add(conn, &row);
}

/* What the device gets when it says something of `answered`; *ret_seq is that one's, 0: not open.
 */
static err_t *assert_look(db_conn_t *conn, arena_t *arena, const char *answered, const char *uuid,
                          int64_t *ret_seq) {
    db_queue_t got;
    TRY(db_commands_look(conn, arena, "d1", answered, &got));
    assert_int_equal(got.found, uuid != NULL);
    if (uuid) assert_string_equal(got.next.uuid, uuid);
    if (uuid) assert_true(bytes_eq_str(got.next.payload, "<plist/>"));
    *ret_seq = got.answered ? got.answered_seq : 0;
    return NULL;
}

static err_t *assert_next(db_conn_t *conn, arena_t *arena, const char *uuid) {
    int64_t seq = 0;
    TRY(assert_look(conn, arena, "", uuid, &seq));
    assert_int_equal(seq, 0);
    return NULL;
}

static err_t *command_body(db_conn_t *conn, arena_t *arena) {
    const char *id = NULL;
    TRY(add_device(conn, arena, "d1", "U1", HASH("a"), &id));
    TRY(add_command(conn, "c1", "DeviceInformation"));
    assert_err(ERR_EXISTS, add_command(conn, "c1", "DeviceLock"));
    TRY(add_command(conn, "c2", "DeviceLock"));
    TRY(assert_next(conn, arena, "c1"));
    db_queue_t queue;
    int64_t c1 = 0, c2 = 0, none = 0, count = 0;
    bool found = false;
    TRY(assert_look(conn, arena, "c1", "c2", &c1));
    assert_true(c1);
    TRY(db_commands_mark_sent(conn, c1, 10));
    TRY(assert_next(conn, arena, "c1")); /* sent, but not answered: again */
    TRY(db_commands_mark_not_now(conn, c1));
    TRY(assert_next(conn, arena, "c2"));
    TRY(assert_look(conn, arena, "c2", NULL, &c2));
    assert_true(c2 && c2 != c1);
    TRY(db_commands_look(conn, arena, "other", "c2", &queue));
    assert_false(queue.answered || queue.found || queue.not_now); /* another device's */
    TRY(db_commands_finish(conn, c2, "acknowledged", "", 20, &found));
    assert_true(found);
    TRY(db_commands_finish(conn, c2, "error", "[]", 21, &found));
    assert_false(found); /* repeated */
    TRY(assert_look(conn, arena, "c2", NULL, &none));
    assert_int_equal(none, 0);
    TRY(db_commands_look(conn, arena, "d1", "", &queue));
    assert_true(queue.not_now && !queue.found);
    TRY(db_commands_look(conn, arena, "d1", "c1", &queue));
    assert_true(queue.answered && !queue.not_now); /* the one it speaks of is no other */
    assert_string_equal(queue.answered_type, "DeviceInformation");
    TRY(db_commands_release(conn, "d1", &count));
    assert_int_equal(count, 1);
    TRY(assert_next(conn, arena, "c1"));
    db_command_t got;
    TRY(db_commands_open_of_type(conn, arena, "d1", "DeviceLock", &got, &found));
    assert_false(found);
    TRY(db_commands_get(conn, arena, "c2", &got, &found));
    assert_true(found && got.done_ms == 20);
    assert_string_equal(got.state, "acknowledged");
    return NULL;
}

static void test_rows__commands_go_first_in_first_out(void **state) {
    (void)state;
    run_body(command_body);
}

static err_t *cancel_body(db_conn_t *conn, arena_t *arena) {
    const char *id = NULL;
    TRY(add_device(conn, arena, "d1", "U1", HASH("a"), &id));
    TRY(add_command(conn, "c1", "EraseDevice"));
    TRY(add_command(conn, "c2", "DeviceLock"));
    TRY(add_command(conn, "c3", "Settings"));
    int64_t c1 = 0;
    TRY(assert_look(conn, arena, "c1", "c2", &c1));
    TRY(db_commands_mark_sent(conn, c1, 10));
    bool found = true;
    TRY(db_commands_cancel(conn, "d1", "c1", false, 11, &found));
    assert_false(found); /* it may be on its way */
    TRY(db_commands_cancel(conn, "d1", "c1", true, 11, &found));
    assert_true(found);
    TRY(db_commands_cancel(conn, "d1", "c2", false, 11, &found));
    assert_true(found);
    db_command_t *rows = NULL;
    size_t count = 0;
    TRY(db_commands_list(conn, arena, "d1", true, 10, &rows, &count));
    assert_int_equal(count, 1);
    TRY(db_commands_list(conn, arena, "d1", false, 10, &rows, &count));
    assert_int_equal(count, 3);
    assert_string_equal(rows[0].uuid, "c3");
    assert_int_equal(rows[0].payload.n, 0);
    int64_t number = 0;
    TRY(db_commands_cancel_all(conn, "d1", 12, &number));
    assert_int_equal(number, 1);
    TRY(db_commands_count_open(conn, "d1", &number));
    assert_int_equal(number, 0);
    TRY(db_results_put(conn, "c1", BYTES_LIT("first"), 20));
    TRY(db_results_put(conn, "c1", BYTES_LIT("again"), 21));
    bytes_t body = BYTES_NONE;
    TRY(db_results_get(conn, arena, "c1", &body, &number, &found));
    assert_true(found && number == 20 && bytes_eq_str(body, "first"));
    TRY(db_results_get(conn, arena, "c2", &body, &number, &found));
    assert_false(found);
    return NULL;
}

static void test_rows__commands_cancel_and_keep_the_first_result(void **state) {
    (void)state;
    run_body(cancel_body);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static err_t *take(db_conn_t *conn, arena_t *arena, int64_t now, size_t expected, db_job_t *ret) {
    db_job_t *rows = NULL;
    size_t count = 0;
    TRY(db_jobs_take(conn, arena, "push", now, now + 10, 5, &rows, &count));
    assert_int_equal(count, expected);
    if (count) *ret = rows[0];
    return NULL;
}

static err_t *job_body(db_conn_t *conn, arena_t *arena) {
    int64_t due = 0;
    bool found = true;
    db_job_t job = {0};
    TRY(db_jobs_next_due(conn, "push", &due, &found));
    assert_false(found);
    TRY(db_jobs_put(conn, "mail", "d1", "{}", 10, 1)); /* another kind is another's */
    TRY(db_jobs_put(conn, "push", "d1", "{}", 100, 1));
    TRY(db_jobs_put(conn, "push", "d1", "{\"b\":1}", 50, 2)); /* coalesces, earlier */
    TRY(db_jobs_next_due(conn, "push", &due, &found));
    assert_true(found && due == 50);
    TRY(take(conn, arena, 49, 0, &job));
    TRY(take(conn, arena, 50, 1, &job));
    assert_int_equal(job.attempts, 1);
    assert_int_equal(job.generation, 2);
    assert_string_equal(job.payload, "{\"b\":1}");
    db_job_t other;
    TRY(take(conn, arena, 51, 0, &other)); /* leased */
    TRY(db_jobs_next_due(conn, "push", &due, &found));
    assert_int_equal(due, 60);
    TRY(take(conn, arena, 60, 1, &other));              /* the lease ended */
    TRY(db_jobs_put(conn, "push", "d1", "{}", 61, 61)); /* changed while somebody works on it */
    TRY(db_jobs_done(conn, job.seq, job.generation));
    TRY(take(conn, arena, 62, 1, &job)); /* so it runs again */
    TRY(db_jobs_retry(conn, job.seq, job.generation, 90, "timeout"));
    TRY(take(conn, arena, 89, 0, &other));
    TRY(take(conn, arena, 90, 1, &job));
    assert_string_equal(job.last_error, "timeout");
    TRY(db_jobs_bury(conn, job.seq, job.generation, "gave up"));
    TRY(take(conn, arena, 1000, 0, &other));
    int64_t open = 9;
    int64_t dead = 9;
    TRY(db_jobs_count(conn, &open, &dead));
    assert_true(open == 1 && dead == 1);
    TRY(db_jobs_put(conn, "push", "d1", "{}", 200, 200)); /* a new reason revives it */
    TRY(take(conn, arena, 200, 1, &job));
    assert_int_equal(job.attempts, 1);
    TRY(db_jobs_done(conn, job.seq, job.generation));
    db_job_t *rows = NULL;
    size_t count = 9;
    TRY(db_jobs_list(conn, arena, 10, &rows, &count));
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].kind, "mail");
    return NULL;
}

static void test_rows__jobs_coalesce_lease_retry_and_die(void **state) {
    (void)state;
    run_body(job_body);
}

/* ---- profiles, tokens, meta ----------------------------------------------------------------- */

static err_t *profile_body(db_conn_t *conn, arena_t *arena) {
    db_profile_t row = {"org.example.wifi", "Wi-Fi", BYTES_LIT("one"), 5, 5};
    assert_err(ERR_INVALID, db_profiles_assign(conn, row.identifier, "*", 1));
    TRY(db_profiles_put(conn, &row));
    row = (db_profile_t){"org.example.wifi", "Wi-Fi 2", BYTES_LIT("two"), 9, 9};
    TRY(db_profiles_put(conn, &row));
    db_profile_t got;
    bool found = false;
    TRY(db_profiles_get(conn, arena, "org.example.wifi", &got, &found));
    assert_true(found && got.created_ms == 5 && got.updated_ms == 9);
    assert_true(bytes_eq_str(got.content, "two"));
    TRY(db_profiles_assign(conn, "org.example.wifi", "*", 1));
    TRY(db_profiles_assign(conn, "org.example.wifi", "*", 2));
    TRY(db_profiles_assign(conn, "org.example.wifi", "d1", 2));
    db_profile_t *rows = NULL;
    size_t count = 0;
    TRY(db_profiles_of_device(conn, arena, "d1", &rows, &count));
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].content.n, 3);
    TRY(db_profiles_unassign(conn, "org.example.wifi", "*", &found));
    assert_true(found);
    TRY(db_profiles_of_device(conn, arena, "d2", &rows, &count));
    assert_int_equal(count, 0);
    TRY(db_profiles_list(conn, arena, &rows, &count));
    assert_true(count == 1 && rows[0].content.n == 0);
    TRY(db_profiles_remove(conn, "org.example.wifi", &found));
    assert_true(found);
    TRY(db_profiles_remove(conn, "org.example.wifi", &found));
    assert_false(found);
    return NULL;
}

static void test_rows__profiles(void **state) {
    (void)state;
    run_body(profile_body);
}

static err_t *token_body(db_conn_t *conn, arena_t *arena) {
    db_token_t row = {HASH("t"), "cli", "admin", 1, 0, 0};
    TRY(db_tokens_add(conn, &row));
    row.hash = HASH("u");
    assert_err(ERR_EXISTS, db_tokens_add(conn, &row)); /* the name */
    bool found = false;
    TRY(db_tokens_by_hash(conn, arena, HASH("t"), &row, &found));
    assert_true(found);
    assert_string_equal(row.role, "admin");
    db_token_t *rows = NULL;
    size_t count = 0;
    TRY(db_tokens_list(conn, arena, &rows, &count));
    assert_int_equal(count, 1);
    TRY(db_tokens_remove(conn, "cli", &found));
    assert_true(found);
    TRY(db_tokens_by_hash(conn, arena, HASH("t"), &row, &found));
    assert_false(found);
    const char *value = NULL;
    TRY(db_meta_get(conn, arena, "org", &value, &found));
    assert_false(found);
    TRY(db_meta_set(conn, "org", "one"));
    TRY(db_meta_set(conn, "org", "two"));
    TRY(db_meta_get(conn, arena, "org", &value, &found));
    assert_true(found);
    assert_string_equal(value, "two");
    return NULL;
}

static void test_rows__tokens_and_meta(void **state) {
    (void)state;
    run_body(token_body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows__people),
        cmocka_unit_test(test_rows__enrolments),
        cmocka_unit_test(test_rows__challenges),
        cmocka_unit_test(test_rows__of_two_users_of_a_challenge_one_wins),
        cmocka_unit_test(test_rows__certificates),
        cmocka_unit_test(test_rows__renewals),
        cmocka_unit_test(test_rows__scep_pending),
        cmocka_unit_test(test_rows__scep_trace_is_a_ring),
        cmocka_unit_test(test_rows__devices),
        cmocka_unit_test(test_rows__a_sender_is_certificate_and_device),
        cmocka_unit_test(test_rows__devices_are_found_by_what_a_person_types),
        cmocka_unit_test(test_rows__commands_go_first_in_first_out),
        cmocka_unit_test(test_rows__commands_cancel_and_keep_the_first_result),
        cmocka_unit_test(test_rows__jobs_coalesce_lease_retry_and_die),
        cmocka_unit_test(test_rows__profiles),
        cmocka_unit_test(test_rows__tokens_and_meta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
