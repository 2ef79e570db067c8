/*
 * Writes CMS of any length as a stream, in BER of indefinite length (RFC 5652 section 4 allows it,
 * everybody reads it): EnvelopedData and AuthEnvelopedData (RFC 5083), opaque SignedData; and
 * SignedData over content that was hashed elsewhere, for multipart/signed. Bytes go in, CMS comes
 * out. Belongs to one thread.
 */
#ifndef COFFER_CRYPTO_CMS_SEAL_H
#define COFFER_CRYPTO_CMS_SEAL_H

#include "crypto/cms.h"
#include "crypto/cms_signers.h"

typedef struct {
    err_t *(*write)(void *arg, bytes_t cms);
    void *arg;
} cms_sink_fn_t;

typedef struct cms_seal cms_seal_t;

/*
 * An envelope to 1..LIMIT_MAIL_RECIPIENTS recipients by issuer and serial, RSA (PKCS#1 v1.5 or OAEP
 * with SHA-256) or EC (ephemeral ECDH, X9.63 with SHA-256, AES-256 key wrap). ERR_USAGE for a key
 * that can't receive. Nothing is written before the first feed or finish.
 */
err_t *cms_seal_encrypt(const cert_list_t *recipients, const cms_encrypt_options_t *options,
                        cms_sink_fn_t sink, cms_seal_t **ret_seal) WARN_UNUSED;
/* Opaque SignedData. signer and options are borrowed. */
err_t *cms_seal_sign(const cms_signer_t *signer, const cms_sign_options_t *options,
                     cms_sink_fn_t sink, cms_seal_t **ret_seal) WARN_UNUSED;
err_t *cms_seal_feed(cms_seal_t *seal, bytes_t content) WARN_UNUSED;
err_t *cms_seal_finish(cms_seal_t *seal) WARN_UNUSED;
void cms_seal_free(cms_seal_t *seal); /* wipes; takes NULL */

/* Appends a detached SignedData over content whose hash (of options->digest) is given. */
err_t *cms_sign_hash(const cms_signer_t *signer, bytes_t hash, const cms_sign_options_t *options,
                     buf_t *out) WARN_UNUSED;
/*
 * SMIMECapabilities (RFC 8551 section 2.5.2), as the DER of a signed attribute's value: what we can
 * read, the best first.
 */
bytes_t cms_capabilities(void);
#define OID_SMIME_CAPABILITIES "1.2.840.113549.1.9.15"

DEFINE_CLEANUP(cms_seal_t, cms_seal_free)

#endif
