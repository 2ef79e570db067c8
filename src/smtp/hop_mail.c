/*
 * Next hops: one mail. See hop.h. Commands go in groups of at most GROUP (RFC 2920), so that
 * neither side waits for the other with full buffers; without PIPELINING in groups of one.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "smtp/address.h"
#include "smtp/data.h"
#include "smtp/hop_internal.h"

enum { GROUP = 50, ROOM = SMTP_HOP_CHUNK * 2 - 4096 };

typedef struct {
    smtp_hop_t *hop;
    const smtp_mail_t *mail;
    smtp_status_t *statuses;
    bool *begun;
    smtp_status_t mail_status; /* of MAIL; code 0: not yet answered */
    bool data_sent;            /* DATA went with the last group */
    size_t accepted;
    bool content; /* sending it has begun: a 250 is now final */
} delivery_t;

static void all(delivery_t *d, const smtp_status_t *status) {
    for (size_t i = 0; i < d->mail->rcpts_n; i++) d->statuses[i] = *status;
}

static bool is_known(bytes_t value) { return value.n && !bytes_eq_str(value, "[UNAVAILABLE]"); }

/* What the next hop can't take at all: RFC 6531 section 3.1, RFC 6152 section 3, RFC 1870. */
static bool refuse(delivery_t *d) {
    const smtp_hop_t *hop = d->hop;
    const smtp_mail_t *m = d->mail;
    bool utf8 = !smtp_is_ascii(m->from) || (m->smtputf8 && m->eightbit);
    for (size_t i = 0; i < m->rcpts_n && !utf8; i++) utf8 = !smtp_is_ascii(m->rcpts[i].address);
    smtp_status_t why = {0};
    if (utf8 && !hop->smtputf8)
        why = smtp_status(553, "5.6.7", "The next hop does not take internationalized mail");
    else if (m->eightbit && !hop->eightbit)
        why = smtp_status(554, "5.6.3", "The next hop does not take 8-bit messages");
    else if (hop->size && m->size > hop->size)
        why = smtp_status(552, "5.3.4", "The next hop takes at most %llu bytes",
                          (unsigned long long)hop->size);
    if (!why.code) return false;
    all(d, &why);
    return true;
}

/* ---- commands ---- */

static err_t *add_forward(delivery_t *d, unsigned *ret_commands) {
    smtp_hop_t *hop = d->hop;
    bool any = false;
    for (unsigned i = 0; d->mail->forward && i < SMTP_FORWARDS; i++) {
        bytes_t value = d->mail->forward[i];
        if (!(hop->forwards & 1U << i) || !is_known(value)) continue;
        TRY(buf_printf(&hop->out, "%s %s=%.*s", any ? "" : "XFORWARD",
                       smtp_forward_name((smtp_forward_t)i), (int)value.n, (const char *)value.p));
        any = true;
    }
    if (!any) return NULL;
    ++*ret_commands;
    return buf_add_str(&hop->out, "\r\n");
}

