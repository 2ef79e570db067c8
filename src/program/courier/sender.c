/*
 * Mail and webhook jobs: see sender.h. A job is leased while it is sent; a courier that dies leaves
 * the lease to run out, and it is sent again under the same Message-ID or Idempotency-Key.
 */
#include "program/courier/sender.h"

#include <stdio.h>

#include "audit/note.h"
#include "base/file.h"
#include "base/mem.h"
#include "http/client.h"
#include "notify/mail.h"
#include "notify/webhook.h"

enum {
    SECRET_MAX = 4096,
    PEM_BYTES_MAX = 1024 * 1024,
    CONNECT_MS = 10 * 1000,
    MAIL_MS = 45 * 1000,
    MAIL_LEASE_MS = 60 * 1000,
    HOOK_MS = 12 * 1000,
    HOOK_LEASE_MS = 20 * 1000,
    ATTEMPTS = 48, /* at most hourly: about two days */
    MESSAGE_MAX = 4 * LIMIT_NOTICE_TEXT,
    SIGNATURE_MAX = 160,
    HEADER_MAX = 400,
};

typedef struct {
    const webhook_conf_t *conf;
    buf_t secret;
    http_client_t *client;
} hook_t;

struct sender {
    const notify_conf_t *conf;
    const char *organisation;
    const clk_t *clk;
    const audit_t *audit;
    smtp_client_t *smtp;
    hook_t hooks[LIMIT_NOTICE_RECIPIENTS];
    worker_t *mails, *webhooks;
};

/* ---- mail ---- */

static err_t *get_text(const json_t *json, const char *name, size_t max, const char **ret_text) {
    bytes_t text;
    TRY(jso_get_string(json, name, max, true, &text));
    *ret_text = (const char *)text.p; /* jansson's texts have a NUL behind them */
    return NULL;
}

static err_t *compose(const sender_t *s, const json_t *payload, buf_t *out, const char **ret_to) {
    mail_t mail = {.from = s->conf->smtp_from, .from_name = s->organisation};
    TRY(get_text(payload, "to", LIMIT_EMAIL, &mail.to));
    TRY(get_text(payload, "key", LIMIT_NOTICE_KEY, &mail.key));
    TRY(get_text(payload, "subject", LIMIT_NOTICE_SUBJECT, &mail.subject));
    TRY(get_text(payload, "text", LIMIT_NOTICE_TEXT, &mail.text));
    TRY(jso_get_int(payload, "time", 0, INT64_MAX, true, &mail.date));
    *ret_to = mail.to;
    return mail_compose(&mail, out);
}

/* What the mail server does not take at all (an unknown recipient) is not tried again; that we
 * can't log in may be mended. */
static work_end_t mail_end(const err_t *e) {
    switch (err_code(e)) {
    case ERR_DENIED:
    case ERR_INVALID:
    case ERR_LIMIT: return WORK_BURY;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_USAGE:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_VERIFY:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: return WORK_RETRY;
    }
    return WORK_RETRY;
}

static err_t *send_mail(sender_t *s, const db_job_t *job) {
    CLEANUP(jso_free) json_t *payload = NULL;
    CLEANUP(buf_done) buf_t message;
    const char *to = NULL;
    unsigned reply = 0;
    buf_init(&message, MESSAGE_MAX);
    TRY(jso_parse_object(bytes_str(job->payload), &payload));
    TRY(compose(s, payload, &message, &to));
    return smtp_client_send(s->smtp, s->conf->smtp_from, to, buf_bytes(&message), &reply);
}

static void work_mail(void *ctx, const db_job_t *job, work_result_t *result) {
    err_t *e = send_mail(ctx, job);
    if (e) work_failed(result, mail_end(e), e);
    else result->end = WORK_DONE;
}

static err_t *note_end(void *ctx, db_conn_t *conn, const db_job_t *job,
                       const work_result_t *result) {
    const sender_t *s = ctx;
    bool mail = strcmp(job->kind, NOTIFY_JOB_MAIL) == 0;
    switch (result->end) {
    case WORK_DONE:
        return audit_note(s->audit, conn, "courier", mail ? "mail.sent" : "webhook.sent", job->name,
                          NULL);
    case WORK_BURY:
        return audit_note(s->audit, conn, "courier", mail ? "mail.failed" : "webhook.failed",
                          job->name, "problem", result->why, NULL);
    case WORK_RETRY: return NULL;
    }
    return NULL;
}

