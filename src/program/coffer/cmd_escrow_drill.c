/*
 * coffer escrow drill, report: proof that what is kept still opens, and what the auditor wants to
 * know: who can recover what, how many it takes, when that was last proved, what was last seen.
 */
#include "base/file.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { SAMPLE_MAX = 1000, HTML_MAX = 4 * 1024 * 1024, CELL_MAX = 64 * 1024 };

static err_t *run_drill(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"kind", "KIND"},     {"objects", "OBJECTS"}, {"sampled", "SAMPLED"},
        {"opened", "OPENED"}, {"failed", "FAILED"},   {"failures", "FAILURES"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    long sample = 0;
    int64_t failed = 0;
    TRY(args_number(args, "sample", 1, SAMPLE_MAX, 0, &sample));
    TRY(jso_object(&body));
    if (sample) TRY(jso_set_int(body, "sample", sample));
    TRY(remote_call(cli, "POST", "/escrow/drills", body, &json));
    TRY(output_list(cli, json, "kinds", columns, "Nothing is in escrow."));
    TRY(jso_get_int(json, "failed", 0, INT64_MAX, true, &failed));
    if (failed)
        return err_new(ERR_VERIFY, "%lld object%s did not open", (long long)failed,
                       failed == 1 ? "" : "s");
    return NULL;
}

static const option_t drill_options[] = {
    {"sample", "N", "so many of each kind; default 10"},
    {NULL, NULL, NULL},
};

const command_t CMD_ESCROW_DRILL = {
    .group = "escrow",
    .name = "drill",
    .operands = "",
    .summary = "Prove on samples of every kind that escrow still opens",
    .notes = "Nothing is revealed; the outcome is kept for the report. The server does the same "
             "every\n"
             "thirty days by itself and warns in its log. Exit status 5 if one did not open.",
    .examples = "  coffer escrow drill --sample 50",
    .options = drill_options,
    .run = run_drill,
};

/* ---- report ---- */

typedef struct {
    const char *member, *title;
} field_t;

static err_t *cell(buf_t *out, const char *tag, const json_t *value) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, CELL_MAX);
    TRY(output_value(value, false, &text));
    TRY(buf_printf(out, "<%s>", tag));
    TRY(buf_add_xml(out, buf_bytes(&text)));
    return buf_printf(out, "</%s>", tag);
}

static err_t *html_table(buf_t *out, const json_t *list, const field_t *fields, size_t n) {
    TRY(buf_add_str(out, "<table><thead><tr>"));
    for (size_t i = 0; i < n; i++)
        TRY(buf_printf(out, "<th scope=\"col\">%s</th>", fields[i].title));
    TRY(buf_add_str(out, "</tr></thead><tbody>\n"));
    for (size_t r = 0; r < json_array_size(list); r++) {
        TRY(buf_add_str(out, "<tr>"));
        for (size_t i = 0; i < n; i++)
            TRY(cell(out, "td", json_object_get(json_array_get(list, r), fields[i].member)));
        TRY(buf_add_str(out, "</tr>\n"));
    }
    return buf_add_str(out, "</tbody></table>\n");
}

static const field_t kind_fields[] = {
    {"kind", "Kind"},
    {"objects", "Objects"},
    {"former", "of them replaced"},
    {"undealt", "not dealt yet"},
    {"officers_only", "officers alone"},
    {"last_drill", "Last drill"},
    {"last_drill_failed", "failed in it"},
    {"last_reveal", "Last reveal"},
};
static const field_t officer_fields[] = {
    {"id", "Officer"},
    {"person", "Person"},
    {"fingerprint", "Key's fingerprint"},
    {"last_drill", "Proved last that it opens"},
    {"last_drill_sampled", "shares tried"},
    {"last_drill_failed", "failed"},
};

