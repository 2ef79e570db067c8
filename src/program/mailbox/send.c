/*
 * Sending: signed with the mailbox's own key, encrypted to the recipients' certificates or not at
 * all, by the account's SMTP server; a copy into the folder for sent mail. See mailbox.h.
 */
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime_address.h"
#include "format/mime_header.h"
#include "http/smtp.h"
#include "mail/writer.h"
#include "program/mailbox/mailbox.h"

enum {
    ARENA_MAX = 16 * 1024 * 1024,
    CONNECT_MS = 10 * 1000,
    TOTAL_MS = 60 * 1000,
    RECIPIENTS = 500
};

typedef struct {
    arena_t *arena;
    bytes_t to[RECIPIENTS];
    size_t n;
    bool hidden;            /* there is a Bcc */
    cert_list_t recipients; /* to encrypt to; none: not */
    cert_t *own_cert;
    pkey_t *own_key;
    cms_signer_t *signer;
    buf_t plain, sealed;
} send_t;

static void send_done(send_t *s) {
    arena_free(s->arena);
    cert_list_done(&s->recipients);
    cert_free(s->own_cert);
    pkey_free(s->own_key);
    cms_signer_free(s->signer);
    buf_done(&s->plain);
    buf_done(&s->sealed);
}
DEFINE_CLEANUP_VALUE(send_t, send_done)

/* ---- whom to ---- */

static err_t *add_field(send_t *s, const mime_field_t *field) {
    mime_addresses_t list = {0};
    TRY(mime_addresses_read(s->arena, field->value, &list));
    if (list.bad)
        return err_new(ERR_USAGE, "%.*s has something that is no address", (int)field->name.n,
                       (const char *)field->name.p);
    for (size_t i = 0; i < list.n; i++) {
        bytes_t copy;
        if (s->n == RECIPIENTS) return err_new(ERR_LIMIT, "more than %d recipients", RECIPIENTS);
        TRY(arena_copy(s->arena, list.at[i].address, &copy));
        s->to[s->n++] = copy;
    }
    return NULL;
}

static bool is(const mime_field_t *field, const char *name) {
    return text_eq_fold(field->name, bytes_str(name));
}

/* The message without Bcc, with CRLF line ends, and whom it goes to. */
static err_t *take_message(send_t *s, bytes_t message) {
    size_t head = 0;
    mime_fields_t fields = {0};
    for (size_t line = 1; head < message.n && line; head += line ? line + 1 : 0) {
        bytes_t rest = bytes_from(message, head);
        line = bytes_find(rest, '\n');
        if (line == 1 && rest.p[0] == '\r') line = 0;
    }
    TRY(mime_fields_read(s->arena, bytes_slice(message, 0, head), &fields));
    for (size_t i = 0; i < fields.n; i++) {
        const mime_field_t *f = &fields.at[i];
        if (is(f, "To") || is(f, "Cc") || is(f, "Bcc")) TRY(add_field(s, f));
        if (is(f, "Bcc")) s->hidden = true;
        else TRY(buf_add(&s->plain, f->whole));
    }
    if (!s->n) return err_new(ERR_USAGE, "the message has no recipient in To, Cc or Bcc");
    return buf_add(&s->plain, bytes_from(message, head));
}

/* ---- keys ---- */

static err_t *take_key(void *arg, bytes_t certificate, bytes_t key) {
    send_t *s = arg;
    CLEANUP(cert_free) cert_t *cert = NULL;
    if (s->own_cert) return NULL;
    TRY(cert_parse_der(certificate, &cert));
    unsigned usage = cert_key_usage(cert);
    if (usage && !(usage & (KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION))) return NULL;
    TRY(pkey_parse_private_der(key, &s->own_key));
    s->own_cert = STEAL(cert);
    return NULL;
}

static err_t *own_certificates(void *arg, bytes_t certificate, bytes_t key) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    (void)key;
    TRY(cert_parse_der(certificate, &cert));
    return cert_list_add(arg, cert);
}

/* Encrypted for everybody or not sent: nobody is left out, nothing goes open by mistake. */
static err_t *lock_for_all(agent_t *agent, send_t *s, const send_how_t *how) {
    mail_recipients_t locks CLEANUP(mail_recipients_done) = {0};
    if (how->lock == SEND_OPEN) return NULL;
    if (s->hidden && how->lock == SEND_IF_ALL) return NULL;
    if (s->hidden)
        return err_new(ERR_USAGE, "an encrypted message names all its recipients: send it to those "
                                  "in Bcc by itself");
    TRY(locks_find(agent, s->to, s->n, how->certificates, &locks));
    if (!locks.all && how->lock == SEND_IF_ALL) return NULL;
    TRY(locks_demand(&locks));
    TRY(mail_recipients_certs(&locks, &s->recipients));
    return box_db_keys(agent->db, own_certificates, &s->recipients);
}

static err_t *sign(agent_t *agent, send_t *s, bool wanted) {
    if (!wanted) return NULL;
    TRY(box_db_keys(agent->db, take_key, s));
    if (!s->own_key) return err_new(ERR_USAGE, "the mailbox has no key to sign with");
    return cms_signer_new(s->own_cert, s->own_key, NULL, &s->signer);
}