/* ---- webhooks ---- */

static hook_t *find_hook(sender_t *s, const char *name) {
    for (size_t i = 0; i < s->conf->notify.webhooks_n; i++)
        if (strcmp(s->hooks[i].conf->name, name) == 0) return &s->hooks[i];
    return NULL;
}

/* Some chats' URLs are secrets, and what went wrong is read in the audit: the name stands for it.
 * Takes the error. */
static err_t *hide_url(const hook_t *hook, err_t *e) {
    char text[WORK_WHY];
    if (!e) return NULL;
    err_code_t code = err_code(e);
    bytes_t said = bytes_str(err_text(e, text, sizeof text)), url = bytes_str(hook->conf->url);
    err_free(e);
    size_t at = bytes_starts(said, url) ? url.n : 0;
    return err_new(code, "[webhook %s]%s%s", hook->conf->name, at ? "" : ": ", text + at);
}

static err_t *post(const sender_t *s, hook_t *hook, const char *key, const json_t *body,
                   http_response_t *response) {
    CLEANUP(buf_done) buf_t text, signature;
    char sign_header[HEADER_MAX], key_header[HEADER_MAX];
    const char *value = NULL;
    buf_init(&text, LIMIT_JSON_BYTES);
    buf_init(&signature, SIGNATURE_MAX);
    TRY(jso_write(body, false, &text));
    TRY(webhook_signature(buf_bytes(&hook->secret), clk_unix(s->clk), buf_bytes(&text),
                          &signature));
    TRY(buf_cstr(&signature, &value));
    (void)snprintf(sign_header, sizeof sign_header, "Coffer-Signature: %s", value);
    (void)snprintf(key_header, sizeof key_header, "Idempotency-Key: %s", key);
    const char *const headers[] = {"Content-Type: application/json", sign_header, key_header, NULL};
    return hide_url(hook, http_client_do(hook->client, "POST", hook->conf->url, headers,
                                         buf_bytes(&text), response));
}

