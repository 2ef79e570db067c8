/*
 * Cryptographic Message Syntax (RFC 5652, RFC 5083) for SCEP, MDM, profiles and S/MIME, over
 * OpenSSL's CMS_* functions. Input may be BER with indefinite lengths, as Apple's is. A chain is
 * never judged here: see cert_verify_chain. Stateless functions are thread-safe; a cms_signer_t
 * and a cms_signed_t are immutable and may be shared between threads.
 */
#ifndef COFFER_CRYPTO_CMS_H
#define COFFER_CRYPTO_CMS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cert.h"
#include "crypto/cert_cache.h"
#include "crypto/cms_head.h"
#include "crypto/pkey.h"

#define OID_CMS_DATA        "1.2.840.113549.1.7.1"
#define OID_CMS_SIGNED_DATA "1.2.840.113549.1.7.2"

typedef enum {
    CMS_DIGEST_SHA256, /* the default */
    CMS_DIGEST_SHA1,
    CMS_DIGEST_SHA384,
    CMS_DIGEST_SHA512,
    CMS_DIGEST_MD5,   /* read with allow_any_digest, never written */
    CMS_DIGEST_OTHER, /* the same */
} cms_digest_t;
const char *cms_digest_name(cms_digest_t digest); /* "SHA-256" */

/* ---- Signing ---- */

/* A certificate with its private key, ready to sign many messages. */
typedef struct cms_signer cms_signer_t;

/* `extra` (may be NULL) goes along in every message. ERR_USAGE if key and cert don't match, or are
 * neither RSA nor EC. */
err_t *cms_signer_new(const cert_t *cert, const pkey_t *key, const cert_list_t *extra,
                      cms_signer_t **ret_signer) WARN_UNUSED;
void cms_signer_free(cms_signer_t *signer);
const cert_t *cms_signer_cert(const cms_signer_t *signer); /* borrowed */

/* CMS_SEQUENCE: the value is the whole DER of one. */
typedef enum {
    CMS_PRINTABLE_STRING,
    CMS_UTF8_STRING,
    CMS_OCTET_STRING,
    CMS_SEQUENCE,
} cms_value_kind_t;

typedef struct {
    const char *oid; /* dotted; borrowed */
    cms_value_kind_t kind;
    bytes_t value; /* borrowed */
} cms_attribute_t;

typedef struct {
    bool detached; /* leaves the content out (also SCEP's FAILURE and PENDING: no content) */
    cms_digest_t digest;
    const cms_attribute_t *attributes; /* signed ones besides contentType, messageDigest, time */
    size_t attributes_n;
    int64_t signing_time; /* seconds since 1970 UTC; 0: the system's clock */
    bool no_certificates; /* the peer has them already */
    bool indefinite; /* BER with indefinite length and chunks of content, as devices send; DER if
                      * detached */
} cms_sign_options_t;

/*
 * Appends a ContentInfo with SignedData. RSA PKCS#1 v1.5 or ECDSA. `options` NULL: attached,
 * SHA-256.
 */
err_t *cms_sign(const cms_signer_t *signer, bytes_t content, const cms_sign_options_t *options,
                buf_t *out) WARN_UNUSED;

/* ---- Verifying ---- */

typedef struct cms_signed cms_signed_t;

typedef struct {
    bool allow_sha1;       /* as digest of the message */
    bool allow_any_digest; /* whatever can be checked, MD5 too: only to refuse it in a reply */
    bool allow_weak_key;   /* RSA below LIMIT_RSA_BITS_MIN (factory certificates) */
    bool allow_no_content; /* absent content counts as empty (SCEP FAILURE, PENDING) */
    cert_cache_t *certs;   /* certificates seen before, borrowed; NULL: parses each time */
} cms_verify_options_t;

/*
 * Checks the one signature with the one embedded certificate that it names. `detached` (may be
 * NULL) is the content that travelled apart; if content is embedded too it must be the same.
 * ERR_INVALID: not SignedData, not exactly one signer, its certificate missing or there twice,
 * content missing. ERR_LIMIT: too large. ERR_VERIFY: signature or digest doesn't hold, or too
 * weak for the options. `options` NULL: none.
 */
err_t *cms_verify(bytes_t message, const bytes_t *detached, const cms_verify_options_t *options,
                  cms_signed_t **ret_signed) WARN_UNUSED;
void cms_signed_free(cms_signed_t *s); /* takes NULL */

