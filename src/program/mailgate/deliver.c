/*
 * Transactions: see deliver.h and docs/decisions (partial failure).
 *
 * A message may become several mails, and a next hop may take it for some recipients only. Who has
 * it is kept in the ledger, on disk, as soon as the answer for the sender is not simply "250 for
 * everybody": before the next mail of the same message, and before any answer that makes the
 * sender try again. On the next try they are left out.
 */
#include "program/mailgate/deliver.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "program/mailgate/deliver_internal.h"

enum { READ_CHUNK = 64 * 1024 };

void job_free(const gatespool_t *spool, job_t *job) {
    if (!job) return;
    smtp_envelope_free(job->envelope);
    gatespool_close(spool, &job->fd, &job->size);
    mem_free(job->statuses);
    mem_free(job->keys);
    mem_free(job->had);
    mem_free(job);
}

err_t *deliver_init(deliver_t *d) {
    return pthread_mutex_init(&d->lock, NULL) == 0 ? NULL : err_nomem();
}

void deliver_done(deliver_t *d) { (void)pthread_mutex_destroy(&d->lock); }

/* ---- keys ---- */

/* A run of bytes with its length, so that no two runs can be taken for other ones. */
static err_t *hash_run(digest_t *h, bytes_t run) {
    uint8_t n[8];
    for (int i = 0; i < 8; i++) n[i] = (uint8_t)((uint64_t)run.n >> 8 * i);
    TRY(digest_update(h, BYTES_ARRAY(n)));
    return run.n ? digest_update(h, run) : NULL;
}

static err_t *hash_content(digest_t *h, int fd) {
    CLEANUP(mem_free) uint8_t *chunk = mem_alloc(READ_CHUNK);
    off_t at = 0;
    if (!chunk) return err_nomem();
    for (;;) {
        ssize_t n = pread(fd, chunk, READ_CHUNK, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "spool file");
        if (n == 0) return NULL;
        TRY(digest_update(h, bytes_make(chunk, (size_t)n)));
        at += n;
    }
}

/* What stays the same when a sender tries again: sender, queue id, content. */
static err_t *key_message(const job_t *job, ledger_key_t *ret_key) {
    CLEANUP(digest_free) digest_t *h = NULL;
    uint8_t side = (uint8_t)job->side;
    TRY(digest_new(&h));
    TRY(digest_update(h, bytes_make(&side, 1)));
    TRY(hash_run(h, job->envelope->from));
    TRY(hash_run(h, job->envelope->forward[SMTP_FORWARD_IDENT]));
    TRY(hash_content(h, job->fd));
    return digest_final(h, ret_key->bytes);
}

/* `nth`: of several mails from one sender to one other mailbox. */
static err_t *key_rcpt(const transaction_t *t, const policy_mail_t *mail, const policy_rcpt_t *rcpt,
                       size_t nth, ledger_key_t *ret_key) {
    CLEANUP(digest_free) digest_t *h = NULL;
    uint8_t place = (uint8_t)(rcpt->index == POLICY_EXTRA ? nth + 1 : 0);
    TRY(digest_new(&h));
    TRY(digest_update(h, BYTES_ARRAY(t->job->key.bytes)));
    TRY(digest_update(h, bytes_make(&place, 1)));
    if (place) TRY(hash_run(h, mail->from));
    TRY(hash_run(h, rcpt->address));
    return digest_final(h, ret_key->bytes);
}

/* ---- one mail ---- */

typedef struct {
    int fd;
    off_t at;
} content_t;

static err_t *content_read(void *arg, uint8_t *p, size_t max, size_t *ret_n) {
    content_t *c = arg;
    if (fault_io()) return err_errno(EIO, "spool file");
    for (;;) {
        ssize_t n = pread(c->fd, p, max, c->at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "spool file");
        c->at += n;
        *ret_n = (size_t)n;
        return NULL;
    }
}

static err_t *content_rewind(void *arg) {
    content_t *c = arg;
    c->at = 0;
    return NULL;
}

/* An error of the way to the next hop as an answer: try again. */
static smtp_status_t status_of_error(const err_t *e) {
    char text[300];
    err_code_t code = err_code(e);
    (void)err_text(e, text, sizeof text);
    if (code == ERR_VERIFY)
        return smtp_status(454, "4.7.5", "The next hop can't be trusted: %s", text);
    if (code == ERR_FULL) return smtp_status(452, "4.3.1", "No room here, try again later");
    if (code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_INVALID)
        return smtp_status(451, "4.4.2", "Not delivered yet: %s", text);
    return smtp_status(451, "4.3.0", "Not delivered yet: %s", text);
}

