/*
 * The gate: see gate.h. Takes a job through its direction and turns whatever fails into an answer.
 */
#include "mail/gate.h"

#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/gate_internal.h"

err_t *gate_new(const gate_options_t *options, const gate_services_t *services, gate_t **ret_gate) {
    gate_t *gate = mem_zalloc(sizeof *gate);
    if (!gate) return err_nomem();
    gate->options = options;
    gate->services = services;
    *ret_gate = gate;
    return NULL;
}

void gate_free(gate_t *gate) { mem_free(gate); }

void gate_mail_drop(gate_result_t *result, size_t i) {
    gate_mail_t *mail = &result->mails[i];
    if (mail->same || mail->fd < 0) return;
    fd_close(mail->fd);
    mail->fd = -1;
    spool_files_give(&result->job->files, mail->size);
}

static void drop_mails(gate_result_t *result) {
    for (size_t i = 0; i < result->mails_n; i++) gate_mail_drop(result, i);
    result->mails_n = 0;
}

void gate_result_done(gate_result_t *result) {
    gate_job_t *job = result->job;
    drop_mails(result);
    for (gate_certs_t *c = job ? job->certs : NULL; c; c = c->next) cert_list_done(&c->list);
    if (job) gate_tag_done(&job->tag);
    if (job) gate_message_done(&job->msg);
    arena_free(result->arena);
    *result = (gate_result_t){0};
}

/* ---- room ---- */

static err_t *on_new_file(void *arg, int *ret_fd) {
    const gate_services_t *s = ((const gate_job_t *)arg)->gate->services;
    return s->new_file(s->arg, ret_fd);
}

/* No room now is another thing than room that there never is. */
static err_t *on_take_room(void *arg, uint64_t bytes) {
    gate_job_t *job = arg;
    const gate_services_t *s = job->gate->services;
    const uint64_t most = job->gate->options->room;
    if (most && job->env->size + job->room + bytes > most) job->too_large = true;
    if (job->too_large) return err_new(ERR_FULL, "the message needs more than all of the spool");
    if (s->take_room) TRY(s->take_room(s->arg, bytes));
    job->room += bytes;
    return NULL;
}

static void on_give_room(void *arg, uint64_t bytes) {
    gate_job_t *job = arg;
    const gate_services_t *s = job->gate->services;
    job->room -= bytes;
    if (s->give_room) s->give_room(s->arg, bytes);
}

/* ---- answers ---- */

/* An answer is one line of printable ASCII (RFC 5321 section 4.2). */
static void clean(char *text) {
    for (; *text; text++)
        if (*text < ' ' || *text > '~') *text = '?';
}

static PRINTF_LIKE(4, 0) void set_reply(gate_reply_t *reply, unsigned smtp, const char *enhanced,
                                        const char *format, va_list args) {
    reply->smtp = smtp;
    (void)snprintf(reply->enhanced, sizeof reply->enhanced, "%s", enhanced);
    (void)vsnprintf(reply->text, sizeof reply->text, format, args);
    clean(reply->text);
}

static PRINTF_LIKE(3, 4) gate_reply_t
    make_reply(unsigned smtp, const char *enhanced, const char *format, ...) {
    gate_reply_t reply = {0};
    va_list args;
    va_start(args, format);
    set_reply(&reply, smtp, enhanced, format, args);
    va_end(args);
    return reply;
}

void gate_reply(gate_job_t *job, unsigned smtp, const char *enhanced, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_reply(&job->result->reply, smtp, enhanced, format, args);
    va_end(args);
    if (smtp != 250) drop_mails(job->result);
}

void gate_note(gate_job_t *job, const char *format, ...) {
    char *note = job->result->note;
    size_t n = strlen(note), size = sizeof job->result->note;
    va_list args;
    if (n && n + 3 < size) n += (size_t)snprintf(note + n, size - n, ", ");
    va_start(args, format);
    (void)vsnprintf(note + n, size - n, format, args);
    va_end(args);
    clean(note);
}

