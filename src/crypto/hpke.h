/*
 * Hybrid public key encryption (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, and one of
 * three AEADs; modes base and PSK. Base mode says nothing about who sent a message: a key that is
 * delivered this way needs a signature besides. One suite per use, fixed by the caller, never
 * taken from the message. The one-shot functions are thread-safe; an hpke_t belongs to one thread
 * at a time.
 */
#ifndef COFFER_CRYPTO_HPKE_H
#define COFFER_CRYPTO_HPKE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/pkey.h"
#include "crypto/secret.h"

/* Named by the AEAD; Coffer's own is HPKE_AES256_GCM. */
typedef enum {
    HPKE_AES128_GCM,
    HPKE_AES256_GCM,
    HPKE_CHACHA20_POLY1305,
    HPKE_EXPORT_ONLY, /* RFC 9180 section 5.3: a context that only exports */
} hpke_suite_t;

enum { HPKE_ENC_SIZE = 32, HPKE_TAG_SIZE = 16 };
/* What hpke_seal adds to the plaintext's length, in bytes. */
enum { HPKE_OVERHEAD = HPKE_ENC_SIZE + HPKE_TAG_SIZE };

/*
 * One message to `recipient` (PKEY_X25519, else ERR_USAGE): appends enc || ciphertext || tag,
 * each time under a fresh ephemeral key. `info` binds the context (who, what, epoch), `aad` the
 * message. ERR_INVALID for a recipient's key of small order. On failure `out` is as it was.
 */
err_t *hpke_seal(hpke_suite_t suite, const pkey_t *recipient, bytes_t info, bytes_t aad,
                 bytes_t plaintext, buf_t *out) WARN_UNUSED;
/* Appends the plaintext. Whatever is wrong with `sealed` is the same ERR_VERIFY. */
err_t *hpke_open(hpke_suite_t suite, const pkey_t *recipient, bytes_t info, bytes_t aad,
                 bytes_t sealed, buf_t *out) WARN_UNUSED;
/* The same into locked memory; an empty plaintext is ERR_VERIFY too. */
err_t *hpke_open_secret(hpke_suite_t suite, const pkey_t *recipient, bytes_t info, bytes_t aad,
                        bytes_t sealed, secret_t **ret_secret) WARN_UNUSED;

/* A context for several messages in order, in one direction; its keys lie in locked memory. */
typedef struct hpke hpke_t;

/* Pre-shared key (RFC 9180 section 5.1.2); NULL for base mode. Both parts or ERR_USAGE. */
typedef struct {
    bytes_t key; /* at least 32 bytes of entropy; borrowed */
    bytes_t id;  /* borrowed */
} hpke_psk_t;

err_t *hpke_sender_new(hpke_suite_t suite, const pkey_t *recipient, bytes_t info,
                       const hpke_psk_t *psk, uint8_t ret_enc[HPKE_ENC_SIZE],
                       hpke_t **ret_sender) WARN_UNUSED;
/* `enc` of HPKE_ENC_SIZE bytes; ERR_VERIFY if it is no usable ephemeral key. */
err_t *hpke_receiver_new(hpke_suite_t suite, const pkey_t *recipient, bytes_t enc, bytes_t info,
                         const hpke_psk_t *psk, hpke_t **ret_receiver) WARN_UNUSED;
void hpke_free(hpke_t *hpke); /* wipes; takes NULL */

/*
 * The next message: appends ciphertext || tag, or the plaintext. The sequence number moves on
 * only if it worked. ERR_USAGE for the wrong side or HPKE_EXPORT_ONLY; ERR_LIMIT after 2^64 - 1.
 */
err_t *hpke_context_seal(hpke_t *sender, bytes_t aad, bytes_t plaintext, buf_t *out) WARN_UNUSED;
err_t *hpke_context_open(hpke_t *receiver, bytes_t aad, bytes_t sealed, buf_t *out) WARN_UNUSED;
/* A secret both sides can derive (RFC 9180 section 5.3), n bytes. */
err_t *hpke_export(const hpke_t *hpke, bytes_t context, size_t n,
                   secret_t **ret_secret) WARN_UNUSED;

DEFINE_CLEANUP(hpke_t, hpke_free)

#endif
