/*
 * mail/spool: what goes in comes out, small or large; limits and full disks are errors.
 */
#include "../unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "crypto/secret.h"
#include "mail/spool.h"

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

static void round_trip(size_t n, size_t step) {
    spool_t *spool CLEANUP(spool_free) = NULL;
    CLEANUP(buf_done) buf_t in, out;
    buf_init(&in, 1 << 24);
    buf_init(&out, 1 << 24);
    for (size_t i = 0; i < n; i++) assert_ok(buf_add_byte(&in, (uint8_t)(i * 31 >> 3)));
    assert_ok(spool_new(rnd_real(), 1 << 24, NULL, &spool));
    for (bytes_t rest = buf_bytes(&in); rest.n; rest = bytes_from(rest, step))
        assert_ok(spool_add(spool, bytes_slice(rest, 0, step)));
    assert_int_equal(spool_size(spool), n);
    for (int again = 0; again < 2; again++) {
        buf_clear(&out);
        assert_ok(spool_read(spool, collect, &out));
        assert_true(bytes_eq(buf_bytes(&in), buf_bytes(&out)));
    }
    assert_ok(spool_reset(spool));
    assert_ok(spool_add(spool, BYTES_LIT("new")));
    buf_clear(&out);
    assert_ok(spool_read(spool, collect, &out));
    assert_true(bytes_eq(buf_bytes(&out), BYTES_LIT("new")));
}

static void test_spool__gives_back_what_it_took(void **state) {
    (void)state;
    round_trip(0, 1);
    round_trip(1, 1);
    round_trip(256 * 1024, 4096);
    round_trip(256 * 1024 + 1, 1000);
    round_trip(1000 * 1000, 333333);
}

static void test_spool__has_a_limit(void **state) {
    (void)state;
    spool_t *spool CLEANUP(spool_free) = NULL;
    assert_ok(spool_new(rnd_real(), 10, NULL, &spool));
    assert_ok(spool_add(spool, BYTES_LIT("0123456789")));
    assert_err(ERR_LIMIT, spool_add(spool, BYTES_LIT("0")));
}

static void test_spool__a_missing_directory_is_said(void **state) {
    (void)state;
    spool_t *spool CLEANUP(spool_free) = NULL;
    static uint8_t big[600 * 1024];
    assert_int_equal(setenv("TMPDIR", "/nonexistent/coffer", 1), 0);
    assert_ok(spool_new(rnd_real(), 1 << 24, NULL, &spool));
    err_t *e = spool_add(spool, BYTES_ARRAY(big));
    assert_non_null(e);
    assert_non_null(strstr(err_message(e), "/nonexistent/coffer"));
    err_free(e);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

/* ---- files of the program's own ---- */

typedef struct {
    uint64_t max, taken;
    unsigned made;
} place_t;

static err_t *place_file(void *arg, int *ret_fd) {
    place_t *p = arg;
    p->made++;
    *ret_fd = memfd_create("spool", MFD_CLOEXEC);
    return *ret_fd < 0 ? err_errno(errno, "memfd_create") : NULL;
}

static err_t *place_take(void *arg, uint64_t bytes) {
    place_t *p = arg;
    if (p->taken + bytes > p->max) return err_new(ERR_FULL, "full");
    p->taken += bytes;
    return NULL;
}

static void place_give(void *arg, uint64_t bytes) { ((place_t *)arg)->taken -= bytes; }

static void test_spool__lies_where_the_program_says_and_is_counted(void **state) {
    (void)state;
    static uint8_t big[600 * 1024];
    place_t place = {.max = 1 << 20};
    const spool_files_t files = {place_file, place_take, place_give, &place};
    spool_t *spool = NULL;
    assert_int_equal(setenv("TMPDIR", "/nonexistent/coffer", 1), 0);
    assert_ok(spool_new(rnd_real(), 1 << 24, &files, &spool));
    assert_ok(spool_add(spool, BYTES_ARRAY(big)));
    assert_int_equal(place.made, 1);
    assert_in_range(place.taken, 512 * 1024, 600 * 1024);
    assert_ok(spool_reset(spool));
    assert_int_equal(place.taken, 0);
    assert_ok(spool_add(spool, BYTES_ARRAY(big)));
    assert_int_equal(place.made, 2);
    assert_err(ERR_FULL, spool_add(spool, BYTES_ARRAY(big)));
    spool_free(spool);
    assert_int_equal(place.taken, 0);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spool__gives_back_what_it_took),
        cmocka_unit_test(test_spool__has_a_limit),
        cmocka_unit_test(test_spool__lies_where_the_program_says_and_is_counted),
        cmocka_unit_test(test_spool__a_missing_directory_is_said),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
