/*
 * For the files of src/crypto only: what the CMS files share.
 */
#ifndef COFFER_CRYPTO_CMS_INTERNAL_H
#define COFFER_CRYPTO_CMS_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/cms.h>

#include "crypto/cms.h"
#include "crypto/der_internal.h"

DEFINE_CLEANUP(CMS_ContentInfo, CMS_ContentInfo_free)

enum { CMS_OID_TEXT = 128, CMS_LEAN_ATTRIBUTES = 24 };

typedef struct {
    bytes_t oid; /* content octets */
    der_t value;
} cms_lean_attribute_t;

/* Read either by OpenSSL (cms, info) or by hand (copy, attributes). */
struct cms_signed {
    CMS_ContentInfo *cms;
    CMS_SignerInfo *info; /* inside cms */
    uint8_t *copy;        /* of the whole message */
    cms_lean_attribute_t attributes[CMS_LEAN_ATTRIBUTES];
    size_t attributes_n;
    bytes_t content; /* inside cms or copy; none if absent */
    bool has_content;
    cms_digest_t digest;
    cert_list_t certs;
    const cert_t *cert; /* inside certs */
    char content_type[CMS_OID_TEXT];
};

/*
 * The plain case by hand: *ret_signed NULL without an error means "not plain, ask OpenSSL". A
 * signature or digest that doesn't hold is ERR_VERIFY at once.
 */
err_t *cms_verify_lean(bytes_t message, const bytes_t *detached,
                       const cms_verify_options_t *options, cms_signed_t **ret_signed) WARN_UNUSED;
/* Every case by OpenSSL's CMS_verify. */
err_t *cms_verify_openssl(bytes_t message, const bytes_t *detached,
                          const cms_verify_options_t *options,
                          cms_signed_t **ret_signed) WARN_UNUSED;
/* Whether the signer's key is of a kind and strength that counts; ERR_VERIFY. */
err_t *cms_check_key(const cms_signed_t *s, const cms_verify_options_t *options) WARN_UNUSED;
const EVP_MD *cms_digest_md(cms_digest_t digest);

/* A read-only BIO over the bytes, which must outlive it. NULL without memory. */
BIO *cms_bio_source(bytes_t data);
/* A BIO that appends to a buf_t; bio and method go together in cms_sink_done. */
typedef struct {
    buf_t *out; /* borrowed */
    err_t *e;   /* why the buffer refused, if it did; owned */
    BIO *bio;
    BIO_METHOD *method;
} cms_sink_t;
err_t *cms_sink_init(cms_sink_t *sink, buf_t *out) WARN_UNUSED;
void cms_sink_done(cms_sink_t *sink);
DEFINE_CLEANUP_VALUE(cms_sink_t, cms_sink_done)

/* Exactly one ContentInfo that passed cms_head_check. */
err_t *cms_parse(bytes_t message, cms_type_t *ret_type, CMS_ContentInfo **ret_cms) WARN_UNUSED;
/* Appends the DER; ERR_LIMIT past LIMIT_CMS_BYTES or out's own maximum. */
err_t *cms_write_der(CMS_ContentInfo *cms, buf_t *out) WARN_UNUSED;
/* Appends certs-only SignedData. */
err_t *cms_certs_write(const cert_list_t *certs, buf_t *out) WARN_UNUSED;
/*
 * Appends EnvelopedData in DER for RSA recipients by PKCS#1 v1.5, with a CBC cipher. On failure out
 * may hold a part of it; so with all cms_*_write.
 */
err_t *cms_envelope_write(bytes_t content, const cert_list_t *recipients, cms_cipher_t kind,
                          buf_t *out) WARN_UNUSED;
/*
 * Appends the content of an EnvelopedData in the plain case; *ret_usual false without an error
 * means "not plain, ask OpenSSL". The cipher is the message's, and allowed. The key is the
 * certificate's. What can't be decrypted is ERR_VERIFY.
 */
err_t *cms_decrypt_lean(bytes_t message, const cert_t *cert, const pkey_t *key, cms_cipher_t cipher,
                        buf_t *out, bool *ret_usual) WARN_UNUSED;
/* Every case by OpenSSL's CMS_decrypt, whatever the cipher. */
err_t *cms_decrypt_openssl(bytes_t message, const cert_t *cert, const pkey_t *key,
                           buf_t *out) WARN_UNUSED;
const EVP_CIPHER *cms_cipher_evp(cms_cipher_t cipher);
bytes_t cms_cipher_oid(cms_cipher_t cipher); /* content octets */

/* Who signs. All borrowed. */
typedef struct {
    const cert_t *cert;
    EVP_PKEY *key;
    const cert_list_t *extra;
} cms_signing_t;
/* All borrowed from the signer. */
cms_signing_t cms_signer_signing(const cms_signer_t *signer);
/* Appends SignedData in DER. */
/* `hash` (may be NULL) is the content's, if it was hashed elsewhere: detached only. */
err_t *cms_signed_write(const cms_signing_t *by, bytes_t content, const bytes_t *hash,
                        const cms_sign_options_t *options, buf_t *out) WARN_UNUSED;
/*
 * The content key inside an RSA PKCS#1 v1.5 encryptedKey, n bytes at out. When the padding or the
 * length is wrong out gets random bytes instead, chosen without a branch (RFC 3218 section 2.3.2):
 * nobody may learn which it was. encrypted: at most LIMIT_RSA_BITS_MAX / 8 bytes.
 */
err_t *cms_unwrap_pkcs1(bytes_t encrypted, const pkey_t *key, uint8_t *out, size_t n) WARN_UNUSED;
/* Appends IssuerAndSerialNumber. */
err_t *cms_put_issuer_serial(buf_t *out, const cert_t *cert) WARN_UNUSED;
/* Appends SignerInfo; `hash` as in cms_signed_write. */
err_t *cms_put_signer(const cms_signing_t *by, bytes_t content, const bytes_t *hash,
                      const cms_sign_options_t *options, buf_t *out) WARN_UNUSED;
/* AlgorithmIdentifier without parameters (RFC 5754 section 2). */
bytes_t cms_digest_algorithm(cms_digest_t digest);
/* Appends the certificates [0] of a SignedData, in the order of a SET OF. */
err_t *cms_put_certificates(const cert_t *const *certs, size_t n, buf_t *out) WARN_UNUSED;
/*
 * Makes a ContentInfo of what was written from start on: SEQUENCE { type, [0] { SEQUENCE } }.
 */
err_t *cms_wrap(buf_t *out, size_t start, bytes_t type) WARN_UNUSED;
/* Streams content through an unfinished message and appends BER of indefinite length. */
err_t *cms_write_indefinite(CMS_ContentInfo *cms, bytes_t content, unsigned flags,
                            buf_t *out) WARN_UNUSED;

#endif
