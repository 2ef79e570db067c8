/*
 * Spam reports: what one of our people forwards as attachment to the report address goes to the
 * spam mailbox as it was, every field of its header whole. Out of message/rfc822 parts (RFC 2046
 * section 5.2.1) and attached .eml files, also inside a signature.
 */
#include "base/limits.h"
#include "base/text.h"
#include "format/transfer.h"
#include "mail/gate_internal.h"

enum { DECODED = 192 * 1024 };

typedef struct {
    gate_job_t *job;
    unsigned depth; /* of the attached message being taken; 0: none */
    bool eml;       /* it is a leaf with an encoding */
    gate_file_t file;
    transfer_decoder_t decoder;
    buf_t decoded;
    size_t found;
} report_t;

static err_t *add_report(report_t *r) {
    gate_mail_t *mail = NULL;
    const char *mailbox = r->job->gate->options->report_mailbox;
    if (++r->found > LIMIT_GATE_REPORTS)
        return err_new(ERR_LIMIT, "more than %d messages in one report", LIMIT_GATE_REPORTS);
    TRY(gate_mail_new(r->job, NULL, 0, &mail));
    TRY(gate_file_end(&r->file, r->job, mail));
    mail->rcpts[0] = (gate_mail_rcpt_t){bytes_str(mailbox), GATE_NO_INDEX};
    mail->rcpts_n = 1;
    return NULL;
}

static bool is_eml(const mime_part_t *part) {
    bytes_t name = mime_parameter(&part->type, "name");
    bool message = bytes_eq_str(part->type.value, "message/rfc822") ||
                   bytes_eq_str(part->type.value, "message/global");
    bool named = name.n > 4 && text_eq_fold(bytes_from(name, name.n - 4), BYTES_LIT(".eml"));
    return message || named;
}

/* The reader gives raw bytes of a message/rfc822's child: the message that was attached. */
static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    report_t *r = arg;
    if (r->depth || !part->depth) return NULL;
    bool inner = part->parent && part->parent->message;
    bool leaf = !part->message && !part->multipart && is_eml(part);
    if (!inner && !leaf) return NULL;
    r->depth = part->depth;
    r->eml = leaf && !inner;
    *ret_raw = !r->eml;
    transfer_decoder_init(&r->decoder, part->encoding);
    return gate_file_begin(r->job, &r->file);
}

static err_t *on_raw(void *arg, mime_part_t *part, bytes_t data) {
    report_t *r = arg;
    return r->depth && part->depth == r->depth ? gate_file_add_lines(&r->file, data) : NULL;
}

static err_t *on_body(void *arg, mime_part_t *part, bytes_t data) {
    report_t *r = arg;
    if (!r->eml || part->depth != r->depth) return NULL;
    if (r->decoder.encoding == MIME_ENCODING_IDENTITY ||
        r->decoder.encoding == MIME_ENCODING_UNKNOWN)
        return gate_file_add_lines(&r->file, data);
    while (data.n) {
        bytes_t part_of = bytes_slice(data, 0, DECODED / 2);
        buf_clear(&r->decoded);
        TRY(transfer_decode(&r->decoder, part_of, &r->decoded));
        TRY(gate_file_add_lines(&r->file, buf_bytes(&r->decoded)));
        data = bytes_from(data, part_of.n);
    }
    return NULL;
}

static err_t *on_end(void *arg, mime_part_t *part) {
    report_t *r = arg;
    if (!r->depth || part->depth != r->depth) return NULL;
    if (r->eml) {
        buf_clear(&r->decoded);
        TRY(transfer_decode_end(&r->decoder, &r->decoded));
        TRY(gate_file_add_lines(&r->file, buf_bytes(&r->decoded)));
    }
    r->depth = 0;
    r->eml = false;
    return add_report(r);
}

/* ---- what is inside a signature, or an envelope for the report address ---- */

/* Only where the rule of that address has it opened, and as carefully as any other mail. */
static err_t *may_open(const gate_job_t *job, bool *ret_any, bool *ret_unprotected) {
    const gate_services_t *s = job->gate->services;
    gate_rule_t rule = gate_rule_default();
    bytes_t address = bytes_str(job->gate->options->report_address);
    if (job->msg.kind != GATE_BODY_ENCRYPTED || !job->msg.smime || !s->find_key || !s->unwrap)
        return NULL;
    TRY(s->policy(s->arg, GATE_SCOPE_FROM, address, &rule));
    *ret_any = gate_is(&rule, GATE_DECRYPT);
    *ret_unprotected = gate_is(&rule, GATE_DECRYPT_CBC);
    return NULL;
}

