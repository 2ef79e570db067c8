/*
 * Simple Certificate Enrolment Protocol, server side (RFC 8894), without sockets: the HTTP route
 * hands in the operation and the message, and sends what comes back.
 * Safe from many threads at once.
 */
#ifndef COFFER_PKI_SCEP_H
#define COFFER_PKI_SCEP_H

#include "pki/pki.h"

typedef struct {
    const char *content_type; /* static */
    buf_t body;
} scep_answer_t;

void scep_answer_init(scep_answer_t *answer);
void scep_answer_done(scep_answer_t *answer);

/*
 * operation: GetCACaps, GetCACert, GetNextCACert, PKIOperation (RFC 8894 section 4.1). message: for
 * PKIOperation the DER or BER CMS message (POST body, or GET's base64 already decoded); for
 * GetCACert what the client calls the CA; ignored otherwise. peer: for audit and error texts. An
 * error is for the HTTP layer (unknown operation ERR_INVALID, unparsable message ERR_INVALID, too
 * large ERR_LIMIT, keeper away ERR_UNAVAILABLE); what SCEP can say itself comes back as CertRep
 * FAILURE in the answer.
 */
err_t *scep_handle(pki_t *pki, bytes_t operation, bytes_t message, const char *peer,
                   scep_answer_t *ret_answer) WARN_UNUSED;

/*
 * Decodes the `message` parameter of a GET (RFC 8894 section 4.1): base64, percent-encoded or not:
 * macOS leaves plus and slash as they are, so `raw` is the query's own text.
 */
err_t *scep_decode_get_message(bytes_t raw, buf_t *ret_message) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(scep_answer_t, scep_answer_done)

#endif
