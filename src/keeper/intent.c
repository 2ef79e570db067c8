/*
 * Readers shared by the intents: see intent.h. Pure; worker threads.
 */
#include "keeper/intent.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

err_t *intent_get_name(wire_reader_t *r, size_t max, const char *what, char **ret_name) {
    CLEANUP(mem_free) char *name = NULL;
    TRY_WRAP(wire_get_str(r, max, &name), "%s", what);
    if (name[0] == '\0' || !text_printable(bytes_str(name)))
        return err_new(ERR_INVALID, "%s is empty or not printable", what);
    *ret_name = STEAL(name);
    return NULL;
}

err_t *intent_get_request(wire_reader_t *r, intent_request_t *ret_request) {
    CLEANUP(intent_request_done) intent_request_t request = {0};
    TRY(intent_get_name(r, CERT_PROFILE_TEXT, "certificate profile", &request.profile));
    TRY_WRAP(wire_get_bytes(r, LIMIT_CSR_BYTES, &request.csr), "request");
    TRY_WRAP(wire_get_str(r, LIMIT_KEEPER_NAMES, &request.names), "names");
    TRY(intent_get_name(r, LIMIT_KEEPER_OWNER, "owner", &request.owner));
    *ret_request = request;
    request = (intent_request_t){0};
    return NULL;
}

void intent_request_done(intent_request_t *request) {
    mem_free(request->profile);
    mem_free(request->names);
    mem_free(request->owner);
    *request = (intent_request_t){0};
}

err_t *intent_get_cipher(wire_reader_t *r, cms_cipher_t *ret_cipher) {
    uint8_t cipher = 0;
    TRY(wire_get_u8(r, &cipher));
    if (cipher > CMS_AES256_GCM) return err_new(ERR_INVALID, "unknown cipher %u", cipher);
    *ret_cipher = (cms_cipher_t)cipher;
    return NULL;
}

err_t *intent_get_scep_reply(wire_reader_t *r, keeper_scep_reply_t *ret_reply) {
    keeper_scep_reply_t reply = {0};
    TRY_WRAP(wire_get_bytes(r, LIMIT_SCEP_TRANSACTION_ID, &reply.transaction_id), "transactionID");
    TRY_WRAP(wire_get_bytes(r, LIMIT_KEEPER_NONCE, &reply.sender_nonce), "senderNonce");
    TRY_WRAP(wire_get_bytes(r, LIMIT_CERTIFICATE_BYTES, &reply.signer), "signer certificate");
    TRY(intent_get_cipher(r, &reply.cipher));
    TRY(wire_get_bool(r, &reply.sha1));
    TRY(wire_get_u8(r, &reply.generation));
    if (reply.transaction_id.n == 0) return err_new(ERR_INVALID, "transactionID is empty");
    *ret_reply = reply;
    return NULL;
}
