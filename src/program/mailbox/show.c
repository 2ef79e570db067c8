/*
 * Showing a message: opened with the mailbox's own keys, in memory, for this one answer. See
 * mailbox.h. An altered message is not shown.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime_header.h"
#include "mail/harvest.h"
#include "mail/reader.h"
#include "program/mailbox/mailbox.h"

enum { KEYS = 64, TEXT_MAX = 4 * 1024 * 1024 };

typedef struct {
    cert_t *certs[KEYS];
    pkey_t *keys[KEYS];
    size_t n;
    cert_list_t roots;
    buf_t text;
    bool overfull;
} show_t;

static void show_done(show_t *s) {
    for (size_t i = 0; i < s->n; i++) {
        cert_free(s->certs[i]);
        pkey_free(s->keys[i]);
    }
    cert_list_done(&s->roots);
    buf_done(&s->text);
}
DEFINE_CLEANUP_VALUE(show_t, show_done)

static err_t *take_key(void *arg, bytes_t certificate, bytes_t key) {
    show_t *s = arg;
    if (s->n == KEYS) return NULL;
    TRY(cert_parse_der(certificate, &s->certs[s->n]));
    err_t *e = pkey_parse_private_der(key, &s->keys[s->n]);
    if (e) {
        cert_free(STEAL(s->certs[s->n]));
        return e;
    }
    s->n++;
    return NULL;
}

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    const show_t *s = arg;
    for (size_t i = 0; i < s->n && !*ret_found; i++) {
        if (!cms_recipient_is(recipient, s->certs[i])) continue;
        *ret_cert = s->certs[i];
        *ret_key = s->keys[i];
        *ret_found = true;
    }
    return NULL;
}

static err_t *on_data(void *arg, const mail_part_t *part, bytes_t data) {
    show_t *s = arg;
    if (!bytes_eq_str(part->type, "text/plain") || bytes_eq_str(part->disposition, "attachment"))
        return NULL;
    size_t room = s->text.max - s->text.n;
    if (data.n > room) s->overfull = true;
    return buf_add(&s->text, bytes_slice(data, 0, room));
}

/* See text_defuse. */
static err_t *set_clean(json_t *out, const char *name, bytes_t text, bool lines) {
    CLEANUP(buf_done) buf_t clean;
    buf_init_secret(&clean, (size_t)TEXT_MAX * 4);
    for (bytes_t rest = text, line; text_split(&rest, '\n', &line);) {
        bool more = rest.p != NULL;
        if (lines && line.n && line.p[line.n - 1] == '\r') line.n--;
        TRY(text_defuse(line, lines, &clean));
        if (more) TRY(buf_add_byte(&clean, lines ? '\n' : ' '));
    }
    return jso_set_string(out, name, buf_bytes(&clean));
}

static err_t *set_parts(const mail_verdict_t *v, json_t *out) {
    json_t *list = NULL, *item = NULL;
    TRY(jso_set_array(out, "parts", &list));
    for (size_t i = 0; i < v->parts_n; i++) {
        const mail_part_t *p = &v->parts[i];
        if (!p->leaf || (!p->size && !p->name.n)) continue;
        TRY(jso_add_object(list, &item));
        TRY(set_clean(item, "type", p->type, false));
        TRY(set_clean(item, "name", p->name, false));
        TRY(jso_set_int(item, "size", (int64_t)p->size));
    }
    return NULL;
}

/* Reply-To as its sender signed it (RFC 9788); the one outside is anybody's. */
static err_t *set_reply_to(const mail_verdict_t *v, json_t *out) {
    if (!v->signatures_n || mail_status(v) != MAIL_GOOD) return NULL;
    for (size_t i = 0; i < v->headers_n; i++)
        if (v->headers[i].protected && text_eq_fold(v->headers[i].name, BYTES_LIT("reply-to")))
            return set_clean(out, "reply_to", v->headers[i].value, false);
    return NULL;
}

static err_t *put_verdict(const show_t *s, const mail_verdict_t *v, json_t *out) {
    mail_status_t status = mail_status(v);
    bool broken = status == MAIL_BROKEN ||
                  (v->envelopes_n && !mail_is_whole(v) && v->problems[MAIL_NESTED_ENVELOPE]);
    TRY(jso_set_str(out, "status", mail_status_name(status)));
    TRY(jso_set_bool(out, "signed", v->signatures_n > 0));
    TRY(jso_set_bool(out, "opened", v->envelopes_n > 0));
    TRY(set_clean(out, "subject", mail_verdict_subject(v), false));
    TRY(set_reply_to(v, out));
    TRY(set_parts(v, out));
    if (broken) return jso_set_str(out, "problem", "The message was altered. It is not shown.");
    if (v->problems[MAIL_NO_INTEGRITY])
        TRY(jso_set_str(out, "note", "Its encryption does not protect it from being altered."));
    TRY(set_clean(out, "text", buf_bytes(&s->text), true));
    return s->overfull ? jso_set_bool(out, "cut", true) : NULL;
}

/* A signer who is trusted, whose certificate is kept to encrypt to: see locks.c. */
static err_t *learn(void *arg, const mail_harvest_t *found) {
    agent_t *agent = arg;
    if (found->trust != MAIL_TRUST_GOOD || !agent->db || agent->leased) return NULL;
    return box_db_add_peer(agent->db, found->address, cert_der(found->cert), found->time);
}

static err_t *read_all(show_t *s, agent_t *agent, bytes_t message, json_t *out) {
    CLEANUP(mail_reader_free) mail_reader_t *reader = NULL;
    const mail_verdict_t *verdict = NULL;
    const mail_reader_handler_t handler = {.find_key = find, .part_data = on_data, .arg = s};
    const mail_reader_options_t options = {.rnd = agent->rnd,
                                           .now = clk_unix(agent->clk),
                                           .roots = &s->roots,
                                           .look = MAIL_LOOK_DECODE};
    TRY(mail_reader_new(&handler, &options, &reader));
    TRY(mail_reader_feed(reader, message));
    TRY(mail_reader_finish(reader, &verdict));
    if (mail_status(verdict) == MAIL_GOOD)
        TRY(mail_harvest(verdict, clk_unix(agent->clk), learn, agent));
    return put_verdict(s, verdict, out);
}

err_t *show_message(agent_t *agent, bytes_t message, json_t *out) {
    show_t s CLEANUP(show_done) = {0};
    buf_init_secret(&s.text, TEXT_MAX);
    if (agent->account->server_ca.n)
        TRY(cert_parse_pem_list(buf_bytes(&agent->account->server_ca), &s.roots));
    TRY(box_db_keys(agent->db, take_key, &s));
    err_t *e = read_all(&s, agent, message, out);
    if (!e || (err_code(e) != ERR_NOT_FOUND && err_code(e) != ERR_VERIFY)) return e;
    const char *why = err_code(e) == ERR_NOT_FOUND ? "Encrypted to a key that is not here."
                                                   : "It can't be decrypted.";
    err_free(e);
    return jso_set_str(out, "problem", why);
}