static void settle(transaction_t *t, const policy_rcpt_t *rcpt, const smtp_status_t *status) {
    if (rcpt->index != POLICY_EXTRA) {
        t->rcpts[rcpt->index] = *status;
        return;
    }
    bool worse = !smtp_is_done(status) && (!t->extra.code || !smtp_is_refused(status));
    if (worse) t->extra = *status;
    if (!t->extra_only) return;
    for (size_t i = 0; i < t->job->envelope->rcpts_n; i++)
        if (!t->rcpts[i].code || smtp_is_done(&t->rcpts[i])) t->rcpts[i] = *status;
}

typedef struct {
    smtp_rcpt_t *rcpts;
    size_t *which; /* of the mail's */
    smtp_status_t *statuses;
    ledger_key_t *keys;
    size_t n;
} batch_t;

static void batch_done(batch_t *b) {
    mem_free(b->rcpts);
    mem_free(b->which);
    mem_free(b->statuses);
    mem_free(b->keys);
}
DEFINE_CLEANUP_VALUE(batch_t, batch_done)

/* Those who don't have it yet. */
static err_t *batch_fill(transaction_t *t, const policy_mail_t *mail, size_t nth, batch_t *b) {
    static const char again[] = "Delivered at an earlier try";
    b->rcpts = mem_array(mail->rcpts_n + 1, sizeof *b->rcpts);
    b->which = mem_array(mail->rcpts_n + 1, sizeof *b->which);
    b->statuses = mem_array(mail->rcpts_n + 1, sizeof *b->statuses);
    b->keys = mem_array(mail->rcpts_n + 1, sizeof *b->keys);
    if (!b->rcpts || !b->which || !b->statuses || !b->keys) return err_nomem();
    for (size_t i = 0; i < mail->rcpts_n; i++) {
        const policy_rcpt_t *r = &mail->rcpts[i];
        TRY(key_rcpt(t, mail, r, nth, &b->keys[b->n]));
        if (ledger_has(t->d->ledger, &b->keys[b->n])) {
            const smtp_status_t status = smtp_status(250, "2.0.0", again);
            settle(t, r, &status);
            t->had[t->had_n++] = b->keys[b->n];
            t->repeats++;
            continue;
        }
        if (r->index == POLICY_EXTRA) b->rcpts[b->n] = (smtp_rcpt_t){.notify = SMTP_NOTIFY_NEVER};
        else b->rcpts[b->n] = t->job->envelope->rcpts[r->index];
        b->rcpts[b->n].address = r->address;
        b->which[b->n++] = i;
    }
    return NULL;
}

/* What came of a batch: errors become statuses, successes keys. */
static void batch_settle(transaction_t *t, const policy_mail_t *mail, batch_t *b, const err_t *e) {
    const smtp_status_t failed = e ? status_of_error(e) : smtp_status(451, "4.3.0", "No answer");
    for (size_t i = 0; i < b->n; i++) {
        if (!b->statuses[i].code) b->statuses[i] = failed;
        settle(t, &mail->rcpts[b->which[i]], &b->statuses[i]);
        if (smtp_is_done(&b->statuses[i])) t->done[t->done_n++] = b->keys[i];
    }
}

/* Extra mails to one mailbox from one sender are told apart by their order. */
static size_t nth_of(const policy_outcome_t *o, size_t i) {
    size_t nth = 0;
    for (size_t k = 0; k < i; k++)
        if (bytes_eq(o->mails[k].from, o->mails[i].from)) nth++;
    return nth < 250 ? nth : 250;
}

/* Who asked to hear of success, and won't from there. */
static void note_relayed(transaction_t *t, const policy_mail_t *mail, const batch_t *b) {
    for (size_t i = 0; i < b->n; i++) {
        int index = mail->rcpts[b->which[i]].index;
        if (index == POLICY_EXTRA || !smtp_is_done(&b->statuses[i])) continue;
        if (b->rcpts[i].notify & SMTP_NOTIFY_SUCCESS) t->relayed[index] = true;
    }
}

