/*
 * The reader: see reader.h.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/headers.h"
#include "mail/layer_internal.h"

enum { ARENA = 64 * 1024 * 1024, DECODED = 192 * 1024, DATE_APART_S = 3600 };

err_t *mail_reader_new(const mail_reader_handler_t *handler, const mail_reader_options_t *options,
                       mail_reader_t **ret_reader) {
    mail_reader_t *r CLEANUP(mail_reader_free) = mem_zalloc(sizeof *r);
    if (!r) return err_nomem();
    r->handler = handler;
    r->options = options;
    buf_init(&r->header, LIMIT_MIME_HEADER);
    buf_init(&r->payload_header, (size_t)LIMIT_MIME_HEADER * 2);
    buf_init(&r->payload_type, (size_t)LIMIT_MIME_HEADER * 2);
    buf_init_secret(&r->decoded, DECODED);
    TRY(arena_new(ARENA, &r->verdict.arena));
    if (options->keep != MAIL_KEEP_NOTHING)
        TRY(spool_new(options->rnd, options->max, options->files, &r->spool));
    TRY(layer_new(r, NULL, "", &r->first));
    *ret_reader = STEAL(r);
    return NULL;
}

void mail_reader_free(mail_reader_t *r) {
    if (!r) return;
    layer_free(r->first);
    spool_free(r->spool);
    mail_verdict_done(&r->verdict);
    buf_done(&r->header);
    buf_done(&r->payload_header);
    buf_done(&r->payload_type);
    buf_done(&r->decoded);
    mem_free(r);
}

err_t *mail_reader_feed(mail_reader_t *r, bytes_t data) { return layer_feed(r->first, data); }

/* Whoever signs an envelope need not know what is inside. */
static void note_ciphertext(mail_verdict_t *v) {
    for (size_t i = 0; i < v->signatures_n; i++)
        if (mail_signs_ciphertext(v, &v->signatures[i])) v->problems[MAIL_SIGNED_CIPHERTEXT] = true;
}

/* CBC without a signature inside says nothing about who wrote it or what was altered. */
static void note_integrity(mail_verdict_t *v) {
    for (size_t i = 0; i < v->envelopes_n; i++) {
        bool inside = false;
        const char *path = v->envelopes[i].path;
        size_t n = strlen(path);
        for (size_t k = 0; k < v->signatures_n; k++)
            if (strncmp(v->signatures[k].path, path, n) == 0 && v->signatures[k].path[n] == '/')
                inside = true;
        if (v->envelopes[i].envelope.integrity == CMS_INTEGRITY_NONE && !inside)
            v->problems[MAIL_NO_INTEGRITY] = true;
    }
}

/* Somebody may send a signed message again, under another date, unless the date is signed too. */
static void note_dates(mail_verdict_t *v) {
    for (size_t i = 0; i < v->headers_n; i++) {
        const mail_header_t *h = &v->headers[i];
        if (h->protected && text_eq_fold(h->name, BYTES_LIT("date")) && !h->differs) return;
    }
    for (size_t i = 0; i < v->signatures_n && v->has_date; i++) {
        const mail_signature_t *s = &v->signatures[i];
        for (size_t k = 0; k < s->signers.n && s->root; k++) {
            int64_t apart = s->signers.at[k].time - v->date;
            bool far = apart > DATE_APART_S || apart < -DATE_APART_S;
            if (s->signers.at[k].has_time && s->judged[k].match == MAIL_MATCH_FROM && far)
                v->problems[MAIL_DATE_DIFFERS] = true;
        }
    }
}

err_t *mail_reader_finish(mail_reader_t *r, const mail_verdict_t **ret_verdict) {
    TRY(layer_finish(r->first));
    if (r->no_mime) return mail_undecryptable();
    note_integrity(&r->verdict);
    note_ciphertext(&r->verdict);
    note_dates(&r->verdict);
    r->finished = true;
    *ret_verdict = &r->verdict;
    return NULL;
}

/* What is kept, without its first bytes. */
typedef struct {
    err_t *(*each)(void *arg, bytes_t data);
    void *arg;
    uint64_t skip;
} kept_t;

static err_t *on_kept(void *arg, bytes_t data) {
    kept_t *k = arg;
    uint64_t n = k->skip < data.n ? k->skip : data.n;
    k->skip -= n;
    data = bytes_from(data, (size_t)n);
    return data.n ? k->each(k->arg, data) : NULL;
}

err_t *mail_reader_output(mail_reader_t *r, err_t *(*each)(void *arg, bytes_t data), void *arg) {
    if (!r->finished) return err_new(ERR_USAGE, "output before the verdict");
    if (!r->spool || !r->kept) return err_new(ERR_NOT_FOUND, "nothing was kept of the message");
    kept_t kept = {each, arg, 0};
    TRY(headers_output(r, each, arg, &kept.skip));
    return spool_read(r->spool, on_kept, &kept);
}
