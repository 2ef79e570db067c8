/* Files: what is written is whole, ours, and where it was asked for. */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static int setup(void **state) {
    char *directory = mem_strdup("/tmp/coffer-file-XXXXXX");
    assert_non_null(directory);
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    *state = directory;
    return 0;
}

static int teardown(void **state) {
    (void)unlink("secret");
    (void)unlink("secret.new");
    (void)unlink("victim");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(*state), 0);
    mem_free(*state);
    return 0;
}

static void assert_holds(const char *path, const char *text) {
    CLEANUP(buf_done) buf_t found;
    buf_init(&found, 100);
    assert_ok(file_read(path, &found));
    assert_true(bytes_eq_str(buf_bytes(&found), text));
}

/* In a directory where others write, the name that it has for a moment may lead elsewhere. */
static void test_file__a_link_in_the_way_is_not_followed(void **state) {
    (void)state;
    struct stat st;
    assert_ok(file_write("victim", BYTES_LIT("theirs"), 0644));
    assert_int_equal(symlink("victim", "secret.new"), 0);
    assert_ok(file_write("secret", BYTES_LIT("ours"), 0600));
    assert_holds("victim", "theirs");
    assert_holds("secret", "ours");
    assert_int_equal(lstat("secret", &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(lstat("victim", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

/* Whoever has a file of that name open does not read what is written to it. */
static void test_file__is_another_than_was_left_behind(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t read;
    buf_init(&read, 100);
    assert_ok(file_write("secret.new", BYTES_LIT(""), 0666));
    FILE *theirs = fopen("secret.new", "r");
    assert_non_null(theirs);
    assert_ok(file_write("secret", BYTES_LIT("ours"), 0600));
    assert_ok(file_read_fd(fileno(theirs), &read));
    assert_int_equal(fclose(theirs), 0);
    assert_int_equal(read.n, 0);
    assert_holds("secret", "ours");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file__a_link_in_the_way_is_not_followed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_file__is_another_than_was_left_behind, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
