/*
 * Outgoing: who may read decides for all of the message, never for a few of its recipients unless
 * policy says so in as many words. To and Cc share one envelope, each Bcc has its own, so that no
 * recipientInfo tells of him. RFC 8551, RFC 3834 (replies of programs).
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "mail/gate_internal.h"

/* Recipients that share an envelope. */
typedef struct {
    bytes_t *addresses; /* who must be able to read it: more than those of this envelope */
    size_t n;
    size_t *rcpts; /* of the envelope */
    size_t rcpts_n;
    mail_recipients_t list;
} group_t;

typedef struct {
    gate_job_t *job;
    gate_rule_t rule;
    bytes_t sender;      /* the person, if it is one who writes as himself; else none */
    gate_encrypt_t mode; /* what holds for this message */
    bool from_ours;      /* From names one of our people */
    bool *must;          /* for each recipient: its own rule demands encryption */
    bool sign;
    group_t *groups; /* the first: To and Cc */
    size_t groups_n;
    mail_recipients_t own; /* the sender's copy */
} out_t;

static void out_done(out_t *o) {
    for (size_t i = 0; i < o->groups_n; i++) mail_recipients_done(&o->groups[i].list);
    mail_recipients_done(&o->own);
}
DEFINE_CLEANUP_VALUE(out_t, out_done)

/* ---- rules ---- */

static err_t *ask_policy(const gate_job_t *job, gate_scope_t scope, bytes_t address,
                         gate_rule_t *rule) {
    const gate_services_t *s = job->gate->services;
    return s->policy(s->arg, scope, address, rule);
}

/* The mailbox behind an address of ours: local parts unquoted, "+detail" cut off. */
static err_t *person_of(const gate_job_t *job, bytes_t address, bytes_t *ret_person) {
    size_t at = address.n, n = 0;
    while (at && address.p[at - 1] != '@') at--;
    uint8_t *text = NULL;
    *ret_person = address;
    if (at < 2 || !gate_is_ours(job->gate, address)) return NULL;
    TRY(arena_alloc(job->arena, address.n, &text));
    bool quoted = address.p[0] == '"';
    for (size_t i = quoted; i < at - 1; i++) {
        uint8_t c = address.p[i];
        if (quoted && c == '"') break;
        if (quoted && c == '\\' && i + 2 < at) c = address.p[++i];
        if (c == '+' && n) break;
        text[n++] = c;
    }
    memcpy(text + n, address.p + at - 1, address.n - at + 1);
    *ret_person = bytes_make(text, n + address.n - at + 1);
    return NULL;
}

/* Whoever the message may be from: the stricter counts. */
static err_t *stricter(const gate_job_t *job, bytes_t address, gate_rule_t *rule) {
    gate_rule_t other = gate_rule_default();
    TRY(ask_policy(job, GATE_SCOPE_FROM, address, &other));
    if (other.encrypt == GATE_REQUIRE) rule->encrypt = GATE_REQUIRE;
    return NULL;
}

/* By the reverse path; by From too, which is all there is when the path is null. */
static err_t *find_sender(out_t *o) {
    const gate_job_t *job = o->job;
    const mime_addresses_t *from = &job->msg.from;
    bytes_t path = job->env->from, person;
    o->rule = gate_rule_default();
    if (path.n) {
        TRY(person_of(job, path, &person));
        TRY(ask_policy(job, GATE_SCOPE_FROM, person, &o->rule));
        if (!bytes_eq(person, path)) TRY(stricter(job, path, &o->rule));
    }
    for (size_t i = 0; i < from->n; i++) {
        if (!gate_is_ours(job->gate, from->at[i].address)) continue;
        o->from_ours = true;
        TRY(person_of(job, from->at[i].address, &person));
        TRY(stricter(job, person, &o->rule));
    }
    return NULL;
}

