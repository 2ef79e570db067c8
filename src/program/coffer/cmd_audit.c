/*
 * coffer audit list, export: the log as the server has it. See cmd_audit_verify.c for checking.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/audit_fetch.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"time", "TIME"},     {"actor", "WHO"},  {"action", "WHAT"}, {"object", "TO"},
        {"detail", "DETAIL"}, {"node", "CHAIN"}, {"seq", "SEQ"},     {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    long limit = 0;
    TRY(args_number(args, "limit", 1, LIMIT_LIST_PAGE, 100, &limit));
    path = mem_printf("/audit?limit=%ld", limit);
    if (!path) return err_nomem();
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_list(cli, json, "entries", columns, "The log is empty.");
}

static const option_t list_options[] = {
    {"limit", "N", "so many of the newest entries; default 100, at most 1000"},
    {NULL, NULL, NULL},
};

const command_t CMD_AUDIT_LIST = {
    .group = "audit",
    .name = "list",
    .operands = "",
    .summary = "The newest entries of the audit log",
    .examples = "  coffer audit list --limit 20",
    .options = list_options,
    .run = run_list,
};

err_t *audit_fetch(cli_t *cli, buf_t *ret_export) {
    return remote_bytes(cli, "GET", "/audit/export", "application/json", BYTES_NONE, CLI_OUTPUT_MAX,
                        ret_export);
}

static err_t *run_export(cli_t *cli, const args_t *args) {
    CLEANUP(buf_done) buf_t text;
    const char *output = args_value(args, "output");
    buf_init(&text, 0);
    TRY(audit_fetch(cli, &text));
    if (!output || strcmp(output, "-") == 0) return cli_print(cli, &text);
    TRY(file_write(output, buf_bytes(&text), 0600));
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "file", output));
    TRY(jso_set_int(json, "bytes", (int64_t)text.n));
    return output_done(cli, json, "%s: %zu bytes; check it with: coffer audit verify %s", output,
                       text.n, output);
}

static const option_t export_options[] = {
    {"output", "FILE", "write there instead of to standard output"},
    {NULL, NULL, NULL},
};

const command_t CMD_AUDIT_EXPORT = {
    .group = "audit",
    .name = "export",
    .operands = "",
    .summary = "Write the whole audit log as lines of JSON",
    .notes = "The format is docs/formats/audit.md. It can be checked anywhere with coffer audit "
             "verify.",
    .examples = "  coffer audit export --output audit-2026-11.jsonl",
    .options = export_options,
    .run = run_export,
};
