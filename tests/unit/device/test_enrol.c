/*
 * Over-the-air enrolment, all three phases with a real keeper core and SCEP, and those who try to
 * get in without.
 */
#include <stdio.h>

#include "base/mem.h"
#include "device_fixture.h"

static int setup(void **state) {
    fx_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fx_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fx_done(*state);
    mem_free(*state);
    return 0;
}

static void test_enrol__all_three_phases_give_a_management_profile(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    fx_enrol(f, d);
    plist_doc_t *doc = NULL;
    plist_t *scep = NULL, *mdm = NULL;
    bytes_t a, b;
    int64_t rights = 0;
    assert_ok(plist_parse(buf_bytes(&f->body), &doc));
    static const char *const types[] = {"com.apple.security.root", "com.apple.security.pkcs1",
                                        "com.apple.security.scep", "com.apple.mdm"};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(plist_get_string(plist_at(plist_root(doc), i), "PayloadType", 99, true, &a));
        assert_true(bytes_eq_str(a, types[i]));
    }
    scep = plist_at(plist_root(doc), 2);
    mdm = plist_at(plist_root(doc), 3);
    assert_ok(plist_get_string(scep, "PayloadUUID", 99, true, &a));
    assert_ok(plist_get_string(mdm, "IdentityCertificateUUID", 99, true, &b));
    assert_true(bytes_eq(a, b));
    assert_ok(plist_get_string(mdm, "CheckInURL", 99, true, &a));
    assert_true(bytes_eq_str(a, "https://coffer.example.org:8443/mdm/checkin"));
    assert_ok(plist_get_int(mdm, "AccessRights", 1, 8191, true, &rights));
    assert_int_equal(rights, 8191);
    plist_free(doc);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM certificate WHERE person_id = 'person-1'"),
                     2);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM audit_entry WHERE action LIKE 'enrol.%'"),
                     3);
}

static void test_enrol__challenge_may_come_back_as_data(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    char *challenge = fx_offer(f);
    d->challenge_key = "data";
    assert_string_equal(fx_phase2(f, d, challenge, NULL), "ok");
    mem_free(challenge);
}

static void test_enrol__challenge_serves_one_device(void **state) {
    fx_t *f = *state;
    fx_device_t *a = fx_device(f, "A", "UDID-A", "iPhone14,5");
    fx_device_t *b = fx_device(f, "B", "UDID-B", "iPhone14,5");
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, a, challenge, NULL), "ok");
    assert_string_equal(fx_phase2(f, b, challenge, NULL), "denied");
    assert_string_equal(fx_phase2(f, a, challenge, NULL), "ok"); /* the reply was lost */
    assert_string_equal(fx_scep(f, a), "ok");
    assert_string_equal(fx_phase2(f, a, challenge, NULL), "denied"); /* used */
    assert_string_equal(fx_phase2(f, a, "of nobody", NULL), "denied");
    assert_string_equal(fx_phase2(f, a, NULL, NULL), "denied");
    mem_free(challenge);
}

static void test_enrol__expired_offer_is_refused(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    char *challenge = fx_offer(f);
    fx_advance(f, LIMIT_ENROL_TTL_S * 1000LL + 1000);
    assert_string_equal(fx_phase2(f, d, challenge, NULL), "denied");
    mem_free(challenge);
}

static void test_enrol__phase3_after_expiry_is_refused(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, d, challenge, NULL), "ok");
    assert_string_equal(fx_scep(f, d), "ok");
    fx_advance(f, LIMIT_ENROL_TTL_S * 1000LL + 1000);
    assert_string_equal(fx_phase3(f, d), "denied");
    mem_free(challenge);
}

static void test_enrol__first_identity_does_not_manage(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, d, challenge, NULL), "ok");
    assert_string_equal(fx_scep(f, d), "ok");
    assert_string_equal(fx_authenticate(f, d, NULL), "403");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM device"), 0);
    assert_string_equal(fx_phase3(f, d), "ok");
    assert_string_equal(fx_scep(f, d), "ok");
    assert_string_equal(fx_authenticate(f, d, NULL), "empty");
    mem_free(challenge);
}

static void test_enrol__scep_challenge_is_used_once(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, d, challenge, NULL), "ok");
    assert_string_equal(fx_scep(f, d), "ok");
    assert_string_equal(fx_scep(f, d), "refused");
    mem_free(challenge);
}

