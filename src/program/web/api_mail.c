/*
 * /api/v1/mail: who can read a message, and what is learned and trusted of people's certificates.
 */
#include "base/limits.h"
#include "base/text.h"
#include "format/mime_address.h"
#include "format/mime_header.h"
#include "http/query.h"
#include "mail/judge.h"
#include "program/web/api.h"
#include "store/mail_book.h"

/* ---- who can read ---- */

typedef struct {
    bytes_t *addresses;
    size_t n;
    bytes_t sender;
    int64_t at;
} question_t;

static err_t *question_new(arena_t *arena, question_t *q) {
    *q = (question_t){.at = clk_unix(clk_real())};
    return arena_alloc(arena, LIMIT_MAIL_ASKED * sizeof *q->addresses, &q->addresses);
}

static err_t *read_body(http_request_t *request, json_t *body, question_t *q) {
    json_t *list = NULL;
    bytes_t text;
    TRY(jso_only(body, "addresses", "sender", "at", NULL));
    TRY(jso_get_array(body, "addresses", LIMIT_MAIL_ASKED, true, &list));
    TRY(jso_get_string(body, "sender", LIMIT_EMAIL, false, &q->sender));
    TRY(jso_get_time(body, "at", false, &q->at));
    for (; q->n < json_array_size(list); q->n++) {
        TRY(jso_at_string(list, q->n, LIMIT_EMAIL, &text));
        TRY(arena_copy(request->arena, text, &q->addresses[q->n]));
    }
    return NULL;
}

static err_t *read_value(http_request_t *request, bytes_t raw, bytes_t *ret_value) {
    CLEANUP(buf_done) buf_t value;
    buf_init(&value, LIMIT_EMAIL);
    TRY(text_unpercent(raw, false, &value));
    return arena_copy(request->arena, buf_bytes(&value), ret_value);
}

/* ?address=A&address=B&sender=S&at=TIME */
static err_t *read_query(http_request_t *request, question_t *q) {
    bytes_t rest = request->raw_query, name, raw, value;
    while (http_query_next(&rest, &name, &raw)) {
        TRY(read_value(request, raw, &value));
        if (bytes_eq_str(name, "sender")) {
            q->sender = value;
        } else if (bytes_eq_str(name, "at")) {
            TRY_WRAP(text_parse_time(value, &q->at), "at");
        } else if (bytes_eq_str(name, "address")) {
            if (q->n == LIMIT_MAIL_ASKED)
                return err_new(ERR_LIMIT, "more than %d addresses", LIMIT_MAIL_ASKED);
            q->addresses[q->n++] = value;
        }
    }
    return NULL;
}

err_t *api_mail_recipients(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    question_t q;
    TRY(question_new(request->arena, &q));
    if (bytes_eq_str(request->method, "POST")) {
        TRY(api_body(request, &body));
        TRY(read_body(request, body, &q));
    } else {
        TRY(read_query(request, &q));
    }
    if (!q.n) return err_new(ERR_INVALID, "no address is asked for");
    TRY(mail_recipients_find(mailbook_book(web->mailbook), q.addresses, q.n, q.sender, q.at,
                             &list));
    TRY(mail_recipients_json(&list, mailbook_algorithms(web->mailbook), &out));
    return api_send(reply, 200, out);
}

/* ---- learning ---- */

/* The one From address, or none: only for finding whom to trust; the verdict decides. */
static err_t *from_of(arena_t *arena, bytes_t message, bytes_t *ret_address) {
    mime_fields_t fields;
    mime_addresses_t list;
    size_t end = 0;
    while (end < message.n && !bytes_starts(bytes_from(message, end), BYTES_LIT("\n\n")) &&
           !bytes_starts(bytes_from(message, end), BYTES_LIT("\n\r\n")))
        end++;
    TRY(mime_fields_read(arena, bytes_slice(message, 0, end + 1), &fields));
    const mime_field_t *from = mime_field_find(&fields, "From", NULL);
    if (!from) return NULL;
    TRY(mime_addresses_read(arena, from->value, &list));
    if (list.n == 1) *ret_address = list.at[0].address;
    return NULL;
}

static err_t *learn(web_t *web, http_request_t *request, mail_verdict_t const **ret_verdict,
                    mail_reader_t **ret_reader, mailbook_learned_t *learned) {
    cert_list_t roots CLEANUP(cert_list_done) = {0}, others CLEANUP(cert_list_done) = {0};
    const mail_reader_handler_t handler = {.revoked = mailbook_revoked, .arg = web->mailbook};
    bytes_t from = BYTES_NONE;
    TRY(from_of(request->arena, request->body, &from));
    TRY(mailbook_trust(web->mailbook, from, &roots, &others));
    const mail_reader_options_t options = {.rnd = rnd_real(),
                                           .now = clk_unix(clk_real()),
                                           .roots = &roots,
                                           .intermediates = &others,
                                           .keep = MAIL_KEEP_NOTHING};
    TRY(mail_reader_new(&handler, &options, ret_reader));
    err_t *e = mail_reader_feed(*ret_reader, request->body);
    if (!e) e = mail_reader_finish(*ret_reader, ret_verdict);
    if (e && err_code(e) == ERR_NOT_FOUND)
        return err_recode(err_wrap(e, "give what is inside the envelope"), ERR_INVALID);
    if (e) return e;
    return mailbook_harvest(web->mailbook, *ret_verdict, web_caller(request)->actor, learned);
}

