/*
 * Messages made anew: the header without what isn't to leave, our own fields on top, and around the
 * content the signature and envelope that were decided on.
 */
#include "base/limits.h"
#include "base/text.h"
#include "mail/gate_internal.h"

enum { HEADER = LIMIT_MIME_HEADER * 4 };

static bool is(const mime_field_t *f, const char *name) {
    return text_eq_fold(f->name, bytes_str(name));
}

static bool is_dropped(const gate_job_t *job, const gate_write_t *w, const mime_field_t *f) {
    const char *id = job->gate->options->authserv_id;
    if (w->sent && (is(f, "Bcc") || is(f, "Resent-Bcc"))) return true;
    if (w->sent && w->tag && w->tag->asked && (is(f, GATE_ASK_ENCRYPT) || is(f, GATE_ASK_SIGN)))
        return true;
    return w->strip_results && is(f, "Authentication-Results") && gate_results_claim(f->value, id);
}

static err_t *make_header(const gate_job_t *job, const gate_write_t *w, buf_t *out) {
    bool titled = false;
    TRY(buf_add(out, w->top));
    for (size_t i = 0; i < w->message->fields.n; i++) {
        const mime_field_t *f = &w->message->fields.at[i];
        if (is_dropped(job, w, f)) continue;
        if (w->tag && w->tag->retitle && is(f, "Subject")) {
            if (!titled) TRY(buf_add(out, buf_bytes(&w->tag->subject)));
            titled = true;
            continue;
        }
        TRY(buf_add(out, f->whole));
        if (out->p[out->n - 1] != '\n') TRY(buf_add_str(out, "\r\n"));
    }
    return buf_add_str(out, "\r\n");
}

/* ---- signed elsewhere ---- */

typedef struct {
    const gate_job_t *job;
    bytes_t signer;
} by_t;

static err_t *on_sign(void *arg, bytes_t sha256, buf_t *out) {
    const by_t *by = arg;
    const gate_services_t *s = by->job->gate->services;
    bool found = false;
    TRY(s->sign(s->arg, by->signer, sha256, out, &found));
    return found ? NULL : err_new(ERR_UNAVAILABLE, "the signing key went away");
}

/* RFC 9788: under the signature, and what policy hides out of sight. */
static mail_headers_t protection(const gate_write_t *w) {
    if (!w->sent || !gate_is(w->rule, GATE_PROTECT)) return MAIL_HEADERS_BARE;
    return gate_is(w->rule, GATE_HIDE_SUBJECT) ? MAIL_HEADERS_BASELINE : MAIL_HEADERS_OPEN;
}

static err_t *feed(void *arg, bytes_t data) { return mail_writer_feed(arg, data); }

/* The message lies in the spool already: it is read twice instead of being kept. */
typedef struct {
    const gate_write_t *write;
    bytes_t header;
} source_t;

static err_t *read_source(void *arg, err_t *(*each)(void *arg, bytes_t data), void *each_arg) {
    const source_t *s = arg;
    TRY(each(each_arg, s->header));
    return gate_file_read(s->write->fd, s->write->message->body, s->write->message->size, each,
                          each_arg);
}

static err_t *write_cms(gate_job_t *job, const gate_write_t *w, bytes_t header, gate_file_t *file) {
    by_t by = {job, w->signer};
    source_t source = {w, header};
    const mail_write_options_t options = {
        .rnd = job->gate->options->rnd,
        .now = clk_unix(job->gate->options->clk),
        .max = w->message->size + HEADER,
        .files = &job->files,
        .again = read_source,
        .again_arg = &source,
        .headers = protection(w),
        .legacy_display = true,
        .sign = w->signer.n ? on_sign : NULL,
        .sign_arg = &by,
        .recipients = w->recipients,
        .encryption = w->encryption,
    };
    mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
    TRY(mail_writer_new(&options, &writer));
    TRY(read_source(&source, feed, writer));
    return mail_writer_finish(writer, gate_file_add, file);
}

err_t *gate_write(gate_job_t *job, const gate_write_t *w, gate_mail_t *mail) {
    gate_file_t file CLEANUP(gate_file_done) = {.fd = -1};
    CLEANUP(buf_done) buf_t header;
    buf_init_secret(&header, HEADER);
    TRY(make_header(job, w, &header));
    TRY(gate_file_begin(job, &file));
    if (w->recipients || w->signer.n) {
        TRY(write_cms(job, w, buf_bytes(&header), &file));
    } else {
        TRY(gate_file_add(&file, buf_bytes(&header)));
        TRY(gate_file_read(w->fd, w->message->body, w->message->size, gate_file_add, &file));
    }
    return gate_file_end(&file, job, mail);
}

/* ---- later ---- */

static err_t *keep_certs(gate_job_t *job, const cert_list_t *list, const cert_list_t **ret_kept) {
    gate_certs_t *certs = NULL;
    if (!list) return NULL;
    TRY(arena_alloc(job->arena, sizeof *certs, &certs));
    certs->next = job->certs;
    job->certs = certs;
    for (size_t i = 0; i < list->n; i++) TRY(cert_list_add(&certs->list, list->certs[i]));
    *ret_kept = &certs->list;
    return NULL;
}

err_t *gate_write_later(gate_job_t *job, const gate_write_t *w, gate_mail_t *mail) {
    gate_write_t *kept = NULL;
    gate_rule_t *rule = NULL;
    TRY(arena_alloc(job->arena, sizeof *kept, &kept));
    TRY(arena_alloc(job->arena, sizeof *rule, &rule));
    *kept = *w;
    *rule = *w->rule;
    kept->rule = rule;
    TRY(arena_copy(job->arena, w->top, &kept->top));
    TRY(keep_certs(job, w->recipients, &kept->recipients));
    mail->smtputf8 = job->env->smtputf8;
    mail->write = kept;
    return NULL;
}
