/*
 * Policy: see policy.h. Called by the workers.
 */
#include "program/mailgate/policy.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

struct policy {
    const gate_t *gate;
};

err_t *policy_new(const gate_t *gate, policy_t **ret_policy) {
    policy_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    p->gate = gate;
    *ret_policy = p;
    return NULL;
}

void policy_free(policy_t *policy) { mem_free(policy); }

/* What an outcome's mails borrow from. */
typedef struct {
    gate_result_t result;
    gate_rcpt_t *rcpts;
    arena_t *arena;
} inner_t;

static void inner_free(inner_t *inner) {
    if (!inner) return;
    gate_result_done(&inner->result);
    arena_free(inner->arena);
    mem_free(inner);
}
DEFINE_CLEANUP(inner_t, inner_free)

void policy_outcome_done(policy_outcome_t *outcome) {
    for (size_t i = 0; i < outcome->mails_n; i++) mem_free(outcome->mails[i].rcpts);
    mem_free(outcome->mails);
    inner_free(outcome->inner);
    *outcome = (policy_outcome_t){0};
}

/* ---- in ---- */

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "rfc822;xtext" (RFC 3461 sections 4 and 4.2); what is no address gives none. */
static err_t *read_orcpt(arena_t *arena, bytes_t orcpt, bytes_t *ret_address) {
    size_t semicolon = bytes_find(orcpt, ';'), n = 0;
    bytes_t type = bytes_make(orcpt.p, semicolon), text = bytes_from(orcpt, semicolon + 1), copy;
    bool known = text_eq_fold(type, BYTES_LIT("rfc822")) || text_eq_fold(type, BYTES_LIT("utf-8"));
    *ret_address = BYTES_NONE;
    if (!known || !text.n) return NULL;
    TRY(arena_copy(arena, text, &copy));
    uint8_t *out = (uint8_t *)(uintptr_t)copy.p;
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '+' && i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.p[i + 2]) : -1;
        if (low >= 0) {
            out[n++] = (uint8_t)(high << 4 | low);
            i += 2;
        } else out[n++] = text.p[i];
    }
    *ret_address = bytes_make(out, n);
    return NULL;
}

static err_t *make_rcpts(inner_t *inner, const smtp_envelope_t *envelope) {
    TRY(arena_alloc(inner->arena, (envelope->rcpts_n + 1) * sizeof *inner->rcpts, &inner->rcpts));
    for (size_t i = 0; i < envelope->rcpts_n; i++) {
        inner->rcpts[i].address = envelope->rcpts[i].address;
        TRY(read_orcpt(inner->arena, envelope->rcpts[i].orcpt, &inner->rcpts[i].orcpt));
    }
    return NULL;
}

static err_t *run_gate(const policy_t *policy, const policy_message_t *m, inner_t *inner) {
    const smtp_envelope_t *e = m->envelope;
    bytes_t address = e->forward[SMTP_FORWARD_ADDR];
    const gate_envelope_t env = {
        .direction = m->side == SIDE_OUT ? GATE_OUT : GATE_IN,
        .from = e->from,
        .rcpts = inner->rcpts,
        .rcpts_n = e->rcpts_n,
        .smtputf8 = e->smtputf8,
        .eightbit = m->eightbit,
        .client_name = e->forward[SMTP_FORWARD_NAME],
        .client_address = address.n ? address : bytes_str(m->address),
        .helo = e->forward[SMTP_FORWARD_HELO],
        .fd = m->fd,
        .size = m->size,
    };
    return gate_run(policy->gate, &env, &inner->result);
}

/* ---- out ---- */

static err_t *take_mail(const gate_mail_t *from, policy_mail_t *to) {
    *to = (policy_mail_t){.from = from->from,
                          .rcpts_n = from->rcpts_n,
                          .fd = from->fd,
                          .size = from->size,
                          .smtputf8 = from->smtputf8,
                          .eightbit = from->eightbit};
    to->rcpts = mem_array(from->rcpts_n + 1, sizeof *to->rcpts);
    if (!to->rcpts) return err_nomem();
    for (size_t i = 0; i < from->rcpts_n; i++)
        to->rcpts[i] = (policy_rcpt_t){from->rcpts[i].address, from->rcpts[i].index};
    return NULL;
}

_Static_assert((int)POLICY_EXTRA == (int)GATE_NO_INDEX, "both say the same of other mailboxes");

err_t *policy_run(policy_t *policy, const policy_message_t *m, policy_outcome_t *ret_outcome) {
    CLEANUP(policy_outcome_done) policy_outcome_t o = {0};
    CLEANUP(inner_free) inner_t *inner = mem_zalloc(sizeof *inner);
    if (!inner) return err_nomem();
    TRY(arena_new(LIMIT_GATE_ARENA, &inner->arena));
    TRY(make_rcpts(inner, m->envelope));
    TRY(run_gate(policy, m, inner));
    const gate_result_t *r = &inner->result;
    o.reply = smtp_status(r->reply.smtp, r->reply.enhanced, "%s", r->reply.text);
    (void)snprintf(o.note, sizeof o.note, "%s", r->note);
    o.mails = mem_array(r->mails_n + 1, sizeof *o.mails);
    if (!o.mails) return err_nomem();
    for (; o.mails_n < r->mails_n; o.mails_n++)
        TRY(take_mail(&r->mails[o.mails_n], &o.mails[o.mails_n]));
    o.inner = STEAL(inner);
    *ret_outcome = o;
    o = (policy_outcome_t){0};
    return NULL;
}

smtp_status_t policy_make(policy_outcome_t *o, size_t i) {
    inner_t *inner = o->inner;
    const gate_mail_t *mail = &inner->result.mails[i];
    gate_reply_t reply;
    gate_mail_make(&inner->result, i, &reply);
    (void)snprintf(o->note, sizeof o->note, "%s", inner->result.note);
    o->mails[i].fd = mail->fd;
    o->mails[i].size = mail->size;
    o->mails[i].smtputf8 = mail->smtputf8;
    o->mails[i].eightbit = mail->eightbit;
    return smtp_status(reply.smtp, reply.enhanced, "%s", reply.text);
}

void policy_drop(policy_outcome_t *o, size_t i) {
    inner_t *inner = o->inner;
    gate_mail_drop(&inner->result, i);
    o->mails[i].fd = -1;
}
