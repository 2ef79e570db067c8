/*
 * coffer mail decrypt, verify, show: S/MIME in, what it says and who says it out. Nothing is
 * written before the verdict.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/mime_header.h"
#include "format/tnef.h"
#include "mail/reader.h"
#include "mail/spool.h"
#include "program/coffer/mail_anchors.h"
#include "program/coffer/mail_io.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/output.h"

enum { VERDICT_MAX = 64 * 1024 * 1024, TEXT_MAX = 8 * 1024 * 1024 };

/* Exit statuses of their own, beside the general ones. */
enum { STATUS_UNTRUSTED = 6, STATUS_PARTLY = 7, STATUS_NOT_SIGNED = 8 };

typedef struct {
    mail_keys_t keys;
    mail_anchors_t trust;
    mail_reader_handler_t handler;
    mail_reader_options_t options;
    mail_reader_t *reader;
    bool fed; /* something of the message: there is such a file */
    const mail_verdict_t *verdict;
    buf_t text;          /* of `show`: the parts people read */
    bool legacy_display; /* it begins with fields shown again */
    bool overfull;
    buf_t packed; /* a line for each attachment in a winmail.dat */
    tnef_reader_t *tnef;
    tnef_handler_t tnef_handler;
    const mail_part_t *tnef_part; /* while it comes */
    size_t packed_n;
    uint64_t packed_size;
} read_t;

static void read_done(read_t *r) {
    mail_reader_free(r->reader);
    mail_keys_done(&r->keys);
    mail_anchors_done(&r->trust);
    buf_done(&r->text);
    buf_done(&r->packed);
    tnef_reader_free(r->tnef);
}
DEFINE_CLEANUP_VALUE(read_t, read_done)

static err_t *feed(void *arg, bytes_t data) {
    read_t *r = arg;
    r->fed = true;
    return mail_reader_feed(r->reader, data);
}

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    return mail_keys_find(&((read_t *)arg)->keys, recipient, ret_cert, ret_key, ret_found);
}

static err_t *revocation(void *arg, const cert_t *cert, const cert_list_t *others, int64_t at,
                         mail_revocation_t *ret_revocation) {
    return mail_anchors_revocation(&((read_t *)arg)->trust, cert, others, at, ret_revocation);
}

/* Reads the whole message. r must not move afterwards. */
static err_t *read_message(cli_t *cli, const args_t *args, mail_keep_t keep, read_t *r) {
    TRY(mail_keys_read(args, &r->keys));
    TRY(mail_anchors_read(cli, args, true, &r->trust));
    if (r->keys.n) r->handler.find_key = find;
    r->handler.revocation = revocation;
    r->handler.arg = r;
    r->options = (mail_reader_options_t){.rnd = cli->rnd,
                                         .now = clk_unix(cli->clk),
                                         .roots = &r->trust.roots,
                                         .intermediates = &r->trust.intermediates,
                                         .keep = keep,
                                         .look = r->options.look,
                                         .max = MAIL_IO_MAX};
    TRY(mail_reader_new(&r->handler, &r->options, &r->reader));
    err_t *e = mail_input(args, feed, r);
    if (!e) e = mail_reader_finish(r->reader, &r->verdict);
    if (e && err_code(e) == ERR_NOT_FOUND && r->fed && !r->keys.n)
        return err_wrap(e, "give --key FILE to decrypt with");
    return e;
}

/* --verdict FILE, or fd:N. */
static err_t *write_verdict(const args_t *args, const mail_verdict_t *verdict) {
    const char *where = args_value(args, "verdict");
    if (!where) return NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t text;
    uint64_t fd;
    buf_init(&text, VERDICT_MAX);
    TRY(mail_verdict_json(verdict, &json));
    TRY(jso_write(json, true, &text));
    if (strncmp(where, "fd:", 3) != 0) return file_write(where, buf_bytes(&text), 0600);
    TRY_WRAP(text_u64(bytes_str(where + 3), 1024, &fd), "--verdict fd:N");
    return file_write_fd((int)fd, buf_bytes(&text));
}

/* ---- decrypt ---- */

static err_t *run_decrypt(cli_t *cli, const args_t *args) {
    read_t r CLEANUP(read_done) = {0};
    if (!args_value(args, "verdict")) r.options.look = MAIL_LOOK_SKIM;
    TRY(read_message(cli, args, MAIL_KEEP_DECRYPTED, &r));
    TRY(write_verdict(args, r.verdict));
    if (!r.verdict->envelopes_n) return err_new(ERR_INVALID, "the message is not encrypted");
    if (mail_status(r.verdict) == MAIL_BROKEN)
        return err_new(ERR_VERIFY, "the message was altered: a signature on it does not hold. "
                                   "--verdict says which");
    if (r.verdict->problems[MAIL_NO_INTEGRITY])
        (void)fprintf(cli->err, "coffer: the encryption does not protect the message from being "
                                "altered, and nobody signed it\n");
    return mail_reader_output(r.reader, mail_output, cli);
}