err_t *api_mail_harvest(void *ctx, http_request_t *request, http_reply_t *reply) {
    CLEANUP(mail_reader_free) mail_reader_t *reader = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    const mail_verdict_t *verdict = NULL;
    mailbook_learned_t learned = {0};
    TRY(learn(ctx, request, &verdict, &reader, &learned));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "status", mail_status_name(mail_status(verdict))));
    TRY(jso_set_str(out, "address", learned.address[0] ? learned.address : NULL));
    TRY(jso_set_int(out, "new_certificates", (int64_t)learned.certificates));
    TRY(jso_set_bool(out, "trusted", learned.trusted));
    TRY(jso_set_bool(out, "capabilities", learned.capabilities));
    return api_send(reply, 200, out);
}

/* ---- what was learned ---- */

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *actor;
    const char *after, *after_second;
    bytes_t fingerprint;
    size_t limit;
    db_mail_cert_t *certs;
    db_mail_trust_t *trusted;
    size_t count;
    const cert_t *cert; /* to trust */
    const char *domain, *why;
} mail_job_t;

static mail_job_t job_of(web_t *web, const http_request_t *request) {
    return (mail_job_t){
        .web = web, .arena = request->arena, .actor = web_caller(request)->actor, .domain = ""};
}

static err_t *set_cert(json_t *out, bytes_t der) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(cert_parse_der(der, &cert));
    return api_set_cert(out, cert);
}

static err_t *read_certs(db_conn_t *conn, void *arg) {
    mail_job_t *job = arg;
    return db_mail_certs_list(conn, job->arena, job->after, job->fingerprint, job->limit,
                              &job->certs, &job->count);
}

/* ?after=ADDRESS FINGERPRINT or GROUP MEMBER: two parts with a space between. */
static err_t *split_after(mail_job_t *job) {
    bytes_t rest = bytes_str(job->after), first, second, copy;
    size_t space = bytes_find(rest, ' ');
    first = bytes_slice(rest, 0, space);
    second = bytes_from(rest, space + 1);
    TRY(arena_copy(job->arena, first, &copy));
    job->after = (const char *)copy.p;
    TRY(arena_copy(job->arena, second, &copy));
    job->after_second = (const char *)copy.p;
    return NULL;
}

static err_t *set_next(json_t *out, const char *first, const char *second) {
    CLEANUP(buf_done) buf_t next;
    buf_init(&next, 1024);
    TRY(buf_printf(&next, "%s %s", first, second));
    return jso_set_string(out, "next", buf_bytes(&next));
}

err_t *api_mail_certs(void *ctx, http_request_t *request, http_reply_t *reply) {
    mail_job_t job = job_of(ctx, request);
    CLEANUP(buf_done) buf_t raw, hex;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    const char *text;
    buf_init(&raw, CERT_SHA256_SIZE);
    buf_init(&hex, 2 * CERT_SHA256_SIZE);
    TRY(api_page(request, &job.after, &job.limit));
    TRY(split_after(&job));
    TRY_WRAP(text_unhex(bytes_str(job.after_second), &raw), "after");
    job.fingerprint = buf_bytes(&raw);
    TRY(db_read(job.web->db, read_certs, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "certificates", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "address", job.certs[i].address));
        TRY(jso_set_bool(item, "trusted", job.certs[i].trusted));
        TRY(set_cert(item, job.certs[i].der));
        TRY(jso_set_time(item, "message", job.certs[i].message_s));
        TRY(api_set_ms(item, "first_seen", job.certs[i].first_seen_ms));
        TRY(api_set_ms(item, "last_seen", job.certs[i].last_seen_ms));
    }
    if (job.count != job.limit) return api_send(reply, 200, out);
    TRY(text_hex(job.certs[job.count - 1].fingerprint, &hex));
    TRY(buf_cstr(&hex, &text));
    TRY(set_next(out, job.certs[job.count - 1].address, text));
    return api_send(reply, 200, out);
}

static err_t *forget(db_conn_t *conn, void *arg) {
    mail_job_t *job = arg;
    bool found = false;
    TRY(db_mail_certs_remove(conn, job->fingerprint, &found));
    return found ? NULL : err_new(ERR_NOT_FOUND, "no such certificate was learned from mail");
}

