/*
 * Sessions: what each command means in its place. See session.h.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "smtp/address.h"
#include "smtp/session_internal.h"

static err_t *say_hello(smtp_session_t *s, const smtp_command_t *c, buf_t *out) {
    bool extended = c->verb != SMTP_HELO;
    if (c->argument.n == 0) return smtp_scold(s, out, 501, "5.5.4", "Say who you are");
    smtp_session_reset(s);
    s->greeted = true;
    s->esmtp = extended;
    s->lmtp = c->verb == SMTP_LHLO;
    if (!extended) return buf_printf(out, "250 %s\r\n", s->server->hostname);
    TRY(buf_printf(out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n",
                   s->server->hostname, (unsigned long long)s->server->max_message));
    if (s->server->starttls && !s->tls) TRY(buf_add_str(out, "250-STARTTLS\r\n"));
    if (s->server->dsn) TRY(buf_add_str(out, "250-DSN\r\n"));
    if (s->may_forward)
        TRY(buf_add_str(out, "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n"));
    return buf_add_str(out, "250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n");
}

static err_t *need_envelope(smtp_session_t *s) {
    return s->envelope ? NULL : smtp_envelope_new(&s->envelope);
}

/* A refusal for the client, or *ret_bad false. */
typedef struct {
    bool bad;
    smtp_status_t status;
} verdict_t;

#define REFUSE(code, enhanced, ...)                                                                \
    (*verdict = (verdict_t){true, smtp_status((code), (enhanced), __VA_ARGS__)}, (err_t *)NULL)

static bool is(bytes_t text, const char *name) { return text_eq_fold(text, bytes_str(name)); }

static err_t *mail_size(smtp_session_t *s, const smtp_parameter_t *p, verdict_t *verdict) {
    err_t *e = text_u64(p->value, UINT64_MAX >> 1, &s->envelope->size);
    if (e) {
        err_free(e);
        return REFUSE(501, "5.5.4", "SIZE is a number");
    }
    if (s->envelope->size > s->server->max_message)
        return REFUSE(552, "5.3.4", "The message is larger than %llu bytes",
                      (unsigned long long)s->server->max_message);
    return NULL;
}

static err_t *mail_parameter(smtp_session_t *s, const smtp_parameter_t *p, verdict_t *verdict) {
    smtp_envelope_t *m = s->envelope;
    if (is(p->name, "SIZE")) return mail_size(s, p, verdict);
    if (is(p->name, "BODY")) {
        m->eightbit = is(p->value, "8BITMIME");
        if (!m->eightbit && !is(p->value, "7BIT"))
            return REFUSE(501, "5.5.4", "BODY is 7BIT or 8BITMIME");
        return NULL;
    }
    if (is(p->name, "SMTPUTF8") && !p->has_value) {
        m->smtputf8 = true;
        return NULL;
    }
    if (is(p->name, "RET") && s->server->dsn) {
        m->ret = is(p->value, "FULL") ? SMTP_RET_FULL : SMTP_RET_HDRS;
        if (m->ret == SMTP_RET_HDRS && !is(p->value, "HDRS"))
            return REFUSE(501, "5.5.4", "RET is FULL or HDRS");
        return NULL;
    }
    if (is(p->name, "ENVID") && s->server->dsn) {
        if (p->value.n > LIMIT_SMTP_ENVID || !smtp_xtext_valid(p->value) || !p->value.n)
            return REFUSE(501, "5.5.4", "ENVID is xtext of at most %d bytes", LIMIT_SMTP_ENVID);
        return arena_copy(m->arena, p->value, &m->envid);
    }
    return REFUSE(555, "5.5.4", "A parameter of MAIL is not known here");
}

static err_t *begin_mail(smtp_session_t *s, const smtp_command_t *c, verdict_t *verdict) {
    TRY(need_envelope(s));
    smtp_envelope_t *m = s->envelope;
    for (size_t i = 0; i < c->parameters_n && !verdict->bad; i++)
        TRY(mail_parameter(s, &c->parameters[i], verdict));
    if (verdict->bad) return NULL;
    if (c->address.n && !smtp_mailbox_valid(c->address))
        return REFUSE(501, "5.1.7", "The sender's address is malformed");
    if (!smtp_is_ascii(c->address) && !m->smtputf8)
        return REFUSE(553, "5.6.7", "The address needs SMTPUTF8");
    TRY(arena_copy(m->arena, c->address, &m->from));
    m->has_from = true;
    return NULL;
}

