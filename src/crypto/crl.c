/*
 * Reading revocation lists: see crl.h. RFC 5280 section 6.3. Building: crl_build.c. Any process,
 * any thread.
 */
#include "crypto/crl.h"

#include <openssl/x509.h>

#include "base/limits.h"
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

static err_t *crl_find(X509_CRL *crl, bytes_t serial, bool *ret_revoked, crl_reason_t *ret_reason) {
    ASN1_INTEGER *wanted CLEANUP(ASN1_INTEGER_free) = NULL;
    TRY(serial_build(serial, &wanted));
    X509_REVOKED *revoked = NULL;
    *ret_revoked = X509_CRL_get0_by_serial(crl, &revoked, wanted) == 1;
    if (!*ret_revoked) return NULL;
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, NULL, NULL);
    *ret_reason = reason ? (crl_reason_t)ASN1_ENUMERATED_get(reason) : CRL_UNSPECIFIED;
    ASN1_ENUMERATED_free(reason);
    return NULL;
}

err_t *crl_check(bytes_t crl, const cert_t *issuer, int64_t at, bytes_t serial, bool *ret_revoked,
                 crl_reason_t *ret_reason) {
    if (crl.n > LIMIT_CRL_BYTES) return err_new(ERR_LIMIT, "CRL of %zu bytes", crl.n);
    const unsigned char *p = crl.p;
    X509_CRL *list CLEANUP(X509_CRL_free) = crl.n ? d2i_X509_CRL(NULL, &p, (long)crl.n) : NULL;
    if (!list) return err_openssl(ERR_INVALID, "not a CRL");
    if (p != crl.p + crl.n) return err_new(ERR_INVALID, "bytes behind the CRL");
    X509 *x509;
    TRY(cert_x509_get(issuer, &x509));
    if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(x509)) != 0)
        return err_new(ERR_VERIFY, "CRL is of another issuer");
    if (X509_CRL_verify(list, pkey_evp(cert_key(issuer))) != 1)
        return err_openssl(ERR_VERIFY, "CRL is not signed by %s", cert_subject(issuer));
    TRY(crl_check_current(list, at));
    TRY(crl_check_extensions(list));
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    TRY(crl_find(list, serial, &revoked, &reason));
    *ret_revoked = revoked;
    *ret_reason = reason;
    return NULL;
}