/* ---- out ---- */

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

static err_t *make(agent_t *agent, send_t *s) {
    CLEANUP(mail_writer_free) mail_writer_t *writer = NULL;
    if (!s->signer && !s->recipients.n) return buf_add(&s->sealed, buf_bytes(&s->plain));
    const mail_write_options_t options = {.rnd = agent->rnd,
                                          .now = clk_unix(agent->clk),
                                          .max = LIMIT_BOX_COMMAND,
                                          .signer = s->signer,
                                          .recipients = s->recipients.n ? &s->recipients : NULL,
                                          .headers = s->recipients.n ? MAIL_HEADERS_BASELINE
                                                                     : MAIL_HEADERS_BARE,
                                          .legacy_display = true};
    TRY(mail_writer_new(&options, &writer));
    TRY(mail_writer_feed(writer, buf_bytes(&s->plain)));
    return mail_writer_finish(writer, collect, &s->sealed);
}

static bool is_local(const char *url) {
    return strncmp(url, "smtp://localhost", 16) == 0 || strncmp(url, "smtp://127.", 11) == 0;
}

static err_t *deliver(agent_t *agent, const send_t *s) {
    CLEANUP(secrets_done) secrets_t secrets;
    CLEANUP(smtp_client_free) smtp_client_t *client = NULL;
    const account_t *a = agent->account;
    bool local = is_local(a->smtp_url);
    unsigned reply = 0;
    secrets_init(&secrets);
    if (!a->smtp_url[0]) return err_new(ERR_USAGE, "init was given no --smtp URL");
    TRY(secrets_load(a, agent->bag, &secrets));
    const smtp_config_t config = {.url = a->smtp_url,
                                  .tls = local ? SMTP_TLS_NONE : SMTP_TLS_REQUIRED,
                                  .user = local ? "" : a->user,
                                  .password = buf_bytes(&secrets.password),
                                  .ca_pem = buf_bytes(&a->ca),
                                  .connect_ms = CONNECT_MS,
                                  .total_ms = TOTAL_MS,
                                  .go_on = agent_go_on,
                                  .go_on_arg = agent};
    TRY(smtp_client_new(&config, &client));
    for (size_t i = 0; i < s->n; i++)
        TRY_WRAP(smtp_client_send(client, a->address, (const char *)s->to[i].p,
                                  buf_bytes(&s->sealed), &reply),
                 "to %.*s, after %zu others", (int)s->to[i].n, (const char *)s->to[i].p, i);
    return NULL;
}

/* It is sent: a copy that can't be kept is told, no failure. */
static err_t *keep_copy(agent_t *agent, const send_t *s, json_t *out) {
    err_t *e = agent->busy ? err_new(ERR_BUSY, "mail is being fetched") : agent_connect(agent);
    if (!e) e = imap_append(agent->imap, agent->account->sent, BOX_SEEN, buf_bytes(&s->sealed));
    agent->want_sync = true;
    if (!e) return NULL;
    err_free(e);
    return jso_set_str(out, "note", "sent, but no copy was kept");
}

static err_t *put_people(const send_t *s, json_t *out) {
    json_t *list = NULL;
    TRY(jso_set_int(out, "recipients", (int64_t)s->n));
    TRY(jso_set_array(out, "to", &list));
    for (size_t i = 0; i < s->n; i++) {
        CLEANUP(buf_done) buf_t clean;
        buf_init(&clean, LIMIT_MIME_HEADER * 4);
        TRY(text_defuse(s->to[i], false, &clean));
        TRY(jso_add_string(list, buf_bytes(&clean)));
    }
    return NULL;
}

err_t *send_given(agent_t *agent, bytes_t message, const send_how_t *how, json_t *out) {
    send_t s CLEANUP(send_done) = {0};
    buf_init_secret(&s.plain, LIMIT_BOX_COMMAND);
    buf_init(&s.sealed, (size_t)LIMIT_BOX_COMMAND * 2);
    TRY(arena_new(ARENA_MAX, &s.arena));
    TRY(take_message(&s, message));
    TRY(lock_for_all(agent, &s, how));
    TRY(sign(agent, &s, how->sign));
    TRY(make(agent, &s));
    TRY(deliver(agent, &s));
    TRY(put_people(&s, out));
    TRY(jso_set_bool(out, "encrypted", s.recipients.n > 0));
    return keep_copy(agent, &s, out);
}

err_t *send_message(agent_t *agent, const json_t *ask, json_t *out) {
    CLEANUP(buf_done) buf_t message;
    send_how_t how = {.lock = SEND_OPEN};
    bool encrypt = false;
    buf_init_secret(&message, LIMIT_BOX_COMMAND);
    TRY(jso_get_base64(ask, "message", true, &message));
    TRY(jso_get_string(ask, "certificates", LIMIT_BOX_COMMAND, false, &how.certificates));
    TRY(jso_get_bool(ask, "encrypt", false, &encrypt));
    TRY(jso_get_bool(ask, "sign", false, &how.sign));
    if (encrypt || how.certificates.n) how.lock = SEND_LOCKED;
    return send_given(agent, buf_bytes(&message), &how, out);
}
