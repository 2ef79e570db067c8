/*
 * Opens EnvelopedData and AuthEnvelopedData while they stream by: RFC 5652 section 6, RFC 5083, RFC
 * 3370, RFC 3560 (RSAES-OAEP), RFC 5753 (ECDH), RFC 5084 (AES-GCM). Memory doesn't grow with the
 * content. Belongs to one thread.
 */
#ifndef COFFER_CRYPTO_CMS_OPEN_H
#define COFFER_CRYPTO_CMS_OPEN_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"
#include "crypto/cert.h"
#include "crypto/cms_head.h"
#include "crypto/pkey.h"

/* How the content key travels to a recipient. */
typedef enum {
    CMS_TRANSPORT_RSA, /* PKCS#1 v1.5 */
    CMS_TRANSPORT_RSA_OAEP,
    CMS_TRANSPORT_ECDH,
    CMS_TRANSPORT_OTHER, /* not read here: a password, a shared key */
} cms_transport_t;

/* Whom a recipientInfo names. All borrowed. */
typedef struct {
    cms_transport_t transport;
    bytes_t issuer; /* Name, DER; with serial */
    bytes_t serial; /* magnitude */
    bytes_t key_id; /* subjectKeyIdentifier, instead of the two */
} cms_recipient_t;
/* Whether it names this certificate. */
bool cms_recipient_is(const cms_recipient_t *recipient, const cert_t *cert);

/* What a recipientInfo holds besides its recipient's name. All borrowed. */
typedef struct {
    cms_transport_t transport; /* never CMS_TRANSPORT_OTHER */
    bytes_t algorithm;         /* keyEncryptionAlgorithm's content octets */
    bytes_t encrypted;         /* encryptedKey */
    bytes_t originator;        /* ECDH: the point */
    bytes_t ukm;               /* ECDH: user keying material, if has_ukm */
    bool has_ukm;
} cms_wrapped_t;

/* What protects the content. */
typedef enum {
    CMS_INTEGRITY_NONE, /* CBC: whoever alters it isn't noticed */
    CMS_INTEGRITY_AEAD, /* GCM: holds once cms_open_finish has said so */
} cms_integrity_t;

typedef struct {
    cms_integrity_t integrity;
    char cipher[32]; /* "AES-256-CBC"; the dotted OID if unknown */
    bool weak;       /* less than 112 bits, or 64-bit blocks */
} cms_envelope_t;

typedef struct {
    /*
     * Called for each recipientInfo in turn until one is found. Both borrowed until finish; the
     * key may be NULL if `unwrap` is there.
     */
    err_t *(*find)(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found);
    /* Once, when the key was found and before the first content. May be NULL. */
    err_t *(*opened)(void *arg, const cms_envelope_t *envelope);
    /* Plaintext. With CMS_INTEGRITY_AEAD it must not leave before cms_open_finish has succeeded. */
    err_t *(*content)(void *arg, bytes_t data);
    void *arg;
    /*
     * For a key that lies elsewhere: find gave the certificate and no private key. The content key,
     * `n` bytes, as cms_unwrap (crypto/cms_unwrap.h) makes it. ERR_VERIFY becomes the uniform
     * failure; other errors end the reading. NULL: such keys count as not found.
     */
    err_t *(*unwrap)(void *arg, const cert_t *cert, const cms_wrapped_t *wrapped, uint8_t *ret_key,
                     size_t n);
} cms_open_handler_t;

typedef struct cms_open cms_open_t;

/* handler and rnd are borrowed. */
err_t *cms_open_new(const cms_open_handler_t *handler, const rnd_t *rnd,
                    cms_open_t **ret_open) WARN_UNUSED;
void cms_open_free(cms_open_t *open); /* takes NULL */
/*
 * ERR_NOT_FOUND: no recipientInfo is for a key that find knows. ERR_VERIFY: it can't be opened, the
 * same text for every reason that depends on key or ciphertext. ERR_INVALID, ERR_LIMIT: malformed.
 */
err_t *cms_open_feed(cms_open_t *open, bytes_t data) WARN_UNUSED;
err_t *cms_open_finish(cms_open_t *open) WARN_UNUSED;

/* Only the recipients, of a head as cms_split gives it: for asking who can read. */
err_t *cms_open_recipients(bytes_t head, err_t *(*each)(void *arg, const cms_recipient_t *r),
                           void *arg) WARN_UNUSED;

DEFINE_CLEANUP(cms_open_t, cms_open_free)

#endif
