/*
 * The keeper as the other programs see it: one typed function an intent. Each blocks until the
 * keeper answered or the time-out passed; safe from many threads at once. When the keeper dies in
 * mid-request the call ends with ERR_UNAVAILABLE; idempotent ones (marked) are repeated once on the
 * new channel before that.
 * Runs in coffer-web, coffer-courier; never in the keeper.
 */
#ifndef COFFER_KEEPER_CLIENT_H
#define COFFER_KEEPER_CLIENT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cms.h"
#include "ipc/client.h"
#include "keeper/intents.h"

typedef struct keeper keeper_t;

/* For client_*.c: asks, and asks once more if the keeper died over it: idempotent ones only. */
err_t *keeper_call(keeper_t *keeper, keeper_intent_t intent, const buf_t *body,
                   buf_t *reply) WARN_UNUSED;
/* The same for those that are not: once. */
err_t *keeper_call_once(keeper_t *keeper, keeper_intent_t intent, const buf_t *body,
                        buf_t *reply) WARN_UNUSED;
/* Borrows the rpc client, which must outlive it. */
err_t *keeper_new(rpc_client_t *rpc, keeper_t **ret_keeper) WARN_UNUSED;
void keeper_free(keeper_t *keeper);

typedef struct {
    uint64_t certificates; /* issued, ever */
    uint64_t log_entries;
    bool seccomp;
    bool landlock;
} keeper_status_t;

/* Idempotent. */
err_t *keeper_status(keeper_t *keeper, keeper_status_t *ret_status) WARN_UNUSED;
/* Idempotent; appends DER. */
err_t *keeper_public(keeper_t *keeper, keeper_public_t which, buf_t *ret_der) WARN_UNUSED;

/*
 * Opens a SCEP pkcsPKIEnvelope (RFC 8894 section 3.1) addressed to the device CA, the current or
 * a former one, and gives the PKCS#10 inside, whose proof of possession holds. Every failure is
 * the same ERR_VERIFY.
 * Idempotent.
 */
err_t *keeper_scep_open(keeper_t *keeper, bytes_t envelope, buf_t *ret_csr,
                        cms_cipher_t *ret_cipher) WARN_UNUSED;

/* What CertPoll, and GetCert and GetCRL carry (RFC 8894 sections 3.3.3 to 3.3.5). */
typedef enum {
    KEEPER_ID_ISSUER_SUBJECT = 1,
    KEEPER_ID_ISSUER_SERIAL = 2,
} keeper_id_kind_t;

/*
 * Opens an envelope that names a certificate and gives the IssuerAndSubject or the
 * IssuerAndSerialNumber inside (see crypto/cert_id.h), nothing else. Every failure is the same
 * ERR_VERIFY. Idempotent.
 */
err_t *keeper_scep_open_id(keeper_t *keeper, bytes_t envelope, keeper_id_kind_t kind, buf_t *ret_id,
                           cms_cipher_t *ret_cipher) WARN_UNUSED;

/* What a CertRep repeats from its request (RFC 8894 section 3.2.1). */
typedef struct {
    bytes_t transaction_id;
    bytes_t sender_nonce; /* of the request; becomes recipientNonce */
    bytes_t signer;       /* DER of the request's signer certificate: the reply's recipient */
    cms_cipher_t cipher;  /* for the reply's envelope */
    bool sha1;            /* an old client that said it knows nothing better */
    uint8_t generation;   /* of the device CA that the request was made for; 0: the current one */
} keeper_scep_reply_t;

/* For client_*.c: writes it into a body. */
err_t *keeper_put_reply(buf_t *body, const keeper_scep_reply_t *reply) WARN_UNUSED;

typedef struct {
    const char *profile; /* certificate profile: the keeper holds its rules */
    bytes_t csr;         /* DER; proof of possession is verified again */
    const char *names;   /* subjectAltNames to put in: "email:a@example.org dns:b uri:c", or "" */
    const char *owner;   /* whom it is for, in the keeper's own record: enrolment or device id */
} keeper_request_t;

