/*
 * coffer cert report: all certificates that end soon, and why they were not renewed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/coffer/report.h"

enum { WITHIN = 60, WITHIN_MAX = 36500, TEXT_MAX = 4096, PAGES = 100000 };

static err_t *get(const json_t *item, const char *name, const char **ret_text) {
    bytes_t text = BYTES_LIT("");
    TRY(jso_get_string(item, name, TEXT_MAX, false, &text));
    *ret_text = (const char *)text.p;
    return NULL;
}

static err_t *add_row(report_t *report, const json_t *item) {
    report_row_t row = {.device = "", .cause = "", .cause_code = ""};
    json_t *part = NULL;
    TRY(get(item, "subject", &row.subject));
    TRY(get(item, "issuer", &row.issuer));
    TRY(get(item, "serial", &row.serial));
    TRY(get(item, "fingerprint", &row.fingerprint));
    TRY(get(item, "profile", &row.profile));
    TRY(get(item, "source", &row.source));
    TRY(get(item, "holder", &row.holder));
    TRY(jso_get_time(item, "not_after", true, &row.not_after));
    TRY(jso_get_int(item, "days_left", INT64_MIN, INT64_MAX, true, &row.days_left));
    TRY(jso_get_object(item, "device", false, &part));
    if (part) TRY(get(part, "name", &row.device));
    if (part && !row.device[0]) TRY(get(part, "serial_number", &row.device));
    part = NULL;
    TRY(jso_get_object(item, "cause", false, &part));
    if (part) TRY(get(part, "code", &row.cause_code));
    if (part) TRY(get(part, "text", &row.cause));
    return report_add(report, &row);
}

/* Page after page, so that memory does not grow with their number. */
static err_t *fetch_rows(cli_t *cli, report_t *report, long within) {
    char *path = mem_printf("/expiry?within=%ld", within);
    for (unsigned page = 0; path && page < PAGES; page++) {
        CLEANUP(jso_free) json_t *json = NULL;
        CLEANUP(mem_free) char *after = NULL;
        json_t *list = NULL;
        bytes_t next = BYTES_NONE;
        err_t *e = remote_call(cli, "GET", path, NULL, &json);
        mem_free(path);
        path = NULL;
        if (e) return e;
        TRY(jso_get_array(json, "certificates", SIZE_MAX, true, &list));
        for (size_t i = 0; i < json_array_size(list); i++)
            TRY(add_row(report, json_array_get(list, i)));
        TRY(jso_get_string(json, "next", TEXT_MAX, false, &next));
        if (next.n == 0) return NULL;
        TRY(remote_path(&after, "%", (const char *)next.p));
        path = mem_printf("/expiry?within=%ld&after=%s", within, after);
    }
    return path ? err_new(ERR_LIMIT, "the list has no end") : err_nomem();
}

static err_t *write_report(cli_t *cli, report_options_t *options) {
    CLEANUP(report_free) report_t *report = NULL;
    CLEANUP(jso_free) json_t *status = NULL;
    TRY(remote_call(cli, "GET", "/status", NULL, &status));
    TRY(get(status, "organisation", &options->title));
    options->now = clk_unix(cli->clk);
    TRY(report_new(options, &report));
    TRY(fetch_rows(cli, report, options->within));
    return report_finish(report);
}

/* Whole or not at all: beside it first, then in its place. */
static err_t *write_file(cli_t *cli, report_options_t *options, const char *path) {
    CLEANUP(mem_free) char *beside = mem_printf("%s.new", path);
    if (!beside) return err_nomem();
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "cannot write %s", beside);
    options->out = fdopen(fd, "w");
    if (!options->out) {
        (void)close(fd);
        return err_nomem();
    }
    err_t *e = write_report(cli, options);
    if (fclose(options->out) != 0 && !e) e = err_errno(errno, "cannot write %s", beside);
    if (!e && rename(beside, path) != 0) e = err_errno(errno, "cannot write %s", path);
    if (e) (void)unlink(beside);
    return e;
}

static err_t *parse_format(const cli_t *cli, const char *name, report_format_t *ret_format) {
    static const char *const names[] = {"text", "csv", "html"};
    static const report_format_t formats[] = {REPORT_TEXT, REPORT_CSV, REPORT_HTML};
    if (!name) {
        *ret_format = cli->json ? REPORT_JSON : REPORT_TEXT;
        return NULL;
    }
    if (cli->json) return err_new(ERR_USAGE, "--format and --json exclude each other");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *ret_format = formats[i];
        return NULL;
    }
    return err_new(ERR_USAGE, "--format is text, csv or html");
}

static err_t *run_report(cli_t *cli, const args_t *args) {
    const char *path = args_value(args, "out");
    report_options_t options = {.out = cli->out};
    TRY(args_number(args, "within", 0, WITHIN_MAX, WITHIN, &options.within));
    TRY(parse_format(cli, args_value(args, "format"), &options.format));
    if (!path) return write_report(cli, &options);
    TRY(write_file(cli, &options, path));
    return cli_say(cli, "Wrote %s\n", path);
}

static const option_t report_options[] = {
    {"within", "DAYS", "what ends in so many days; default 60"},
    {"format", "FORMAT", "text, csv or html; default text"},
    {"out", "FILE", "write it there"},
    {NULL, NULL, NULL},
};

const command_t CMD_CERT_REPORT = {
    .group = "cert",
    .name = "report",
    .operands = "",
    .summary = "Report what ends soon, or ended, and why it was not renewed",
    .notes = "Certificates issued here and those seen at watched sources, without the revoked and\n"
             "the renewed ones. html is one page that needs nothing else and can be mailed.",
    .examples = "  coffer cert report --within 30\n"
                "  coffer cert report --within 365 --format html --out report.html\n"
                "  coffer cert report --format csv --out report.csv",
    .options = report_options,
    .run = run_report,
};
