/*
 * What admins trust about other people's certificates: see mailbook.h. The table is read again when
 * its version in `meta` changed.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/judge.h"
#include "program/common/mailbook_internal.h"
#include "store/mail_book.h"
#include "store/tokens.h"

enum { ARENA_MAX = 96 * 1024 * 1024 };
static const char VERSION[] = "mail.trust";

typedef struct {
    arena_t *arena;
    const char *version;
    bool found;
    bool rows_too;
    db_mail_trust_t *rows;
    size_t n;
} read_t;

static err_t *read_state(db_conn_t *conn, void *arg) {
    read_t *r = arg;
    TRY(db_meta_get(conn, r->arena, VERSION, &r->version, &r->found));
    if (!r->found) r->version = "";
    if (!r->rows_too) return NULL;
    return db_mail_trust_list(conn, r->arena, LIMIT_MAIL_TRUST, &r->rows, &r->n);
}

static void trust_free(trust_t *t) {
    for (size_t i = 0; i < t->n; i++) cert_free(t->at[i].cert);
    mem_free(t->at);
    mem_free(t);
}

void mailbook_trust_release(mailbook_t *book, trust_t *trust) {
    if (!trust) return;
    (void)pthread_mutex_lock(&book->lock);
    bool last = --trust->refs == 0;
    (void)pthread_mutex_unlock(&book->lock);
    if (last) trust_free(trust);
}

static err_t *fill(const read_t *r, trust_t *t) {
    (void)snprintf(t->version, sizeof t->version, "%s", r->version);
    if (!(t->at = mem_array(r->n + 1, sizeof *t->at))) return err_nomem();
    for (size_t i = 0; i < r->n; i++) {
        trusted_t *one = &t->at[t->n];
        TRY_WRAP(cert_parse_der(r->rows[i].der, &one->cert), "a certificate that admins trust");
        one->ca = strcmp(r->rows[i].kind, "ca") == 0;
        (void)snprintf(one->domain, sizeof one->domain, "%s", r->rows[i].domain);
        t->n++;
    }
    return NULL;
}

/* The one kept if it is of this version; with another reference. */
static trust_t *kept(mailbook_t *book, const char *version) {
    (void)pthread_mutex_lock(&book->lock);
    trust_t *t = book->trust;
    if (t && strcmp(t->version, version) != 0) t = NULL;
    if (t) t->refs++;
    (void)pthread_mutex_unlock(&book->lock);
    return t;
}

err_t *mailbook_trust_get(mailbook_t *book, trust_t **ret_trust) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    read_t r = {.arena = arena};
    TRY(db_read(book->sources.db, read_state, &r));
    if ((*ret_trust = kept(book, r.version))) return NULL;
    r.rows_too = true;
    TRY(db_read(book->sources.db, read_state, &r));
    trust_t *t = mem_zalloc(sizeof *t);
    if (!t) return err_nomem();
    err_t *e = fill(&r, t);
    if (e) {
        trust_free(t);
        return e;
    }
    t->refs = 2; /* the book's and the caller's */
    (void)pthread_mutex_lock(&book->lock);
    trust_t *old = book->trust;
    book->trust = t;
    (void)pthread_mutex_unlock(&book->lock);
    mailbook_trust_release(book, old);
    *ret_trust = t;
    return NULL;
}

static bytes_t domain_of(bytes_t address) {
    size_t at = address.n;
    for (size_t i = 0; i < address.n; i++)
        if (address.p[i] == '@') at = i;
    return bytes_from(address, at + 1);
}

err_t *mailbook_trust_roots(const trust_t *trust, bytes_t address, cert_list_t *list) {
    for (size_t i = 0; i < trust->n; i++) {
        const trusted_t *one = &trust->at[i];
        bool for_all = one->ca && !one->domain[0];
        bool for_it = one->ca && one->domain[0] && address.n &&
                      text_eq_fold(domain_of(address), bytes_str(one->domain));
        if (for_all || for_it) TRY(cert_list_add(list, one->cert));
    }
    return NULL;
}

bool mailbook_trust_pins(const trust_t *trust, const cert_t *cert) {
    for (size_t i = 0; i < trust->n; i++)
        if (!trust->at[i].ca && cert_same(trust->at[i].cert, cert)) return true;
    return false;
}

static err_t *copy(const mailbook_t *book, const trust_t *trust, bytes_t address,
                   cert_list_t *roots, cert_list_t *intermediates) {
    for (size_t i = 0; i < book->roots.n; i++) TRY(cert_list_add(roots, book->roots.certs[i]));
    for (size_t i = 0; i < book->mail_cas.n; i++)
        TRY(cert_list_add(intermediates, book->mail_cas.certs[i]));
    TRY(mailbook_trust_roots(trust, address, roots));
    for (size_t i = 0; i < trust->n; i++)
        if (!trust->at[i].ca && address.n && mail_cert_is_for(trust->at[i].cert, address))
            TRY(cert_list_add(roots, trust->at[i].cert));
    return NULL;
}

err_t *mailbook_trust(mailbook_t *book, bytes_t address, cert_list_t *ret_roots,
                      cert_list_t *ret_intermediates) {
    trust_t *trust = NULL;
    TRY(mailbook_trust_get(book, &trust));
    err_t *e = copy(book, trust, address, ret_roots, ret_intermediates);
    mailbook_trust_release(book, trust);
    return e;
}

/* ---- changing ---- */

static err_t *new_version(const mailbook_t *book, db_conn_t *conn, const cert_t *cert,
                          const char *what) {
    char version[96];
    (void)snprintf(version, sizeof version, "%lld %s %.40s", (long long)clk_unix_ms(book->clk),
                   what, cert ? cert_sha256_hex(cert) : "");
    return db_meta_set(conn, VERSION, version);
}

static err_t *check(const cert_t *cert, const char *domain) {
    if (cert_is_ca(cert)) return NULL;
    if (domain[0]) return err_new(ERR_INVALID, "a domain goes with a CA, not with a person's own");
    if (!cert_san_get(cert, SAN_EMAIL, 0))
        return err_new(ERR_INVALID, "the certificate names no mail address");
    return NULL;
}

err_t *mailbook_trust_add(mailbook_t *book, db_conn_t *conn, const cert_t *cert, const char *domain,
                          const char *why, const char *actor) {
    TRY(check(cert, domain));
    TRY(db_mail_trust_put(
        conn, &(db_mail_trust_t){.fingerprint = bytes_make(cert_sha256(cert), CERT_SHA256_SIZE),
                                 .kind = cert_is_ca(cert) ? "ca" : "certificate",
                                 .domain = domain,
                                 .der = cert_der(cert),
                                 .why = why,
                                 .created_by = actor,
                                 .created_ms = clk_unix_ms(book->clk)}));
    TRY(new_version(book, conn, cert, "+"));
    return audit_note(book->sources.audit, conn, actor, "mail.trust", cert_sha256_hex(cert),
                      "subject", cert_subject(cert), "domain", domain[0] ? domain : NULL, "why",
                      why[0] ? why : NULL, NULL);
}

err_t *mailbook_trust_remove(mailbook_t *book, db_conn_t *conn, bytes_t fingerprint,
                             const char *actor, bool *ret_found) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(fingerprint, &hex));
    TRY(db_mail_trust_remove(conn, fingerprint, ret_found));
    if (!*ret_found) return NULL;
    TRY(new_version(book, conn, NULL, hex));
    return audit_note(book->sources.audit, conn, actor, "mail.distrust", hex, NULL);
}
