/*
 * SCEP's client side (RFC 8894), strict and pure: makes requests, judges replies. Nothing here
 * talks to a network. Failures of a check are ERR_VERIFY; the CA's refusal is ERR_DENIED, pending
 * is ERR_BUSY.
 */
#ifndef COFFER_SIM_SCEP_CLIENT_H
#define COFFER_SIM_SCEP_CLIENT_H

#include "base/rnd.h"
#include "crypto/cert.h"
#include "crypto/cms.h"
#include "program/sim/verify.h"

enum { SCEP_NONCE = 16, SCEP_TRANSACTION_HEX = 64 };

typedef struct {
    bool aes, des3, post, sha256, sha512, sha1, standard, renewal;
} scep_caps_t;

/* GetCACaps' answer (section 3.5.2); unknown words are skipped. ERR_VERIFY without any SHA-2. */
err_t *scep_client_caps(bytes_t text, scep_caps_t *ret_caps) WARN_UNUSED;

/* Who is on the other side. In CA mode all three are the same certificate. */
typedef struct {
    cert_t *ca;
    cert_t *signer;    /* of replies */
    cert_t *recipient; /* of envelopes */
} scep_peer_t;

void scep_peer_done(scep_peer_t *peer);

/*
 * GetCACert's answer (section 4.2.1): one DER certificate of a CA in CA mode (it signs replies and
 * opens envelopes), or with `ra` certificates only: a CA, and of it one registration authority's
 * certificate to sign and one to encipher, which may be the same. With the payload's fingerprint of
 * the CA if that gives one, and a chain to `roots`.
 */
err_t *scep_client_ca(bytes_t der, bool ra, bytes_t fingerprint, const cert_list_t *roots,
                      int64_t at, scep_peer_t *ret_peer) WARN_UNUSED;

/* One request on its way; owns all of it. */
typedef struct {
    pkey_t *key;
    cert_t *self; /* self-signed, what the envelope of the reply is for */
    scep_peer_t peer;
    uint8_t nonce[SCEP_NONCE];                     /* senderNonce */
    char transaction_id[SCEP_TRANSACTION_HEX + 1]; /* hex, SHA-256 of the key */
    unsigned key_usage;
    buf_t message; /* DER to POST */
} scep_request_out_t;

void scep_request_out_done(scep_request_out_t *request);

typedef struct {
    const scep_terms_t *terms; /* subject, names, key usage, challenge */
    const scep_peer_t *peer;
    pkey_t *key; /* shared, not taken over */
    const scep_caps_t *caps;
    int64_t now;
    const rnd_t *rnd;
    bool random_transaction; /* several requests for one key; else the key names it */
} scep_request_spec_t;

/* PKCSReq (section 3.3.1), the envelope in BER as Apple's devices make it. */
err_t *scep_client_request(const scep_request_spec_t *spec,
                           scep_request_out_t *ret_request) WARN_UNUSED;

/*
 * CertRep (section 3.3.2): signed by the CA or its RA, messageType 3, our transactionID and nonce,
 * opened with our key, exactly one certificate: for our key, with the subject and names asked for,
 * under `ca`, chaining to `roots`, good for TLS client authentication now.
 */
err_t *scep_client_reply(const scep_request_out_t *request, const scep_terms_t *terms,
                         bytes_t reply, const cert_list_t *roots, int64_t now,
                         cert_t **ret_cert) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(scep_peer_t, scep_peer_done)
DEFINE_CLEANUP_VALUE(scep_request_out_t, scep_request_out_done)

#endif
