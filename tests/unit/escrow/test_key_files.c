/* The private files of officers and recipients. */
#include "../unit.h"
#include <ctype.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/mem.h"
#include "escrow/officer_key.h"
#include "escrow/request_key.h"
#include "keeper/escrow_seal.h"

#define PASSPHRASE BYTES_LIT("correct horse battery")

static void make(buf_t *private, buf_t *public) {
    buf_init_secret(private, OFFICER_KEY_FILE_MAX);
    buf_init(public, OFFICER_KEY_FILE_MAX);
    assert_ok(officer_key_make(rnd_real(), "anna@example.org", 1700000000, PASSPHRASE,
                               &PASSWORD_COST_TEST, private, public));
}

static void test_key_files__an_officers_file_opens_with_its_passphrase(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t private, public;
    CLEANUP(officer_key_done) officer_key_t key = {0};
    escrow_officer_file_t file, seen;
    uint8_t fingerprint[ESCROW_HASH];
    char text[OFFICER_KEY_FINGERPRINT];
    make(&private, &public);
    assert_ok(officer_key_open(buf_bytes(&private), PASSPHRASE, &key));
    assert_ok(escrow_officer_file_parse(buf_bytes(&public), &file));
    assert_ok(escrow_officer_file_verify(&file));
    assert_ok(officer_key_public(buf_bytes(&private), &seen));
    assert_memory_equal(&seen, &file, sizeof file);
    assert_string_equal(key.file.label, "anna@example.org");
    assert_int_equal(key.file.created, 1700000000);
    assert_ok(escrow_officer_fingerprint(file.hpke, file.sign, fingerprint));
    assert_memory_equal(fingerprint, key.fingerprint, ESCROW_HASH);
    assert_int_equal(strlen(officer_key_fingerprint_text(fingerprint, text)),
                     OFFICER_KEY_FINGERPRINT - 1);
}

static void test_key_files__two_officers_have_nothing_in_common(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t private, public, private2, public2;
    CLEANUP(officer_key_done) officer_key_t a = {0};
    CLEANUP(officer_key_done) officer_key_t b = {0};
    make(&private, &public);
    make(&private2, &public2);
    assert_ok(officer_key_open(buf_bytes(&private), PASSPHRASE, &a));
    assert_ok(officer_key_open(buf_bytes(&private2), PASSPHRASE, &b));
    assert_memory_not_equal(a.file.hpke, b.file.hpke, ESCROW_KEY);
    assert_memory_not_equal(a.file.sign, b.file.sign, ESCROW_KEY);
}

/* Every changed bit of salt, public part and seal is the same error as a wrong passphrase. */
static void test_key_files__wrong_and_damaged_are_the_same_error(void **state) {
    (void)state;
    enum { CLEAR_HEAD = 9 + 4 + 4 };
    CLEANUP(buf_done) buf_t private, public;
    CLEANUP(officer_key_done) officer_key_t key = {0};
    char expected[256], got[256];
    make(&private, &public);
    err_t *e = officer_key_open(buf_bytes(&private), BYTES_LIT("another passphrase"), &key);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_VERIFY);
    (void)err_text(e, expected, sizeof expected);
    err_free(e);
    for (size_t at = CLEAR_HEAD; at < private.n; at++) {
        bool length = at >= CLEAR_HEAD + 16 && at < CLEAR_HEAD + 20;
        bool sealed_length = at + 4 + 64 + 28 >= private.n && at + 64 + 28 < private.n;
        if (length || sealed_length) continue;
        private.p[at] ^= 4;
        e = officer_key_open(buf_bytes(&private), PASSPHRASE, &key);
        private.p[at] ^= 4;
        assert_non_null(e);
        assert_string_equal(err_text(e, got, sizeof got), expected);
        err_free(e);
    }
    assert_ok(officer_key_open(buf_bytes(&private), PASSPHRASE, &key));
}

static void test_key_files__refuses_other_files_and_absurd_work(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t private, public;
    CLEANUP(officer_key_done) officer_key_t key = {0};
    make(&private, &public);
    assert_err(ERR_INVALID, officer_key_open(buf_bytes(&public), PASSPHRASE, &key));
    assert_err(ERR_INVALID, officer_key_open(BYTES_NONE, PASSPHRASE, &key));
    for (size_t n = 0; n < private.n; n += 7)
        assert_err(ERR_INVALID, officer_key_open(bytes_make(private.p, n), PASSPHRASE, &key));
    private.p[8] = 2;
    assert_err(ERR_VERIFY, officer_key_open(buf_bytes(&private), PASSPHRASE, &key));
    private.p[8] = 1;
    private.p[13] = 0xff; /* 4 TiB of memory */
    assert_err(ERR_LIMIT, officer_key_open(buf_bytes(&private), PASSPHRASE, &key));
    assert_err(ERR_INVALID, officer_key_make(rnd_real(), "a", 0, BYTES_LIT("short"),
                                             &PASSWORD_COST_TEST, &private, &public));
}

static void test_key_files__making_survives_failing_allocations(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        CLEANUP(buf_done) buf_t private, public;
        buf_init_secret(&private, OFFICER_KEY_FILE_MAX);
        buf_init(&public, OFFICER_KEY_FILE_MAX);
        fault_arm_memory(n);
        err_t *e = officer_key_make(rnd_real(), "a", 0, PASSPHRASE, &PASSWORD_COST_TEST, &private,
                                    &public);
        fault_arm_memory(0);
        if (!e) break;
        assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
    }
}