/*
 * Certifies and records, durably, then gives the certificate (DER) and the whole CertRep SUCCESS
 * (signed by the device CA, enveloped to reply.signer). ERR_DENIED when the profile forbids what
 * the CSR asks; the message says which rule.
 */
err_t *keeper_scep_issue(keeper_t *keeper, const keeper_request_t *request,
                         const keeper_scep_reply_t *reply, buf_t *ret_certificate,
                         buf_t *ret_certrep) WARN_UNUSED;
/* The same certificate once more, by fingerprint. ERR_NOT_FOUND if we never issued it. Idempotent.
 */
err_t *keeper_scep_repeat(keeper_t *keeper, bytes_t fingerprint, const keeper_scep_reply_t *reply,
                          buf_t *ret_certrep) WARN_UNUSED;

typedef enum { /* RFC 8894 section 3.2.1.4.5 */
               SCEP_FAIL_BAD_ALG = 0,
               SCEP_FAIL_BAD_MESSAGE_CHECK = 1,
               SCEP_FAIL_BAD_REQUEST = 2,
               SCEP_FAIL_BAD_TIME = 3,
               SCEP_FAIL_BAD_CERT_ID = 4,
} scep_fail_info_t;

typedef enum { /* pkiStatus, RFC 8894 section 3.2.1.3 */
               SCEP_STATUS_SUCCESS = 0,
               SCEP_STATUS_FAILURE = 2,
               SCEP_STATUS_PENDING = 3,
} keeper_scep_status_t;

/* CertRep FAILURE with failInfo and a sentence (failInfoText, RFC 8894 section 3.2.1.5).
 * Idempotent. */
err_t *keeper_scep_refuse(keeper_t *keeper, scep_fail_info_t info, const char *text,
                          const keeper_scep_reply_t *reply, buf_t *ret_certrep) WARN_UNUSED;

/* CertRep PENDING. Idempotent. */
err_t *keeper_scep_pending(keeper_t *keeper, const keeper_scep_reply_t *reply,
                           buf_t *ret_certrep) WARN_UNUSED;

/* Attached CMS SignedData over a configuration profile (XML plist), by the profile signer.
 * A profile and what is put around it must fit LIMIT_FRAME_BYTES (ERR_LIMIT). Idempotent. */
err_t *keeper_sign_profile(keeper_t *keeper, bytes_t profile, buf_t *ret_der) WARN_UNUSED;
/*
 * EnvelopedData over a serialised PayloadContent array, to the certificate of this fingerprint,
 * which must be in the keeper's own record. Idempotent.
 */
err_t *keeper_seal_profile(keeper_t *keeper, bytes_t fingerprint, bytes_t payloads,
                           cms_cipher_t cipher, buf_t *ret_der) WARN_UNUSED;

/* AES-256-GCM under the storage key; AAD = kind, device, version. Idempotent. */
err_t *keeper_seal_secret(keeper_t *keeper, const char *kind, const char *device, int64_t version,
                          bytes_t secret, buf_t *ret_sealed) WARN_UNUSED;
/*
 * The secret, to be put into the command `command_uuid` that is on its way to this device. Capped
 * per device and day by the keeper (ERR_BUSY), recorded before it answers. ret_secret must be a
 * secret buffer.
 */
err_t *keeper_fill_secret(keeper_t *keeper, const char *kind, const char *device, int64_t version,
                          const char *command_uuid, bytes_t sealed, buf_t *ret_secret) WARN_UNUSED;

/* Signs audit_head_message() of (node, seq, hash, time). Idempotent. */
err_t *keeper_sign_audit_head(keeper_t *keeper, const char *node, int64_t seq,
                              const uint8_t hash[32], int64_t unix_ms,
                              buf_t *ret_signature) WARN_UNUSED;

/* Entries of the keeper's log after `after`, as JSON lines; *ret_last the last one's number.
 * Idempotent. */
err_t *keeper_log(keeper_t *keeper, uint64_t after, buf_t *ret_lines,
                  uint64_t *ret_last) WARN_UNUSED;

DEFINE_CLEANUP(keeper_t, keeper_free)

#endif
