/*
 * coffer audit verify on files: src/program/coffer/cmd_audit_verify.c. The log's own rules are
 * tested with src/audit.
 */
#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "program/coffer/cli.h"

#define HEADER "{\"type\":\"coffer-audit\",\"version\":1,\"exported_ms\":1700000000000}\n"
#define ENTRY                                                                                      \
    "{\"type\":\"entry\",\"node\":\"host1/web\",\"seq\":1,\"unix_ms\":1700000000000,"              \
    "\"actor\":\"system\",\"action\":\"start\",\"object\":\"\",\"detail\":\"{}\",\"prev_hash\":"   \
    "\"0000000000000000000000000000000000000000000000000000000000000000\",\"hash\":"               \
    "\"0dbe02c5377d9f257059dfe1f92cb5127bc6ec0ce9ab3c075a9c0c5360ba6c72\"}\n"
#define END  "{\"type\":\"end\",\"entries\":1,\"heads\":0}\n"
#define HASH "0dbe02c5377d9f257059dfe1f92cb5127bc6ec0ce9ab3c075a9c0c5360ba6c72"

typedef struct {
    char file[32];
    FILE *out;
} fixture_t;

static int set_up(void **state) {
    static fixture_t f;
    f = (fixture_t){.file = "/tmp/coffer-test-XXXXXX", .out = tmpfile()};
    int fd = mkstemp(f.file);
    if (fd < 0 || !f.out) return -1;
    (void)close(fd);
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    (void)unlink(f->file);
    return fclose(f->out);
}

static err_t *verify(fixture_t *f, const char *text, const char *pin, bool json, char *out,
                     size_t size) {
    args_t args = {.group = "audit", .command = &CMD_AUDIT_VERIFY};
    cli_t cli = {.args = &args, .out = f->out, .err = stderr, .json = json};
    assert_ok(file_write(f->file, bytes_str(text), 0600));
    args.operands[args.operands_n++] = f->file;
    if (pin) args.given[args.given_n++] = (args_given_t){"pin", pin};
    err_t *e = CMD_AUDIT_VERIFY.run(&cli, &args);
    rewind(f->out);
    out[fread(out, 1, size - 1, f->out)] = '\0';
    return e;
}

static void test_audit_verify__says_what_was_checked(void **state) {
    char out[2048];
    assert_ok(verify(*state, HEADER ENTRY END, NULL, false, out, sizeof out));
    assert_non_null(strstr(out, "The log holds."));
    assert_non_null(strstr(out, "1 entry in 1 chain"));
    assert_non_null(strstr(out, "not yet signed"));
    assert_non_null(strstr(out, "give --key"));
}

static void test_audit_verify__names_the_first_bad_line(void **state) {
    char out[2048], text[4096], why[512];
    (void)snprintf(text, sizeof text, "%s", HEADER ENTRY END);
    char *spot = strstr(text, "start");
    assert_non_null(spot);
    memcpy(spot, "stall", 5);
    CLEANUP(err_free) err_t *e = verify(*state, text, NULL, false, out, sizeof out);
    assert_non_null(e);
    assert_int_equal(cli_exit_status(e), CLI_VERIFY);
    assert_non_null(strstr(err_text(e, why, sizeof why), "line 2"));
    assert_string_equal(out, "");
}

static void test_audit_verify__malformed_and_cut_exports_fail(void **state) {
    static const char *const bad[] = {"", "nonsense\n", HEADER ENTRY, HEADER "{}\n" END, ENTRY END};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char out[2048];
        CLEANUP(err_free) err_t *e = verify(*state, bad[i], NULL, false, out, sizeof out);
        assert_non_null(e);
        assert_int_equal(cli_exit_status(e), CLI_VERIFY);
        rewind(((fixture_t *)*state)->out);
    }
}

static void test_audit_verify__json_report(void **state) {
    char out[2048];
    CLEANUP(err_free) err_t *e = verify(*state, HEADER ENTRY, NULL, true, out, sizeof out);
    assert_non_null(e);
    assert_non_null(strstr(out, "\"holds\":false"));
    assert_non_null(strstr(out, "\"bad_reason\":"));
}

static void test_audit_verify__pins(void **state) {
    char out[2048];
    assert_ok(verify(*state, HEADER ENTRY END, "host1/web:1:" HASH, false, out, sizeof out));
    assert_non_null(strstr(out, "1 earlier head found again"));
    assert_err(ERR_VERIFY,
               verify(*state, HEADER ENTRY END, "host1/web:2:" HASH, false, out, sizeof out));
    static const char *const bad[] = {"x", "a:1", ("a:x:" HASH), "a:1:00", ":", "a:1:zz"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_USAGE, verify(*state, HEADER ENTRY END, bad[i], false, out, sizeof out));
}

int main(void) {
    (void)unsetenv("COFFER_DIR");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_audit_verify__says_what_was_checked),
        TEST(test_audit_verify__names_the_first_bad_line),
        TEST(test_audit_verify__malformed_and_cut_exports_fail),
        TEST(test_audit_verify__json_report),
        TEST(test_audit_verify__pins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
