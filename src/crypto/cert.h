/*
 * cert_t: an X.509 certificate (RFC 5280), parsed once into plain values. Immutable, counted,
 * and safe to use from several threads at once. Everything an accessor returns is borrowed from
 * the certificate.
 */
#ifndef COFFER_CRYPTO_CERT_H
#define COFFER_CRYPTO_CERT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"
#include "crypto/cert_lint.h"
#include "crypto/name.h"
#include "crypto/pkey.h"

typedef struct cert cert_t;

/* Certificates in order; owns a reference to each. Zero-initialised is empty. */
typedef struct {
    cert_t **certs;
    size_t n;
} cert_list_t;

enum { CERT_SERIAL_SIZE = 20, CERT_SHA256_SIZE = 32 };

/*
 * Exactly one certificate in strict DER. ERR_INVALID if malformed, with an extension twice,
 * followed by anything, or with a NUL or control character inside a name; ERR_LIMIT past
 * LIMIT_CERTIFICATE_BYTES, LIMIT_SAN_ENTRIES, LIMIT_SUBJECT_ENTRIES or LIMIT_RSA_BITS_MAX.
 */
err_t *cert_parse_der(bytes_t der, cert_t **ret_cert) WARN_UNUSED;
/* The same, with a key that is likely the certificate's; see pkey_parse_public_known. */
err_t *cert_parse_der_known(bytes_t der, const pkey_t *known, cert_t **ret_cert) WARN_UNUSED;
/* Bytes of the first of several in DER, one after another; 0 if there is no whole element. */
size_t cert_der_size(bytes_t der);
/* The first certificate of a PEM text; ERR_INVALID if there is none. */
err_t *cert_parse_pem(bytes_t pem, cert_t **ret_cert) WARN_UNUSED;
/* Every certificate of a PEM text (at most 256), appended to list; ERR_INVALID if none. */
err_t *cert_parse_pem_list(bytes_t pem, cert_list_t *list) WARN_UNUSED;
void cert_free(cert_t *cert); /* drops one reference; takes NULL */
/* Another reference to the same certificate. */
cert_t *cert_share(const cert_t *cert);

err_t *cert_list_add(cert_list_t *list, const cert_t *cert) WARN_UNUSED; /* shares cert */
void cert_list_done(cert_list_t *list);

bytes_t cert_der(const cert_t *cert);
err_t *cert_pem(const cert_t *cert, buf_t *out) WARN_UNUSED; /* appends */

bytes_t cert_serial(const cert_t *cert);         /* magnitude, big endian, no leading zeros */
const char *cert_serial_hex(const cert_t *cert); /* the same as lower-case hex, "-" if negative */
const char *cert_subject(const cert_t *cert);    /* RFC 2253, one line */
const char *cert_issuer(const cert_t *cert);
bytes_t cert_subject_der(const cert_t *cert); /* the Name */
bytes_t cert_issuer_der(const cert_t *cert);
const name_entry_t *cert_subject_entries(const cert_t *cert, size_t *ret_n);
/* First subject entry of this type (short name or dotted OID, e.g. OID_UID); NULL if none. */
const char *cert_subject_get(const cert_t *cert, const char *type);
const san_entry_t *cert_sans(const cert_t *cert, size_t *ret_n);
/* The index-th name of this kind; NULL past the last. */
const char *cert_san_get(const cert_t *cert, san_kind_t kind, size_t index);
int64_t cert_not_before(const cert_t *cert); /* seconds since 1970 UTC */
int64_t cert_not_after(const cert_t *cert);
bytes_t cert_spki_der(const cert_t *cert);       /* SubjectPublicKeyInfo as it stands there */
pkey_t *cert_key(const cert_t *cert);            /* public only; pkey_share to keep it */
const uint8_t *cert_sha256(const cert_t *cert);  /* fingerprint, CERT_SHA256_SIZE bytes */
const char *cert_sha256_hex(const cert_t *cert); /* lower case */
unsigned cert_key_usage(const cert_t *cert);     /* KEY_USAGE_*; 0 if the extension is absent */
/* Whether the extended key usage extension lists this OID (anyExtendedKeyUsage doesn't count). */
bool cert_has_eku(const cert_t *cert, const char *oid);
const char *const *cert_ekus(const cert_t *cert, size_t *ret_n); /* dotted OIDs */
bool cert_is_ca(const cert_t *cert);
bytes_t cert_skid(const cert_t *cert); /* none if absent */
bytes_t cert_akid(const cert_t *cert);
bool cert_same(const cert_t *a, const cert_t *b); /* same DER */
/* Whether issuer and serial (SCEP's GetCert, CMS's IssuerAndSerialNumber) name this one. */
bool cert_is_issuer_serial(const cert_t *cert, bytes_t issuer_der, bytes_t serial);