static err_t *hand_on(transaction_t *t, const policy_mail_t *mail, batch_t *b) {
    const smtp_envelope_t *m = t->job->envelope;
    content_t content = {.fd = mail->fd};
    const smtp_mail_t out = {.from = mail->from,
                             .rcpts = b->rcpts,
                             .rcpts_n = b->n,
                             .ret = m->ret,
                             .envid = m->envid,
                             .smtputf8 = mail->smtputf8,
                             .eightbit = mail->eightbit,
                             .forward = m->forward,
                             .size = mail->size,
                             .read = content_read,
                             .arg = &content};
    bool dsn = true;
    err_t *e = nexthop_deliver(t->d->hops[t->job->side], &out, content_rewind, b->statuses, &dsn);
    if (!dsn) note_relayed(t, mail, b);
    return e;
}

static err_t *send_mail(transaction_t *t, policy_outcome_t *o, size_t i) {
    CLEANUP(batch_done) batch_t b = {0};
    const policy_mail_t *mail = &o->mails[i];
    err_t *e = NULL;
    TRY(batch_fill(t, mail, nth_of(o, i), &b));
    if (b.n == 0) return NULL;
    const smtp_status_t made = policy_make(o, i);
    if (smtp_is_done(&made)) e = hand_on(t, mail, &b);
    for (size_t k = 0; k < b.n && !smtp_is_done(&made); k++) b.statuses[k] = made;
    batch_settle(t, mail, &b, e);
    log_error(t->d->log, LOG_WARNING, e, "delivery to the next hop");
    return NULL;
}

/* ---- all mails ---- */

/* On disk before the next step. What can't be recorded may be sent twice: said loudly. */
static void record(transaction_t *t) {
    err_t *e = ledger_add(t->d->ledger, t->done, t->done_n);
    log_error(t->d->log, LOG_ERROR, e, "%zu recipients may get the message twice", t->done_n);
    for (size_t i = 0; i < t->done_n; i++) t->had[t->had_n++] = t->done[i];
    t->done_n = 0;
}

static err_t *make_room(transaction_t *t, const policy_outcome_t *o) {
    size_t extras = 0, total = 0;
    for (size_t i = 0; i < o->mails_n; i++)
        for (size_t k = 0; k < o->mails[i].rcpts_n; k++, total++)
            if (o->mails[i].rcpts[k].index == POLICY_EXTRA) extras++;
    t->extra_only = total > 0 && extras == total;
    t->room = total;
    t->had = mem_array(total + 1, sizeof *t->had);
    t->done = mem_array(total + 1, sizeof *t->done);
    if (!t->had || !t->done) return err_nomem();
    return total > 1 ? ledger_reserve(t->d->ledger, total + 1) : NULL;
}

/* In no mail: the same address again, or nothing was left to deliver to him. */
static void settle_left(transaction_t *t, size_t at) {
    const smtp_rcpt_t *rcpts = t->job->envelope->rcpts;
    t->rcpts[at] = smtp_status(250, "2.0.0", "Done");
    for (size_t i = 0; i < at; i++) {
        if (!bytes_eq(rcpts[i].address, rcpts[at].address)) continue;
        t->rcpts[at] = t->rcpts[i];
        return;
    }
}

static err_t *send_all(transaction_t *t, policy_outcome_t *o) {
    TRY(make_room(t, o));
    for (size_t i = 0; i < o->mails_n; i++) {
        TRY(send_mail(t, o, i));
        policy_drop(o, i);
        if (i + 1 < o->mails_n) record(t);
    }
    for (size_t i = 0; i < t->job->envelope->rcpts_n; i++)
        if (!t->rcpts[i].code) settle_left(t, i);
    return NULL;
}

/* ---- the answer ---- */

static err_t *answer_all(job_t *job, const smtp_status_t *status) {
    size_t n = job->lmtp ? job->envelope->rcpts_n : 1;
    mem_free(job->statuses);
    job->statuses = mem_array(n, sizeof *job->statuses);
    if (!job->statuses) return err_nomem();
    for (size_t i = 0; i < n; i++) job->statuses[i] = *status;
    job->statuses_n = n;
    return NULL;
}

typedef struct {
    size_t done, refused, deferred;
    size_t first_refused, first_deferred;
} tally_t;

