/*
 * The report for a sender, some of whose recipients were refused while others have the message.
 * See deliver_internal.h. Runs on a worker.
 */
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/mailgate/deliver_internal.h"
#include "smtp/address.h"
#include "smtp/report.h"

enum { HEADER_MAX = 32 * 1024, REPORT_MAX = 4 * 1024 * 1024, ID_BYTES = 12 };

/* The side whose next hop takes mail for the sender: out; or in, when that is no delivery agent
 * of mailboxes. */
static nexthop_t *way_back(const transaction_t *t) {
    const deliver_t *d = t->d;
    if (d->hops[SIDE_OUT]) return d->hops[SIDE_OUT];
    return d->hops[SIDE_IN] && !d->conf->sides[SIDE_IN].next.lmtp ? d->hops[SIDE_IN] : NULL;
}

static bool anybody_wants(const transaction_t *t) {
    const smtp_envelope_t *m = t->job->envelope;
    for (size_t i = 0; i < m->rcpts_n; i++)
        if (smtp_is_refused(&t->rcpts[i]) && smtp_report_wants(&m->rcpts[i])) return true;
    return false;
}

/* A stranger's sender may be forged: his own server, which still has the message, tells him. */
bool transaction_can_report(const transaction_t *t) {
    if (t->job->stranger && t->job->envelope->from.n && anybody_wants(t)) return false;
    return t->job->envelope->from.n == 0 || !anybody_wants(t) || way_back(t) != NULL;
}

typedef struct {
    bytes_t all;
    size_t at;
} memory_t;

static err_t *memory_read(void *arg, uint8_t *p, size_t max, size_t *ret_n) {
    memory_t *m = arg;
    bytes_t piece = bytes_slice(m->all, m->at, max);
    bytes_put(p, piece);
    m->at += piece.n;
    *ret_n = piece.n;
    return NULL;
}

static err_t *memory_rewind(void *arg) {
    memory_t *m = arg;
    m->at = 0;
    return NULL;
}

static err_t *read_header(const job_t *job, buf_t *out) {
    TRY(buf_reserve(out, HEADER_MAX));
    ssize_t n = pread(job->fd, out->p, HEADER_MAX, 0);
    if (n < 0) return err_errno(errno, "spool file");
    out->n = smtp_report_header(bytes_make(out->p, (size_t)n), HEADER_MAX);
    return NULL;
}

static err_t *write_report(transaction_t *t, const bool *relayed, buf_t *out) {
    CLEANUP(buf_done) buf_t header;
    CLEANUP(mem_free) char *id = NULL;
    uint8_t random[ID_BYTES];
    buf_init(&header, HEADER_MAX);
    TRY(rnd_fill(t->d->rnd, random, sizeof random));
    TRY(text_hex_new(BYTES_ARRAY(random), &id));
    TRY(read_header(t->job, &header));
    return smtp_report_write(&(smtp_report_t){.hostname = t->d->conf->hostname,
                                              .id = id,
                                              .unix_s = clk_unix(t->d->clk),
                                              .envelope = t->job->envelope,
                                              .statuses = t->rcpts,
                                              .relayed = relayed,
                                              .header = buf_bytes(&header)},
                             out);
}

/* NULL: the next hop has it, or nobody takes it. */
static err_t *send_report(transaction_t *t, const buf_t *text) {
    bytes_t to = t->job->envelope->from;
    bool utf8 = !smtp_is_ascii(to), dsn = false;
    memory_t content = {.all = buf_bytes(text)};
    const smtp_rcpt_t rcpt = {.address = to, .notify = SMTP_NOTIFY_NEVER};
    const smtp_mail_t mail = {.rcpts = &rcpt,
                              .rcpts_n = 1,
                              .smtputf8 = utf8,
                              .eightbit = utf8,
                              .size = text->n,
                              .read = memory_read,
                              .arg = &content};
    smtp_status_t status = {0};
    TRY(nexthop_deliver(way_back(t), &mail, memory_rewind, &status, &dsn));
    if (smtp_is_done(&status)) return NULL;
    if (!smtp_is_refused(&status))
        return err_new(ERR_UNAVAILABLE, "the next hop answered %u %s", status.code, status.text);
    log_line(t->d->log, LOG_WARNING, "nobody takes the report to <%.*s>: %u %s", (int)to.n,
             (const char *)to.p, status.code, status.text);
    return NULL;
}

err_t *transaction_report(transaction_t *t) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, REPORT_MAX);
    if (t->job->envelope->from.n == 0 || !anybody_wants(t))
        return NULL; /* RFC 5321 section 4.5.5 */
    TRY(write_report(t, NULL, &text));
    return send_report(t, &text);
}

err_t *transaction_relayed(transaction_t *t) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, REPORT_MAX);
    if (t->job->envelope->from.n == 0 || t->job->stranger || !way_back(t)) return NULL;
    TRY(write_report(t, t->relayed, &text));
    return send_report(t, &text);
}
