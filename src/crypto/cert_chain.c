/*
 * Path validation: see cert.h. RFC 5280 section 6, host names of RFC 6125. Any process, any
 * thread; no network, revocation is the caller's.
 */
#include <openssl/x509_vfy.h>

#include "base/limits.h"
#include "crypto/cert.h"
#include "crypto/cert_internal.h"
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

enum { AUTH_LEVEL = 2 }; /* 112 bits: RSA-2048, SHA-224 and better */

DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free)

/* The algorithm inside tbsCertificate must be the one beside the signature (section 4.1.1.2). */
static bool algorithms_agree(const cert_signed_t *parts) {
    bytes_t whole = parts->tbs, tbs, skipped, algorithm;
    if (!der_take(&whole, DER_SEQUENCE, &tbs)) return false;
    if (der_at(tbs, DER_CONTEXT_CONSTRUCTED | 0) &&
        !der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &skipped))
        return false;
    return der_take(&tbs, DER_INTEGER, &skipped) && algorithm_der_take(&tbs, &algorithm) &&
           bytes_eq(algorithm, parts->algorithm);
}

err_t *cert_verify_signed_by_key(const cert_t *cert, const pkey_t *key) {
    cert_signed_t parts = cert_signed_parts(cert);
    bool known = false;
    if (algorithms_agree(&parts))
        TRY_WRAP(signature_check(parts.algorithm, key, parts.tbs, parts.signature, &known),
                 "certificate %s is not signed by that key", cert_serial_hex(cert));
    if (known) return NULL;
    X509 *x509;
    TRY(cert_x509_get(cert, &x509));
    if (X509_verify(x509, pkey_evp(key)) != 1)
        return err_openssl(ERR_VERIFY, "certificate %s is not signed by that key",
                           cert_serial_hex(cert));
    return NULL;
}

static int openssl_purpose(cert_purpose_t purpose) {
    switch (purpose) {
    case CERT_PURPOSE_ANY: return X509_PURPOSE_ANY;
    case CERT_PURPOSE_TLS_SERVER: return X509_PURPOSE_SSL_SERVER;
    case CERT_PURPOSE_TLS_CLIENT: return X509_PURPOSE_SSL_CLIENT;
    case CERT_PURPOSE_MAIL_SIGN: return X509_PURPOSE_SMIME_SIGN;
    /* OpenSSL's demands keyEncipherment of EC keys too (RFC 8550 section 4.4.2 doesn't): looked at
     * by mail_purpose. */
    case CERT_PURPOSE_MAIL_ENCRYPT: return X509_PURPOSE_ANY;
    }
    return X509_PURPOSE_ANY;
}

static err_t *chain_parameters(X509_STORE_CTX *context, const cert_chain_t *chain) {
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    if (chain->ignore_dates) flags |= X509_V_FLAG_NO_CHECK_TIME;
    if (X509_VERIFY_PARAM_set_flags(param, flags) != 1 ||
        X509_VERIFY_PARAM_set_purpose(param, openssl_purpose(chain->purpose)) != 1)
        return err_openssl(ERR_INTERNAL, "verification parameters");
    if (!chain->ignore_dates) X509_VERIFY_PARAM_set_time(param, (time_t)chain->at);
    X509_VERIFY_PARAM_set_depth(param, LIMIT_CHAIN_DEPTH);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    if (!chain->hostname) return NULL;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ASN1_OCTET_STRING *address CLEANUP(ASN1_OCTET_STRING_free) = a2i_IPADDRESS(chain->hostname);
    ERR_clear_error();
    int set = address ? X509_VERIFY_PARAM_set1_ip_asc(param, chain->hostname)
                      : X509_VERIFY_PARAM_set1_host(param, chain->hostname, 0);
    if (set != 1) return err_openssl(ERR_USAGE, "host name %s", chain->hostname);
    return NULL;
}

bool cert_may_receive_mail(const cert_t *cert) {
    static const char any[] = "2.5.29.37.0", mail[] = "1.3.6.1.5.5.7.3.4";
    unsigned usage = cert_key_usage(cert), wanted = 0;
    size_t ekus;
    switch (pkey_kind(cert_key(cert))) {
    case PKEY_RSA: wanted = KEY_USAGE_KEY_ENCIPHERMENT; break;
    case PKEY_P256:
    case PKEY_P384: wanted = KEY_USAGE_KEY_AGREEMENT; break;
    case PKEY_ED25519:
    case PKEY_X25519:
    case PKEY_OTHER: return false;
    }
    (void)cert_ekus(cert, &ekus);
    return !cert_is_ca(cert) && (!usage || usage & wanted) &&
           (!ekus || cert_has_eku(cert, mail) || cert_has_eku(cert, any));
}

/* Of every certificate of a chain that holds. */
static bool mail_purpose(const cert_t *cert, X509_STORE_CTX *context) {
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);
    if (!cert_may_receive_mail(cert)) return false;
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (!X509_check_purpose(sk_X509_value(chain, i), X509_PURPOSE_SMIME_ENCRYPT, 1))
            return false;
    return true;
}

static cert_fault_t fault_of(int reason) {
    switch (reason) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return CERT_FAULT_DATES;
    case X509_V_ERR_INVALID_PURPOSE: return CERT_FAULT_PURPOSE;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK: return CERT_FAULT_WEAK;
    default: return CERT_FAULT_CHAIN;
    }
}

err_t *cert_verify_chain(const cert_t *cert, const cert_chain_t *chain) {
    cert_fault_t fault;
    return cert_judge_chain(cert, chain, &fault);
}

err_t *cert_judge_chain(const cert_t *cert, const cert_chain_t *chain, cert_fault_t *ret_fault) {
    if ((chain->at <= 0 && !chain->ignore_dates) || !chain->roots)
        return err_new(ERR_USAGE, "a chain needs roots and a time to be judged at");
    if (chain->hostname && !chain->hostname[0]) return err_new(ERR_USAGE, "host name is empty");
    STACK_OF(X509) * untrusted CLEANUP(sk_X509_free) = NULL;
    STACK_OF(X509) * trusted CLEANUP(sk_X509_free) = NULL;
    TRY(cert_list_stack(chain->intermediates, &untrusted));
    TRY(cert_list_stack(chain->roots, &trusted));
    X509 *x509;
    TRY(cert_x509_get(cert, &x509));
    X509_STORE_CTX *context CLEANUP(X509_STORE_CTX_free) = X509_STORE_CTX_new();
    if (!context || X509_STORE_CTX_init(context, NULL, x509, untrusted) != 1)
        return err_openssl(ERR_INTERNAL, "verification context");
    X509_STORE_CTX_set0_trusted_stack(context, trusted);
    TRY(chain_parameters(context, chain));
    bool good = X509_verify_cert(context) == 1;
    if (good && (chain->purpose != CERT_PURPOSE_MAIL_ENCRYPT || mail_purpose(cert, context)))
        return NULL;
    int reason = good ? X509_V_ERR_INVALID_PURPOSE : X509_STORE_CTX_get_error(context);
    ERR_clear_error();
    if (reason == X509_V_ERR_OUT_OF_MEM) return err_nomem();
    *ret_fault = fault_of(reason);
    return err_new(ERR_VERIFY, "certificate %s (%s): %s, at depth %d of its chain",
                   cert_serial_hex(cert), cert_subject(cert), X509_verify_cert_error_string(reason),
                   X509_STORE_CTX_get_error_depth(context));
}
