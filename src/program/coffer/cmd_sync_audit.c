/*
 * coffer sync audit: holds the service to the log of device chains (docs/guides/sync-audit.md).
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/log_export.h"
#include "program/coffer/output.h"
#include "program/coffer/sync_home.h"
#include "sync/engine/members.h"

enum { PAUSE_MS = 300, WAIT_MS = 30 * 1000, TRIES = 3, CONNECT_MS = 10 * 1000 };

typedef struct {
    cli_t *cli;
    sync_open_t open;
    log_view_t view;
    tlog_audit_t audit;
    uint64_t witness; /* entries of the other copy; 0: none was given */
    buf_t note;       /* that copy */
} work_t;

static void work_done(work_t *w) {
    buf_done(&w->note);
    log_view_done(&w->view);
    sync_open_done(&w->open);
}
DEFINE_CLEANUP_VALUE(work_t, work_done)

static void pause_ms(int64_t ms) {
    const struct timespec nap = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
    (void)nanosleep(&nap, NULL);
}

static err_t *fetch_chain(work_t *w) {
    sync_report_t report;
    return sync_engine_fetch(w->open.engine, &report);
}

/* ---- another one's copy ---- */

/* A checkpoint, or a directory that has one. */
static err_t *read_copy(const char *from, buf_t *note) {
    CLEANUP(mem_free) char *path = NULL;
    struct stat st;
    if (stat(from, &st) == 0 && S_ISDIR(st.st_mode)) TRY(file_path(from, "checkpoint", &path));
    return file_read(path ? path : from, note);
}

static err_t *fetch_copy(const char *url, const char *ca_file, buf_t *note) {
    CLEANUP(http_client_free) http_client_t *client = NULL;
    CLEANUP(http_response_done) http_response_t reply;
    http_client_config_t config = {
        .ca_file = ca_file, .connect_ms = CONNECT_MS, .response_max = LIMIT_NOTE_BYTES};
    http_response_init(&reply);
    TRY(http_client_init());
    TRY(http_client_new(&config, &client));
    TRY(http_client_do(client, "GET", url, NULL, BYTES_NONE, &reply));
    if (reply.status != 200)
        return err_new(ERR_UNAVAILABLE, "%s: HTTP status %u", url, reply.status);
    return buf_add(note, buf_bytes(&reply.body));
}

/* Fetched before the newest checkpoint is: that one must be at least as long. */
static err_t *get_copy(work_t *w, const args_t *args) {
    const char *from = args_value(args, "against");
    if (!from) return NULL;
    if (strncmp(from, "https://", 8) == 0)
        return fetch_copy(from, args_value(args, "against-ca"), &w->note);
    return read_copy(from, &w->note);
}

/* ---- reading ---- */

/* The log may have what came while we looked: the chain is fetched again before that is said. */
static err_t *read_on(work_t *w) {
    for (int try = 1;; try++) {
        err_t *e = log_view_read(&w->view, sync_engine_chain(w->open.engine), &w->audit);
        if (!e || err_code(e) != ERR_NOT_FOUND) return e;
        if (try == TRIES) return err_recode(e, ERR_VERIFY);
        err_free(e);
        TRY(fetch_chain(w));
    }
}

/* A checkpoint follows an entry within seconds; *ret_all: it has all of the chain. */
static err_t *look(work_t *w, bool *ret_all) {
    *ret_all = false;
    err_t *e = log_view_refresh(&w->view);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(read_on(w));
    TRY(log_view_keep(&w->view, &w->audit));
    *ret_all = w->audit.own >= sync_chain_count(sync_engine_chain(w->open.engine));
    return NULL;
}

static err_t *audit_log(work_t *w) {
    int64_t until = clk_mono_ms(w->cli->clk) + WAIT_MS;
    for (;;) {
        bool all = false;
        TRY(look(w, &all));
        if (all) return NULL;
        if (clk_mono_ms(w->cli->clk) >= until)
            return err_new(ERR_VERIFY,
                           "log-withheld: the signed log has %llu of the %zu entries of this "
                           "region's chain",
                           (unsigned long long)w->audit.own,
                           sync_chain_count(sync_engine_chain(w->open.engine)));
        pause_ms(PAUSE_MS);
    }
}

/* ---- output ---- */

static err_t *set_hex(json_t *json, const char *name, bytes_t value) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(value, &hex));
    return jso_set_str(json, name, hex);
}

