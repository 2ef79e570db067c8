/*
 * Incoming: learns from what is signed, says what was verified and takes out what others claim in
 * our name (RFC 8601 section 5), and, where policy has it, decrypts for a person with his archived
 * keys, which stay in the keeper. Only an envelope around the whole message is ever opened, and
 * nothing is let out before it was read to its end and holds (EFAIL).
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "mail/gate_internal.h"

enum { TOP = 64 * 1024 };

typedef struct {
    gate_job_t *job;
    gate_rule_t *rules; /* for each recipient */
    bool harvest, verify;
} in_t;

static bool any_rule(const in_t *in, gate_flag_t flag) {
    for (size_t i = 0; i < in->job->env->rcpts_n; i++)
        if (gate_is(&in->rules[i], flag)) return true;
    return false;
}

static err_t *find_rules(in_t *in) {
    const gate_services_t *s = in->job->gate->services;
    const gate_envelope_t *env = in->job->env;
    TRY(arena_alloc(in->job->arena, env->rcpts_n * sizeof *in->rules, &in->rules));
    for (size_t i = 0; i < env->rcpts_n; i++) {
        in->rules[i] = gate_rule_default();
        TRY(s->policy(s->arg, GATE_SCOPE_FROM, env->rcpts[i].address, &in->rules[i]));
    }
    in->harvest = any_rule(in, GATE_HARVEST);
    in->verify = any_rule(in, GATE_VERIFY);
    return NULL;
}

/* ---- reading ---- */

void gate_reading_done(gate_reading_t *r) {
    mail_reader_free(r->reader);
    cert_free(r->cert);
    cert_list_done(&r->roots);
    cert_list_done(&r->intermediates);
}

static err_t *on_find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                      const pkey_t **ret_key, bool *ret_found) {
    gate_reading_t *r = arg;
    bool found = false;
    cert_t *cert = NULL;
    (void)ret_key;
    TRY(r->services->find_key(r->services->arg, r->address, recipient, &cert, &found));
    if (!found) return NULL;
    cert_free(r->cert);
    r->cert = cert;
    *ret_cert = cert;
    *ret_found = true;
    return NULL;
}

static err_t *on_unwrap(void *arg, const cert_t *cert, const cms_wrapped_t *wrapped,
                        uint8_t *ret_key, size_t n) {
    gate_reading_t *r = arg;
    err_t *e = r->services->unwrap(r->services->arg, r->address, cert, wrapped, ret_key, n);
    r->capped = e && err_code(e) == ERR_BUSY;
    return e;
}

static err_t *on_revoked(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked) {
    const gate_reading_t *r = arg;
    return r->services->revoked(r->services->arg, cert, at, ret_revoked);
}

static err_t *feed(void *arg, bytes_t data) { return mail_reader_feed(arg, data); }

err_t *gate_read(const gate_job_t *job, bytes_t address, mail_keep_t keep, gate_reading_t *r) {
    const gate_options_t *o = job->gate->options;
    const gate_services_t *s = job->gate->services;
    r->services = s;
    r->address = address;
    TRY(s->trust(s->arg, gate_message_from(&job->msg), &r->roots, &r->intermediates));
    r->handler = (mail_reader_handler_t){.find_key = address.n ? on_find : NULL,
                                         .unwrap = address.n ? on_unwrap : NULL,
                                         .revoked = s->revoked ? on_revoked : NULL,
                                         .arg = r};
    r->options = (mail_reader_options_t){.rnd = o->rnd,
                                         .now = clk_unix(o->clk),
                                         .roots = &r->roots,
                                         .intermediates = &r->intermediates,
                                         .keep = keep,
                                         .max = o->max,
                                         .files = &job->files,
                                         .at_arrival = true};
    TRY(mail_reader_new(&r->handler, &r->options, &r->reader));
    TRY(gate_file_read(job->env->fd, 0, job->env->size, feed, r->reader));
    return mail_reader_finish(r->reader, &r->verdict);
}

bool gate_is_the_message(const err_t *e) {
    switch (err_code(e)) {
    case ERR_NOT_FOUND:
    case ERR_VERIFY:
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_DENIED: return true;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_USAGE:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: break;
    }
    return false;
}

/* A failure to learn is no reason to hold the mail back. */
static void learn(const in_t *in, const mail_verdict_t *verdict) {
    const gate_services_t *s = in->job->gate->services;
    if (!in->harvest || !s->harvest) return;
    err_t *e = s->harvest(s->arg, verdict);
    if (e) {
        char text[160];
        gate_note(in->job, "not learned: %s", err_text(e, text, sizeof text));
    }
    err_free(e);
}