/* What the receiver will never take is given up; 408 and 429 ask for patience (RFC 9110). */
static bool is_refusal(unsigned status) {
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

static err_t *send_webhook(sender_t *s, const db_job_t *job, work_result_t *result) {
    CLEANUP(jso_free) json_t *payload = NULL;
    CLEANUP(http_response_done) http_response_t response;
    const char *name = NULL, *key = NULL;
    json_t *body = NULL;
    http_response_init(&response);
    TRY(jso_parse_object(bytes_str(job->payload), &payload));
    TRY(get_text(payload, "webhook", LIMIT_NAME, &name));
    TRY(get_text(payload, "key", LIMIT_NOTICE_KEY, &key));
    TRY(jso_get_object(payload, "body", true, &body));
    hook_t *hook = find_hook(s, name);
    if (!hook) return err_new(ERR_INVALID, "coffer.conf has no [webhook %s] any more", name);
    TRY(post(s, hook, key, body, &response));
    if (response.status >= 200 && response.status < 300) return NULL;
    result->end = is_refusal(response.status) ? WORK_BURY : WORK_RETRY;
    (void)snprintf(result->why, sizeof result->why, "[webhook %s]: status %u", hook->conf->name,
                   response.status);
    return NULL;
}

static void work_webhook(void *ctx, const db_job_t *job, work_result_t *result) {
    result->end = WORK_DONE;
    err_t *e = send_webhook(ctx, job, result);
    if (e) work_failed(result, err_code(e) == ERR_INVALID ? WORK_BURY : WORK_RETRY, e);
}

/* ---- life ---- */

static err_t *read_optional(const settings_t *settings, const char *name, bool secret, buf_t *out) {
    CLEANUP(mem_free) char *path = NULL;
    if (!name[0]) return NULL;
    TRY(settings_path(settings, name, &path));
    return secret ? file_read_secret(path, out) : file_read(path, out);
}

static err_t *make_smtp(sender_t *s, const settings_t *settings) {
    const notify_conf_t *conf = s->conf;
    CLEANUP(buf_done) buf_t password, ca;
    buf_init_secret(&password, SECRET_MAX);
    buf_init(&ca, PEM_BYTES_MAX);
    if (!conf->notify.mail) return NULL;
    TRY_WRAP(read_optional(settings, conf->smtp_password_file, true, &password),
             "[smtp] password_file");
    TRY_WRAP(read_optional(settings, conf->smtp_ca, false, &ca), "[smtp] ca");
    return smtp_client_new(&(smtp_config_t){.url = conf->smtp_url,
                                            .tls = conf->smtp_tls,
                                            .user = conf->smtp_user,
                                            .password = buf_bytes(&password),
                                            .ca_pem = buf_bytes(&ca),
                                            .connect_ms = CONNECT_MS,
                                            .total_ms = MAIL_MS},
                           &s->smtp);
}

static err_t *make_hook(const settings_t *settings, const webhook_conf_t *conf, hook_t *hook) {
    CLEANUP(buf_done) buf_t ca;
    buf_init(&ca, PEM_BYTES_MAX);
    hook->conf = conf;
    TRY_WRAP(read_optional(settings, conf->secret_file, true, &hook->secret),
             "[webhook %s] secret_file", conf->name);
    TRY_WRAP(read_optional(settings, conf->ca, false, &ca), "[webhook %s] ca", conf->name);
    if (hook->secret.n == 0)
        return err_new(ERR_INVALID, "[webhook %s] secret_file is empty", conf->name);
    return http_client_new(&(http_client_config_t){.ca_pem = buf_bytes(&ca),
                                                   .version = HTTP_VERSION_ALPN,
                                                   .connect_ms = CONNECT_MS,
                                                   .total_ms = HOOK_MS,
                                                   .response_max = LIMIT_WEBHOOK_RESPONSE},
                           &hook->client);
}

err_t *sender_new(const settings_t *settings, const notify_conf_t *conf, sender_t **ret_sender) {
    CLEANUP(sender_free) sender_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    s->conf = conf;
    s->organisation = settings->organisation;
    for (size_t i = 0; i < LIMIT_NOTICE_RECIPIENTS; i++)
        buf_init_secret(&s->hooks[i].secret, SECRET_MAX);
    TRY(make_smtp(s, settings));
    for (size_t i = 0; i < conf->notify.webhooks_n; i++)
        TRY(make_hook(settings, &conf->webhooks[i], &s->hooks[i]));
    *ret_sender = STEAL(s);
    return NULL;
}

err_t *sender_start(sender_t *s, db_t *db, const audit_t *audit, const log_t *log,
                    const clk_t *clk) {
    worker_kind_t mail = {.kind = NOTIFY_JOB_MAIL,
                          .batch = 1,
                          .lease_ms = MAIL_LEASE_MS,
                          .attempts = ATTEMPTS,
                          .ctx = s,
                          .work = work_mail,
                          .settled = note_end};
    worker_kind_t hook = mail;
    hook.kind = NOTIFY_JOB_WEBHOOK;
    hook.lease_ms = HOOK_LEASE_MS;
    hook.work = work_webhook;
    s->audit = audit;
    s->clk = clk;
    if (s->smtp) TRY(worker_start(db, log, clk, &mail, &s->mails));
    if (s->conf->notify.webhooks_n) TRY(worker_start(db, log, clk, &hook, &s->webhooks));
    return NULL;
}

void sender_wake(sender_t *sender) {
    if (!sender) return;
    worker_wake(sender->mails);
    worker_wake(sender->webhooks);
}

void sender_free(sender_t *sender) {
    if (!sender) return;
    worker_stop(sender->mails);
    worker_stop(sender->webhooks);
    smtp_client_free(sender->smtp);
    for (size_t i = 0; i < LIMIT_NOTICE_RECIPIENTS; i++) {
        buf_done(&sender->hooks[i].secret);
        http_client_free(sender->hooks[i].client);
    }
    mem_free(sender);
}
