/*
 * Revocation lists: see crl.h. RFC 5280 section 5. Built in the keeper; any thread.
 */
#include "crypto/crl.h"

#include <openssl/x509.h>

#include "base/limits.h"
#include "crypto/cert_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

DEFINE_CLEANUP(X509_CRL, X509_CRL_free)

static err_t *revoked_add_reason(X509_REVOKED *revoked, crl_reason_t reason) {
    if (reason == CRL_UNSPECIFIED) return NULL; /* RFC 5280 section 5.3.1: rather absent */
    ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    if (!value) return err_nomem();
    bool done = ASN1_ENUMERATED_set(value, (long)reason) == 1 &&
                X509_REVOKED_add1_ext_i2d(revoked, NID_crl_reason, value, 0, 0) == 1;
    ASN1_ENUMERATED_free(value);
    return done ? NULL : err_openssl(ERR_INTERNAL, "CRL reason");
}

static err_t *revoked_fill(X509_REVOKED *revoked, const crl_entry_t *entry) {
    ASN1_INTEGER *serial CLEANUP(ASN1_INTEGER_free) = NULL;
    TRY(serial_build(entry->serial, &serial));
    ASN1_TIME *time CLEANUP(ASN1_TIME_free) = ASN1_TIME_set(NULL, (time_t)entry->time);
    if (!time || X509_REVOKED_set_serialNumber(revoked, serial) != 1 ||
        X509_REVOKED_set_revocationDate(revoked, time) != 1)
        return err_openssl(ERR_INTERNAL, "CRL entry");
    return revoked_add_reason(revoked, entry->reason);
}

static err_t *crl_add_entry(X509_CRL *crl, const crl_entry_t *entry) {
    X509_REVOKED *revoked = X509_REVOKED_new();
    if (!revoked) return err_nomem();
    err_t *e = revoked_fill(revoked, entry);
    if (!e && X509_CRL_add0_revoked(crl, revoked) == 1) return NULL;
    X509_REVOKED_free(revoked);
    return e ? e : err_nomem();
}

static err_t *crl_add_extensions(X509_CRL *crl, uint64_t number, const cert_t *issuer) {
    ASN1_INTEGER *value CLEANUP(ASN1_INTEGER_free) = ASN1_INTEGER_new();
    if (!value || ASN1_INTEGER_set_uint64(value, number) != 1) return err_nomem();
    if (X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) != 1)
        return err_openssl(ERR_INTERNAL, "CRL number");
    bytes_t skid = cert_skid(issuer);
    if (!skid.n) return err_new(ERR_USAGE, "CRL issuer has no subject key identifier");
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    bool done = authority && (authority->keyid = ASN1_OCTET_STRING_new()) &&
                ASN1_OCTET_STRING_set(authority->keyid, skid.p, (int)skid.n) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, authority, 0, 0) == 1;
    AUTHORITY_KEYID_free(authority);
    return done ? NULL : err_openssl(ERR_INTERNAL, "CRL authority key identifier");
}

static err_t *crl_set_fields(X509_CRL *crl, const crl_spec_t *spec, const cert_t *issuer) {
    X509 *x509;
    TRY(cert_x509_get(issuer, &x509));
    ASN1_TIME *this_update CLEANUP(ASN1_TIME_free) = ASN1_TIME_set(NULL, (time_t)spec->this_update);
    ASN1_TIME *next_update CLEANUP(ASN1_TIME_free) = ASN1_TIME_set(NULL, (time_t)spec->next_update);
    if (!this_update || !next_update || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(x509)) != 1 ||
        X509_CRL_set1_lastUpdate(crl, this_update) != 1 ||
        X509_CRL_set1_nextUpdate(crl, next_update) != 1)
        return err_openssl(ERR_INTERNAL, "CRL fields");
    return NULL;
}

err_t *crl_build(const crl_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key,
                 buf_t *out) {
    if (spec->next_update <= spec->this_update || spec->this_update < 0)
        return err_new(ERR_USAGE, "CRL would never be valid");
    if (!pkey_has_private(issuer_key) || !pkey_same_public(cert_key(issuer), issuer_key))
        return err_new(ERR_USAGE, "that key is not the CRL issuer's");
    const EVP_MD *md;
    TRY(sign_digest(issuer_key, &md));
    X509_CRL *crl CLEANUP(X509_CRL_free) = X509_CRL_new();
    if (!crl) return err_nomem();
    TRY(crl_set_fields(crl, spec, issuer));
    for (size_t i = 0; i < spec->entries_n; i++) TRY(crl_add_entry(crl, &spec->entries[i]));
    TRY(crl_add_extensions(crl, spec->number, issuer));
    if (X509_CRL_sort(crl) != 1 || X509_CRL_sign(crl, pkey_evp(issuer_key), md) <= 0)
        return err_openssl(ERR_INTERNAL, "signing the CRL");
    unsigned char *der = NULL;
    int n = i2d_X509_CRL(crl, &der);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "CRL can't be encoded");
    err_t *e = buf_add(out, bytes_make(der, (size_t)n));
    OPENSSL_free(der);
    return e;
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