static err_t *on_mail(smtp_session_t *s, const smtp_command_t *c, buf_t *out) {
    verdict_t verdict = {0};
    if (!s->greeted) return smtp_scold(s, out, 503, "5.5.1", "Say EHLO first");
    if (s->server->tls_required && !s->tls)
        return smtp_scold(s, out, 530, "5.7.0", "Say STARTTLS first");
    if (s->envelope && s->envelope->has_from)
        return smtp_scold(s, out, 503, "5.5.1", "There is a sender already");
    TRY(begin_mail(s, c, &verdict));
    if (!verdict.bad) return smtp_say(out, 250, "2.1.0", "Ok");
    s->errors++;
    smtp_session_reset(s);
    return smtp_say_status(out, &verdict.status);
}

static err_t *rcpt_notify(bytes_t value, smtp_rcpt_t *rcpt, verdict_t *verdict) {
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    bytes_t word = BYTES_NONE;
    while (text_split(&value, ',', &word)) {
        unsigned bit = 0;
        for (unsigned i = 0; i < 4; i++)
            if (is(word, names[i])) bit = 1U << i;
        if (!bit || rcpt->notify & bit)
            return REFUSE(501, "5.5.4", "NOTIFY is NEVER, or some of SUCCESS, FAILURE, DELAY");
        rcpt->notify |= bit;
    }
    if ((rcpt->notify & SMTP_NOTIFY_NEVER) && rcpt->notify != SMTP_NOTIFY_NEVER)
        return REFUSE(501, "5.5.4", "NOTIFY=NEVER stands alone");
    return NULL;
}

static err_t *rcpt_parameter(smtp_session_t *s, const smtp_parameter_t *p, smtp_rcpt_t *rcpt,
                             verdict_t *verdict) {
    if (is(p->name, "NOTIFY") && s->server->dsn && p->has_value)
        return rcpt_notify(p->value, rcpt, verdict);
    if (is(p->name, "ORCPT") && s->server->dsn) {
        size_t semicolon = bytes_find(p->value, ';');
        if (semicolon == 0 || semicolon + 1 >= p->value.n || p->value.n > LIMIT_SMTP_XTEXT ||
            (!smtp_xtext_valid(bytes_from(p->value, semicolon + 1)) && !s->envelope->smtputf8))
            return REFUSE(501, "5.5.4", "ORCPT is written rfc822;xtext");
        rcpt->orcpt = p->value;
        return NULL;
    }
    return REFUSE(555, "5.5.4", "A parameter of RCPT is not known here");
}

static err_t *add_recipient(smtp_session_t *s, const smtp_command_t *c, verdict_t *verdict) {
    smtp_rcpt_t rcpt = {.address = c->address};
    for (size_t i = 0; i < c->parameters_n && !verdict->bad; i++)
        TRY(rcpt_parameter(s, &c->parameters[i], &rcpt, verdict));
    if (verdict->bad) return NULL;
    if (!smtp_mailbox_valid(rcpt.address) && !is(rcpt.address, "postmaster"))
        return REFUSE(501, "5.1.3", "The recipient's address is malformed");
    if (!smtp_is_ascii(rcpt.address) && !s->envelope->smtputf8)
        return REFUSE(553, "5.6.7", "The address needs SMTPUTF8");
    if (s->server->accepts && !s->server->accepts(s->server->arg, rcpt.address, &verdict->status)) {
        verdict->bad = true;
        return NULL;
    }
    if (s->envelope->rcpts_n >= s->server->max_recipients)
        return REFUSE(452, "4.5.3", "More than %zu recipients", s->server->max_recipients);
    err_t *e = smtp_envelope_add(s->envelope, &rcpt);
    if (!e || err_code(e) != ERR_LIMIT) return e;
    err_free(e);
    return REFUSE(452, "4.5.3", "Too many recipients");
}

static err_t *on_rcpt(smtp_session_t *s, const smtp_command_t *c, buf_t *out) {
    verdict_t verdict = {0};
    if (!s->envelope || !s->envelope->has_from)
        return smtp_scold(s, out, 503, "5.5.1", "Say MAIL first");
    TRY(add_recipient(s, c, &verdict));
    if (!verdict.bad) return smtp_say(out, 250, "2.1.5", "Ok");
    if (verdict.status.code != 452) s->errors++;
    return smtp_say_status(out, &verdict.status);
}

