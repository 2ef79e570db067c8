/*
 * Reading revocation lists: see crl.h. RFC 5280 section 6.3. Building: crl_build.c. Any process,
 * any thread.
 */
#include "crypto/crl.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cert_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

DEFINE_CLEANUP(X509_CRL, X509_CRL_free)

static const char *const reason_names[] = {
    [CRL_UNSPECIFIED] = "unspecified",
    [CRL_KEY_COMPROMISE] = "keyCompromise",
    [CRL_CA_COMPROMISE] = "cACompromise",
    [CRL_AFFILIATION_CHANGED] = "affiliationChanged",
    [CRL_SUPERSEDED] = "superseded",
    [CRL_CESSATION] = "cessationOfOperation",
    [CRL_HOLD] = "certificateHold",
    [CRL_REMOVE] = "removeFromCRL",
    [CRL_PRIVILEGE_WITHDRAWN] = "privilegeWithdrawn",
};
enum { REASONS = sizeof reason_names / sizeof reason_names[0] };

const char *crl_reason_name(crl_reason_t reason) {
    return (size_t)reason < REASONS ? reason_names[reason] : NULL;
}

err_t *crl_reason_parse(bytes_t name, crl_reason_t *ret_reason) {
    for (size_t i = 0; i < REASONS; i++) {
        if (!reason_names[i] || !text_eq_fold(name, bytes_str(reason_names[i]))) continue;
        *ret_reason = (crl_reason_t)i;
        return NULL;
    }
    return err_new(ERR_INVALID,
                   "a reason is one of unspecified, keyCompromise, affiliationChanged, superseded, "
                   "cessationOfOperation, certificateHold, removeFromCRL, privilegeWithdrawn");
}

static err_t *crl_check_current(const X509_CRL *crl, int64_t at) {
    int64_t this_update, next_update;
    TRY_WRAP(asn1_seconds(X509_CRL_get0_lastUpdate(crl), &this_update), "CRL thisUpdate");
    TRY_WRAP(asn1_seconds(X509_CRL_get0_nextUpdate(crl), &next_update), "CRL nextUpdate");
    if (at < this_update) return err_new(ERR_VERIFY, "CRL is not yet valid");
    if (at > next_update) return err_new(ERR_VERIFY, "CRL is out of date");
    return NULL;
}

/* An unknown critical extension changes what the list means (deltas, partial lists). */
static err_t *crl_check_extensions(const X509_CRL *crl) {
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
            return err_new(ERR_INVALID, "CRL with a critical extension");
    return NULL;
}

struct crl {
    X509_CRL *list;
    bytes_t issuer;
};

static err_t *crl_decode(bytes_t data, X509_CRL **ret_list) {
    const unsigned char *p = data.p;
    if (data.n > LIMIT_CRL_BYTES) return err_new(ERR_LIMIT, "CRL of %zu bytes", data.n);
    X509_CRL *list CLEANUP(X509_CRL_free) = data.n ? d2i_X509_CRL(NULL, &p, (long)data.n) : NULL;
    if (!list) return err_openssl(ERR_INVALID, "not a CRL");
    if (p != data.p + data.n) return err_new(ERR_INVALID, "bytes behind the CRL");
    *ret_list = STEAL(list);
    return NULL;
}

static err_t *crl_decode_pem(bytes_t data, X509_CRL **ret_list) {
    if (data.n > 2 * (size_t)LIMIT_CRL_BYTES) return err_new(ERR_LIMIT, "CRL of %zu bytes", data.n);
    BIO *bio CLEANUP(BIO_free) = BIO_new_mem_buf(data.p, (int)data.n);
    if (!bio) return err_nomem();
    X509_CRL *list = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    if (!list) return err_openssl(ERR_INVALID, "not a CRL");
    *ret_list = list;
    return NULL;
}

err_t *crl_parse(bytes_t data, crl_t **ret_crl) {
    CLEANUP(crl_free) crl_t *crl = mem_zalloc(sizeof *crl);
    const unsigned char *der = NULL;
    size_t n = 0;
    if (!crl) return err_nomem();
    if (bytes_starts(data, BYTES_LIT("-----BEGIN "))) TRY(crl_decode_pem(data, &crl->list));
    else TRY(crl_decode(data, &crl->list));
    if (X509_NAME_get0_der(X509_CRL_get_issuer(crl->list), &der, &n) != 1)
        return err_openssl(ERR_INVALID, "CRL's issuer");
    crl->issuer = bytes_make(der, n);
    *ret_crl = STEAL(crl);
    return NULL;
}

void crl_free(crl_t *crl) {
    if (!crl) return;
    X509_CRL_free(crl->list);
    mem_free(crl);
}

bytes_t crl_issuer_der(const crl_t *crl) { return crl->issuer; }

err_t *crl_verify(const crl_t *crl, const cert_t *issuer) {
    X509 *x509;
    TRY(cert_x509_get(issuer, &x509));
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl->list), X509_get_subject_name(x509)) != 0)
        return err_new(ERR_VERIFY, "CRL is of another issuer");
    if (X509_CRL_verify(crl->list, pkey_evp(cert_key(issuer))) != 1)
        return err_openssl(ERR_VERIFY, "CRL is not signed by %s", cert_subject(issuer));
    return crl_check_extensions(crl->list);
}

bool crl_is_current(const crl_t *crl, int64_t at) {
    err_t *e = crl_check_current(crl->list, at);
    err_free(e);
    return !e;
}

err_t *crl_ask(const crl_t *crl, bytes_t serial, bool *ret_revoked, crl_reason_t *ret_reason,
               int64_t *ret_time) {
    ASN1_INTEGER *wanted CLEANUP(ASN1_INTEGER_free) = NULL;
    int64_t time = 0;
    TRY(serial_build(serial, &wanted));
    X509_REVOKED *revoked = NULL;
    if (X509_CRL_get0_by_serial(crl->list, &revoked, wanted) != 1) {
        *ret_revoked = false;
        return NULL;
    }
    TRY_WRAP(asn1_seconds(X509_REVOKED_get0_revocationDate(revoked), &time), "revocationDate");
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, NULL, NULL);
    *ret_reason = reason ? (crl_reason_t)ASN1_ENUMERATED_get(reason) : CRL_UNSPECIFIED;
    ASN1_ENUMERATED_free(reason);
    *ret_revoked = true;
    *ret_time = time;
    return NULL;
}

static void release_p(crl_t *crl) { X509_CRL_free(crl->list); }

err_t *crl_check(bytes_t data, const cert_t *issuer, int64_t at, bytes_t serial, bool *ret_revoked,
                 crl_reason_t *ret_reason) {
    crl_t crl CLEANUP(release) = {0};
    int64_t time = 0;
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    TRY(crl_decode(data, &crl.list));
    TRY(crl_verify(&crl, issuer));
    TRY(crl_check_current(crl.list, at));
    TRY(crl_ask(&crl, serial, &revoked, &reason, &time));
    *ret_revoked = revoked;
    *ret_reason = reason;
    return NULL;
}