/* ---- the recipient's ---- */

static void make_request(const uint8_t public[ESCROW_KEY], escrow_request_t *request) {
    *request = (escrow_request_t){.object = {.kind = "file", .version = 1},
                                  .epoch = 1,
                                  .threshold = 2,
                                  .requester = "p1",
                                  .recipient = "ben@example.org",
                                  .reason = "left",
                                  .created = 1700000000,
                                  .expires = 1700003600};
    memcpy(request->recipient_key, public, ESCROW_KEY);
}

static void test_key_files__a_requests_file_holds_key_and_request(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *private = NULL;
    CLEANUP(buf_done) buf_t record, file;
    CLEANUP(request_key_done) request_key_t key = {0};
    escrow_request_t request;
    uint8_t public[ESCROW_KEY];
    buf_init(&record, REQUEST_KEY_FILE_MAX);
    buf_init_secret(&file, REQUEST_KEY_FILE_MAX);
    assert_ok(request_key_new(rnd_real(), &private, public));
    make_request(public, &request);
    assert_ok(escrow_request_put(&request, &record));
    assert_ok(request_key_put(private, buf_bytes(&record), &file));
    assert_ok(request_key_parse(buf_bytes(&file), &key));
    assert_string_equal(key.request.reason, "left");
    for (size_t n = 0; n < file.n; n += 5) {
        CLEANUP(request_key_done) request_key_t none = {0};
        assert_err(ERR_INVALID, request_key_parse(bytes_make(file.p, n), &none));
    }
}

static void test_key_files__a_code_is_of_one_request_and_drawn_anew(void **state) {
    (void)state;
    static const uint8_t public[ESCROW_KEY] = {7};
    escrow_request_t request, forged;
    char code[REQUEST_KEY_CODE], other[REQUEST_KEY_CODE], typed[REQUEST_KEY_CODE + 4];
    make_request(public, &request);
    assert_ok(request_key_code(rnd_real(), &request, code));
    assert_ok(request_key_code(rnd_real(), &request, other));
    assert_int_equal(strlen(code), REQUEST_KEY_CODE - 1);
    /* Not foreseen by who made the record: neither the drawn part nor what follows from it. */
    assert_memory_not_equal(code, other, 9);
    assert_memory_not_equal(code + 10, other + 10, 14);
    assert_ok(request_key_code_check(&request, bytes_str(code)));
    assert_ok(request_key_code_check(&request, bytes_str(other)));
    (void)snprintf(typed, sizeof typed, " %s ", code);
    for (char *c = typed; *c; c++) *c = (char)(*c == '-' ? ' ' : toupper((unsigned char)*c));
    assert_ok(request_key_code_check(&request, bytes_str(typed)));
    for (size_t i = 0; code[i]; i++) { /* every letter counts */
        if (code[i] == '-') continue;
        memcpy(typed, code, sizeof code);
        typed[i] = typed[i] == 'a' ? 'b' : 'a';
        assert_err(ERR_VERIFY, request_key_code_check(&request, bytes_str(typed)));
    }
    for (size_t n = 0; n < REQUEST_KEY_CODE - 1; n++)
        assert_err(ERR_VERIFY, request_key_code_check(&request, bytes_make(code, n)));
    assert_err(ERR_VERIFY, request_key_code_check(&request, BYTES_LIT("0000-0000-0000-0000-0000")));
    /* A record that a fallen server shows the officers instead. */
    forged = request;
    forged.recipient_key[0] ^= 1;
    assert_err(ERR_VERIFY, request_key_code_check(&forged, bytes_str(code)));
    forged = request;
    forged.blob_hash[31] ^= 1;
    assert_err(ERR_VERIFY, request_key_code_check(&forged, bytes_str(code)));
}

static void test_key_files__a_request_for_another_key_is_refused(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *private = NULL;
    CLEANUP(secret_free) secret_t *other = NULL;
    CLEANUP(buf_done) buf_t record, file;
    escrow_request_t request;
    uint8_t public[ESCROW_KEY];
    buf_init(&record, REQUEST_KEY_FILE_MAX);
    buf_init_secret(&file, REQUEST_KEY_FILE_MAX);
    assert_ok(request_key_new(rnd_real(), &private, public));
    assert_ok(request_key_new(rnd_real(), &other, public));
    make_request(public, &request);
    assert_ok(escrow_request_put(&request, &record));
    assert_err(ERR_VERIFY, request_key_put(private, buf_bytes(&record), &file));
    assert_int_equal(file.n, 0);
}

int main(void) {
    if (crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_files__an_officers_file_opens_with_its_passphrase),
        cmocka_unit_test(test_key_files__two_officers_have_nothing_in_common),
        cmocka_unit_test(test_key_files__wrong_and_damaged_are_the_same_error),
        cmocka_unit_test(test_key_files__refuses_other_files_and_absurd_work),
        cmocka_unit_test(test_key_files__making_survives_failing_allocations),
        cmocka_unit_test(test_key_files__a_requests_file_holds_key_and_request),
        cmocka_unit_test(test_key_files__a_code_is_of_one_request_and_drawn_anew),
        cmocka_unit_test(test_key_files__a_request_for_another_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