static tally_t count(const transaction_t *t) {
    tally_t c = {0};
    for (size_t i = 0; i < t->job->envelope->rcpts_n; i++) {
        const smtp_status_t *s = &t->rcpts[i];
        if (smtp_is_done(s)) c.done++;
        else if (smtp_is_refused(s) && c.refused++ == 0) c.first_refused = i;
        else if (!smtp_is_refused(s) && c.deferred++ == 0) c.first_deferred = i;
    }
    return c;
}

/* About one recipient, named when there are others. */
static smtp_status_t about(const transaction_t *t, size_t i) {
    const smtp_status_t *s = &t->rcpts[i];
    bytes_t a = t->job->envelope->rcpts[i].address;
    if (t->job->envelope->rcpts_n == 1) return *s;
    return smtp_status(s->code, s->enhanced, "<%.*s>: %s", (int)a.n, (const char *)a.p, s->text);
}

/* One answer for all: the sender of SMTP hears only one. */
static err_t *answer_one(transaction_t *t, const tally_t *c) {
    job_t *job = t->job;
    if (c->deferred) {
        const smtp_status_t status = about(t, c->first_deferred);
        return answer_all(job, &status);
    }
    if (c->refused && (c->done == 0 || !transaction_can_report(t))) {
        const smtp_status_t status = about(t, c->first_refused);
        return answer_all(job, &status);
    }
    if (c->refused) {
        record(t); /* the report is one more mail of this message */
        err_t *e = transaction_report(t);
        if (e) {
            const smtp_status_t status = smtp_status(
                451, "4.3.0", "%zu recipients are refused and the report is not away", c->refused);
            log_error(t->d->log, LOG_WARNING, e, "report to the sender");
            return answer_all(job, &status);
        }
    }
    const smtp_status_t delivered = smtp_status(250, "2.0.0", "Delivered");
    return answer_all(job, smtp_is_done(&t->rcpts[0]) ? &t->rcpts[0] : &delivered);
}

static err_t *answer_each(transaction_t *t) {
    job_t *job = t->job;
    job->statuses = mem_array(job->envelope->rcpts_n, sizeof *job->statuses);
    if (!job->statuses) return err_nomem();
    job->statuses_n = job->envelope->rcpts_n;
    memcpy(job->statuses, t->rcpts, job->statuses_n * sizeof *job->statuses);
    return NULL;
}

static bool is_success(const job_t *job) {
    for (size_t i = 0; i < job->statuses_n; i++)
        if (!smtp_is_done(&job->statuses[i])) return false;
    return job->statuses_n > 0;
}

/* One more mail of this message. The recipients have theirs: its failure is no reason to try again.
 */
static void tell_relayed(transaction_t *t) {
    bool any = false;
    for (size_t i = 0; i < t->job->envelope->rcpts_n; i++) any = any || t->relayed[i];
    if (!any) return;
    record(t);
    log_error(t->d->log, LOG_WARNING, transaction_relayed(t), "report to the sender");
}

static err_t *answer(transaction_t *t) {
    job_t *job = t->job;
    tally_t c = count(t);
    tell_relayed(t);
    t->d->counters->delivered += c.done - (t->repeats < c.done ? t->repeats : c.done);
    t->d->counters->refused += c.refused;
    t->d->counters->deferred += c.deferred;
    t->d->counters->repeats += t->repeats;
    if (t->extra.code && !smtp_is_refused(&t->extra)) { /* another mailbox waits for its part */
        TRY(answer_all(job, &t->extra));
        record(t);
        return NULL;
    }
    if (t->extra.code)
        log_line(t->d->log, LOG_WARNING, "another mailbox refuses its mail: %u %s", t->extra.code,
                 t->extra.text);
    if (job->lmtp) TRY(answer_each(t));
    else TRY(answer_one(t, &c));
    if (!is_success(job) && !job->lmtp) record(t); /* the sender will try again, for everybody */
    return NULL;
}

/* What is delivered is final once the sender has heard of it; until then its keys stay at hand. */
static void hand_over_keys(transaction_t *t) {
    job_t *job = t->job;
    job->keys = STEAL(t->done);
    job->keys_n = t->done_n;
    if (!is_success(job)) return;
    job->had = STEAL(t->had);
    job->had_n = t->had_n;
}

/* ---- the whole ---- */