typedef struct {
    gate_file_t file;
    bool there; /* it was a layer around the report, and is taken off */
    bool good;  /* signed by whom it is from */
} inside_t;

static void inside_done(inside_t *in) { gate_file_done(&in->file); }
DEFINE_CLEANUP_VALUE(inside_t, inside_done)

static err_t *unwrap(gate_job_t *job, inside_t *in) {
    gate_reading_t r CLEANUP(gate_reading_done) = {0};
    bool open = false, unprotected = false;
    bytes_t address = BYTES_NONE;
    TRY(may_open(job, &open, &unprotected));
    if (open) address = bytes_str(job->gate->options->report_address);
    else if (job->msg.kind != GATE_BODY_SIGNED || !job->msg.smime) return NULL;
    TRY(gate_read(job, address, MAIL_KEEP_CONTENT, &r));
    if (open && !mail_is_whole(r.verdict) && !unprotected)
        return err_new(ERR_VERIFY, "nothing protects it from alteration");
    in->good = r.verdict->signatures_n && mail_status(r.verdict) == MAIL_GOOD;
    TRY(gate_file_begin(job, &in->file));
    TRY(mail_reader_output(r.reader, gate_file_add_lines, &in->file));
    TRY(gate_file_flush(&in->file));
    in->there = true;
    return NULL;
}

/* ---- */

static err_t *feed_mime(void *arg, bytes_t data) { return mime_feed(arg, data); }

static err_t *walk(report_t *r, int fd, uint64_t size) {
    const mime_handler_t handler = {on_begin, on_body, on_raw, on_end, r};
    mime_reader_t *reader CLEANUP(mime_reader_free) = NULL;
    TRY(mime_reader_new(&handler, &reader));
    TRY(gate_file_read(fd, 0, size, feed_mime, reader));
    return mime_finish(reader);
}

/* Mail that comes in may name anybody as its sender: only a signature says who reports. */
static void refuse_stranger(gate_job_t *job) {
    gate_note(job, "spam report of a stranger");
    gate_reply(job, 550, "5.7.1", "%s",
               "spam reports are taken by our own way out, or signed by one of our people");
}

static err_t *take_attached(gate_job_t *job, int fd, uint64_t size, size_t *ret_found) {
    report_t r = {.job = job, .file = {.fd = -1}};
    buf_init_secret(&r.decoded, DECODED);
    err_t *e = walk(&r, fd, size);
    gate_file_done(&r.file);
    buf_done(&r.decoded);
    *ret_found = r.found;
    return e;
}

static err_t *take_report(gate_job_t *job) {
    inside_t in CLEANUP(inside_done) = {.file = {.fd = -1}};
    size_t found = 0;
    err_t *e = unwrap(job, &in);
    if (e && gate_is_the_message(e)) {
        gate_note(job, "spam report, not opened: %s", err_message(e));
        gate_reply(job, 550, "5.6.0", "the spam report can't be opened: %s", err_message(e));
        err_free(e);
        return NULL;
    }
    if (e) return e;
    if (job->env->direction == GATE_IN &&
        (!in.good || !gate_is_ours(job->gate, gate_message_from(&job->msg)))) {
        refuse_stranger(job);
        return NULL;
    }
    TRY(take_attached(job, in.there ? in.file.fd : job->env->fd,
                      in.there ? in.file.size : job->env->size, &found));
    gate_note(job, "spam report, %zu messages", found);
    if (!found)
        gate_reply(job, 550, "5.6.0", "a spam report is the message forwarded as attachment, %s",
                   job->msg.kind == GATE_BODY_ENCRYPTED ? "not encrypted" : "whole");
    return NULL;
}

err_t *gate_report(gate_job_t *job, bool *ret_taken) {
    const gate_envelope_t *env = job->env;
    const char *address = job->gate->options->report_address;
    size_t n = 0;
    if (!address || !job->gate->options->report_mailbox) return NULL;
    for (size_t i = 0; i < env->rcpts_n; i++)
        if (mime_address_eq(env->rcpts[i].address, bytes_str(address))) n++;
    if (!n) return NULL;
    *ret_taken = true;
    if (n < env->rcpts_n) gate_reply(job, 554, "5.5.3", "send spam reports to their address alone");
    else if (!gate_is_ours(job->gate, env->from))
        gate_reply(job, 550, "5.7.1", "spam reports are taken from our own people");
    else return take_report(job);
    return NULL;
}
