/*
 * What is written about the command line keeps up with it: manual pages, completion, configuration.
 */
#include "../unit.h"

#include <string.h>

#include "base/file.h"
#include "program/coffer/cli.h"
#include "program/coffer/init_conf.h"

enum { DOC_MAX = 1024 * 1024 };

static const char *read_doc(const char *name, buf_t *out) {
    char path[1024];
    const char *text = NULL;
    buf_init(out, DOC_MAX);
    (void)snprintf(path, sizeof path, "%s/%s", SOURCE_ROOT, name);
    assert_ok(file_read(path, out));
    assert_ok(buf_cstr(out, &text));
    return text;
}

/* roff's "\-" is a dash. */
static void unescape(buf_t *text) {
    size_t to = 0;
    for (size_t i = 0; i < text->n; i++)
        if (text->p[i] != '\\' || i + 1 == text->n || text->p[i + 1] != '-')
            text->p[to++] = text->p[i];
    text->n = to;
}

static void must_have(const char *where, const char *text, const char *what) {
    if (!strstr(text, what)) fail_msg("%s does not tell of \"%s\"", where, what);
}

static void test_docs__manual_page_has_every_command_and_option(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t doc;
    const char *text = read_doc("docs/man/coffer.1", &doc);
    unescape(&doc);
    assert_ok(buf_cstr(&doc, &text));
    for (size_t i = 0; i < CLI_GRAMMAR.commands_n; i++) {
        const command_t *c = CLI_GRAMMAR.commands[i];
        char name[80];
        (void)snprintf(name, sizeof name, "%s%s%s", c->group, c->group[0] ? " " : "", c->name);
        must_have("coffer.1", text, name);
        for (const option_t *o = c->options; o && o->name; o++) {
            (void)snprintf(name, sizeof name, "--%s", o->name);
            must_have("coffer.1", text, name);
        }
    }
}

static void test_docs__configuration_has_every_key(void **state) {
    (void)state;
    static const char *const docs[] = {"docs/configuration.md", "docs/man/coffer.conf.5"};
    for (size_t d = 0; d < 2; d++) {
        CLEANUP(buf_done) buf_t doc;
        const char *text = read_doc(docs[d], &doc);
        for (size_t i = 0; i < INIT_KEYS_N; i++) must_have(docs[d], text, INIT_KEYS[i].key);
        must_have(docs[d], text, "subject_required");
    }
}

static void test_docs__completion_is_current(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t doc;
    static char made[DOC_MAX];
    args_t args = {.group = ""};
    cli_t cli = {.args = &args, .out = tmpfile(), .err = stderr};
    assert_non_null(cli.out);
    assert_ok(CMD_COMPLETION.run(&cli, &args));
    rewind(cli.out);
    made[fread(made, 1, sizeof made - 1, cli.out)] = '\0';
    (void)fclose(cli.out);
    /* Else: coffer completion > packaging/completion/coffer.bash */
    assert_string_equal(read_doc("packaging/completion/coffer.bash", &doc), made);
}

/* ":x" of a route is "{x}" in OpenAPI. */
static void openapi_path(bytes_t route, char *out, size_t size) {
    size_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < route.n && n + 2 < size; i++) {
        if (inside && route.p[i] == '/') out[n++] = '}';
        if (route.p[i] == '/') inside = false;
        if (route.p[i] == ':') inside = true;
        out[n++] = route.p[i] == ':' ? '{' : (char)route.p[i];
    }
    if (inside) out[n++] = '}';
    out[n] = '\0';
}

static size_t check_routes(const char *header, const char *api) {
    CLEANUP(buf_done) buf_t routes_doc;
    const char *routes = read_doc(header, &routes_doc);
    size_t count = 0;
    for (const char *p = routes; (p = strstr(p, "WEB_API_ROUTE(\"")); p++) {
        char path[256], line[300];
        const char *from = strchr(p, '/');
        assert_non_null(from);
        openapi_path(bytes_make(from, strcspn(from, "\"")), path, sizeof path);
        (void)snprintf(line, sizeof line, "\n  %s:\n", path);
        must_have("openapi.yaml", api, line);
        count++;
    }
    return count;
}

static void test_docs__openapi_has_every_route(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t api_doc;
    const char *api = read_doc("docs/openapi.yaml", &api_doc);
    assert_true(check_routes("src/program/web/api.h", api) > 20);
    assert_true(check_routes("src/program/web/api_escrow.h", api) > 20);
    assert_true(check_routes("src/program/web/api_recoverable.h", api) > 3);
    assert_true(check_routes("src/program/web/api_leases.h", api) > 3);
    assert_true(check_routes("src/program/web/api_arrival.h", api) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docs__manual_page_has_every_command_and_option),
        cmocka_unit_test(test_docs__configuration_has_every_key),
        cmocka_unit_test(test_docs__completion_is_current),
        cmocka_unit_test(test_docs__openapi_has_every_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
