/*
 * Who signed content that was hashed while it streamed by: SignedData without its content (RFC 5652
 * section 5, RFC 8551), any number of signers up to LIMIT_MAIL_SIGNERS, RSA PKCS#1 v1.5 and PSS,
 * ECDSA, and what OpenSSL knows besides. A chain is never judged here: see cert_verify_chain.
 */
#ifndef COFFER_CRYPTO_CMS_SIGNERS_H
#define COFFER_CRYPTO_CMS_SIGNERS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cert.h"
#include "crypto/cms.h"

/* ---- Hashing under several digests at once ---- */

typedef struct cms_hashes cms_hashes_t;

enum { CMS_HASH_ALL = 0xf }; /* a bit for each cms_digest_t */
#define CMS_HASH(digest) (1u << (digest))

err_t *cms_hashes_new(unsigned digests, cms_hashes_t **ret_hashes) WARN_UNUSED;
void cms_hashes_free(cms_hashes_t *hashes); /* takes NULL */
err_t *cms_hashes_add(cms_hashes_t *hashes, bytes_t data) WARN_UNUSED;
/* Another one that has seen the same bytes. */
err_t *cms_hashes_clone(const cms_hashes_t *hashes, cms_hashes_t **ret_clone) WARN_UNUSED;
/* No more bytes. */
err_t *cms_hashes_end(cms_hashes_t *hashes) WARN_UNUSED;
bytes_t cms_hashes_get(const cms_hashes_t *hashes, cms_digest_t digest); /* none if not asked for */

/* The digests a micalg parameter names (RFC 8551 section 3.5.3.2); 0 if none is known. */
unsigned cms_micalg(bytes_t value);
/* The digests that a SignedData's head (see cms_split.h) announces; unknown ones left out. */
err_t *cms_announced(bytes_t head, unsigned *ret_digests) WARN_UNUSED;

/* ---- Signers ---- */

typedef enum {
    CMS_SIGNATURE_GOOD,
    CMS_SIGNATURE_ALTERED, /* the signature holds, the content isn't what was signed */
    CMS_SIGNATURE_BAD,     /* the signature doesn't hold */
    CMS_SIGNATURE_NO_CERT, /* the signer's certificate isn't there */
    CMS_SIGNATURE_UNKNOWN, /* an algorithm that is not known or not accepted here (MD5) */
    CMS_SIGNATURE_WEAK,    /* holds, by SHA-1 or a key that is too short */
} cms_signature_t;
const char *cms_signature_name(cms_signature_t state); /* "good", "altered", ... */

typedef struct {
    cms_signature_t state;
    cert_t *cert; /* owned by the list; NULL if it isn't there */
    cms_digest_t digest;
    char algorithm[48]; /* of the signature, for people: "RSA with SHA-256" */
    bool has_time;
    int64_t time;       /* signingTime: what the signer says */
    buf_t capabilities; /* SMIMECapabilities, DER; empty if absent */
} cms_signer_info_t;

typedef struct {
    cms_signer_info_t at[16];
    size_t n;
    cert_list_t certs; /* all that came along */
} cms_signers_t;

/*
 * Judges every signer of a SignedData without content. `plain` and `canonical` (may be NULL: hashes
 * of the same content with its line ends made CRLF) are ended. ERR_INVALID: not SignedData, content
 * inside. ERR_LIMIT. A bad signature is no error but its signer's state.
 */
err_t *cms_signers_check(bytes_t message, const cms_hashes_t *plain, const cms_hashes_t *canonical,
                         cms_signers_t *ret_signers) WARN_UNUSED;
void cms_signers_done(cms_signers_t *signers);

DEFINE_CLEANUP(cms_hashes_t, cms_hashes_free)
DEFINE_CLEANUP_VALUE(cms_signers_t, cms_signers_done)

#endif
