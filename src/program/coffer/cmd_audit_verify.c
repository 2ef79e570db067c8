/*
 * coffer audit verify: checks an export without any server, after docs/formats/audit.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit_export.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/audit_fetch.h"
#include "program/coffer/output.h"

enum { KEY_FILE_MAX = 16 * 1024 };

typedef struct {
    bytes_t keys[LIMIT_AUDIT_KEYS];
    size_t key_count;
    audit_pin_t pins[ARGS_OPTIONS_MAX];
    size_t pin_count;
    arena_t *arena; /* of keys and pins */
} trust_t;

static void trust_done(trust_t *trust) { arena_free(trust->arena); }
DEFINE_CLEANUP_VALUE(trust_t, trust_done)

/* SubjectPublicKeyInfo, in PEM (RFC 7468 section 13) or DER. */
static err_t *read_key(const char *path, trust_t *trust) {
    static const bytes_t head = BYTES_LIT("-----BEGIN PUBLIC KEY-----");
    static const bytes_t tail = BYTES_LIT("-----END PUBLIC KEY-----");
    CLEANUP(buf_done) buf_t file;
    CLEANUP(buf_done) buf_t der;
    buf_init(&file, KEY_FILE_MAX);
    buf_init(&der, KEY_FILE_MAX);
    if (trust->key_count == LIMIT_AUDIT_KEYS)
        return err_new(ERR_USAGE, "more than %d keys", LIMIT_AUDIT_KEYS);
    TRY(file_read(path, &file));
    bytes_t text = text_trim(buf_bytes(&file));
    if (bytes_starts(text, head)) {
        size_t from = head.n;
        if (text.n < from + tail.n || !bytes_eq(bytes_from(text, text.n - tail.n), tail))
            return err_new(ERR_INVALID, "%s is no public key in PEM", path);
        TRY_WRAP(text_unbase64(bytes_slice(text, from, text.n - from - tail.n), &der), "%s", path);
        text = buf_bytes(&der);
    } else {
        text = buf_bytes(&file);
    }
    return arena_copy(trust->arena, text, &trust->keys[trust->key_count++]);
}

/* "NODE:SEQ:HASH"; a node may have colons itself. */
static err_t *read_pin(const char *given, trust_t *trust) {
    bytes_t text = bytes_str(given);
    size_t last = text.n, middle = text.n;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != ':') continue;
        middle = last;
        last = i;
    }
    CLEANUP(buf_done) buf_t hash;
    audit_pin_t *pin = &trust->pins[trust->pin_count];
    buf_init(&hash, AUDIT_HASH_SIZE);
    err_t *e = NULL;
    if (middle >= last || last == text.n) e = err_new(ERR_USAGE, "two colons are missing");
    if (!e) e = text_i64(bytes_slice(text, middle + 1, last - middle - 1), &pin->seq);
    if (!e) e = text_unhex(bytes_from(text, last + 1), &hash);
    if (!e && hash.n != AUDIT_HASH_SIZE) e = err_new(ERR_USAGE, "the hash has not 64 digits");
    if (e)
        return err_recode(err_wrap(e, "--pin is written NODE:SEQ:HASH, not \"%s\"", given),
                          ERR_USAGE);
    pin->node = bytes_slice(text, 0, middle);
    TRY(arena_copy(trust->arena, buf_bytes(&hash), &pin->hash));
    trust->pin_count++;
    return NULL;
}

static err_t *read_trust(const cli_t *cli, const args_t *args, trust_t *trust) {
    size_t cursor = 0;
    const char *dir = cli_dir(cli);
    TRY(arena_new((size_t)LIMIT_AUDIT_KEYS * KEY_FILE_MAX + (size_t)ARGS_OPTIONS_MAX * 64,
                  &trust->arena));
    for (const char *path; (path = args_each(args, "key", &cursor));) TRY(read_key(path, trust));
    if (trust->key_count == 0 && dir) {
        CLEANUP(mem_free) char *path = NULL;
        TRY(file_path(dir, "public/audit-key.pem", &path));
        TRY(read_key(path, trust));
    }
    cursor = 0;
    for (const char *pin; (pin = args_each(args, "pin", &cursor));) TRY(read_pin(pin, trust));
    return NULL;
}

static err_t *verify(cli_t *cli, const args_t *args, const audit_verify_options_t *options,
                     audit_report_t *report) {
    const char *file = args->operands_n ? args->operands[0] : NULL;
    if (!file) {
        CLEANUP(buf_done) buf_t text;
        buf_init(&text, 0);
        if (!cli_dir(cli) && !args_value(args, "server"))
            return err_new(ERR_USAGE, "name an export's FILE, or give --dir DIR to check the "
                                      "server's log");
        TRY(audit_fetch(cli, &text));
        return audit_verify_bytes(buf_bytes(&text), options, report);
    }
    if (strcmp(file, "-") == 0) return audit_verify_fd(STDIN_FILENO, options, report);
    CLEANUP(fd_close) int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", file);
    return audit_verify_fd(fd, options, report);
}