static err_t *result(const work_t *w, const char *exported, json_t *out) {
    const tlog_checkpoint_t *newest = &w->view.newest;
    sync_chain_head_t head;
    TRY(sync_chain_head(sync_engine_chain(w->open.engine), &head));
    TRY(jso_set_str(out, "origin", w->view.origin));
    TRY(jso_set_str(out, "key", w->view.key_text));
    TRY(jso_set_int(out, "size", (int64_t)newest->size));
    TRY(set_hex(out, "root", BYTES_ARRAY(newest->root)));
    TRY(jso_set_int(out, "before", (int64_t)w->view.seen));
    TRY(set_hex(out, "region", BYTES_ARRAY(head.region)));
    TRY(jso_set_int(out, "entries", (int64_t)w->audit.own));
    TRY(jso_set_int(out, "position", (int64_t)head.position));
    TRY(set_hex(out, "head", BYTES_ARRAY(head.head)));
    if (w->witness) TRY(jso_set_int(out, "against", (int64_t)w->witness));
    if (exported) TRY(jso_set_str(out, "exported", exported));
    return NULL;
}

static err_t *say(const work_t *w, const args_t *args, const json_t *out) {
    cli_t *cli = w->cli;
    const char *exported = args_value(args, "export");
    TRY(cli_say(cli, "Log: %s\nKey: %s\n", w->view.origin, w->view.key_text));
    TRY(cli_say(cli, "Checkpoint: %llu entries, root %.16s..., signed by this key\n",
                (unsigned long long)w->view.newest.size,
                json_string_value(json_object_get(out, "root"))));
    if (w->view.seen)
        TRY(cli_say(cli, "It goes on from the %llu entries that this device saw before\n",
                    (unsigned long long)w->view.seen));
    else TRY(cli_say(cli, "This device saw no log before: it keeps this key and checkpoint\n"));
    TRY(cli_say(cli,
                "All entries were read: they are the tree that was signed\n"
                "Region %.16s...: all %llu entries of its chain are in it, each once, and no "
                "others; head %.16s...\n",
                json_string_value(json_object_get(out, "region")), (unsigned long long)w->audit.own,
                json_string_value(json_object_get(out, "head"))));
    if (w->witness)
        TRY(cli_say(cli, "The copy %s, %llu entries, is of the same log\n",
                    args_value(args, "against"), (unsigned long long)w->witness));
    if (exported) TRY(cli_say(cli, "A copy for others to check is in %s\n", exported));
    return cli->json ? output_json(cli, out) : NULL;
}

/* ---- all of it ---- */

static err_t *export_copy(work_t *w, const char *dir) {
    CLEANUP(buf_done) buf_t chain;
    buf_init(&chain, (size_t)LIMIT_SYNC_CHAIN * LIMIT_SYNC_ENTRY);
    if (!dir) return NULL;
    TRY(sync_members_entries(w->open.state, &chain));
    return log_export(&w->view, dir, buf_bytes(&chain));
}

static err_t *run_audit(cli_t *cli, const args_t *args) {
    CLEANUP(work_done) work_t w = {.cli = cli};
    CLEANUP(jso_free) json_t *out = NULL;
    buf_init(&w.note, LIMIT_NOTE_BYTES);
    TRY(sync_open(cli, &w.open));
    TRY(sync_open_engine(&w.open));
    TRY(fetch_chain(&w));
    if (args_flag(args, "pardon")) TRY(log_view_forget(w.open.state, args_value(args, "key")));
    TRY(log_view_open(w.open.http, w.open.state, args_value(args, "key"), &w.view));
    TRY(log_view_audit(&w.view, &w.audit));
    TRY(get_copy(&w, args));
    TRY(audit_log(&w));
    if (w.note.n) TRY(log_view_compare(&w.view, buf_bytes(&w.note), &w.witness));
    TRY(export_copy(&w, args_value(args, "export")));
    TRY(jso_object(&out));
    TRY(result(&w, args_value(args, "export"), out));
    return say(&w, args, out);
}

static const option_t audit_options[] = {
    {"against", "FILE|URL", "compare with another one's copy of the log: checkpoint or export"},
    {"against-ca", "FILE", "the root certificate of that URL (default: the system's)"},
    {"export", "DIR", "write a copy of the log that others can check without a device"},
    {"key", "KEY",
     "the log's key, as the organisation has told it: the first time, or another with --pardon"},
    {"pardon", NULL, "forget what was seen of the log: a backup was restored, and you know it"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_AUDIT = {
    .group = "sync",
    .name = "audit",
    .operands = "",
    .summary = "Check that the service shows everybody the same device chains",
    .notes =
        "Every entry of every region's chain stands in one append-only log that the service\n"
        "signs. This reads it on from where it was read before, and checks the signature, that\n"
        "nothing that was seen is gone or changed, and that this region's chain is in it as this\n"
        "device was shown it, with nothing besides. Two people who compare their copies "
        "(--export,\n"
        "--against) know that neither was shown a log of his own. Exit status 5 and a word say\n"
        "what is wrong: see the guide, sync-audit.md.",
    .examples = "  coffer sync audit\n"
                "  coffer sync audit --home ~/team --export /tmp/log\n"
                "  coffer sync audit --against https://witness.example.net/coffer/checkpoint",
    .options = audit_options,
    .run = run_audit,
};