static void log_note(const deliver_t *d, const policy_outcome_t *o) {
    if (o->note[0]) log_line(d->log, LOG_INFO, "%s", o->note);
}

static err_t *transact(transaction_t *t) {
    CLEANUP(policy_outcome_done) policy_outcome_t o = {0};
    job_t *job = t->job;
    const policy_message_t message = {.side = job->side,
                                      .envelope = job->envelope,
                                      .fd = job->fd,
                                      .size = job->size,
                                      .eightbit = job->eightbit,
                                      .address = job->address};
    TRY(policy_run(t->d->policy, &message, &o));
    if (o.reply.code != 250) {
        log_note(t->d, &o);
        if (smtp_is_refused(&o.reply)) t->d->counters->refused += job->envelope->rcpts_n;
        else t->d->counters->deferred += job->envelope->rcpts_n;
        return answer_all(job, &o.reply);
    }
    t->rcpts = mem_array(job->envelope->rcpts_n, sizeof *t->rcpts);
    t->relayed = mem_array(job->envelope->rcpts_n, sizeof *t->relayed);
    if (!t->rcpts || !t->relayed) return err_nomem();
    err_t *e = send_all(t, &o);
    log_note(t->d, &o);
    if (!e) e = answer(t);
    if (!e) hand_over_keys(t);
    else if (t->done_n) record(t); /* a 4xx follows */
    return e;
}

/* The same message twice at once: its sender lost patience and tries again. */
static bool enter(deliver_t *d, const ledger_key_t *key) {
    bool good = true;
    (void)pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->in_flight_n && good; i++)
        good = memcmp(&d->in_flight[i], key, sizeof *key) != 0;
    if (d->in_flight_n == IN_FLIGHT_MAX) good = false;
    if (good) d->in_flight[d->in_flight_n++] = *key;
    (void)pthread_mutex_unlock(&d->lock);
    return good;
}

void deliver_hold(deliver_t *d, job_t *job) {
    if (!job->held) job->held = enter(d, &job->key);
}

void deliver_release(deliver_t *d, job_t *job) {
    if (!job->held) return;
    job->held = false;
    (void)pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->in_flight_n; i++) {
        if (memcmp(&d->in_flight[i], &job->key, sizeof job->key) != 0) continue;
        d->in_flight[i] = d->in_flight[--d->in_flight_n];
        break;
    }
    (void)pthread_mutex_unlock(&d->lock);
}

static void log_job(const deliver_t *d, const job_t *job) {
    const smtp_envelope_t *m = job->envelope;
    const smtp_status_t *s = job->statuses;
    if (!job->statuses_n) return;
    log_line(d->log, LOG_INFO,
             "message side=%s client=%s from=<%.*s> recipients=%zu size=%llu reply=%u %s %s",
             job->side == SIDE_OUT ? "out" : "in", job->address, (int)m->from.n,
             (const char *)m->from.p, m->rcpts_n, (unsigned long long)job->size, s->code,
             s->enhanced, s->text);
}

err_t *deliver_run(deliver_t *d, job_t *job) {
    transaction_t t = {.d = d, .job = job};
    err_t *e = key_message(job, &job->key);
    if (!e) deliver_hold(d, job);
    if (!e && !job->held) {
        const smtp_status_t busy =
            smtp_status(451, "4.3.0", "The same message is being delivered at this moment");
        e = answer_all(job, &busy);
    } else if (!e) {
        e = transact(&t);
    }
    mem_free(t.rcpts);
    mem_free(t.relayed);
    mem_free(t.had);
    mem_free(t.done);
    if (e) {
        const smtp_status_t failed = status_of_error(e);
        log_error(d->log, LOG_WARNING, e, "message of %s", job->address);
        TRY(answer_all(job, &failed));
    }
    log_job(d, job);
    return NULL;
}

void deliver_settle(deliver_t *d, job_t *job) {
    switch (job->task) {
    case JOB_DELIVER: return;
    case JOB_RECORD:
        log_error(d->log, LOG_ERROR, ledger_add(d->ledger, job->keys, job->keys_n),
                  "%zu recipients may get a message twice", job->keys_n);
        break;
    case JOB_FORGET:
        log_error(d->log, LOG_WARNING, ledger_forget(d->ledger, job->had, job->had_n), "ledger");
        break;
    }
    deliver_release(d, job);
}
