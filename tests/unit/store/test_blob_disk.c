/*
 * Blobs in a directory.
 */
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "blob_fixture.h"

typedef struct {
    char root[32];
    char dir[64];
    blob_store_t *store;
} fix_t;

static const char NAME[] =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff-0123456789abcdef";
static const char OTHER[] =
    "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff-0123456789abcdef";

static int setup(void **state) {
    fix_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    tree_make(f->root);
    (void)snprintf(f->dir, sizeof f->dir, "%s/blobs", f->root);
    assert_ok(blob_disk_open("main", f->dir, false, &f->store));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fix_t *f = *state;
    fault_arm_io(0);
    blob_store_free(f->store);
    tree_remove(f->root);
    mem_free(f);
    return 0;
}

static void put(fix_t *f, const char *name, bytes_t content) {
    char path[64];
    CLEANUP(fd_close) int fd = -1;
    blob_source_t source = source_make(f->root, content, path);
    fd = source.fd;
    assert_ok(blob_store_put(f->store, name, &source));
}

static void expect(fix_t *f, const char *name, bytes_t content) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_BLOB_OBJECT);
    assert_ok(blob_store_get(f->store, name, 0, LIMIT_BLOB_OBJECT, &out));
    assert_true(bytes_eq(buf_bytes(&out), content));
}

static void test_disk__keeps_what_it_is_given(void **state) {
    fix_t *f = *state;
    CLEANUP(mem_free) uint8_t *content = noise(300000, 1);
    bool found = false;
    uint64_t size = 0;
    put(f, NAME, bytes_make(content, 300000));
    put(f, NAME, bytes_make(content, 300000)); /* again is fine */
    expect(f, NAME, bytes_make(content, 300000));
    assert_ok(blob_store_look(f->store, NAME, &found, &size));
    assert_true(found && size == 300000);
    assert_ok(blob_store_look(f->store, OTHER, &found, &size));
    assert_false(found);
    put(f, OTHER, BYTES_NONE);
    expect(f, OTHER, BYTES_NONE);
}

static void test_disk__reads_ranges(void **state) {
    fix_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100);
    put(f, NAME, BYTES_LIT("0123456789"));
    assert_ok(blob_store_get(f->store, NAME, 3, 4, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "3456"));
    assert_ok(blob_store_get(f->store, NAME, 8, 50, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "345689"));
    assert_ok(blob_store_get(f->store, NAME, 10, 5, &out));
    assert_int_equal(out.n, 6);
    assert_err(ERR_NOT_FOUND, blob_store_get(f->store, OTHER, 0, 5, &out));
}

static void test_disk__takes_a_file_that_may_be_taken(void **state) {
    fix_t *f = *state;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(fd_close) int fd = -1;
    assert_ok(blob_tmp_make(blob_disk_tmp(f->store), &fd, &path));
    assert_ok(file_write_fd(fd, BYTES_LIT("taken")));
    blob_source_t source = {.fd = fd, .size = 5, .path = path};
    assert_ok(blob_store_put(f->store, NAME, &source));
    assert_false(file_exists(path));
    expect(f, NAME, BYTES_LIT("taken"));
}

static void test_disk__removes_also_what_is_not_there(void **state) {
    fix_t *f = *state;
    bool found = true;
    uint64_t size = 0;
    put(f, NAME, BYTES_LIT("x"));
    assert_ok(blob_store_remove(f->store, NAME));
    assert_ok(blob_store_remove(f->store, NAME));
    assert_ok(blob_store_look(f->store, NAME, &found, &size));
    assert_false(found);
}

static void test_disk__refuses_names_that_are_none(void **state) {
    fix_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 10);
    static const char *const names[] = {"", "../../etc/passwd", "00", "tmp/../x"};
    for (size_t i = 0; i < 4; i++)
        assert_err(ERR_INTERNAL, blob_store_get(f->store, names[i], 0, 1, &out));
    char upper[sizeof NAME];
    memcpy(upper, NAME, sizeof NAME);
    upper[20] = 'A';
    assert_err(ERR_INTERNAL, blob_store_get(f->store, upper, 0, 1, &out));
}

typedef struct {
    char names[8][BLOB_OBJECT_NAME];
    size_t n;
} seen_t;

static err_t *see(void *arg, const blob_entry_t *entry) {
    seen_t *seen = arg;
    assert_true(seen->n < 8 && entry->size == 1 && entry->modified > 1600000000);
    memcpy(seen->names[seen->n++], entry->name, BLOB_OBJECT_NAME);
    return NULL;
}