static err_t *show_json(cli_t *cli, const audit_report_t *r, bool holds) {
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_bool(json, "holds", holds));
    TRY(jso_set_int(json, "lines", (int64_t)r->lines));
    TRY(jso_set_int(json, "entries", (int64_t)r->entries));
    TRY(jso_set_int(json, "chains", (int64_t)r->nodes));
    TRY(jso_set_int(json, "heads", (int64_t)r->heads));
    TRY(jso_set_int(json, "unsigned_entries", (int64_t)r->unsigned_entries));
    TRY(jso_set_int(json, "pins_found", (int64_t)r->pins_found));
    TRY(jso_set_bool(json, "keys_trusted", r->keys_trusted));
    if (!holds) {
        TRY(jso_set_int(json, "bad_line", (int64_t)r->bad_line));
        TRY(jso_set_str(json, "bad_reason", r->bad_reason));
    }
    return output_json(cli, json);
}

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

static err_t *show_text(cli_t *cli, const audit_report_t *r) {
    TRY(cli_say(cli,
                "The log holds.\n"
                "  %" PRIu64 " line%s read, %" PRIu64 " entr%s in %" PRIu64
                " chain%s: every hash recomputed, no gaps\n"
                "  %" PRIu64 " signed head%s checked with %s\n",
                r->lines, plural(r->lines), r->entries, r->entries == 1 ? "y" : "ies", r->nodes,
                plural(r->nodes), r->heads, plural(r->heads),
                r->keys_trusted ? "the key you trust" : "the export's own key"));
    if (r->pins_found)
        TRY(cli_say(cli, "  %" PRIu64 " earlier head%s found again\n", r->pins_found,
                    plural(r->pins_found)));
    if (r->unsigned_entries)
        TRY(cli_say(
            cli, "  %" PRIu64 " entr%s after the last signed head: not yet signed by the keeper\n",
            r->unsigned_entries, r->unsigned_entries == 1 ? "y" : "ies"));
    if (!r->keys_trusted)
        TRY(cli_say(cli, "  Whoever made the export could have chosen its key: give --key "
                         "audit-key.pem to be sure.\n"));
    return NULL;
}

static err_t *run_verify(cli_t *cli, const args_t *args) {
    CLEANUP(trust_done) trust_t trust = {0};
    audit_report_t report = {0};
    TRY(read_trust(cli, args, &trust));
    audit_verify_options_t options = {
        .public_keys = trust.keys,
        .key_count = trust.key_count,
        .pins = trust.pins,
        .pin_count = trust.pin_count,
        .demand_heads = trust.key_count && !args_flag(args, "allow-unsigned"),
    };
    err_t *e = verify(cli, args, &options, &report);
    /* Malformed lines are a failed verification as well, whatever the parser calls them. */
    if (e && report.bad_line && err_code(e) == ERR_INVALID) e = err_recode(e, ERR_VERIFY);
    bool judged = !e || err_code(e) == ERR_VERIFY;
    err_t *shown = NULL;
    if (cli->json && judged) shown = show_json(cli, &report, !e);
    else if (!e) shown = show_text(cli, &report);
    if (!e) return shown;
    err_free(shown);
    return report.bad_reason[0] ? err_wrap(e, "the log does NOT hold") : e;
}

static const option_t options[] = {
    {"key", "FILE", "trust this audit key alone (public/audit-key.pem); repeatable"},
    {"pin", "NODE:SEQ:HASH", "an earlier head that must be there again; repeatable"},
    {"allow-unsigned", NULL, "accept entries that no signed head vouches for"},
    {NULL, NULL, NULL},
};

const command_t CMD_AUDIT_VERIFY = {
    .group = "audit",
    .name = "verify",
    .operands = "[FILE]",
    .summary = "Check an audit export, offline",
    .notes =
        "FILE is an export, - standard input. Recomputes every hash, looks for gaps, checks the "
        "keeper's\nsignatures, and names the first line that does not hold (exit status 5). "
        "No server is needed.\nWithout FILE the server's log is fetched and checked. With --dir "
        "the key is DIR/public/audit-key.pem. With a key, every chain must have a signed head that "
        "is\nnot long behind.",
    .examples = "  coffer audit verify audit-2026-11.jsonl --key audit-key.pem\n"
                "  coffer --dir /var/lib/coffer audit verify\n"
                "  xz -dc audit.jsonl.xz | coffer audit verify - --key audit-key.pem",
    .min = 0,
    .max = 1,
    .options = options,
    .run = run_verify,
};