static err_t *html_facts(buf_t *out, const json_t *json) {
    static const field_t facts[] = {
        {"made", "Made"},
        {"set", "Officers' set"},
        {"officers_needed", "Officers it takes"},
        {"requests_waiting", "Requests waiting"},
        {"last_drill", "Last drill"},
        {"last_reveal", "Last reveal"},
    };
    TRY(buf_add_str(out, "<dl>\n"));
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        TRY(buf_printf(out, "<dt>%s</dt>", facts[i].title));
        TRY(cell(out, "dd", json_object_get(json, facts[i].member)));
        TRY(buf_add_byte(out, '\n'));
    }
    return buf_add_str(out, "</dl>\n");
}

static err_t *html_report(const json_t *json, buf_t *out) {
    TRY(buf_add_str(out,
                    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                    "<title>Escrow report</title>\n<style>body{font:16px/1.5 sans-serif;"
                    "margin:2em;max-width:70em}table{border-collapse:collapse}th,td{border:"
                    "1px solid #888;padding:.3em .6em;text-align:left}dt{float:left;clear:left;"
                    "width:12em;font-weight:bold}td{overflow-wrap:anywhere}</style></head>"
                    "<body>\n"));
    TRY(cell(out, "h1", json_object_get(json, "organisation")));
    TRY(buf_add_str(out, "\n<h2>Escrow: who can recover what</h2>\n"));
    TRY(html_facts(out, json));
    TRY(buf_add_str(out, "<h2>Kinds</h2>\n"));
    TRY(html_table(out, json_object_get(json, "kinds"), kind_fields,
                   sizeof kind_fields / sizeof kind_fields[0]));
    TRY(buf_add_str(out, "<h2>Officers of the active set</h2>\n"));
    TRY(html_table(out, json_object_get(json, "officers"), officer_fields,
                   sizeof officer_fields / sizeof officer_fields[0]));
    return buf_add_str(out, "</body></html>\n");
}

static err_t *text_report(cli_t *cli, const json_t *json) {
    static const column_t kinds[] = {
        {"kind", "KIND"},
        {"objects", "OBJECTS"},
        {"undealt", "UNDEALT"},
        {"officers_only", "OFFICERS-ONLY"},
        {"last_drill", "LAST DRILL"},
        {"last_drill_failed", "FAILED"},
        {"last_reveal", "LAST REVEAL"},
        {NULL, NULL},
    };
    static const column_t officers[] = {{"id", "OFFICER"},
                                        {"person", "PERSON"},
                                        {"fingerprint", "FINGERPRINT"},
                                        {"last_drill", "OWN DRILL"},
                                        {"last_drill_failed", "FAILED"},
                                        {NULL, NULL}};
    CLEANUP(jso_free) json_t *facts = json_copy((json_t *)(uintptr_t)json);
    if (!facts) return err_nomem();
    (void)json_object_del(facts, "kinds");
    (void)json_object_del(facts, "officers");
    TRY(output_fields(cli, facts));
    TRY(cli_say(cli, "\n"));
    TRY(output_list(cli, json, "kinds", kinds, "Nothing is in escrow."));
    TRY(cli_say(cli, "\n"));
    return output_list(cli, json, "officers", officers, "No officers.");
}

static err_t *run_report(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t html;
    const char *path = args_value(args, "html");
    buf_init(&html, HTML_MAX);
    TRY(remote_call(cli, "GET", "/escrow/report", NULL, &json));
    if (!path) return cli->json ? output_json(cli, json) : text_report(cli, json);
    TRY(html_report(json, &html));
    TRY(file_write(path, buf_bytes(&html), 0644));
    return output_done(cli, json, "The report is in %s", path);
}

static const option_t report_options[] = {
    {"html", "FILE", "write a page that needs nothing else"},
    {NULL, NULL, NULL},
};

const command_t CMD_ESCROW_REPORT = {
    .group = "escrow",
    .name = "report",
    .operands = "",
    .summary = "Report for an auditor: who can recover what, last drill, last reveal",
    .examples = "  coffer escrow report\n"
                "  coffer escrow report --html escrow.html",
    .options = report_options,
    .run = run_report,
};
