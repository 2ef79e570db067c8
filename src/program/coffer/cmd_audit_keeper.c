/*
 * coffer audit keeper-log: the log that the key process keeps of every request it got. It is out of
 * the web server's reach, so it tells what that one might leave out.
 */
#include <limits.h>

#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

/* The number of the page's last line; ERR_INVALID unless it is higher than `after`. */
static err_t *last_seq(bytes_t page, int64_t after, int64_t *ret_last) {
    CLEANUP(jso_free) json_t *entry = NULL;
    size_t end = page.n - 1, begin = end; /* without the last line feed */
    if (page.p[end] != '\n') return err_new(ERR_INVALID, "the server's answer ends within a line");
    while (begin > 0 && page.p[begin - 1] != '\n') begin--;
    TRY_WRAP(jso_parse(bytes_slice(page, begin, end - begin), &entry), "the server's answer");
    return jso_get_int(entry, "seq", after + 1, INT64_MAX, true, ret_last);
}

static err_t *run(cli_t *cli, const args_t *args) {
    long first = 0;
    TRY(args_number(args, "after", 0, LONG_MAX, 0, &first));
    for (int64_t after = first;;) {
        CLEANUP(buf_done) buf_t page;
        CLEANUP(mem_free) char *path = mem_printf("/keeper/log?after=%lld", (long long)after);
        if (!path) return err_nomem();
        buf_init(&page, CLI_OUTPUT_MAX);
        TRY(remote_bytes(cli, "GET", path, "application/json", BYTES_NONE, CLI_OUTPUT_MAX, &page));
        if (page.n == 0) return NULL;
        TRY(last_seq(buf_bytes(&page), after, &after));
        TRY(cli_print(cli, &page));
    }
}

static const option_t options[] = {
    {"after", "N", "only what comes after the entry of this number"},
    {NULL, NULL, NULL},
};

const command_t CMD_AUDIT_KEEPER_LOG = {
    .group = "audit",
    .name = "keeper-log",
    .operands = "",
    .summary = "Write the key process's own log as lines of JSON",
    .notes = "Every use of a key is there before it is answered: who asked for what, and how it\n"
             "ended. Refusals that should wake somebody begin with ALARM.",
    .examples = "  coffer audit keeper-log | grep ALARM\n"
                "  coffer audit keeper-log --after 120000",
    .options = options,
    .run = run,
};
