/*
 * Requests that only name a certificate: CertPoll, GetCert, GetCRL (RFC 8894 sections 3.3.3 to
 * 3.3.5). What can't be found, or is not the asker's to have, is one and the same badCertId. Any
 * worker thread of coffer-web.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cert_id.h"
#include "pki/revoke.h"
#include "pki/scep_internal.h"

static err_t *open_id(scep_exchange_t *x, keeper_id_kind_t kind, buf_t *id, bytes_t *ret_issuer,
                      bytes_t *ret_rest) {
    TRY(keeper_scep_open_id(x->pki->o.keeper, x->request.envelope, kind, id, &x->reply.cipher));
    if (kind == KEEPER_ID_ISSUER_SUBJECT) TRY(cert_id_subject(buf_bytes(id), ret_issuer, ret_rest));
    else TRY(cert_id_serial(buf_bytes(id), ret_issuer, ret_rest));
    if (!pki_device_ca_by_subject(x->pki, *ret_issuer))
        return SCEP_NO(x, SCEP_FAIL_BAD_CERT_ID, NEXT_STOP, "that is no issuer of this server's");
    return NULL;
}

/* ---- CertPoll ---- */

static err_t *no_transaction(scep_exchange_t *x) {
    return SCEP_NO(x, SCEP_FAIL_BAD_CERT_ID, NEXT_PROFILE, "there is no such transaction");
}

typedef struct {
    scep_exchange_t *x;
    db_certificate_t row;
    bool found;
} lookup_t;

static err_t *find_row(db_conn_t *conn, void *arg) {
    lookup_t *l = arg;
    return db_certificates_by_fingerprint(conn, l->x->arena, l->x->earlier, &l->row, &l->found);
}

static err_t *poll_repeat(scep_exchange_t *x, bytes_t subject, buf_t *out) {
    lookup_t l = {.x = x};
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(db_read(x->pki->o.db, find_row, &l));
    if (!l.found) return no_transaction(x);
    TRY(cert_parse_der(l.row.der, &cert));
    if (!bytes_eq(subject, cert_subject_der(cert))) return no_transaction(x);
    return scep_repeat(x, out);
}

err_t *scep_cert_poll(scep_exchange_t *x, buf_t *out) {
    CLEANUP(buf_done) buf_t id;
    CLEANUP(csr_free) csr_t *csr = NULL;
    bytes_t issuer, subject;
    buf_init(&id, LIMIT_CERT_ID_BYTES);
    TRY(open_id(x, KEEPER_ID_ISSUER_SUBJECT, &id, &issuer, &subject));
    TRY(db_read(x->pki->o.db, scep_find_earlier, x));
    if (x->earlier.n) return poll_repeat(x, subject, out);
    if (!x->pending_found) return no_transaction(x);
    TRY(csr_parse_der(x->pending.csr, &csr));
    if (!bytes_eq(subject, csr_subject_der(csr))) return no_transaction(x);
    err_t *e = scep_issue_pending(x, out);
    if (!e || err_code(e) != ERR_BUSY) return e;
    err_free(e); /* another poll is getting it at this moment */
    x->outcome = "pending";
    x->next = NEXT_POLL;
    return keeper_scep_pending(x->pki->o.keeper, &x->reply, out);
}

/* ---- GetCert ---- */

typedef struct {
    scep_exchange_t *x;
    const char *issuer, *serial;
    bytes_t fingerprint;
    bool allowed;
} wanted_t;

/* A certificate tells who somebody is: it is given to its own key, and to our valid identities. */
static err_t *find_wanted(db_conn_t *conn, void *arg) {
    wanted_t *w = arg;
    scep_exchange_t *x = w->x;
    db_certificate_t row, asker;
    uint8_t key[PKI_HASH];
    bool found = false;
    TRY(db_certificates_fingerprint(conn, x->arena, w->issuer, w->serial, &w->fingerprint, &found));
    if (!found) return NULL;
    TRY(db_certificates_by_fingerprint(conn, x->arena, w->fingerprint, &row, &found));
    TRY(pkey_spki_sha256(cert_key(x->signer), key));
    w->allowed = found && bytes_eq(row.spki_sha256, BYTES_ARRAY(key));
    if (!found || w->allowed || !x->signer_ours) return NULL;
    err_t *e = pki_identity_check(x->pki, conn, x->arena, x->signer, &asker);
    if (e && err_code(e) != ERR_VERIFY) return e;
    w->allowed = !e;
    err_free(e);
    return NULL;
}

err_t *scep_get_cert(scep_exchange_t *x, buf_t *out) {
    CLEANUP(buf_done) buf_t id;
    CLEANUP(mem_free) char *hex = NULL;
    bytes_t issuer, serial;
    buf_init(&id, LIMIT_CERT_ID_BYTES);
    TRY(open_id(x, KEEPER_ID_ISSUER_SERIAL, &id, &issuer, &serial));
    TRY(text_hex_new(serial, &hex));
    wanted_t w = {.x = x, .issuer = pki_device_ca_by_subject(x->pki, issuer)->name, .serial = hex};
    TRY(db_read(x->pki->o.db, find_wanted, &w));
    if (!w.allowed)
        return SCEP_NO(x, SCEP_FAIL_BAD_CERT_ID, NEXT_STOP,
                       "there is no certificate %s that you may have", hex);
    x->outcome = "answered";
    x->next = NEXT_USE;
    return keeper_scep_repeat(x->pki->o.keeper, w.fingerprint, &x->reply, out);
}

/* ---- GetCRL ---- */

/* The complete list of an issuer, which is everybody's to have (section 4.5). */
static err_t *read_list(scep_exchange_t *x, const keeper_ca_t *ca, buf_t *crl) {
    db_crl_t row;
    CLEANUP(mem_free) char *path = NULL;
    if (!x->pki->revoker)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP, "this server keeps no lists");
    err_t *e = crl_find(x->pki->revoker, x->arena, ca->name, "", false, &row, &path);
    if (!e && row.size > LIMIT_SCEP_CRL)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                       "the list has %lld bytes, too many for SCEP: fetch %s", (long long)row.size,
                       ca->crl_url);
    if (!e) e = file_read(path, crl);
    if (!e || err_code(e) == ERR_NOMEM) return e;
    err_free(e); /* not there yet, or replaced by a longer one at this moment */
    return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_RETRY, "the list is being made: fetch %s",
                   ca->crl_url);
}

err_t *scep_get_crl(scep_exchange_t *x, buf_t *out) {
    CLEANUP(buf_done) buf_t id, crl;
    bytes_t issuer, serial;
    buf_init(&id, LIMIT_CERT_ID_BYTES);
    buf_init(&crl, LIMIT_SCEP_CRL);
    TRY(open_id(x, KEEPER_ID_ISSUER_SERIAL, &id, &issuer, &serial));
    const keeper_ca_t *ca = pki_device_ca_by_subject(x->pki, issuer);
    TRY(read_list(x, ca, &crl));
    x->outcome = "answered";
    x->next = NEXT_USE;
    return keeper_scep_crl(x->pki->o.keeper, ca->generation, buf_bytes(&crl), &x->reply, out);
}
