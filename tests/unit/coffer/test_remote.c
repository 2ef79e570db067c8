/*
 * What the API's answers and a server's URL mean: src/program/coffer/remote.c, wait.c.
 */
#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "program/coffer/remote.h"
#include "program/coffer/wait.h"

static void test_remote__path_encodes_arguments(void **state) {
    (void)state;
    CLEANUP(mem_free) char *path = NULL;
    assert_ok(remote_path(&path, "/devices/%/commands/%?open=1", "Anna's iPhone/../x", "a?b%"));
    assert_string_equal(path, "/devices/Anna%27s%20iPhone%2F..%2Fx/commands/a%3Fb%25?open=1");
}

static void answer(unsigned status, const char *body, err_code_t code, const char *text) {
    CLEANUP(err_free) err_t *e = remote_error(status, bytes_str(body));
    assert_int_equal(err_code(e), code);
    assert_non_null(strstr(err_message(e), text));
}

static void test_remote__errors_keep_their_code(void **state) {
    (void)state;
    answer(404, "{\"error\":{\"code\":\"not-found\",\"message\":\"there is no device x\"}}",
           ERR_NOT_FOUND, "there is no device x");
    answer(429, "{\"error\":{\"code\":\"busy\",\"message\":\"a lock is in flight\"}}", ERR_BUSY,
           "a lock is in flight");
    /* The body's code is finer than the status. */
    answer(403, "{\"error\":{\"code\":\"verification\",\"message\":\"m\"}}", ERR_VERIFY, "m");
    answer(404, "<html>proxy</html>", ERR_NOT_FOUND, "404");
    answer(403, "", ERR_DENIED, "403");
    answer(502, "{}", ERR_UNAVAILABLE, "502");
    answer(418, "{\"error\":{\"code\":\"teapot\",\"message\":\"m\"}}", ERR_INTERNAL, "m");
}

static void test_remote__splits_urls(void **state) {
    (void)state;
    static const struct {
        const char *url, *host;
        unsigned port;
    } good[] = {
        {"https://coffer.example.org:8443", "coffer.example.org", 8443},
        {"https://coffer.example.org", "coffer.example.org", 443},
        {"https://coffer.example.org/", "coffer.example.org", 443},
        {"https://[::1]:9", "[::1]", 9},
    };
    static const char *const bad[] = {
        "http://x:1",       "https://",      "https://:1",   "https://x:0", "https://x:65536",
        "https://x:1/path", "https://u@x:1", "https://[::1", "x:1",         "https://x:",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CLEANUP(mem_free) char *host = NULL;
        unsigned port = 0;
        assert_ok(remote_split_url(good[i].url, &host, &port));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *host = NULL;
        unsigned port = 0;
        err_t *e = remote_split_url(bad[i], &host, &port);
        if (!e) fail_msg("%s was taken", bad[i]);
        err_free(e);
        assert_null(host);
    }
}

/* A request that must fail before it reaches a server. */
static err_t *call(args_given_t *given, size_t n) {
    args_t args = {.group = "", .given_n = n};
    for (size_t i = 0; i < n; i++) args.given[i] = given[i];
    cli_t cli = {.args = &args, .clk = clk_real(), .rnd = rnd_real(), .out = stdout, .err = stderr};
    err_t *e = remote_call(&cli, "GET", "/status", NULL, NULL);
    remote_free(cli.remote);
    return e;
}

static void test_remote__needs_a_server_and_a_token(void **state) {
    (void)state;
    char path[] = "/tmp/coffer-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_ok(file_write_fd(fd, BYTES_LIT("cft_x\n")));
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_err(ERR_USAGE, call(NULL, 0));
    assert_err(ERR_USAGE, call((args_given_t[]){{"server", "https://127.0.0.1:1"}}, 1));
    assert_err(ERR_USAGE,
               call((args_given_t[]){{"server", "https://127.0.0.1:1"}, {"dir", "x"}}, 2));
    assert_err(ERR_NOT_FOUND, call((args_given_t[]){{"dir", "/nonexistent"}}, 1));
    args_given_t given[] = {{"server", "https://127.0.0.1:1"}, {"token-file", path}};
    assert_err(ERR_UNAVAILABLE, call(given, 2));
    args_given_t with_ca[] = {given[0], given[1], {"ca", "/nonexistent"}};
    assert_err(ERR_NOT_FOUND, call(with_ca, 3));
    assert_int_equal(fchmod(fd, 0644), 0); /* a token that others may read is refused */
    assert_err(ERR_DENIED, call(given, 2));
    (void)unlink(path);
    (void)close(fd);
}

static void test_wait__final_states(void **state) {
    (void)state;
    static const char *const final[] = {"acknowledged", "error", "format-error", "cancelled"};
    static const char *const open[] = {"queued", "sent", "not-now", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_true(wait_is_final(final[i]));
        assert_false(wait_is_final(open[i]));
    }
}

int main(void) {
    (void)unsetenv("COFFER_DIR");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remote__path_encodes_arguments),
        cmocka_unit_test(test_remote__errors_keep_their_code),
        cmocka_unit_test(test_remote__splits_urls),
        cmocka_unit_test(test_remote__needs_a_server_and_a_token),
        cmocka_unit_test(test_wait__final_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