/* Who it is for may ask for more than who it is from. */
static err_t *raise_mode(out_t *o) {
    const gate_envelope_t *env = o->job->env;
    TRY(arena_alloc(o->job->arena, env->rcpts_n * sizeof *o->must, &o->must));
    for (size_t i = 0; i < env->rcpts_n; i++) {
        gate_rule_t rule = {0};
        TRY(ask_policy(o->job, GATE_SCOPE_TO, env->rcpts[i].address, &rule));
        if (!rule.has_encrypt) continue;
        o->must[i] = rule.encrypt == GATE_REQUIRE;
        if (rule.encrypt > o->mode && o->mode != GATE_SPLIT) o->mode = rule.encrypt;
    }
    return NULL;
}

static err_t *find_rules(out_t *o) {
    gate_job_t *job = o->job;
    gate_tag_t *tag = &job->tag;
    bytes_t from = gate_message_from(&job->msg);
    TRY(find_sender(o));
    if (from.n && mime_address_eq(from, job->env->from)) o->sender = job->env->from;
    o->mode = o->rule.encrypt;
    if (job->env->from.n && gate_is(&o->rule, GATE_TAG)) TRY(gate_tag_read(job, tag));
    if (tag->encrypt) o->mode = GATE_REQUIRE;
    else if (tag->plain && o->mode != GATE_REQUIRE) o->mode = GATE_NEVER;
    TRY(raise_mode(o));
    o->sign = tag->has_sign ? tag->sign : gate_is(&o->rule, GATE_SIGN);
    return NULL;
}

/* A signature is the person's word: not for what programs send or lists change, and not for what is
 * signed already. Without a key there is none. */
static err_t *check_sign(out_t *o) {
    const gate_message_t *m = &o->job->msg;
    const gate_services_t *s = o->job->gate->services;
    bool found = false;
    if (!o->sign) return NULL;
    o->sign = false;
    if (!s->sign || !o->sender.n || m->kind != GATE_BODY_PLAIN || m->list || m->automatic)
        return NULL;
    TRY(s->sign(s->arg, o->sender, BYTES_NONE, NULL, &found));
    if (!found) gate_note(o->job, "no signing key");
    o->sign = found;
    return NULL;
}

/* ---- groups ---- */

static bool is_open(const gate_message_t *m, const gate_rcpt_t *rcpt) {
    for (size_t i = 0; i < m->open.n; i++) {
        bytes_t address = m->open.at[i].address;
        if (mime_address_eq(address, rcpt->address)) return true;
        if (rcpt->orcpt.n && mime_address_eq(address, rcpt->orcpt)) return true;
    }
    return false;
}

static void add_address(group_t *g, bytes_t address) {
    for (size_t i = 0; i < g->n; i++)
        if (mime_address_eq(g->addresses[i], address)) return;
    g->addresses[g->n++] = address;
}

/* An address in the header that the mail server took apart: its members are here instead. */
static bool is_expanded(const gate_envelope_t *env, bytes_t address) {
    bool expanded = false;
    for (size_t i = 0; i < env->rcpts_n; i++) {
        if (mime_address_eq(env->rcpts[i].address, address)) return false;
        if (env->rcpts[i].orcpt.n && mime_address_eq(env->rcpts[i].orcpt, address)) expanded = true;
    }
    return expanded;
}

static err_t *new_group(const gate_job_t *job, size_t addresses, size_t rcpts, group_t *g) {
    *g = (group_t){0};
    TRY(arena_alloc(job->arena, (addresses + 1) * sizeof *g->addresses, &g->addresses));
    return arena_alloc(job->arena, (rcpts + 1) * sizeof *g->rcpts, &g->rcpts);
}

/* Whoever stands in To or Cc counts, also if this envelope isn't for him. */
static err_t *make_groups(out_t *o) {
    const gate_job_t *job = o->job;
    const gate_envelope_t *env = job->env;
    const gate_message_t *m = &job->msg;
    TRY(arena_alloc(job->arena, (env->rcpts_n + 1) * sizeof *o->groups, &o->groups));
    group_t *open = &o->groups[0];
    TRY(new_group(job, env->rcpts_n + m->open.n, env->rcpts_n, open));
    o->groups_n = 1;
    for (size_t i = 0; i < env->rcpts_n; i++) {
        group_t *g = open;
        if (!is_open(m, &env->rcpts[i])) {
            g = &o->groups[o->groups_n];
            TRY(new_group(job, 1, 1, g));
            o->groups_n++;
        }
        add_address(g, env->rcpts[i].address);
        g->rcpts[g->rcpts_n++] = i;
    }
    for (size_t i = 0; i < m->open.n; i++)
        if (!is_expanded(env, m->open.at[i].address)) add_address(open, m->open.at[i].address);
    return NULL;
}