err_t *gate_mail_new(gate_job_t *job, const size_t *rcpts, size_t n, gate_mail_t **ret_mail) {
    gate_result_t *r = job->result;
    size_t room = job->env->rcpts_n + LIMIT_GATE_REPORTS + 1;
    if (!r->mails) TRY(arena_alloc(job->arena, room * sizeof *r->mails, &r->mails));
    if (r->mails_n == room) return err_new(ERR_LIMIT, "too many outgoing mails");
    gate_mail_t *mail = &r->mails[r->mails_n];
    *mail = (gate_mail_t){.from = job->env->from, .rcpts_n = n, .fd = -1};
    TRY(arena_alloc(job->arena, (n ? n : 1) * sizeof *mail->rcpts, &mail->rcpts));
    for (size_t i = 0; i < n; i++)
        mail->rcpts[i] = (gate_mail_rcpt_t){job->env->rcpts[rcpts[i]].address, (int)rcpts[i]};
    r->mails_n++;
    *ret_mail = mail;
    return NULL;
}

err_t *gate_pass(gate_job_t *job, const size_t *rcpts, size_t n) {
    gate_mail_t *mail = NULL;
    if (!n) return NULL;
    TRY(gate_mail_new(job, rcpts, n, &mail));
    mail->fd = job->env->fd;
    mail->size = job->env->size;
    mail->same = true;
    mail->smtputf8 = job->env->smtputf8;
    mail->eightbit = job->env->eightbit;
    return NULL;
}

err_t *gate_pass_all(gate_job_t *job, const char *why) {
    size_t *rcpts = NULL, n = job->env->rcpts_n;
    TRY(arena_alloc(job->arena, n * sizeof *rcpts, &rcpts));
    for (size_t i = 0; i < n; i++) rcpts[i] = i;
    gate_note(job, "left alone (%s)", why);
    return gate_pass(job, rcpts, n);
}

bool gate_is_ours(const gate_t *gate, bytes_t address) {
    size_t at = address.n;
    while (at && address.p[at - 1] != '@') at--;
    bytes_t domain = bytes_from(address, at);
    for (size_t i = 0; at && i < gate->options->domains_n; i++)
        if (text_eq_fold(domain, bytes_str(gate->options->domains[i]))) return true;
    return false;
}

/* ---- the way through ---- */

static err_t *decide(gate_job_t *job) {
    const gate_envelope_t *env = job->env;
    TRY(gate_message_load(job->arena, job->gate->options->authserv_id, env->fd, env->size,
                          &job->msg));
    if (job->msg.hops > LIMIT_GATE_HOPS) { /* RFC 5321 section 6.3 */
        gate_note(job, "loop");
        gate_reply(job, 554, "5.4.6", "mail loop: the message came through %u servers",
                   job->msg.hops);
        return NULL;
    }
    if (job->msg.passes >= LIMIT_GATE_PASSES) {
        gate_note(job, "loop");
        gate_reply(job, 554, "5.4.6", "mail loop: the message was here %u times", job->msg.passes);
        return NULL;
    }
    return env->direction == GATE_OUT ? gate_out(job) : gate_in(job);
}

/* Something of ours failed: the sender keeps the message and comes again. */
static gate_reply_t reply_of(const gate_job_t *job, const err_t *e) {
    switch (err_code(e)) {
    case ERR_FULL:
        if (job->too_large)
            return make_reply(552, "5.3.4", "the message is too large for the mail gateway");
        return make_reply(452, "4.3.1", "no room for the message now, try again later");
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_BUSY:
        return make_reply(451, "4.3.2", "a part of the mail gateway is away, try again later");
    case ERR_LIMIT:
    case ERR_INVALID:
        return make_reply(554, "5.6.0", "the message can't be processed: %s", err_message(e));
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_USAGE:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_DENIED:
    case ERR_VERIFY: break;
    }
    return make_reply(451, "4.3.0", "the mail gateway failed, try again later");
}

static void note_failure(gate_job_t *job, const err_t *e) {
    char text[200];
    gate_note(job, "failed: %s", err_text(e, text, sizeof text));
}

