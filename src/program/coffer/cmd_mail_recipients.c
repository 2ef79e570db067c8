/*
 * coffer mail recipients, harvest: who can read a message, and learning from signed ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime_address.h"
#include "format/mime_header.h"
#include "mail/reader.h"
#include "program/coffer/mail_io.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/coffer/table.h"

enum { ARENA_MAX = 8 * 1024 * 1024, HEADER_MAX = LIMIT_MIME_HEADER + 4096 };
/* Exit statuses of their own. */
enum { STATUS_NOT_ALL = 6, STATUS_LATER = 7 };

/* ---- recipients ---- */

/* Where the header ends: behind the line before the first empty one; n if that isn't there yet. */
static size_t header_end(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\n' && (bytes_starts(bytes_from(text, i + 1), BYTES_LIT("\n")) ||
                                  bytes_starts(bytes_from(text, i + 1), BYTES_LIT("\r\n"))))
            return i + 1;
    return text.n;
}

static err_t *read_header(const char *path, buf_t *out) {
    uint8_t chunk[4096];
    bool named = strcmp(path, "-") != 0;
    CLEANUP(fd_close) int opened = named ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (named && opened < 0) return err_errno(errno, "cannot open %s", path);
    for (size_t end = 0; end == out->n;) {
        ssize_t n = read(named ? opened : STDIN_FILENO, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot read the message");
        if (n == 0) return NULL;
        TRY_WRAP(buf_add(out, bytes_make(chunk, (size_t)n)), "the message's header");
        end = header_end(buf_bytes(out));
        if (end < out->n) {
            out->n = end;
            return NULL;
        }
    }
    return NULL;
}

static err_t *add_field(arena_t *arena, const mime_fields_t *fields, const char *name,
                        json_t *list) {
    for (size_t i = 0; i < fields->n; i++) {
        mime_addresses_t found;
        if (!text_eq_fold(fields->at[i].name, bytes_str(name))) continue;
        TRY(mime_addresses_read(arena, fields->at[i].value, &found));
        if (found.bad)
            return err_new(ERR_INVALID, "%s: has something in it that is no address", name);
        for (size_t k = 0; k < found.n; k++) TRY(jso_add_string(list, found.at[k].address));
    }
    return NULL;
}

/* To, Cc and Bcc are asked for; the one From is the sender. */
static err_t *add_message(const char *path, json_t *list, json_t *body) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t header;
    mime_fields_t fields;
    mime_addresses_t from;
    buf_init(&header, HEADER_MAX);
    TRY(read_header(path, &header));
    TRY(arena_new(ARENA_MAX, &arena));
    TRY(mime_fields_read(arena, buf_bytes(&header), &fields));
    TRY(add_field(arena, &fields, "To", list));
    TRY(add_field(arena, &fields, "Cc", list));
    TRY(add_field(arena, &fields, "Bcc", list));
    const mime_field_t *field = mime_field_find(&fields, "From", NULL);
    if (!field) return NULL;
    TRY(mime_addresses_read(arena, field->value, &from));
    return from.n == 1 ? jso_set_string(body, "sender", from.at[0].address) : NULL;
}

static err_t *cell(table_t *table, const json_t *one, const char *name, const char *none) {
    bytes_t text = bytes_str(none);
    TRY(jso_get_string(one, name, 4096, false, &text));
    return table_add(table, text);
}

static err_t *say_row(table_t *table, const json_t *one) {
    bool can = false, sender = false;
    TRY(jso_get_bool(one, "can_read", true, &can));
    TRY(jso_get_bool(one, "sender", true, &sender));
    TRY(cell(table, one, "address", ""));
    TRY(table_add(table, bytes_str(can ? "yes" : "no")));
    TRY(cell(table, one, "lock", ""));
    TRY(cell(table, one, "reason", ""));
    TRY(cell(table, one, "source", "-"));
    TRY(cell(table, one, "revocation", "-"));
    json_t *certificate = json_object_get(one, "certificate");
    if (json_is_object(certificate)) TRY(cell(table, certificate, "not_after", "-"));
    else TRY(table_add(table, BYTES_LIT("-")));
    return table_add(table, bytes_str(sender ? "sender" : ""));
}