/* ---- decrypted, for one person ---- */

/* Recipients that are one mailbox but for the case of letters: one opening of the keeper's. */
typedef struct {
    size_t *rcpts;
    size_t n;
} person_t;

static err_t *kept(gate_reading_t *r, gate_file_t *file) {
    TRY(mail_reader_output(r->reader, gate_file_add_lines, file));
    return gate_file_flush(file);
}

/* What was decrypted, with our fields, and encrypted again if `lock` has certificates. */
static err_t *send_opened(in_t *in, const person_t *person, bytes_t top, const gate_file_t *opened,
                          const mail_recipients_t *lock) {
    const gate_t *gate = in->job->gate;
    gate_message_t message CLEANUP(gate_message_done) = {.raw = {0}};
    cert_list_t certs CLEANUP(cert_list_done) = {0};
    gate_mail_t *mail = NULL;
    TRY(gate_message_load(in->job->arena, gate->options->authserv_id, opened->fd, opened->size,
                          &message));
    gate_write_t w = {.message = &message,
                      .fd = opened->fd,
                      .top = top,
                      .strip_results = true,
                      .rule = &in->rules[person->rcpts[0]]};
    if (lock->all) {
        for (size_t i = 0; i < lock->n; i++) TRY(cert_list_add(&certs, lock->at[i].cert));
        w.recipients = &certs;
        w.encryption = mail_recipients_algorithms(lock, gate->services->allowed);
    }
    TRY(gate_mail_new(in->job, person->rcpts, person->n, &mail));
    return gate_write(in->job, &w, mail);
}

static err_t *find_new_lock(const in_t *in, size_t rcpt, mail_recipients_t *ret_lock) {
    const gate_t *gate = in->job->gate;
    if (!gate_is(&in->rules[rcpt], GATE_REENCRYPT)) return NULL;
    bytes_t address = in->job->env->rcpts[rcpt].address;
    TRY(gate->services->recipients(gate->services->arg, &address, 1, clk_unix(gate->options->clk),
                                   ret_lock));
    if (!ret_lock->all && ret_lock->later)
        return err_new(ERR_UNAVAILABLE, "the recipient's current certificate can't be found now");
    return NULL;
}

/* The new envelope is to the key that the message came for: nothing would be won. */
static bool is_same_key(const mail_recipients_t *lock, const gate_reading_t *r) {
    return lock->all && lock->n == 1 && r->cert && cert_same(lock->at[0].cert, r->cert);
}

static err_t *put_top(const in_t *in, const mail_verdict_t *v, const char *what, buf_t *top) {
    const char *id = in->job->gate->options->authserv_id;
    if (in->verify) TRY(gate_results_write(id, v, top));
    return buf_printf(top, GATE_TRACE ": %s in %s\r\n", id, what);
}

static err_t *send_decrypted(in_t *in, const person_t *person, gate_reading_t *r) {
    size_t rcpt = person->rcpts[0];
    gate_file_t opened CLEANUP(gate_file_done) = {.fd = -1};
    mail_recipients_t lock CLEANUP(mail_recipients_done) = {0};
    CLEANUP(buf_done) buf_t top;
    buf_init(&top, TOP);
    TRY(find_new_lock(in, rcpt, &lock));
    if (gate_is(&in->rules[rcpt], GATE_REENCRYPT) && (!lock.all || is_same_key(&lock, r))) {
        gate_note(in->job, lock.all ? "for the current key already" : "no key to encrypt to again");
        return NULL;
    }
    TRY(gate_file_begin(in->job, &opened));
    TRY(kept(r, &opened));
    TRY(put_top(in, r->verdict, lock.all ? "reencrypted" : "decrypted", &top));
    gate_note(in->job, lock.all ? "encrypted again" : "decrypted");
    return send_opened(in, person, buf_bytes(&top), &opened, &lock);
}

/* *ret_sent: this person has the mail. Past the keeper's cap it stays closed: whoever fills it up
 * must not keep a person's mail away. */
