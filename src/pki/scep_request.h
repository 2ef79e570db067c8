/*
 * A SCEP request message, taken apart (RFC 8894 section 3.2): signature checked against the
 * certificate it carries, attributes read. Judging it is scep.c's. For src/pki and its tests.
 */
#ifndef COFFER_PKI_SCEP_REQUEST_H
#define COFFER_PKI_SCEP_REQUEST_H

#include "crypto/cms.h"

/* RFC 8894 section 3.2.1.2 */
typedef enum {
    SCEP_CERT_REP = 3,
    SCEP_RENEWAL_REQ = 17,
    SCEP_PKCS_REQ = 19,
    SCEP_CERT_POLL = 20,
    SCEP_GET_CERT = 21,
    SCEP_GET_CRL = 22,
} scep_message_type_t;

typedef struct {
    cms_signed_t *message; /* owned; what follows is borrowed from it */
    scep_message_type_t type;
    bytes_t transaction_id;
    bytes_t sender_nonce;
    bytes_t envelope; /* pkcsPKIEnvelope, ContentInfo DER or BER */
    bool sha1;        /* digested with SHA-1 */
} scep_request_t;

/*
 * ERR_INVALID: not a SCEP message, an attribute missing, doubled or malformed, an unknown message
 * type (18 and CertRep among them). ERR_VERIFY: the signature. ERR_LIMIT: too long. `weak` lets any
 * digest through that can be checked at all, SHA-1 and MD5, so that the answer can be badAlg.
 */
err_t *scep_request_parse(bytes_t message, bool weak, scep_request_t *ret_request) WARN_UNUSED;
void scep_request_done(scep_request_t *request);

DEFINE_CLEANUP_VALUE(scep_request_t, scep_request_done)

#endif
