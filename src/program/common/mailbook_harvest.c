/*
 * Learning from mail: see mailbook.h.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "program/common/mailbook_internal.h"
#include "store/certs.h"
#include "store/mail_book.h"

enum { FOUND_MAX = 32, ARENA_MAX = 4 * 1024 * 1024 };

typedef struct {
    mailbook_t *book;
    const char *actor;
    mail_harvest_t found[FOUND_MAX];
    size_t n;
    arena_t *arena;
    mailbook_learned_t learned;
} harvest_job_t;

static err_t *note(void *arg, const mail_harvest_t *found) {
    harvest_job_t *job = arg;
    if (job->n < FOUND_MAX) job->found[job->n++] = *found;
    return NULL;
}

/* CA certificates that lead to a root, without it: it is trusted or not by other means. */
static err_t *gather_chain(const cert_list_t *certs, buf_t *out) {
    for (size_t i = 0; i < certs->n; i++) {
        const cert_t *c = certs->certs[i];
        if (!cert_is_ca(c) || bytes_eq(cert_subject_der(c), cert_issuer_der(c))) continue;
        if (out->n + cert_der(c).n <= LIMIT_MAIL_CHAIN) TRY(buf_add(out, cert_der(c)));
    }
    return NULL;
}

/* One of our own needs no second place. */
static err_t *is_ours(db_conn_t *conn, harvest_job_t *job, bytes_t fingerprint, bool *ret_ours) {
    db_certificate_t row;
    return db_certificates_by_fingerprint(conn, job->arena, fingerprint, &row, ret_ours);
}

static err_t *keep_cert(db_conn_t *conn, harvest_job_t *job, const mail_harvest_t *found,
                        const char *address) {
    CLEANUP(buf_done) buf_t chain;
    int64_t now_ms = clk_unix_ms(job->book->clk);
    bytes_t fingerprint = bytes_make(cert_sha256(found->cert), CERT_SHA256_SIZE);
    bool ours = false, is_new = false, trusted = found->trust == MAIL_TRUST_GOOD;
    buf_init(&chain, LIMIT_MAIL_CHAIN);
    if (!cert_may_receive_mail(found->cert)) return NULL;
    TRY(is_ours(conn, job, fingerprint, &ours));
    if (ours) return NULL;
    TRY(gather_chain(found->others, &chain));
    TRY(db_mail_certs_put(conn,
                          &(db_mail_cert_t){.address = address,
                                            .fingerprint = fingerprint,
                                            .der = cert_der(found->cert),
                                            .chain = buf_bytes(&chain),
                                            .trusted = trusted,
                                            .not_after = cert_not_after(found->cert),
                                            .message_s = found->time,
                                            .first_seen_ms = now_ms,
                                            .last_seen_ms = now_ms},
                          &is_new));
    if (!is_new) return NULL;
    job->learned.certificates++;
    if (!trusted)
        return db_mail_certs_trim(conn, address, LIMIT_MAIL_UNTRUSTED, LIMIT_MAIL_UNTRUSTED_EACH);
    return audit_note(job->book->sources.audit, conn, job->actor, "mail.harvest", address, "serial",
                      cert_serial_hex(found->cert), "issuer", cert_issuer(found->cert), "sha256",
                      cert_sha256_hex(found->cert), NULL);
}

/* What an untrusted signer says of somebody's mail program is nobody's word. */
static err_t *keep_capabilities(db_conn_t *conn, harvest_job_t *job, const char *address) {
    const mail_harvest_t *found = &job->found[0];
    if (found->trust != MAIL_TRUST_GOOD || !found->has_capable) return NULL;
    job->learned.capabilities = true;
    return db_mail_peers_put(conn, address, found->capabilities, found->time,
                             clk_unix_ms(job->book->clk));
}

static err_t *keep(db_conn_t *conn, void *arg) {
    harvest_job_t *job = arg;
    char address[LIMIT_EMAIL + 1];
    (void)snprintf(address, sizeof address, "%.*s", (int)job->found[0].address.n,
                   (const char *)job->found[0].address.p);
    text_lower(address);
    memcpy(job->learned.address, address, sizeof address);
    job->learned.certificates = 0;
    job->learned.trusted = job->found[0].trust == MAIL_TRUST_GOOD;
    for (size_t i = 0; i < job->n; i++) TRY(keep_cert(conn, job, &job->found[i], address));
    return keep_capabilities(conn, job, address);
}

err_t *mailbook_harvest(mailbook_t *book, const mail_verdict_t *verdict, const char *actor,
                        mailbook_learned_t *ret_learned) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    harvest_job_t job = {.book = book, .actor = actor, .arena = arena};
    TRY(mail_harvest(verdict, clk_unix(book->clk), note, &job));
    if (job.n && !text_printable(job.found[0].address)) job.n = 0;
    if (job.n) TRY(db_write(book->sources.db, keep, &job));
    *ret_learned = job.learned;
    return NULL;
}