/* A certificate that names the factory CA as its issuer, signed by somebody else. */
static void test_enrol__issuer_name_alone_proves_nothing(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    name_entry_t factory[] = {{"O", "Example Factory"}, {"CN", "Factory Device CA"}};
    name_entry_t name = {"CN", "impostor"};
    uint8_t serial[] = {1};
    int64_t now = clk_unix(&f->keeper.clk.clk);
    cert_t *ca = NULL, *leaf = NULL;
    cms_signer_t *signer = NULL;
    cert_spec_t spec = {.subject = factory,
                        .subject_n = 2,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = now - 60,
                        .not_after = now + 9999,
                        .is_ca = true,
                        .key_usage = KEY_USAGE_CERT_SIGN,
                        .key = d->key};
    assert_ok(cert_issue(&spec, NULL, d->key, &ca));
    spec.subject = &name;
    spec.subject_n = 1;
    spec.is_ca = false;
    spec.key_usage = KEY_USAGE_DIGITAL_SIGNATURE;
    assert_ok(cert_issue(&spec, ca, d->key, &leaf));
    assert_true(bytes_eq(cert_issuer_der(leaf), cert_subject_der(f->factory_cas.certs[0])));
    assert_ok(cms_signer_new(leaf, d->key, NULL, &signer));
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, d, challenge, signer), "verification");
    mem_free(challenge);
    cms_signer_free(signer);
    cert_free(leaf);
    cert_free(ca);
}

static void test_enrol__identity_of_another_device_is_refused(void **state) {
    fx_t *f = *state;
    fx_device_t *a = fx_device(f, "A", "UDID-A", "iPhone14,5");
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, a, challenge, NULL), "ok");
    assert_string_equal(fx_scep(f, a), "ok");
    (void)snprintf(a->udid, sizeof a->udid, "UDID-B");
    assert_string_equal(fx_phase3(f, a), "denied");
    mem_free(challenge);
}

static err_t *disable_person(db_conn_t *conn, void *arg) {
    const fx_t *f = arg;
    bool found = false;
    return db_people_set_disabled(conn, f->person.email, true, &found);
}

static void test_enrol__ends_when_the_person_is_disabled(void **state) {
    fx_t *f = *state;
    fx_device_t *a = fx_device(f, "A", "UDID-A", "iPhone14,5");
    fx_device_t *b = fx_device(f, "B", "UDID-B", "iPhone14,5");
    fx_device_t *c = fx_device(f, "C", "UDID-C", "iPhone14,5");
    char *first = fx_offer(f), *second = fx_offer(f), *third = fx_offer(f);
    assert_string_equal(fx_phase2(f, b, second, NULL), "ok");
    assert_string_equal(fx_phase2(f, c, third, NULL), "ok");
    assert_string_equal(fx_scep(f, c), "ok");
    assert_ok(db_write(f->db, disable_person, f));
    assert_string_equal(fx_phase2(f, a, first, NULL), "denied");
    assert_string_equal(fx_scep(f, b), "refused");
    assert_string_equal(fx_phase3(f, c), "denied");
    mem_free(first);
    mem_free(second);
    mem_free(third);
}

static void test_enrol__the_factorys_word_is_kept(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_device(f, "A", "UDID-A", "iPhone14,5");
    fx_enrol(f, d);
    (void)snprintf(d->name, sizeof d->name, "Z"); /* the serial number it says it has */
    (void)snprintf(d->product, sizeof d->product, "Mac15,1");
    assert_string_equal(fx_authenticate(f, d, NULL), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM device WHERE serial_number = 'A' AND"
                                  " product = 'iPhone14,5'"),
                     1);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM audit_entry WHERE detail LIKE"
                                  " '%said_serial%Z%said_product%Mac15,1%'"),
                     1);
}

static void test_enrol__garbage_is_invalid(void **state) {
    fx_t *f = *state;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    assert_err(ERR_INVALID,
               devices_enrol_ota(f->devices, BYTES_LIT("garbage"), "192.0.2.1", &answer));
    assert_err(ERR_INVALID, devices_enrol_ota(f->devices, BYTES_NONE, "192.0.2.1", &answer));
}

static void test_enrol__is_off_without_a_factory_ca(void **state) {
    fx_t *f = *state;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    cert_list_done(&f->factory_cas);
    assert_err(ERR_DENIED, devices_enrol_offer(f->devices, &f->person, "192.0.2.1", &answer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_enrol__all_three_phases_give_a_management_profile),
        TEST(test_enrol__challenge_may_come_back_as_data),
        TEST(test_enrol__challenge_serves_one_device),
        TEST(test_enrol__expired_offer_is_refused),
        TEST(test_enrol__phase3_after_expiry_is_refused),
        TEST(test_enrol__first_identity_does_not_manage),
        TEST(test_enrol__scep_challenge_is_used_once),
        TEST(test_enrol__issuer_name_alone_proves_nothing),
        TEST(test_enrol__identity_of_another_device_is_refused),
        TEST(test_enrol__ends_when_the_person_is_disabled),
        TEST(test_enrol__the_factorys_word_is_kept),
        TEST(test_enrol__garbage_is_invalid),
        TEST(test_enrol__is_off_without_a_factory_ca),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