static err_t *look_up(out_t *o) {
    const gate_t *gate = o->job->gate;
    int64_t now = clk_unix(gate->options->clk);
    for (size_t i = 0; i < o->groups_n; i++) {
        group_t *g = &o->groups[i];
        if (g->n)
            TRY(gate->services->recipients(gate->services->arg, g->addresses, g->n, now, &g->list));
    }
    if (!gate_is(&o->rule, GATE_OWN_COPY) || !o->job->env->from.n) return NULL;
    return gate->services->recipients(gate->services->arg, &o->job->env->from, 1, now, &o->own);
}

static bool can_read(const group_t *g) { return !g->n || g->list.all; }

static bool all_can(const out_t *o) {
    for (size_t i = 0; i < o->groups_n; i++)
        if (!can_read(&o->groups[i])) return false;
    return true;
}

/* Not all can, but a source was away: who knows. */
static bool ask_later(const out_t *o) {
    for (size_t i = 0; i < o->groups_n; i++)
        if (!can_read(&o->groups[i]) && o->groups[i].list.later) return true;
    return false;
}

/* ---- the answer that names who lacks what ---- */

static void name_lacking(const group_t *g, char *text, size_t size, unsigned *left_out) {
    for (size_t i = 0; i < g->list.n; i++) {
        const mail_recipient_t *r = &g->list.at[i];
        if (r->lock == MAIL_LOCK_READY) continue;
        char one[400];
        int n = snprintf(one, sizeof one, "%s%.*s: %s", text[0] ? "; " : "",
                         (int)(r->address.n < 120 ? r->address.n : 120), (const char *)r->address.p,
                         r->reason);
        size_t used = strlen(text);
        if (n < 0 || used + (size_t)n + 1 > size) {
            (*left_out)++;
            continue;
        }
        memcpy(text + used, one, (size_t)n + 1);
    }
}

static void refuse(out_t *o) {
    char text[360] = "";
    unsigned left_out = 0;
    for (size_t i = 0; i < o->groups_n; i++)
        if (!can_read(&o->groups[i])) name_lacking(&o->groups[i], text, sizeof text, &left_out);
    gate_note(o->job, "refused, not everybody can read it");
    if (left_out)
        gate_reply(o->job, 550, "5.7.1", "not sent, it must be encrypted: %s; and %u more", text,
                   left_out);
    else gate_reply(o->job, 550, "5.7.1", "not sent, it must be encrypted: %s", text);
}

/* ---- writing ---- */

static err_t *add_cert(cert_list_t *list, const cert_t *cert) {
    for (size_t i = 0; i < list->n; i++)
        if (cert_same(list->certs[i], cert)) return NULL;
    return cert_list_add(list, cert);
}

static err_t *add_locks(cert_list_t *certs, const mail_recipients_t *list) {
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i].lock == MAIL_LOCK_READY) TRY(add_cert(certs, list->at[i].cert));
    return NULL;
}

/* The strongest that both read. */
static cms_encrypt_options_t weaker(cms_encrypt_options_t a, cms_encrypt_options_t b) {
    a.oaep = a.oaep && b.oaep;
    if (a.cipher == CMS_AES128_CBC || b.cipher == CMS_AES128_CBC) a.cipher = CMS_AES128_CBC;
    else if (a.cipher != b.cipher) a.cipher = CMS_AES256_CBC;
    return a;
}

static bytes_t trace_field(const out_t *o, const char *what, char *text, size_t size) {
    int n = snprintf(text, size, GATE_TRACE ": %s out %s\r\n", o->job->gate->options->authserv_id,
                     what);
    return bytes_make(text, n > 0 && (size_t)n < size ? (size_t)n : 0);
}