static void test_disk__lists_in_order_page_by_page(void **state) {
    fix_t *f = *state;
    blob_id_t id = {{0}};
    char names[6][BLOB_OBJECT_NAME];
    for (size_t i = 0; i < 6; i++) {
        id.bytes[0] = (uint8_t)(i / 2 * 0x70);
        id.bytes[31] = (uint8_t)i;
        put(f, blob_object_name(&id, i, names[i]), BYTES_LIT("x"));
    }
    CLEANUP(mem_free) char *stray = mem_printf("%s/70/README", f->dir);
    assert_ok(file_write(stray, BYTES_LIT("stray"), 0600));
    seen_t seen = {.n = 0};
    bool more = true;
    const char *after = "";
    while (more) {
        size_t before = seen.n;
        assert_ok(blob_store_list(f->store, "", after, 4, see, &seen, &more));
        assert_true(seen.n > before && seen.n - before <= 4);
        after = seen.names[seen.n - 1];
    }
    assert_int_equal(seen.n, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(seen.names[i], names[i]);
    seen.n = 0;
    assert_ok(blob_store_list(f->store, "700", "", 4, see, &seen, &more));
    assert_int_equal(seen.n, 2);
    assert_false(more);
    seen.n = 0;
    assert_ok(blob_store_list(f->store, "e", "", 4, see, &seen, &more));
    assert_int_equal(seen.n, 2);
    assert_err(ERR_INVALID, blob_store_list(f->store, "../", "", 4, see, &seen, &more));
    assert_err(ERR_USAGE, blob_store_list(f->store, "", "", 0, see, &seen, &more));
}

static void test_disk__sweeps_what_a_crash_left_and_nothing_in_use(void **state) {
    fix_t *f = *state;
    CLEANUP(mem_free) char *used = NULL;
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(mem_free) char *left = mem_printf("%s/left", blob_disk_tmp(f->store));
    assert_ok(file_write(left, BYTES_LIT("half a bl"), 0600));
    assert_ok(blob_tmp_make(blob_disk_tmp(f->store), &fd, &used));
    blob_store_free(STEAL(f->store));
    assert_ok(blob_disk_open("main", f->dir, true, &f->store));
    assert_false(file_exists(left));
    assert_true(file_exists(used));
}

static void test_disk__takes_no_empty_mount_point_for_the_store(void **state) {
    fix_t *f = *state;
    blob_store_t *store = NULL;
    char other[64];
    (void)snprintf(other, sizeof other, "%s/mnt", f->root);
    assert_err(ERR_NOT_FOUND, blob_disk_open("far", other, true, &store));
    assert_ok(file_mkdir(other, 0700));
    assert_err(ERR_NOT_FOUND, blob_disk_open("far", other, true, &store));
    assert_null(store);
}

/* Whatever fails, the object is the old one or the new one, and a second try succeeds. */
static void test_disk__survives_each_failing_io(void **state) {
    fix_t *f = *state;
    char path[64];
    put(f, NAME, BYTES_LIT("old"));
    blob_source_t source = source_make(f->root, BYTES_LIT("newer"), path);
    CLEANUP(fd_close) int fd = source.fd;
    assert_true(fd >= 0);
    unsigned long n = 1;
    for (;; n++) {
        fault_arm_io(n);
        err_t *e = blob_store_put(f->store, NAME, &source);
        bool fired = fault_io_fired();
        fault_arm_io(0);
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 100);
        assert_ok(blob_store_get(f->store, NAME, 0, 100, &out));
        assert_true(bytes_eq_str(buf_bytes(&out), "old") || bytes_eq_str(buf_bytes(&out), "newer"));
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_non_null(e);
        err_free(e);
    }
    assert_true(n > 5);
    expect(f, NAME, BYTES_LIT("newer"));
    size_t removed = 1;
    assert_ok(blob_tmp_sweep(blob_disk_tmp(f->store), &removed));
    assert_int_equal(removed, 0); /* failures leave nothing behind */
}

static void test_disk__says_that_the_disk_is_full(void **state) {
    fix_t *f = *state;
    char path[64];
    CLEANUP(mem_free) uint8_t *content = noise(100000, 2);
    blob_source_t source = source_make(f->root, bytes_make(content, 100000), path);
    CLEANUP(fd_close) int fd = source.fd;
    assert_true(fd >= 0);
    struct rlimit before, small = {.rlim_cur = 50000};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    err_t *e = blob_store_put(f->store, NAME, &source);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    bool found = true;
    uint64_t size = 0;
    assert_non_null(e);
    err_free(e);
    assert_ok(blob_store_look(f->store, NAME, &found, &size));
    assert_false(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_disk__keeps_what_it_is_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__reads_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__takes_a_file_that_may_be_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__removes_also_what_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__refuses_names_that_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__lists_in_order_page_by_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__sweeps_what_a_crash_left_and_nothing_in_use,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__takes_no_empty_mount_point_for_the_store, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_disk__survives_each_failing_io, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__says_that_the_disk_is_full, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
