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

enum { ID_SHOWN = 27, DETAIL_SHOWN = 40, BRIEF_MAX = 32, DETAIL_MAX = 64 * 1024 };

/* Replaces the string by its beginning, "..." and `tail` of its end, if it has more than `max`
 * bytes. Cuts between characters. */
static err_t *clip(json_t *entry, const char *member, size_t max, size_t tail) {
    const char *text = json_string_value(json_object_get(entry, member));
    size_t n = text ? strlen(text) : 0, head = max - tail - 3;
    if (n <= max) return NULL;
    size_t end = n - tail;
    while (head > 0 && ((uint8_t)text[head] & 0xc0) == 0x80) head--;
    while (end < n && ((uint8_t)text[end] & 0xc0) == 0x80) end++;
    CLEANUP(mem_free) char *shown = mem_printf("%.*s...%s", (int)head, text, text + end);
    if (!shown) return err_nomem();
    return jso_set_str(entry, member, shown);
}

/* Appends the members whose values are short, or those whose values are not. */
static err_t *add_members(const json_t *detail, bool brief, buf_t *text) {
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)detail, name, value) {
        if ((json_string_length(value) <= BRIEF_MAX) != brief) continue;
        TRY(buf_printf(text, "%s%s=", text->n ? " " : "", name));
        TRY(output_value(value, false, text));
    }
    return NULL;
}

/* "detail" as `name=value name=value`; identifiers, which say least to people, come last. */
static err_t *flatten_detail(json_t *entry) {
    CLEANUP(buf_done) buf_t text;
    const char *shown = NULL;
    const json_t *detail = json_object_get(entry, "detail");
    buf_init(&text, DETAIL_MAX);
    TRY(add_members(detail, true, &text));
    TRY(add_members(detail, false, &text));
    TRY(buf_cstr(&text, &shown));
    return jso_set_str(entry, "detail", shown);
}

/* Makes entries of the answer fit for people; a terminal's lines are kept short. */
static err_t *shorten(const cli_t *cli, const json_t *json) {
    size_t index = 0;
    json_t *entry = NULL;
    json_array_foreach(json_object_get(json, "entries"), index, entry) {
        TRY(flatten_detail(entry));
        if (!cli->terminal) continue;
        TRY(clip(entry, "actor", ID_SHOWN, ID_SHOWN / 2));
        TRY(clip(entry, "object", ID_SHOWN, ID_SHOWN / 2));
        TRY(clip(entry, "detail", DETAIL_SHOWN, 0));
    }
    return NULL;
}

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t wide[] = {
        {"time", "TIME"},     {"actor", "WHO"},  {"action", "WHAT"}, {"object", "TO"},
        {"detail", "DETAIL"}, {"node", "CHAIN"}, {"seq", "SEQ"},     {NULL, NULL},
    };
    static const column_t narrow[] = {
        {"time", "TIME"}, {"actor", "WHO"},     {"action", "WHAT"},
        {"object", "TO"}, {"detail", "DETAIL"}, {NULL, NULL},
    };
    bool all = args_flag(args, "wide");
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    long limit = 0;
    TRY(args_number(args, "limit", 1, LIMIT_LIST_PAGE, 100, &limit));
    path = mem_printf("/audit?limit=%ld", limit);
    if (!path) return err_nomem();
    TRY(remote_call(cli, "GET", path, NULL, &json));
    if (!cli->json && !all) TRY(shorten(cli, json));
    return output_list(cli, json, "entries", all ? wide : narrow, "The log is empty.");
}

static const option_t list_options[] = {
    {"limit", "N", "so many of the newest entries; default 100, at most 1000"},
    {"wide", NULL, "nothing shortened, and each entry's chain and number in it"},
    {NULL, NULL, NULL},
};

const command_t CMD_AUDIT_LIST = {
    .group = "audit",
    .name = "list",
    .operands = "",
    .summary = "The newest entries of the audit log",
    .examples = "  coffer audit list --limit 20\n  coffer audit list --wide",
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
    CLEANUP(mem_free) char *quoted = NULL;
    TRY(cli_quote(output, &quoted));
    return output_done(cli, json, "%s: %zu bytes; check it with: coffer audit verify %s", output,
                       text.n, quoted);
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