static err_t *send_encrypted(out_t *o, const group_t *g) {
    const gate_services_t *s = o->job->gate->services;
    cert_list_t certs CLEANUP(cert_list_done) = {0};
    gate_mail_t *mail = NULL;
    char top[400];
    cms_encrypt_options_t encryption = mail_recipients_algorithms(&g->list, s->allowed);
    TRY(add_locks(&certs, &g->list));
    if (o->own.all) {
        encryption = weaker(encryption, mail_recipients_algorithms(&o->own, s->allowed));
        TRY(add_locks(&certs, &o->own));
    }
    if (s->organisation) TRY(add_cert(&certs, s->organisation));
    const gate_write_t w = {.message = &o->job->msg,
                            .fd = o->job->env->fd,
                            .tag = &o->job->tag,
                            .top = trace_field(o, "encrypted", top, sizeof top),
                            .sent = true,
                            .rule = &o->rule,
                            .recipients = &certs,
                            .encryption = encryption,
                            .signer = o->sign ? o->sender : BYTES_NONE};
    TRY(gate_mail_new(o->job, g->rcpts, g->rcpts_n, &mail));
    return gate_write_later(o->job, &w, mail);
}

/* Signed, or without the tag, or as it came. */
static err_t *send_plain(out_t *o, const size_t *rcpts, size_t n) {
    gate_mail_t *mail = NULL;
    char top[400];
    if (!o->sign && !o->job->tag.asked) return gate_pass(o->job, rcpts, n);
    const gate_write_t w = {.message = &o->job->msg,
                            .fd = o->job->env->fd,
                            .tag = &o->job->tag,
                            .top = o->sign ? trace_field(o, "signed", top, sizeof top) : BYTES_NONE,
                            .sent = true,
                            .rule = &o->rule,
                            .signer = o->sign ? o->sender : BYTES_NONE};
    TRY(gate_mail_new(o->job, rcpts, n, &mail));
    return gate_write_later(o->job, &w, mail);
}

static err_t *send_all_plain(out_t *o) {
    size_t *rcpts = NULL, n = o->job->env->rcpts_n;
    TRY(arena_alloc(o->job->arena, n * sizeof *rcpts, &rcpts));
    for (size_t i = 0; i < n; i++) rcpts[i] = i;
    gate_note(o->job, o->sign ? "signed" : "plain");
    return send_plain(o, rcpts, n);
}

static err_t *send_all_encrypted(out_t *o) {
    gate_note(o->job, o->sign ? "signed and encrypted" : "encrypted");
    for (size_t i = 0; i < o->groups_n; i++)
        if (o->groups[i].rcpts_n) TRY(send_encrypted(o, &o->groups[i]));
    return NULL;
}

/* ---- split, by choice alone ---- */

/* Takes those of To and Cc who can't read out of their group. */
static err_t *part_open(out_t *o, size_t *plain, size_t *plain_n) {
    const gate_t *gate = o->job->gate;
    const gate_envelope_t *env = o->job->env;
    int64_t now = clk_unix(gate->options->clk);
    group_t *open = &o->groups[0], kept;
    TRY(new_group(o->job, open->rcpts_n, open->rcpts_n, &kept));
    for (size_t i = 0; i < open->rcpts_n; i++) {
        mail_recipients_t one CLEANUP(mail_recipients_done) = {0};
        bytes_t address = env->rcpts[open->rcpts[i]].address;
        TRY(gate->services->recipients(gate->services->arg, &address, 1, now, &one));
        if (one.all) {
            add_address(&kept, address);
            kept.rcpts[kept.rcpts_n++] = open->rcpts[i];
        } else plain[(*plain_n)++] = open->rcpts[i];
    }
    mail_recipients_done(&open->list);
    *open = kept;
    if (!kept.n) return NULL;
    return gate->services->recipients(gate->services->arg, open->addresses, open->n, now,
                                      &open->list);
}

