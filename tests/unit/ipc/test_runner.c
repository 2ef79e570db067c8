/*
 * Programs run by the helper: how they end, and what they do not get.
 */
#include "../unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/runner.h"

enum { PROGRAMS = 8 };

static char dir[] = "/tmp/coffer-runner-XXXXXX";
static char paths[PROGRAMS][64];
static const char *const scripts[PROGRAMS] = {
    "#!/bin/sh\ncat\n",
    "#!/bin/sh\nexit 7\n",
    "#!/bin/sh\nkill -9 $$\n",
    "#!/bin/sh\necho begun\nsleep 100 & sleep 100\n",
    "#!/bin/sh\nexec head -c 100000 /dev/zero\n",
    "#!/bin/sh\nexec env -u PWD -u SHLVL -u _ OLD=1 pwd\n",
    NULL, /* is not there */
    "#!/bin/sh\nexec >&- 2>&-\nexit 3\n",
};

static runner_t *start(void) {
    runner_program_t programs[PROGRAMS];
    runner_t *runner = NULL;
    for (size_t i = 0; i < PROGRAMS; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/p%zu", dir, i);
        programs[i] = (runner_program_t){paths[i], i == 3 ? 300 : 20000};
        FILE *f = scripts[i] ? fopen(paths[i], "w") : NULL;
        if (!f) continue;
        assert_true(fputs(scripts[i], f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(paths[i], 0700), 0);
    }
    assert_ok(runner_start(programs, PROGRAMS, &runner));
    return runner;
}

static void expect(runner_t *runner, size_t index, bytes_t input, run_end_t end, int code,
                   const char *output) {
    CLEANUP(buf_done) buf_t out;
    run_end_t got = RUN_FAILED;
    int got_code = -1;
    const char *text = NULL;
    buf_init(&out, 200);
    assert_ok(runner_run(runner, index, input, &out, &got, &got_code));
    assert_int_equal(got, end);
    assert_int_equal(got_code, code);
    assert_ok(buf_cstr(&out, &text));
    if (output) assert_string_equal(text, output);
}

static void test_runner__programs_end_in_every_way(void **state) {
    (void)state;
    runner_t *runner = start();
    expect(runner, 0, BYTES_LIT("hello\n"), RUN_EXIT, 0, "hello\n");
    expect(runner, 1, BYTES_LIT("not read"), RUN_EXIT, 7, "");
    expect(runner, 2, BYTES_NONE, RUN_SIGNAL, 9, "");
    expect(runner, 3, BYTES_NONE, RUN_TIMEOUT, 0, "begun\n");
    expect(runner, 5, BYTES_NONE, RUN_EXIT, 0, "/\n");
    expect(runner, 6, BYTES_NONE, RUN_FAILED, ENOENT, "");
    expect(runner, 7, BYTES_NONE, RUN_EXIT, 3, "");
    expect(runner, 0, BYTES_LIT("again"), RUN_EXIT, 0, "again"); /* the helper goes on */
    runner_free(runner);
}

static void test_runner__output_is_cut(void **state) {
    (void)state;
    runner_t *runner = start();
    CLEANUP(buf_done) buf_t out;
    run_end_t end = RUN_FAILED;
    int code = 0;
    buf_init(&out, 200);
    assert_ok(runner_run(runner, 4, BYTES_NONE, &out, &end, &code));
    assert_int_equal(out.n, 200);
    assert_int_equal(end, RUN_EXIT);
    runner_free(runner);
}

static void test_runner__input_past_a_pipe_arrives(void **state) {
    (void)state;
    static char large[300 * 1000];
    memset(large, 'x', sizeof large);
    runner_t *runner = start();
    expect(runner, 0, BYTES_ARRAY(large), RUN_EXIT, 0, NULL);
    runner_free(runner);
}

static void test_runner__takes_no_other_number(void **state) {
    (void)state;
    runner_t *runner = start();
    CLEANUP(buf_done) buf_t out;
    run_end_t end = RUN_FAILED;
    int code = 0;
    buf_init(&out, 200);
    assert_err(ERR_USAGE, runner_run(runner, PROGRAMS, BYTES_NONE, &out, &end, &code));
    runner_free(runner);
}

static int cleanup(void **state) {
    (void)state;
    for (size_t i = 0; i < PROGRAMS; i++) (void)unlink(paths[i]);
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runner__programs_end_in_every_way),
        cmocka_unit_test(test_runner__output_is_cut),
        cmocka_unit_test(test_runner__input_past_a_pipe_arrives),
        cmocka_unit_test(test_runner__takes_no_other_number),
    };
    assert_non_null(mkdtemp(dir));
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