static err_t *say_answer(cli_t *cli, const json_t *answer, bool all) {
    static const char *const head[] = {"ADDRESS", "CAN READ",   "LOCK",    "REASON",
                                       "SOURCE",  "REVOCATION", "EXPIRES", ""};
    table_t table CLEANUP(table_done) = {0};
    CLEANUP(buf_done) buf_t text;
    json_t *list = NULL;
    buf_init(&text, TABLE_BYTES_MAX);
    TRY(table_init(&table, sizeof head / sizeof *head));
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        TRY(table_add(&table, bytes_str(head[i])));
    TRY(jso_get_array(answer, "recipients", LIMIT_MAIL_RECIPIENTS + 1, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(say_row(&table, json_array_get(list, i)));
    TRY(table_write(&table, cli->terminal, &text));
    TRY(cli_print(cli, &text));
    return cli_say(cli, "%s\n",
                   all ? "All of them can read it: it would be encrypted."
                       : "Not all of them can read it: it would not be encrypted.");
}

static err_t *run_recipients(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    json_t *list = NULL;
    const char *message = args_value(args, "message");
    bool all = false, later = false;
    TRY(jso_object(&body));
    TRY(jso_set_array(body, "addresses", &list));
    for (size_t i = 0; i < args->operands_n; i++)
        TRY(jso_add_string(list, bytes_str(args->operands[i])));
    if (message) TRY(add_message(message, list, body));
    if (!json_array_size(list))
        return err_new(ERR_USAGE,
                       message ? "the message is to nobody" : "give addresses, or --message FILE");
    if (args_value(args, "sender")) TRY(jso_set_str(body, "sender", args_value(args, "sender")));
    if (args_value(args, "at")) TRY(jso_set_str(body, "at", args_value(args, "at")));
    TRY(remote_call(cli, "POST", "/mail/recipients", body, &answer));
    TRY(jso_get_bool(answer, "encrypted", true, &all));
    TRY(jso_get_bool(answer, "later", true, &later));
    cli->status = all ? CLI_DONE : (later ? STATUS_LATER : STATUS_NOT_ALL);
    return cli->json ? output_json(cli, answer) : say_answer(cli, answer, all);
}

static const option_t recipients_options[] = {
    {"message", "FILE", "ask for To, Cc and Bcc of this message, - standard input"},
    {"sender", "ADDRESS", "the sender must be able to read their own copy"},
    {"at", "TIME", "as of this time (2026-11-22T10:00:00Z) instead of now"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_RECIPIENTS = {
    .group = "mail",
    .name = "recipients",
    .operands = "[ADDRESS...]",
    .summary = "Say who can read an encrypted message, and who can't and why",
    .notes =
        "For each address the certificate to encrypt to, or the reason why there is none: "
        "no-certificate,\nexpired, revoked, wrong-usage, weak, not-trusted, unavailable. Looked "
        "for among our own, then\nthose learned from signed mail, then in the directory; groups "
        "are expanded first. A message is\nencrypted only if all of its recipients can read it. "
        "Exit status: 0 all can; 6 not all; 7 not all,\nbut a source was away: ask again later.",
    .examples = "  coffer mail recipients bob@example.org carol@example.net\n"
                "  coffer mail recipients --message draft.eml --json",
    .max = ARGS_OPERANDS_MAX,
    .options = recipients_options,
    .run = run_recipients,
};

/* ---- harvest ---- */

typedef struct {
    mail_keys_t keys;
    mail_reader_t *reader;
    buf_t inner;
} open_t;

static void open_done(open_t *o) {
    mail_reader_free(o->reader);
    mail_keys_done(&o->keys);
    buf_done(&o->inner);
}
DEFINE_CLEANUP_VALUE(open_t, open_done)

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

/* With --key, what is inside the envelope is sent. */
static err_t *open_envelope(cli_t *cli, const args_t *args, open_t *o, buf_t *message) {
    const mail_verdict_t *verdict = NULL;
    TRY(mail_keys_read(args, &o->keys));
    if (!o->keys.n) return NULL;
    const mail_reader_handler_t handler = {.find_key = mail_keys_find, .arg = &o->keys};
    const mail_reader_options_t options = {.rnd = cli->rnd,
                                           .now = clk_unix(cli->clk),
                                           .keep = MAIL_KEEP_DECRYPTED,
                                           .max = LIMIT_HTTP_BODY_MAIL};
    TRY(mail_reader_new(&handler, &options, &o->reader));
    TRY(mail_reader_feed(o->reader, buf_bytes(message)));
    TRY(mail_reader_finish(o->reader, &verdict));
    if (!verdict->envelopes_n) return NULL;
    TRY(mail_reader_output(o->reader, collect, &o->inner));
    buf_clear(message);
    return buf_add(message, buf_bytes(&o->inner));
}

static err_t *say_learned(cli_t *cli, const char *file, const json_t *answer) {
    bytes_t address = BYTES_NONE;
    int64_t count = 0;
    bool trusted = false;
    TRY(jso_get_string(answer, "address", LIMIT_EMAIL, false, &address));
    TRY(jso_get_int(answer, "new_certificates", 0, INT64_MAX, true, &count));
    TRY(jso_get_bool(answer, "trusted", true, &trusted));
    if (!address.n) return cli_say(cli, "%s\tnothing: not signed by its sender\n", file);
    return cli_say(cli, "%s\t%.*s\t%lld new\t%s\n", file, (int)address.n, (const char *)address.p,
                   (long long)count, trusted ? "trusted" : "not trusted: see coffer mail trust");
}

static err_t *harvest_one(cli_t *cli, const args_t *args, const char *path) {
    open_t o CLEANUP(open_done) = {0};
    CLEANUP(buf_done) buf_t message, raw;
    CLEANUP(jso_free) json_t *answer = NULL;
    buf_init(&o.inner, LIMIT_HTTP_BODY_MAIL);
    buf_init(&message, LIMIT_HTTP_BODY_MAIL);
    buf_init(&raw, LIMIT_HTTP_BODY_API);
    TRY(strcmp(path, "-") == 0 ? file_read_fd(0, &message) : file_read(path, &message));
    TRY(open_envelope(cli, args, &o, &message));
    TRY(remote_bytes(cli, "POST", "/mail/harvest", "message/rfc822", buf_bytes(&message),
                     LIMIT_HTTP_BODY_API, &raw));
    TRY(jso_parse_object(buf_bytes(&raw), &answer));
    return cli->json ? output_json(cli, answer) : say_learned(cli, path, answer);
}

static err_t *run_harvest(cli_t *cli, const args_t *args) {
    for (size_t i = 0; i < args->operands_n; i++)
        TRY_WRAP(harvest_one(cli, args, args->operands[i]), "%s", args->operands[i]);
    return NULL;
}

static const option_t harvest_options[] = {
    {"key", "FILE", "a key to open encrypted messages with: PKCS#12 or PEM; repeatable"},
    {"passphrase-file", "FILE", "the key files' passphrase, - standard input"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_HARVEST = {
    .group = "mail",
    .name = "harvest",
    .operands = "FILE...",
    .summary = "Learn people's certificates from messages that they signed",
    .notes = "Only from a signature over the whole message that holds, whose certificate names the "
             "one From\naddress. What is not trusted is kept for an admin to see, and never "
             "encrypted to. The gateway\ndoes the same with what comes in. At most 2 MB a message.",
    .examples = "  coffer mail harvest signed.eml\n"
                "  coffer mail harvest --key me.p12 --passphrase-file p archive/*.eml",
    .min = 1,
    .max = ARGS_OPERANDS_MAX,
    .options = harvest_options,
    .run = run_harvest,
};