static err_t *send_split(out_t *o) {
    const gate_envelope_t *env = o->job->env;
    size_t *plain = NULL, plain_n = 0;
    TRY(arena_alloc(o->job->arena, env->rcpts_n * sizeof *plain, &plain));
    for (size_t i = 1; i < o->groups_n; i++)
        if (!can_read(&o->groups[i])) plain[plain_n++] = o->groups[i].rcpts[0];
    if (!can_read(&o->groups[0])) TRY(part_open(o, plain, &plain_n));
    for (size_t i = 0; i < plain_n; i++) {
        if (!o->must[plain[i]]) continue;
        gate_reply(
            o->job, 550, "5.7.1", "not sent, it must be encrypted: %.*s can't read it",
            (int)(env->rcpts[plain[i]].address.n < 200 ? env->rcpts[plain[i]].address.n : 200),
            (const char *)env->rcpts[plain[i]].address.p);
        return NULL;
    }
    gate_note(o->job, "split, %zu of %zu plain", plain_n, env->rcpts_n);
    for (size_t i = 0; i < o->groups_n; i++)
        if (o->groups[i].rcpts_n && can_read(&o->groups[i])) TRY(send_encrypted(o, &o->groups[i]));
    return plain_n ? send_plain(o, plain, plain_n) : NULL;
}

/* ---- what becomes of it ---- */

/* Encrypting is decided on: by whom it can be read. */
static err_t *encrypt(out_t *o) {
    TRY(make_groups(o));
    TRY(look_up(o));
    if (all_can(o)) return send_all_encrypted(o);
    if (ask_later(o))
        return err_new(ERR_UNAVAILABLE, "it can't be said now who can read the message");
    switch (o->mode) {
    case GATE_REQUIRE: refuse(o); return NULL;
    case GATE_SPLIT: return send_split(o);
    case GATE_ALL_OR_PLAIN:
    case GATE_NEVER: break;
    }
    return send_all_plain(o);
}

/* A mail server's own report: of nobody's writing. */
static bool is_bounce(const out_t *o) {
    static const char *const daemons[] = {"mailer-daemon", "postmaster"};
    bytes_t from = gate_message_from(&o->job->msg);
    bytes_t local = bytes_make(from.p, bytes_find(from, '@'));
    if (!o->from_ours) return true;
    for (size_t i = 0; i < 2; i++)
        if (text_eq_fold(local, bytes_str(daemons[i]))) return o->job->msg.kind == GATE_BODY_REPORT;
    return false;
}

/* What a person didn't send, or is closed already, isn't touched. Where encryption is required
 * looks don't count: it must be proven closed, and be of none of our people. */
static err_t *why_alone(const out_t *o, const char **ret_why) {
    const gate_message_t *m = &o->job->msg;
    bool closed = o->mode == GATE_NEVER;
    bool strict = o->mode == GATE_REQUIRE && o->from_ours;
    if (m->kind == GATE_BODY_ENCRYPTED) {
        if (!closed) TRY(gate_message_is_closed(o->job, &closed));
        if (closed) *ret_why = "encrypted already";
        else gate_note(o->job, "looks encrypted, isn't");
        if (closed) return NULL;
    }
    if (!o->job->env->from.n && (o->mode != GATE_REQUIRE || is_bounce(o))) *ret_why = "bounce";
    else if (m->list && !o->sender.n && !strict) *ret_why = "mailing list";
    else if (m->kind == GATE_BODY_REPORT && !o->sender.n && !strict) *ret_why = "report";
    return NULL;
}

err_t *gate_out(gate_job_t *job) {
    out_t o CLEANUP(out_done) = {.job = job};
    bool report = false;
    const char *alone = NULL;
    if (job->env->from.n) TRY(gate_report(job, &report));
    if (report) return NULL;
    TRY(find_rules(&o));
    TRY(why_alone(&o, &alone));
    if (alone) return gate_pass_all(job, alone);
    TRY(check_sign(&o));
    if (o.mode == GATE_NEVER) return send_all_plain(&o);
    return encrypt(&o);
}