static err_t *make(gate_result_t *result, size_t i) {
    gate_mail_t *mail = &result->mails[i];
    if (mail->same || mail->fd >= 0 || !mail->write) return NULL;
    return gate_write(result->job, mail->write, mail);
}

void gate_mail_make(gate_result_t *result, size_t i, gate_reply_t *ret_reply) {
    err_t *e = make(result, i);
    if (e) note_failure(result->job, e);
    *ret_reply = e ? reply_of(result->job, e) : make_reply(250, "2.0.0", "ok");
    err_free(e);
}

/* ---- the same recipient many times ---- */

/* What a mail server took apart under two names stays two (ORCPT tells which). */
static bool is_again(const gate_envelope_t *env, const gate_rcpt_t *a, const gate_rcpt_t *b) {
    return bytes_eq(a->address, b->address) &&
           (env->direction == GATE_IN || bytes_eq(a->orcpt, b->orcpt));
}

/* The envelope with each recipient once, and where they stand in the given one. */
static err_t *unique(arena_t *arena, const gate_envelope_t *env, gate_envelope_t *ret_env,
                     size_t **ret_at) {
    gate_rcpt_t *rcpts = NULL;
    size_t *at = NULL, n = 0;
    TRY(arena_alloc(arena, env->rcpts_n * sizeof *rcpts, &rcpts));
    TRY(arena_alloc(arena, env->rcpts_n * sizeof *at, &at));
    for (size_t i = 0; i < env->rcpts_n; i++) {
        bool again = false;
        for (size_t k = 0; k < n && !again; k++) again = is_again(env, &rcpts[k], &env->rcpts[i]);
        if (again) continue;
        rcpts[n] = env->rcpts[i];
        at[n++] = i;
    }
    *ret_env = *env;
    ret_env->rcpts = rcpts;
    ret_env->rcpts_n = n;
    *ret_at = at;
    return NULL;
}

static void put_places(gate_result_t *result, const size_t *at) {
    for (size_t i = 0; i < result->mails_n; i++)
        for (size_t k = 0; k < result->mails[i].rcpts_n; k++) {
            int *index = &result->mails[i].rcpts[k].index;
            if (*index != GATE_NO_INDEX) *index = (int)at[*index];
        }
}

static err_t *new_job(const gate_t *gate, const gate_envelope_t *env, gate_result_t *result,
                      size_t **ret_at) {
    gate_job_t *job = NULL;
    gate_envelope_t *once = NULL;
    TRY(arena_alloc(result->arena, sizeof *job, &job));
    TRY(arena_alloc(result->arena, sizeof *once, &once));
    TRY(unique(result->arena, env, once, ret_at));
    *job = (gate_job_t){.gate = gate,
                        .env = once,
                        .result = result,
                        .arena = result->arena,
                        .files = {on_new_file, on_take_room, on_give_room, job}};
    result->job = job;
    return NULL;
}

/* The first mail is made at once: most that can fail does so before anything is sent. */
err_t *gate_run(const gate_t *gate, const gate_envelope_t *env, gate_result_t *ret_result) {
    gate_result_t *result = ret_result;
    size_t *at = NULL;
    if (!env->rcpts_n || env->rcpts_n > LIMIT_GATE_RECIPIENTS)
        return err_new(ERR_USAGE, "%zu recipients", env->rcpts_n);
    *result = (gate_result_t){0};
    TRY(arena_new(LIMIT_GATE_ARENA, &result->arena));
    TRY(new_job(gate, env, result, &at));
    gate_reply(result->job, 250, "2.0.0", "ok");
    err_t *e = decide(result->job);
    if (!e && result->mails_n) e = make(result, 0);
    put_places(result, at);
    if (!e) return NULL;
    note_failure(result->job, e);
    const gate_reply_t reply = reply_of(result->job, e);
    gate_reply(result->job, reply.smtp, reply.enhanced, "%s", reply.text);
    err_free(e);
    return NULL;
}