static err_t *add_mail(delivery_t *d) {
    const smtp_mail_t *m = d->mail;
    smtp_hop_t *hop = d->hop;
    buf_t *out = &hop->out;
    TRY(buf_printf(out, "MAIL FROM:<%.*s>", (int)m->from.n, (const char *)m->from.p));
    if (hop->has_size) TRY(buf_printf(out, " SIZE=%llu", (unsigned long long)m->size));
    if (m->eightbit) TRY(buf_add_str(out, " BODY=8BITMIME"));
    if (m->smtputf8 && hop->smtputf8) TRY(buf_add_str(out, " SMTPUTF8"));
    if (hop->dsn && m->ret != SMTP_RET_NONE)
        TRY(buf_add_str(out, m->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS"));
    if (hop->dsn && m->envid.n)
        TRY(buf_printf(out, " ENVID=%.*s", (int)m->envid.n, (const char *)m->envid.p));
    return buf_add_str(out, "\r\n");
}

static err_t *add_notify(unsigned notify, buf_t *out) {
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *before = " NOTIFY=";
    for (unsigned i = 0; i < 4; i++) {
        if (!(notify & 1U << i)) continue;
        TRY(buf_add_str(out, before));
        TRY(buf_add_str(out, names[i]));
        before = ",";
    }
    return NULL;
}

static err_t *add_rcpt(delivery_t *d, const smtp_rcpt_t *rcpt) {
    buf_t *out = &d->hop->out;
    TRY(buf_printf(out, "RCPT TO:<%.*s>", (int)rcpt->address.n, (const char *)rcpt->address.p));
    if (d->hop->dsn) {
        TRY(add_notify(rcpt->notify, out));
        if (rcpt->orcpt.n)
            TRY(buf_printf(out, " ORCPT=%.*s", (int)rcpt->orcpt.n, (const char *)rcpt->orcpt.p));
    }
    return buf_add_str(out, "\r\n");
}

/* ---- replies ---- */

static err_t *next_reply(delivery_t *d, int timeout_ms) {
    TRY(smtp_hop_reply(d->hop, timeout_ms));
    *d->begun = true;
    return NULL;
}

static err_t *on_mail_reply(delivery_t *d) {
    TRY(next_reply(d, d->hop->config->command_ms));
    if (d->hop->reply.code == 421)
        return err_new(ERR_UNAVAILABLE, "the next hop closes the connection");
    d->mail_status = smtp_reply_status(&d->hop->reply);
    if (d->mail_status.code / 100 == 3) return err_new(ERR_INVALID, "MAIL was answered 3xx");
    return NULL;
}

static err_t *on_rcpt_reply(delivery_t *d, size_t i) {
    TRY(next_reply(d, d->hop->config->command_ms));
    smtp_status_t status = smtp_reply_status(&d->hop->reply);
    if (status.code == 421) return err_new(ERR_UNAVAILABLE, "the next hop closes the connection");
    if (status.code / 100 == 3) return err_new(ERR_INVALID, "RCPT was answered 3xx");
    if (smtp_is_done(&d->mail_status) && smtp_is_done(&status)) d->accepted++;
    d->statuses[i] = smtp_is_done(&d->mail_status) ? status : d->mail_status;
    return NULL;
}

/* MAIL, the recipients, and if all fits into one group DATA. */
static err_t *send_envelope(delivery_t *d) {
    smtp_hop_t *hop = d->hop;
    size_t sent = 0, answered = 0, group = hop->pipelining ? GROUP : 1;
    unsigned forwards = 0;
    TRY(add_forward(d, &forwards));
    if (forwards) { /* a group of its own: a refusal of it matters to nobody */
        TRY(smtp_hop_flush(hop));
        TRY(next_reply(d, hop->config->command_ms));
    }
    TRY(add_mail(d));
    if (!hop->pipelining) {
        TRY(smtp_hop_flush(hop));
        TRY(on_mail_reply(d));
    }
    while (answered < d->mail->rcpts_n) {
        if (!hop->pipelining && !smtp_is_done(&d->mail_status)) break;
        while (sent < d->mail->rcpts_n && sent - answered < group)
            TRY(add_rcpt(d, &d->mail->rcpts[sent++]));
        if (hop->pipelining && sent == d->mail->rcpts_n && answered == 0) {
            TRY(buf_add_str(&hop->out, "DATA\r\n"));
            d->data_sent = true;
        }
        TRY(smtp_hop_flush(hop));
        if (!d->mail_status.code) TRY(on_mail_reply(d));
        while (answered < sent) TRY(on_rcpt_reply(d, answered++));
    }
    if (!smtp_is_done(&d->mail_status)) all(d, &d->mail_status);
    return NULL;
}

/* The recipients who were accepted share one fate. */
static void accepted_are(delivery_t *d, const smtp_status_t *status) {
    for (size_t i = 0; i < d->mail->rcpts_n; i++)
        if (smtp_is_done(&d->statuses[i])) d->statuses[i] = *status;
}

static err_t *rewind_envelope(delivery_t *d) {
    TRY(buf_add_str(&d->hop->out, "RSET\r\n"));
    TRY(smtp_hop_flush(d->hop));
    return next_reply(d, d->hop->config->command_ms);
}

/* Nobody is left. If DATA went along it may have been taken: then nothing is what we send. */
static err_t *abandon(delivery_t *d) {
    if (!d->data_sent) return rewind_envelope(d);
    TRY(next_reply(d, d->hop->config->command_ms));
    if (d->hop->reply.code != 354) return rewind_envelope(d);
    TRY(buf_add_str(&d->hop->out, ".\r\n"));
    TRY(smtp_hop_flush(d->hop));
    return next_reply(d, d->hop->config->delivery_ms);
}

static err_t *send_content(delivery_t *d) {
    smtp_hop_t *hop = d->hop;
    smtp_dot_t dot = {0};
    CLEANUP(mem_free) uint8_t *chunk = mem_alloc(SMTP_HOP_CHUNK / 2);
    if (!chunk) return err_nomem();
    for (;;) {
        size_t n = 0;
        TRY_WRAP(d->mail->read(d->mail->arg, chunk, SMTP_HOP_CHUNK / 2, &n), "spooled message");
        if (n == 0) break;
        TRY(smtp_dot_add(&dot, bytes_make(chunk, n), &hop->out));
        if (hop->out.n >= SMTP_HOP_CHUNK) TRY(smtp_hop_flush(hop));
    }
    TRY(smtp_dot_end(&dot, &hop->out));
    return smtp_hop_flush(hop);
}

/* One reply, or in LMTP one a recipient that was accepted. What was accepted counts as nothing
 * said until then. */
static err_t *take_verdicts(delivery_t *d) {
    for (size_t i = 0; i < d->mail->rcpts_n; i++) {
        if (d->statuses[i].code != 0) continue;
        TRY(next_reply(d, d->hop->config->delivery_ms));
        smtp_status_t status = smtp_reply_status(&d->hop->reply);
        if (status.code / 100 == 3) return err_new(ERR_INVALID, "the message was answered 3xx");
        if (d->hop->config->lmtp) {
            d->statuses[i] = status;
            continue;
        }
        for (size_t k = i; k < d->mail->rcpts_n; k++)
            if (d->statuses[k].code == 0) d->statuses[k] = status;
    }
    return NULL;
}

static err_t *deliver(delivery_t *d) {
    smtp_hop_t *hop = d->hop;
    const smtp_status_t unsaid = {0};
    TRY(send_envelope(d));
    if (d->accepted == 0) return abandon(d);
    if (!d->data_sent) {
        TRY(buf_add_str(&hop->out, "DATA\r\n"));
        TRY(smtp_hop_flush(hop));
    }
    TRY(next_reply(d, hop->config->command_ms));
    if (hop->reply.code != 354) {
        smtp_status_t status = smtp_reply_status(&hop->reply);
        if (status.code / 100 < 4) return err_new(ERR_INVALID, "DATA was answered %u", status.code);
        accepted_are(d, &status);
        return status.code == 421 ? err_new(ERR_UNAVAILABLE, "the next hop closes the connection")
                                  : rewind_envelope(d);
    }
    accepted_are(d, &unsaid);
    d->content = true;
    TRY(send_content(d));
    return take_verdicts(d);
}

err_t *smtp_hop_deliver(smtp_hop_t *hop, const smtp_mail_t *mail, smtp_status_t *statuses,
                        bool *ret_begun) {
    delivery_t d = {.hop = hop, .mail = mail, .statuses = statuses, .begun = ret_begun};
    const smtp_status_t unsaid = {0};
    *ret_begun = false;
    all(&d, &unsaid);
    if (refuse(&d)) {
        *ret_begun = true;
        return NULL;
    }
    err_t *e = deliver(&d);
    if (!e) return NULL;
    hop->usable = false;
    buf_clear(&hop->out);
    if (!d.content) accepted_are(&d, &unsaid); /* to RCPT 250 is no delivery */
    return e;
}