/* ---- verify ---- */

static const char *sentence(const mail_verdict_t *v) {
    mail_status_t status = mail_status(v);
    if (status == MAIL_PARTLY && v->problems[MAIL_SIGNED_CIPHERTEXT])
        return "Only ciphertext is signed, not what is inside.";
    switch (status) {
    case MAIL_PLAIN: return "Not signed.";
    case MAIL_GOOD: return "Signed by the sender.";
    case MAIL_UNTRUSTED: return "Signed, but not known to be by the sender.";
    case MAIL_PARTLY: return "Only parts are signed.";
    case MAIL_BROKEN: return "A signature does not hold.";
    }
    return "";
}

static err_t *say_signer(cli_t *cli, const cms_signer_info_t *s, const mail_signer_judgement_t *j) {
    char time[TEXT_TIME_SIZE];
    TRY(cli_say(cli, "  %s: %s", cms_signature_name(s->state),
                s->cert ? cert_subject(s->cert) : "the signer's certificate is not there"));
    if (s->has_time) TRY(cli_say(cli, ", %s", text_time(s->time, time)));
    if (j->match == MAIL_MATCH_NONE) TRY(cli_say(cli, "; not the From address"));
    if (j->match == MAIL_MATCH_SENDER) TRY(cli_say(cli, "; the Sender, not the From address"));
    if (j->reason[0]) TRY(cli_say(cli, "; %s", j->reason));
    return cli_say(cli, "\n");
}

/* A stranger's text: no control characters that steer a terminal. */
static err_t *say_text(cli_t *cli, bytes_t text) {
    CLEANUP(buf_done) buf_t clean;
    buf_init(&clean, (size_t)TEXT_MAX * 4);
    TRY(mime_charset_decode(BYTES_LIT("utf-8"), text, &clean));
    for (size_t i = 0; i < clean.n; i++)
        if ((clean.p[i] < ' ' && clean.p[i] != '\n' && clean.p[i] != '\t' && clean.p[i] != '\r') ||
            clean.p[i] == 127)
            clean.p[i] = ' ';
    return cli_print(cli, &clean);
}

/* The same on one line: no line of a stranger's looks like one of ours. */
static err_t *say_line(cli_t *cli, bytes_t text) {
    CLEANUP(buf_done) buf_t line;
    buf_init(&line, TEXT_MAX);
    TRY(buf_add(&line, text));
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < ' ') line.p[i] = ' ';
    return say_text(cli, buf_bytes(&line));
}

/* Protected fields that stand otherwise outside. */
static err_t *say_headers(cli_t *cli, const mail_verdict_t *v) {
    for (size_t i = 0; i < v->headers_n; i++) {
        const mail_header_t *h = &v->headers[i];
        if (!h->differs) continue;
        TRY(cli_say(cli, "  header altered outside: "));
        TRY(say_line(cli, h->name));
        TRY(cli_say(cli, "; protected: "));
        TRY(say_line(cli, h->value));
        TRY(cli_say(cli, "; outside: "));
        TRY(say_line(cli, h->has_outer ? h->outer : BYTES_LIT("absent")));
        TRY(cli_say(cli, "\n"));
    }
    return NULL;
}

static err_t *say_verdict(cli_t *cli, const mail_verdict_t *v) {
    TRY(cli_say(cli, "%s%s\n", sentence(v), v->envelopes_n ? " Encrypted." : ""));
    for (size_t i = 0; i < v->signatures_n; i++)
        for (size_t k = 0; k < v->signatures[i].signers.n; k++)
            TRY(say_signer(cli, &v->signatures[i].signers.at[k], &v->signatures[i].judged[k]));
    TRY(say_headers(cli, v));
    for (unsigned i = 0; i < MAIL_PROBLEMS; i++)
        if (v->problems[i]) TRY(cli_say(cli, "  note: %s\n", mail_problem_name((mail_problem_t)i)));
    return NULL;
}

static int status_of(const mail_verdict_t *v) {
    bool any = v->signatures_n > 0;
    switch (mail_status(v)) {
    case MAIL_PLAIN: return STATUS_NOT_SIGNED;
    case MAIL_GOOD: return any ? CLI_DONE : STATUS_NOT_SIGNED;
    case MAIL_UNTRUSTED: return STATUS_UNTRUSTED;
    case MAIL_PARTLY: return STATUS_PARTLY;
    case MAIL_BROKEN: return CLI_VERIFY;
    }
    return CLI_FAILED;
}