/*
 * The signature alone, with this key: no dates, no digest or key strength, no extensions. For
 * the factory CA only, whose SHA-1/RSA-1024 certificates expired long ago. ERR_VERIFY.
 */
err_t *cert_verify_signed_by_key(const cert_t *cert, const pkey_t *key) WARN_UNUSED;

typedef enum {
    CERT_PURPOSE_ANY,
    CERT_PURPOSE_TLS_SERVER,
    CERT_PURPOSE_TLS_CLIENT,
    CERT_PURPOSE_MAIL_SIGN,
    CERT_PURPOSE_MAIL_ENCRYPT,
} cert_purpose_t;

typedef struct {
    const cert_list_t *intermediates; /* untrusted; may be NULL */
    const cert_list_t *roots;         /* any of these ends the chain, CA or pinned leaf */
    int64_t at;                       /* seconds since 1970 UTC; 0 is refused */
    cert_purpose_t purpose;
    const char *hostname; /* must match a SAN DNS name or IP address; NULL: not asked */
    bool ignore_dates;    /* e.g. to judge a renewal by a certificate that just expired */
} cert_chain_t;

/*
 * Path validation (RFC 5280 section 6) at most LIMIT_CHAIN_DEPTH deep, SHA-256 and RSA-2048 or
 * better. ERR_VERIFY with the exact reason and depth. Revocation is the caller's.
 */
err_t *cert_verify_chain(const cert_t *cert, const cert_chain_t *chain) WARN_UNUSED;

/* What is wrong with a chain, the first that was found. */
typedef enum {
    CERT_FAULT_NONE,
    CERT_FAULT_CHAIN,   /* no way to a root, or one that doesn't hold */
    CERT_FAULT_PURPOSE, /* not for this */
    CERT_FAULT_WEAK,    /* a key or digest in it */
    CERT_FAULT_DATES,
} cert_fault_t;
/* The same; with ERR_VERIFY *ret_fault says of which kind it is. */
err_t *cert_judge_chain(const cert_t *cert, const cert_chain_t *chain,
                        cert_fault_t *ret_fault) WARN_UNUSED;
/*
 * Whether people may encrypt mail to it by its own words (RFC 8550 section 4.4): keyEncipherment
 * for RSA, keyAgreement for EC, or no key usage; emailProtection, any or no extended key usage; no
 * CA. Nothing is said of its chain.
 */
bool cert_may_receive_mail(const cert_t *cert);

/* What to issue. Zero-initialised means "absent" for every field; all pointers are borrowed. */
typedef struct {
    const name_entry_t *subject; /* may be empty if there are SANs (the SAN is critical then) */
    size_t subject_n;
    const san_entry_t *sans; /* not SAN_OTHER */
    size_t sans_n;
    bytes_t serial;                /* 1..20 bytes, first byte 01..7f: see cert_serial_random */
    int64_t not_before, not_after; /* seconds since 1970 UTC */
    bool is_ca;
    bool has_path_length;
    unsigned path_length;
    unsigned key_usage;      /* KEY_USAGE_* */
    const char *const *ekus; /* dotted OIDs */
    size_t ekus_n;
    const char *const *policies; /* dotted OIDs */
    size_t policies_n;
    const char *crl_url;
    const char *ocsp_url;
    const char *ca_issuers_url;
    bool ocsp_nocheck; /* id-pkix-ocsp-nocheck, RFC 6960 section 4.2.2.2.1 */
    const pkey_t *key; /* the subject's; needs no private part unless self-signed */
    /* Rules that must hold before anything is signed, or it is ERR_DENIED: see cert_lint_demand. */
    cert_lint_rules_t lint;
} cert_spec_t;

/* Serial number of CERT_SERIAL_SIZE random bytes, positive, always 20 bytes long. */
err_t *cert_serial_random(const rnd_t *rnd, uint8_t out[CERT_SERIAL_SIZE]) WARN_UNUSED;

/*
 * Issues under `issuer` with its key; issuer NULL is self-signed by issuer_key (spec->key may
 * then be NULL). SHA-256 for RSA and P-256, SHA-384 for P-384, Ed25519. Subject and authority key
 * identifiers always; critical flags as RFC 5280 asks. ERR_USAGE for a spec that makes no valid
 * certificate or a key that doesn't match the issuer; ERR_LIMIT for too many names.
 */
err_t *cert_issue(const cert_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key,
                  cert_t **ret_cert) WARN_UNUSED;

DEFINE_CLEANUP(cert_t, cert_free)
DEFINE_CLEANUP_VALUE(cert_list_t, cert_list_done)

#endif