static err_t *on_data(smtp_session_t *s, const smtp_command_t *c, buf_t *out) {
    if (c->argument.n) return smtp_scold(s, out, 501, "5.5.4", "DATA has no argument");
    if (!s->envelope || !s->envelope->has_from)
        return smtp_scold(s, out, 503, "5.5.1", "Say MAIL first");
    if (s->envelope->rcpts_n == 0) return smtp_scold(s, out, 554, "5.5.1", "No recipient is left");
    err_t *e = s->sink->begin(s->conn, s->envelope->size);
    if (e) {
        smtp_status_t why = smtp_status_of(e);
        err_free(e);
        return smtp_say_status(out, &why);
    }
    s->in_data = true;
    smtp_undot_init(&s->undot);
    return buf_add_str(out, "354 End with CR LF . CR LF\r\n");
}

static err_t *forward_attribute(smtp_session_t *s, const smtp_parameter_t *p, verdict_t *verdict) {
    for (unsigned i = 0; i < SMTP_FORWARDS; i++) {
        if (!is(p->name, smtp_forward_name((smtp_forward_t)i))) continue;
        if (p->value.n > LIMIT_SMTP_FORWARD || !smtp_xtext_valid(p->value)) break;
        return arena_copy(s->envelope->arena, p->value, &s->envelope->forward[i]);
    }
    return REFUSE(501, "5.5.4", "An attribute of XFORWARD is not understood");
}

static err_t *on_forward(smtp_session_t *s, const smtp_command_t *c, buf_t *out) {
    verdict_t verdict = {0};
    if (!s->may_forward) return smtp_scold(s, out, 550, "5.7.1", "You may not say XFORWARD");
    if (!s->greeted) return smtp_scold(s, out, 503, "5.5.1", "Say EHLO first");
    if (s->envelope && s->envelope->has_from)
        return smtp_scold(s, out, 503, "5.5.1", "XFORWARD comes before MAIL");
    if (c->parameters_n == 0) return smtp_scold(s, out, 501, "5.5.4", "Say what is forwarded");
    TRY(need_envelope(s));
    for (size_t i = 0; i < c->parameters_n && !verdict.bad; i++)
        TRY(forward_attribute(s, &c->parameters[i], &verdict));
    if (!verdict.bad) return smtp_say(out, 250, "2.0.0", "Ok");
    s->errors++;
    return smtp_say_status(out, &verdict.status);
}

static err_t *on_starttls(smtp_session_t *s, const smtp_command_t *c, buf_t *out,
                          smtp_event_t *ret_event) {
    if (c->argument.n) return smtp_scold(s, out, 501, "5.5.4", "STARTTLS has no argument");
    if (!s->server->starttls || s->tls)
        return smtp_scold(s, out, 503, "5.5.1", "There is no TLS to start");
    *ret_event = SMTP_SECURE;
    return smtp_say(out, 220, "2.0.0", "Ready to start TLS");
}

err_t *smtp_session_command(smtp_session_t *s, bytes_t line, buf_t *out, smtp_event_t *ret_event) {
    smtp_command_t c;
    err_t *e = smtp_command_parse(line, &c);
    if (e) {
        err_t *said = smtp_scold(s, out, 501, "5.5.4", "%s", err_message(e));
        err_free(e);
        return said;
    }
    switch (c.verb) {
    case SMTP_HELO:
    case SMTP_EHLO:
    case SMTP_LHLO: return say_hello(s, &c, out);
    case SMTP_MAIL: return on_mail(s, &c, out);
    case SMTP_RCPT: return on_rcpt(s, &c, out);
    case SMTP_DATA: return on_data(s, &c, out);
    case SMTP_RSET: smtp_session_reset(s); return smtp_say(out, 250, "2.0.0", "Ok");
    case SMTP_NOOP: return smtp_say(out, 250, "2.0.0", "Ok");
    case SMTP_VRFY: return smtp_say(out, 252, "2.0.0", "Send mail and see");
    case SMTP_HELP: return smtp_say(out, 214, "2.0.0", "RFC 5321");
    case SMTP_STARTTLS: return on_starttls(s, &c, out, ret_event);
    case SMTP_XFORWARD: return on_forward(s, &c, out);
    case SMTP_QUIT:
        s->closed = true;
        *ret_event = SMTP_CLOSE;
        return smtp_say(out, 221, "2.0.0", "%s closes", s->server->hostname);
    case SMTP_EXPN:
    case SMTP_UNKNOWN: return smtp_scold(s, out, 502, "5.5.1", "That command is not known here");
    }
    return NULL;
}