/* All borrowed from the message. */
bytes_t cms_signed_content(const cms_signed_t *s);          /* none if it was detached */
const char *cms_signed_content_type(const cms_signed_t *s); /* dotted OID of what is inside */
const cert_t *cms_signed_cert(const cms_signed_t *s);       /* the signer's */
const cert_list_t *cms_signed_certs(const cms_signed_t *s); /* all, as they came */
cms_digest_t cms_signed_digest(const cms_signed_t *s);
bool cms_signed_has_attributes(const cms_signed_t *s);

typedef struct {
    int tag;       /* universal tag number: 19 PrintableString, 4 OCTET STRING, 12 UTF8String */
    bytes_t value; /* content octets of the value; for a SEQUENCE or SET its whole DER */
} cms_signed_value_t;

/*
 * A signed attribute. *ret_found false if it is absent; ERR_INVALID unless it is there once with
 * exactly one value.
 */
err_t *cms_signed_attribute(const cms_signed_t *s, const char *oid, bool *ret_found,
                            cms_signed_value_t *ret_value) WARN_UNUSED;
/* The same, but absence, another kind or an empty value is ERR_INVALID. */
err_t *cms_signed_require(const cms_signed_t *s, const char *oid, cms_value_kind_t kind,
                          bytes_t *ret_value) WARN_UNUSED;

/* ---- Encrypting ---- */

typedef enum {
    CMS_AES256_CBC, /* the default */
    CMS_AES128_CBC,
    CMS_DES3_CBC,
    CMS_AES256_GCM, /* AuthEnvelopedData, RFC 5083 */
} cms_cipher_t;
const char *cms_cipher_name(cms_cipher_t cipher);

typedef struct {
    cms_cipher_t cipher;
    bool oaep;       /* RSAES-OAEP with SHA-256 instead of PKCS#1 v1.5, for RSA recipients */
    bool indefinite; /* BER with indefinite length, as Apple's devices send */
} cms_encrypt_options_t;

/*
 * Appends a ContentInfo with EnvelopedData to 1..LIMIT_CMS_RECIPIENTS recipients by issuer and
 * serial: RSA key transport, ECDH (RFC 5753) for EC keys. ERR_USAGE for a key that can't receive
 * (Ed25519). `options` NULL: AES-256-CBC, PKCS#1 v1.5.
 */
err_t *cms_encrypt(bytes_t content, const cert_list_t *recipients,
                   const cms_encrypt_options_t *options, buf_t *out) WARN_UNUSED;
/* The same for one recipient. */
err_t *cms_encrypt_to(bytes_t content, const cert_t *recipient,
                      const cms_encrypt_options_t *options, buf_t *out) WARN_UNUSED;

typedef struct {
    bool allow_des3;
    bool allow_des; /* single DES, 56 bits; needs cms_enable_des */
} cms_decrypt_options_t;

/*
 * Makes single DES readable in this process, for SCEP clients that know nothing else: it comes
 * from OpenSSL's legacy provider, a file that is opened here. Before the sandbox and the threads.
 */
err_t *cms_enable_des(void) WARN_UNUSED;

/*
 * Appends the plain content to out (make it secret). Only a recipientInfo that names `cert` is
 * tried. Every failure that depends on the ciphertext is the same ERR_VERIFY without a cause; only
 * a too large message is ERR_LIMIT and memory ERR_NOMEM. CBC is not authenticated: a tampered
 * message may decrypt to garbage. On success *ret_cipher (may be NULL) says what it came in,
 * for single DES CMS_DES3_CBC: the least that is ever written.
 */
err_t *cms_decrypt(bytes_t message, const cert_t *cert, const pkey_t *key,
                   const cms_decrypt_options_t *options, buf_t *out,
                   cms_cipher_t *ret_cipher) WARN_UNUSED;

/* ---- Certificates only ---- */

/* Appends the degenerate SignedData (RFC 5652 section 5.1, RFC 8894 section 3.4). */
err_t *cms_certs_only(const cert_list_t *certs, buf_t *out) WARN_UNUSED;
/* The same with one revocation list (DER, unverified) and no certificate; GetCRL's answer. */
err_t *cms_crl_only(bytes_t crl, buf_t *out) WARN_UNUSED;
/* Appends the certificates of any SignedData to list, unverified; ERR_INVALID if not one. */
err_t *cms_parse_certs(bytes_t message, cert_list_t *list) WARN_UNUSED;

DEFINE_CLEANUP(cms_signer_t, cms_signer_free)
DEFINE_CLEANUP(cms_signed_t, cms_signed_free)

#endif