static err_t *try_decrypt(in_t *in, const person_t *person, bool *ret_sent) {
    size_t rcpt = person->rcpts[0];
    const gate_rule_t *rule = &in->rules[rcpt];
    size_t before = in->job->result->mails_n;
    gate_reading_t r CLEANUP(gate_reading_done) = {0};
    if (before >= LIMIT_GATE_OPENED) {
        gate_note(in->job, "not decrypted: for too many at once");
        return NULL;
    }
    err_t *e = gate_read(in->job, in->job->env->rcpts[rcpt].address, MAIL_KEEP_DECRYPTED, &r);
    if (e && (r.capped || gate_is_the_message(e))) {
        gate_note(in->job, "not decrypted: %s", err_message(e));
        err_free(e);
        return NULL;
    }
    if (e) return e;
    learn(in, r.verdict);
    if (!r.verdict->envelopes_n) return NULL;
    if (!mail_is_whole(r.verdict) && !gate_is(rule, GATE_DECRYPT_CBC)) {
        gate_note(in->job, "not decrypted: nothing protects it from alteration");
        return NULL;
    }
    TRY(send_decrypted(in, person, &r));
    *ret_sent = in->job->result->mails_n > before;
    return NULL;
}

/* ---- the others ---- */

static bool has_claims(const gate_job_t *job) {
    for (size_t i = 0; i < job->msg.fields.n; i++) {
        const mime_field_t *f = &job->msg.fields.at[i];
        if (text_eq_fold(f->name, BYTES_LIT("authentication-results")) &&
            gate_results_claim(f->value, job->gate->options->authserv_id))
            return true;
    }
    return false;
}

/* Appends what is to be said of the message, to those who get it as it is. */
static err_t *look(in_t *in, buf_t *top) {
    const gate_message_t *m = &in->job->msg;
    const char *id = in->job->gate->options->authserv_id;
    if (m->kind == GATE_BODY_PLAIN || !m->smime || (!in->verify && !in->harvest)) return NULL;
    gate_reading_t r CLEANUP(gate_reading_done) = {0};
    err_t *e = gate_read(in->job, BYTES_NONE, MAIL_KEEP_NOTHING, &r);
    if (e && !gate_is_the_message(e)) return e;
    if (e) {
        bool closed = err_code(e) == ERR_NOT_FOUND;
        err_free(e);
        if (!in->verify) return NULL;
        return buf_printf(top, "Authentication-Results: %s; smime=neutral (%s)\r\n", id,
                          closed ? "encrypted" : "can't be read");
    }
    learn(in, r.verdict);
    gate_note(in->job, "%s", mail_status_name(mail_status(r.verdict)));
    return in->verify ? gate_results_write(id, r.verdict, top) : NULL;
}

static err_t *send_rest(in_t *in, const size_t *rcpts, size_t n) {
    gate_mail_t *mail = NULL;
    CLEANUP(buf_done) buf_t top;
    buf_init(&top, TOP);
    if (!n) return NULL;
    TRY(look(in, &top));
    if (!top.n && !has_claims(in->job)) return gate_pass(in->job, rcpts, n);
    const gate_write_t w = {.message = &in->job->msg,
                            .fd = in->job->env->fd,
                            .top = buf_bytes(&top),
                            .strip_results = true,
                            .rule = &in->rules[rcpts[0]]};
    TRY(gate_mail_new(in->job, rcpts, n, &mail));
    return gate_write_later(in->job, &w, mail);
}

/* The recipient and those after it that are the same. */
static void find_person(const gate_envelope_t *env, size_t rcpt, bool *done, person_t *person) {
    person->n = 0;
    for (size_t i = rcpt; i < env->rcpts_n; i++) {
        if (done[i] || !mime_address_eq(env->rcpts[i].address, env->rcpts[rcpt].address)) continue;
        done[i] = true;
        person->rcpts[person->n++] = i;
    }
}

err_t *gate_in(gate_job_t *job) {
    in_t in = {.job = job};
    const gate_services_t *s = job->gate->services;
    bool report = false;
    size_t *rest = NULL, rest_n = 0, n = job->env->rcpts_n;
    bool *done = NULL;
    person_t person = {0};
    TRY(gate_report(job, &report));
    if (report) return NULL;
    TRY(find_rules(&in));
    TRY(arena_alloc(job->arena, n * sizeof *rest, &rest));
    TRY(arena_alloc(job->arena, n * sizeof *done, &done));
    TRY(arena_alloc(job->arena, n * sizeof *person.rcpts, &person.rcpts));
    memset(done, 0, n * sizeof *done);
    bool sealed = job->msg.kind == GATE_BODY_ENCRYPTED && job->msg.smime;
    for (size_t i = 0; i < n; i++) {
        bool sent = false;
        if (done[i]) continue;
        find_person(job->env, i, done, &person);
        if (sealed && s->find_key && s->unwrap && gate_is(&in.rules[i], GATE_DECRYPT))
            TRY(try_decrypt(&in, &person, &sent));
        for (size_t k = 0; k < person.n && !sent; k++) rest[rest_n++] = person.rcpts[k];
    }
    return send_rest(&in, rest, rest_n);
}
