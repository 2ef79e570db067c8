/*
 * coffer audit keeper-log: the log that the key process keeps of every request it got. It is out of
 * the web server's reach, so it tells what that one might leave out. The chain is checked here:
 * every entry's hash is computed anew, and has the one before in it.
 */
#include <limits.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/log_entry.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { ENTRY_MAX = 64 * 1024 };

/* How far the chain was followed. */
typedef struct {
    int64_t first, last; /* 0: nothing read yet */
    uint8_t hash[LOG_ENTRY_HASH];
    buf_t scratch;
} chain_t;

static err_t *get_hash(const json_t *json, const char *name, uint8_t out[LOG_ENTRY_HASH]) {
    CLEANUP(buf_done) buf_t raw;
    bytes_t text;
    buf_init(&raw, LOG_ENTRY_HASH);
    TRY(jso_get_string(json, name, 2 * LOG_ENTRY_HASH, true, &text));
    TRY_WRAP(text_unhex(text, &raw), "%s", name);
    if (raw.n != LOG_ENTRY_HASH) return err_new(ERR_INVALID, "%s has not 64 digits", name);
    memcpy(out, raw.p, LOG_ENTRY_HASH);
    return NULL;
}

static err_t *read_entry(const json_t *json, log_entry_t *entry, uint8_t previous[LOG_ENTRY_HASH],
                         uint8_t hash[LOG_ENTRY_HASH]) {
    int64_t seq = 0;
    TRY(jso_get_int(json, "seq", 1, INT64_MAX, true, &seq));
    TRY(jso_get_int(json, "ms", INT64_MIN, INT64_MAX, true, &entry->ms));
    TRY(jso_get_string(json, "role", ENTRY_MAX, true, &entry->role));
    TRY(jso_get_string(json, "intent", ENTRY_MAX, true, &entry->intent));
    TRY(jso_get_string(json, "object", ENTRY_MAX, true, &entry->object));
    TRY(jso_get_string(json, "outcome", ENTRY_MAX, true, &entry->outcome));
    TRY(get_hash(json, "prev_hash", previous));
    TRY(get_hash(json, "hash", hash));
    entry->seq = (uint64_t)seq;
    entry->previous = previous;
    return NULL;
}

/* The first entry of all has zeros before it; the first that is read has what it says. */
static err_t *follow(chain_t *chain, int64_t after, bytes_t line) {
    CLEANUP(jso_free) json_t *json = NULL;
    log_entry_t entry = {0};
    uint8_t previous[LOG_ENTRY_HASH], hash[LOG_ENTRY_HASH], own[LOG_ENTRY_HASH];
    int64_t wanted = chain->last ? chain->last + 1 : after + 1;
    TRY_WRAP(jso_parse(line, &json), "the server's answer");
    TRY_WRAP(read_entry(json, &entry, previous, hash), "entry %lld", (long long)wanted);
    bool known = chain->last || after == 0;
    TRY(log_entry_hash(&entry, &chain->scratch, own));
    if (entry.seq != (uint64_t)wanted)
        return err_new(ERR_VERIFY, "the key process's log does not hold: entry %lld is missing",
                       (long long)wanted);
    if (memcmp(own, hash, sizeof own) != 0 ||
        (known && memcmp(previous, chain->hash, sizeof previous) != 0))
        return err_new(ERR_VERIFY, "the key process's log does not hold at entry %lld",
                       (long long)wanted);
    if (!chain->first) chain->first = wanted;
    chain->last = wanted;
    memcpy(chain->hash, hash, sizeof chain->hash);
    return NULL;
}

/* A page's lines. They are shown before they are judged, so that a broken one can be seen. */
static err_t *follow_page(chain_t *chain, int64_t after, bytes_t page) {
    if (page.p[page.n - 1] != '\n')
        return err_new(ERR_INVALID, "the server's answer ends within a line");
    while (page.n) {
        size_t end = bytes_find(page, '\n');
        TRY(follow(chain, after, bytes_slice(page, 0, end)));
        page = bytes_from(page, end + 1);
    }
    return NULL;
}

/* On standard error, beside the lines. */
static err_t *tell(cli_t *cli, const chain_t *chain, int64_t after) {
    CLEANUP(mem_free) char *hex = NULL;
    if (!chain->last) {
        (void)fprintf(cli->err, "There is no entry after number %lld.\n", (long long)after);
        return NULL;
    }
    TRY(text_hex_new(BYTES_ARRAY(chain->hash), &hex));
    (void)fprintf(cli->err,
                  "The chain holds: entries %lld to %lld, every hash computed anew, no gaps%s.\n"
                  "The last one's hash is %s\n",
                  (long long)chain->first, (long long)chain->last,
                  after ? ", from the first one shown on" : ", from the very first", hex);
    return NULL;
}

static err_t *run_chain(cli_t *cli, int64_t after, chain_t *chain) {
    for (int64_t at = after;; at = chain->last) {
        CLEANUP(buf_done) buf_t page;
        CLEANUP(mem_free) char *path = mem_printf("/keeper/log?after=%lld", (long long)at);
        buf_init(&page, CLI_OUTPUT_MAX);
        if (!path) return err_nomem();
        TRY(remote_bytes(cli, "GET", path, "application/json", BYTES_NONE, CLI_OUTPUT_MAX, &page));
        if (page.n == 0) return tell(cli, chain, after);
        TRY(cli_print(cli, &page));
        TRY(follow_page(chain, after, buf_bytes(&page)));
    }
}

static err_t *run(cli_t *cli, const args_t *args) {
    long first = 0;
    chain_t chain = {0};
    TRY(args_number(args, "after", 0, LONG_MAX, 0, &first));
    buf_init(&chain.scratch, ENTRY_MAX * 2);
    err_t *e = run_chain(cli, first, &chain);
    buf_done(&chain.scratch);
    return e;
}

static const option_t options[] = {
    {"after", "N", "only what comes after the entry of this number"},
    {NULL, NULL, NULL},
};

const command_t CMD_AUDIT_KEEPER_LOG = {
    .group = "audit",
    .name = "keeper-log",
    .operands = "",
    .summary = "Write the key process's own log as lines of JSON, and check its chain",
    .notes = "Every use of a key is there before it is answered: who asked for what, and how it\n"
             "ended. Refusals that should wake somebody begin with ALARM. Whether the chain of\n"
             "hashes holds is said on standard error, with the last hash: keep it, a later log\n"
             "must have it again. Exit status 5: it does not hold.",
    .examples = "  coffer audit keeper-log | grep ALARM\n"
                "  coffer audit keeper-log --after 120000",
    .options = options,
    .run = run,
};