static err_t *show_verdict(cli_t *cli, const mail_verdict_t *v) {
    if (!cli->json) return say_verdict(cli, v);
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(mail_verdict_json(v, &json));
    return output_json(cli, json);
}

static err_t *to_spool(void *arg, bytes_t data) { return file_write_fd(*(int *)arg, data); }

static err_t *write_content(const args_t *args, mail_reader_t *reader) {
    const char *path = args_value(args, "out");
    if (!path) return NULL;
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "cannot make %s", path);
    return mail_reader_output(reader, to_spool, &fd);
}

static err_t *run_verify(cli_t *cli, const args_t *args) {
    read_t r CLEANUP(read_done) = {0};
    if (!args_value(args, "verdict") && !cli->json) r.options.look = MAIL_LOOK_DECODE;
    TRY(read_message(cli, args, args_value(args, "out") ? MAIL_KEEP_CONTENT : MAIL_KEEP_NOTHING,
                     &r));
    TRY(write_verdict(args, r.verdict));
    TRY(show_verdict(cli, r.verdict));
    cli->status = status_of(r.verdict);
    if (cli->status == CLI_VERIFY) return NULL;
    return write_content(args, r.reader);
}

/* ---- show ---- */

static bool is_text(const mail_part_t *part) {
    return bytes_eq_str(part->type, "text/plain") && !bytes_eq_str(part->disposition, "attachment");
}

static err_t *packed_begin(void *arg) {
    read_t *r = arg;
    r->packed_n++;
    r->packed_size = 0;
    return NULL;
}

static err_t *packed_data(void *arg, bytes_t data) {
    ((read_t *)arg)->packed_size += data.n;
    return NULL;
}

static err_t *packed_end(void *arg, bytes_t name) {
    read_t *r = arg;
    return buf_printf(&r->packed, "%s/tnef.%zu\t%llu\tapplication/octet-stream\t%.*s\n",
                      r->tnef_part->path, r->packed_n, (unsigned long long)r->packed_size,
                      (int)name.n, (const char *)name.p);
}

/* What Outlook packed is listed as far as it can be read. */
static err_t *feed_packed(read_t *r, const mail_part_t *part, bytes_t data) {
    err_t *e = NULL;
    if (r->tnef_part != part) {
        tnef_reader_free(STEAL(r->tnef));
        r->tnef_handler = (tnef_handler_t){packed_begin, packed_data, packed_end, r};
        r->packed_n = 0;
        r->tnef_part = part;
        TRY(tnef_reader_new(&r->tnef_handler, &r->tnef));
    }
    if (r->tnef) e = tnef_feed(r->tnef, data);
    if (!e || (err_code(e) != ERR_INVALID && err_code(e) != ERR_LIMIT)) return e;
    err_free(e);
    tnef_reader_free(STEAL(r->tnef));
    return NULL;
}

static err_t *on_part_end(void *arg, const mail_part_t *part) {
    read_t *r = arg;
    if (r->tnef_part != part || !r->tnef) return NULL;
    err_t *e = tnef_finish(r->tnef);
    tnef_reader_free(STEAL(r->tnef));
    if (e && err_code(e) != ERR_INVALID) return e;
    err_free(e);
    return NULL;
}

static err_t *on_data(void *arg, const mail_part_t *part, bytes_t data) {
    read_t *r = arg;
    if (mail_part_is_tnef(part)) return feed_packed(r, part, data);
    if (!is_text(part)) return NULL;
    if (!r->text.n) r->legacy_display = part->legacy_display;
    if (r->text.n + data.n > TEXT_MAX) {
        r->overfull = true;
        return NULL;
    }
    return buf_add(&r->text, data);
}

/* Text without the fields that it begins with for older mail programs (RFC 9788 section 4.5.3). */
static bytes_t without_display(bytes_t text) {
    for (bytes_t rest = text; rest.n;) {
        size_t n = bytes_find(rest, '\n');
        bool empty = !text_trim(bytes_make(rest.p, n)).n;
        rest = bytes_from(rest, n + 1);
        if (empty) return rest;
    }
    return text;
}

static err_t *say_parts(cli_t *cli, const mail_verdict_t *v) {
    for (size_t i = 0; i < v->parts_n; i++) {
        const mail_part_t *p = &v->parts[i];
        if (!p->leaf || (!p->size && !p->name.n)) continue;
        TRY(cli_say(cli, "%s\t%llu\t", p->path, (unsigned long long)p->size));
        TRY(say_line(cli, p->type));
        TRY(cli_say(cli, "\t"));
        TRY(say_line(cli, p->name));
        TRY(cli_say(cli, "\n"));
    }
    return NULL;
}