static err_t *fingerprint_param(http_request_t *request, buf_t *raw) {
    const char *hex = NULL;
    TRY(api_param(request, "sha256", &hex));
    err_t *e = text_unhex(bytes_str(hex), raw);
    if (!e && raw->n == CERT_SHA256_SIZE) return NULL;
    err_free(e);
    return err_new(ERR_INVALID, "a certificate is named by its SHA-256 fingerprint in hex");
}

err_t *api_mail_certs_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    mail_job_t job = job_of(ctx, request);
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, CERT_SHA256_SIZE);
    TRY(fingerprint_param(request, &raw));
    job.fingerprint = buf_bytes(&raw);
    TRY(db_write(job.web->db, forget, &job));
    return http_reply_empty(reply, 204);
}

/* ---- what admins trust ---- */

static err_t *read_trust(db_conn_t *conn, void *arg) {
    mail_job_t *job = arg;
    return db_mail_trust_list(conn, job->arena, LIMIT_MAIL_TRUST, &job->trusted, &job->count);
}

err_t *api_mail_trust(void *ctx, http_request_t *request, http_reply_t *reply) {
    mail_job_t job = job_of(ctx, request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(job.web->db, read_trust, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "trusted", &list));
    for (size_t i = 0; i < job.count; i++) {
        const db_mail_trust_t *row = &job.trusted[i];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "kind", row->kind));
        TRY(jso_set_str(item, "domain", row->domain[0] ? row->domain : NULL));
        TRY(jso_set_str(item, "why", row->why[0] ? row->why : NULL));
        TRY(jso_set_str(item, "created_by", row->created_by));
        TRY(api_set_ms(item, "created", row->created_ms));
        TRY(set_cert(item, row->der));
    }
    return api_send(reply, 200, out);
}

static err_t *write_trust(db_conn_t *conn, void *arg) {
    mail_job_t *job = arg;
    TRY(read_trust(conn, job));
    if (job->count == LIMIT_MAIL_TRUST)
        return err_new(ERR_LIMIT, "there are %d trusted certificates already", LIMIT_MAIL_TRUST);
    return mailbook_trust_add(job->web->mailbook, conn, job->cert, job->domain, job->why,
                              job->actor);
}

/* A member as a C string in the arena, "" if absent. */
static err_t *text_member(arena_t *arena, const json_t *body, const char *key, size_t max,
                          const char **ret_text) {
    bytes_t text = BYTES_NONE, copy;
    TRY(jso_get_string(body, key, max, false, &text));
    if (text.n && !text_printable(text)) return err_new(ERR_INVALID, "%s is not printable", key);
    TRY(arena_copy(arena, text, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

static err_t *check_domain(arena_t *arena, const char **domain) {
    bytes_t copy;
    if (!(*domain)[0]) return NULL;
    for (const char *c = *domain; *c; c++)
        if (!(*c == '-' || *c == '.' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
              (*c >= 'A' && *c <= 'Z')))
            return err_new(ERR_INVALID, "a domain is written example.org");
    TRY(arena_copy(arena, bytes_str(*domain), &copy));
    text_lower((char *)(uintptr_t)copy.p);
    *domain = (const char *)copy.p;
    return NULL;
}

err_t *api_mail_trust_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    mail_job_t job = job_of(ctx, request);
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    bytes_t pem;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "pem", "domain", "why", NULL));
    TRY(jso_get_string(body, "pem", 2 * LIMIT_CERTIFICATE_BYTES, true, &pem));
    TRY(text_member(request->arena, body, "domain", LIMIT_NAME, &job.domain));
    TRY(text_member(request->arena, body, "why", LIMIT_NAME, &job.why));
    TRY(check_domain(request->arena, &job.domain));
    TRY(cert_parse_pem(pem, &cert));
    job.cert = cert;
    TRY(db_write(job.web->db, write_trust, &job));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "kind", cert_is_ca(cert) ? "ca" : "certificate"));
    TRY(api_set_cert(out, cert));
    return api_send(reply, 201, out);
}

static err_t *remove_trust(db_conn_t *conn, void *arg) {
    mail_job_t *job = arg;
    bool found = false;
    TRY(mailbook_trust_remove(job->web->mailbook, conn, job->fingerprint, job->actor, &found));
    return found ? NULL : err_new(ERR_NOT_FOUND, "no such certificate is trusted");
}

err_t *api_mail_trust_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    mail_job_t job = job_of(ctx, request);
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, CERT_SHA256_SIZE);
    TRY(fingerprint_param(request, &raw));
    job.fingerprint = buf_bytes(&raw);
    TRY(db_write(job.web->db, remove_trust, &job));
    return http_reply_empty(reply, 204);
}
