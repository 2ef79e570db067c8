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
    return gate_file_begin(r->job->gate, &r->file);
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

/* ---- what is inside a signature ---- */

static err_t *feed_reader(void *arg, bytes_t data) { return mail_reader_feed(arg, data); }

typedef struct {
    cert_list_t roots, intermediates;
    mail_reader_t *reader;
} inside_t;

static void inside_done(inside_t *i) {
    mail_reader_free(i->reader);
    cert_list_done(&i->roots);
    cert_list_done(&i->intermediates);
}
DEFINE_CLEANUP_VALUE(inside_t, inside_done)

static err_t *on_revoked(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked) {
    const gate_services_t *s = arg;
    return s->revoked(s->arg, cert, at, ret_revoked);
}

/* *ret_good: signed by whom it is from. */
static err_t *unwrap(gate_job_t *job, gate_file_t *file, bool *ret_good) {
    gate_services_t services = *job->gate->services;
    inside_t in CLEANUP(inside_done) = {.reader = NULL};
    TRY(services.trust(services.arg, gate_message_from(&job->msg), &in.roots, &in.intermediates));
    const mail_reader_handler_t handler = {.revoked = services.revoked ? on_revoked : NULL,
                                           .arg = &services};
    const mail_reader_options_t options = {.rnd = job->gate->options->rnd,
                                           .now = clk_unix(job->gate->options->clk),
                                           .roots = &in.roots,
                                           .intermediates = &in.intermediates,
                                           .keep = MAIL_KEEP_CONTENT,
                                           .max = job->gate->options->max,
                                           .at_arrival = true,
                                           .files = &job->gate->files};
    const mail_verdict_t *verdict;
    TRY(mail_reader_new(&handler, &options, &in.reader));
    TRY(gate_file_read(job->env->fd, 0, job->env->size, feed_reader, in.reader));
    TRY(mail_reader_finish(in.reader, &verdict));
    *ret_good = verdict->signatures_n && mail_status(verdict) == MAIL_GOOD;
    TRY(mail_reader_output(in.reader, gate_file_add, file));
    return gate_file_flush(file);
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

static err_t *take_report(gate_job_t *job) {
    report_t r = {.job = job, .file = {.fd = -1}};
    gate_file_t inside CLEANUP(gate_file_done) = {.fd = -1};
    int fd = job->env->fd;
    uint64_t size = job->env->size;
    bool good = false, is_signed = job->msg.kind == GATE_BODY_SIGNED && job->msg.smime;
    err_t *e = NULL;
    if (is_signed) {
        e = gate_file_begin(job->gate, &inside);
        if (!e) e = unwrap(job, &inside, &good);
        if (e) return e;
        fd = inside.fd;
        size = inside.size;
    }
    if (job->env->direction == GATE_IN &&
        (!good || !gate_is_ours(job->gate, gate_message_from(&job->msg)))) {
        refuse_stranger(job);
        return NULL;
    }
    buf_init_secret(&r.decoded, DECODED);
    e = walk(&r, fd, size);
    gate_file_done(&r.file);
    buf_done(&r.decoded);
    if (e) return e;
    gate_note(job, "spam report, %zu messages", r.found);
    if (!r.found)
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