static err_t *run_show(cli_t *cli, const args_t *args) {
    read_t r CLEANUP(read_done) = {0};
    buf_init_secret(&r.text, TEXT_MAX);
    buf_init(&r.packed, TEXT_MAX);
    r.handler.part_data = on_data;
    r.handler.part_end = on_part_end;
    TRY(read_message(cli, args, MAIL_KEEP_NOTHING, &r));
    TRY(write_verdict(args, r.verdict));
    if (cli->json) return show_verdict(cli, r.verdict);
    TRY(say_verdict(cli, r.verdict));
    if (r.verdict->from.n)
        TRY(cli_say(cli, "From: %.*s\n", (int)r.verdict->from.at[0].address.n,
                    (const char *)r.verdict->from.at[0].address.p));
    TRY(cli_say(cli, "Subject: "));
    TRY(say_line(cli, mail_verdict_subject(r.verdict)));
    TRY(cli_say(cli, "\n"));
    TRY(say_parts(cli, r.verdict));
    TRY(say_text(cli, buf_bytes(&r.packed)));
    cli->status = status_of(r.verdict) == CLI_VERIFY ? CLI_VERIFY : CLI_DONE;
    if (cli->status == CLI_VERIFY) return NULL; /* an altered text isn't shown */
    TRY(cli_say(cli, "\n"));
    bytes_t text = buf_bytes(&r.text);
    TRY(say_text(cli, r.legacy_display ? without_display(text) : text));
    return r.overfull ? cli_say(cli, "\n[the rest is left out: use coffer mail extract]\n") : NULL;
}

/* ---- Tables ---- */

#define KEY_OPTIONS                                                                                \
    {"key", "FILE", "a key to decrypt with, old ones too: PKCS#12 or PEM; repeatable"}, {          \
        "passphrase-file", "FILE", "the key files' passphrase, - standard input"                   \
    }
#define TRUST_OPTIONS                                                                              \
    {"root", "FILE", "certificates trusted for signing mail (PEM); repeatable"},                   \
        {"chain", "FILE", "further certificates to build chains with; repeatable"},                \
        {"crl", "FILE", "a revocation list of a signer's issuer (DER or PEM); repeatable"}, {      \
        "verdict", "FILE", "write the verdict as JSON there, or to fd:N"                           \
    }

static const option_t decrypt_options[] = {KEY_OPTIONS, TRUST_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_MAIL_DECRYPT = {
    .group = "mail",
    .name = "decrypt",
    .operands = "[FILE]",
    .summary = "Decrypt a message",
    .notes = "Writes the message that is inside the envelope to standard output, signatures and "
             "all,\nonce it was read to its end and holds. An encrypted part among others stays "
             "closed.\nNo server is needed.",
    .examples = "  coffer mail decrypt --key bob.p12 --passphrase-file p < secret.eml > plain.eml\n"
                "  coffer mail decrypt --key now.pem --key former.pem --verdict v.json old.eml",
    .max = 1,
    .options = decrypt_options,
    .run = run_decrypt,
};

static const option_t verify_options[] = {KEY_OPTIONS,
                                          TRUST_OPTIONS,
                                          {"out", "FILE", "write the content to this new file"},
                                          {NULL, NULL, NULL}};

const command_t CMD_MAIL_VERIFY = {
    .group = "mail",
    .name = "verify",
    .operands = "[FILE]",
    .summary = "Check who signed a message",
    .notes = "Exit status: 0 signed as a whole by the From address with a trusted certificate; 5 a "
             "signature\ndoes not hold; 6 it holds, but signer or address is not trusted; 7 only "
             "parts are signed;\n8 not signed. No server is needed; with --dir or --server the "
             "instance is asked whether the\nsigner's certificate was revoked, and with --dir its "
             "root is trusted.",
    .examples = "  coffer mail verify --root ca.pem < signed.eml\n"
                "  coffer mail verify --root ca.pem --json --out content.eml signed.eml\n"
                "  coffer mail verify --root ca.pem --crl ca.crl signed.eml",
    .max = 1,
    .options = verify_options,
    .run = run_verify,
};

static const option_t show_options[] = {KEY_OPTIONS, TRUST_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_MAIL_SHOW = {
    .group = "mail",
    .name = "show",
    .operands = "[FILE]",
    .summary = "Show a message: who signed it, its parts, its text",
    .notes = "Opens envelopes with the keys given. Parts are shown as path, size, type and name. "
             "No server\nis needed.",
    .examples = "  coffer mail show --key bob.p12 --passphrase-file p --root ca.pem secret.eml",
    .max = 1,
    .options = show_options,
    .run = run_show,
};
