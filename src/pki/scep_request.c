/*
 * Takes SCEP requests apart: see scep_request.h. Pure; any thread of coffer-web.
 */
#include "pki/scep_request.h"

#include "base/limits.h"
#include "base/text.h"

/* RFC 8894 section 3.2.1, under VeriSign's arc */
#define OID_SCEP_MESSAGE_TYPE   "2.16.840.1.113733.1.9.2"
#define OID_SCEP_SENDER_NONCE   "2.16.840.1.113733.1.9.5"
#define OID_SCEP_TRANSACTION_ID "2.16.840.1.113733.1.9.7"

/* RFC 8894 section 3.2.1.1 says 16; old clients send others. */
enum { NONCE_MIN = 1, NONCE_MAX = 64 };

/* An allow-list: a type that is parsed but not listed must never reach authorisation. */
static err_t *message_type(bytes_t text, scep_message_type_t *ret_type) {
    uint64_t number = 0;
    TRY_WRAP(text_u64(text, 99, &number), "RFC 8894 section 3.2.1.2: messageType");
    switch (number) {
    case SCEP_RENEWAL_REQ:
    case SCEP_PKCS_REQ:
    case SCEP_CERT_POLL:
    case SCEP_GET_CERT:
    case SCEP_GET_CRL: *ret_type = (scep_message_type_t)number; return NULL;
    default:
        return err_new(ERR_INVALID, "RFC 8894 section 3.2.1.2: messageType %u is not a request",
                       (unsigned)number);
    }
}

static err_t *read_attributes(scep_request_t *request) {
    bytes_t type = BYTES_NONE;
    TRY_WRAP(
        cms_signed_require(request->message, OID_SCEP_MESSAGE_TYPE, CMS_PRINTABLE_STRING, &type),
        "RFC 8894 section 3.2.1.2: messageType");
    TRY(message_type(type, &request->type));
    TRY_WRAP(cms_signed_require(request->message, OID_SCEP_TRANSACTION_ID, CMS_PRINTABLE_STRING,
                                &request->transaction_id),
             "RFC 8894 section 3.2.1.1: transactionID");
    if (request->transaction_id.n > LIMIT_SCEP_TRANSACTION_ID)
        return err_new(ERR_LIMIT, "transactionID is longer than %d bytes",
                       LIMIT_SCEP_TRANSACTION_ID);
    TRY_WRAP(cms_signed_require(request->message, OID_SCEP_SENDER_NONCE, CMS_OCTET_STRING,
                                &request->sender_nonce),
             "RFC 8894 section 3.2.1.5: senderNonce");
    if (request->sender_nonce.n < NONCE_MIN || request->sender_nonce.n > NONCE_MAX)
        return err_new(ERR_INVALID, "senderNonce has %zu bytes", request->sender_nonce.n);
    return NULL;
}

err_t *scep_request_parse(bytes_t message, bool weak, scep_request_t *ret_request) {
    if (message.n > LIMIT_HTTP_BODY_SCEP)
        return err_new(ERR_LIMIT, "a SCEP message has at most %d bytes", LIMIT_HTTP_BODY_SCEP);
    CLEANUP(scep_request_done) scep_request_t request = {0};
    cms_verify_options_t options = {.allow_sha1 = weak, .allow_any_digest = weak};
    TRY_WRAP(cms_verify(message, NULL, &options, &request.message), "SCEP message");
    TRY(read_attributes(&request));
    request.envelope = cms_signed_content(request.message);
    request.sha1 = cms_signed_digest(request.message) == CMS_DIGEST_SHA1;
    *ret_request = request;
    request.message = NULL;
    return NULL;
}

void scep_request_done(scep_request_t *request) {
    cms_signed_free(request->message);
    *request = (scep_request_t){0};
}
