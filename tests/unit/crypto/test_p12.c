/*
 * PKCS#12: what we write others read (and the reverse, with the openssl command where there is
 * one), and what is wrong is refused without saying too much.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/p12.h"

static void write_one(const fixture_t *f, bool rsa, p12_cipher_t cipher, buf_t *out) {
    cert_list_t chain = {(cert_t **)&f->ca, 1};
    p12_spec_t spec = {.key = rsa ? f->rsa_key : f->ec_key,
                       .cert = rsa ? f->rsa : f->ec,
                       .chain = &chain,
                       .name = "person@example.org",
                       .cipher = cipher};
    buf_init(out, P12_BYTES_MAX);
    assert_ok(p12_write(&spec, BYTES_LIT("coffer"), out));
}

static void test_p12__what_is_written_is_read(void **state) {
    const fixture_t *f = *state;
    for (int i = 0; i < 4; i++) {
        buf_t file;
        pkey_t *key = NULL;
        cert_t *cert = NULL;
        cert_list_t chain = {0};
        write_one(f, i & 1, i & 2 ? P12_DES3 : P12_AES256, &file);
        assert_ok(p12_read(buf_bytes(&file), BYTES_LIT("coffer"), &key, &cert, &chain));
        assert_true(pkey_has_private(key));
        assert_true(cert_same(cert, i & 1 ? f->rsa : f->ec));
        assert_int_equal(chain.n, 1);
        assert_true(cert_same(chain.certs[0], f->ca));
        pkey_free(key);
        cert_free(cert);
        cert_list_done(&chain);
        buf_done(&file);
    }
}

static void test_p12__a_wrong_password_and_a_changed_file_look_alike(void **state) {
    const fixture_t *f = *state;
    buf_t file;
    pkey_t *key = NULL;
    cert_t *cert = NULL;
    write_one(f, false, P12_AES256, &file);
    assert_err(ERR_VERIFY, p12_read(buf_bytes(&file), BYTES_LIT("wrong"), &key, &cert, NULL));
    assert_err(ERR_VERIFY, p12_read(buf_bytes(&file), BYTES_NONE, &key, &cert, NULL));
    file.p[file.n / 2] ^= 1;
    assert_err(ERR_VERIFY, p12_read(buf_bytes(&file), BYTES_LIT("coffer"), &key, &cert, NULL));
    buf_done(&file);
}

static void test_p12__what_is_none_is_refused(void **state) {
    const fixture_t *f = *state;
    buf_t file;
    pkey_t *key = NULL;
    cert_t *cert = NULL;
    write_one(f, false, P12_AES256, &file);
    bytes_t good = buf_bytes(&file), password = BYTES_LIT("coffer");
    assert_err(ERR_INVALID, p12_read(BYTES_NONE, password, &key, &cert, NULL));
    assert_err(ERR_INVALID, p12_read(BYTES_LIT("0x30"), password, &key, &cert, NULL));
    assert_err(ERR_INVALID,
               p12_read(bytes_slice(good, 0, good.n - 1), password, &key, &cert, NULL));
    assert_ok(buf_add_byte(&file, 0));
    assert_err(ERR_INVALID, p12_read(buf_bytes(&file), password, &key, &cert, NULL));
    assert_err(ERR_INVALID, p12_read(good, BYTES_LIT("a\0b"), &key, &cert, NULL));
    buf_done(&file);
}

static void test_p12__iterations_are_bounded(void **state) {
    const fixture_t *f = *state;
    buf_t file;
    pkey_t *key = NULL;
    cert_t *cert = NULL;
    p12_spec_t spec = {.key = f->ec_key, .cert = f->ec, .iterations = P12_ITERATIONS_MAX + 1};
    buf_init(&file, P12_BYTES_MAX);
    assert_err(ERR_LIMIT, p12_write(&spec, BYTES_LIT("coffer"), &file));
    spec.iterations = 0x7ff1; /* two bytes that can be found again */
    assert_ok(p12_write(&spec, BYTES_LIT("coffer"), &file));
    /* INTEGER 0x7ff1 of the last, the MAC's, becomes 3 bytes: so only its value is raised */
    size_t hits = 0;
    for (size_t i = 0; i + 4 <= file.n; i++) hits += memcmp(file.p + i, "\x02\x02\x7f\xf1", 4) == 0;
    assert_true(hits >= 2); /* the certificates' and the MAC's */
    assert_ok(p12_read(buf_bytes(&file), BYTES_LIT("coffer"), &key, &cert, NULL));
    pkey_free(key);
    cert_free(cert);
    /* a negative count */
    for (size_t i = 0; i + 4 <= file.n; i++)
        if (memcmp(file.p + i, "\x02\x02\x7f\xf1", 4) == 0) file.p[i + 2] = 0x80;
    assert_err(ERR_LIMIT, p12_read(buf_bytes(&file), BYTES_LIT("coffer"), &key, &cert, NULL));
    buf_done(&file);
}

static void test_p12__writing_needs_the_keys_own_certificate(void **state) {
    const fixture_t *f = *state;
    buf_t file;
    buf_init(&file, P12_BYTES_MAX);
    p12_spec_t spec = {.key = f->ec_key, .cert = f->rsa};
    assert_err(ERR_USAGE, p12_write(&spec, BYTES_LIT("coffer"), &file));
    spec.cert = f->ec;
    assert_err(ERR_USAGE, p12_write(&spec, BYTES_NONE, &file));
    spec.key = cert_key(f->ec); /* public only */
    assert_err(ERR_USAGE, p12_write(&spec, BYTES_LIT("coffer"), &file));
    buf_done(&file);
}

/* The openssl command opens ours: an independent reader of the profile in use. */
static void test_p12__openssl_reads_it(void **state) {
    const fixture_t *f = *state;
    if (system("openssl version >/dev/null 2>&1") != 0) skip();
    char path[] = "/tmp/coffer-p12-XXXXXX", command[256];
    buf_t file;
    write_one(f, true, P12_AES256, &file);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file.p, file.n), (ssize_t)file.n);
    (void)close(fd);
    (void)snprintf(command, sizeof command,
                   "openssl pkcs12 -in %s -passin pass:coffer -info -noout 2>&1 | "
                   "grep -q 'PBES2, PBKDF2, AES-256-CBC'",
                   path);
    int status = system(command);
    (void)unlink(path);
    buf_done(&file);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_p12__what_is_written_is_read),
        cmocka_unit_test(test_p12__a_wrong_password_and_a_changed_file_look_alike),
        cmocka_unit_test(test_p12__what_is_none_is_refused),
        cmocka_unit_test(test_p12__iterations_are_bounded),
        cmocka_unit_test(test_p12__writing_needs_the_keys_own_certificate),
        cmocka_unit_test(test_p12__openssl_reads_it),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
