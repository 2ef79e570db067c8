/*
 * SCEP's private key operations (RFC 8894): opening a request's envelope, and CertRep. The
 * keeper opens nothing but certification requests and names of certificates, so it is no
 * decryption oracle. Worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert_id.h"
#include "crypto/crl.h"
#include "crypto/csr.h"
#include "keeper/certrep.h"
#include "keeper/intent.h"

/* Why an envelope did not open is nobody's business (Bleichenbacher). Takes e. */
static err_t *uniform(err_t *e, const char *what) {
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    return err_new(ERR_VERIFY,
                   "the SCEP envelope does not hold %s for us (or its cipher is off here: [scep] "
                   "allow_3des, allow_des)",
                   what);
}

/*
 * The generation whose SCEP certificate the envelope names: the current one, or a former one whose
 * certificate has not ended. The next one's is no recipient yet.
 */
static const device_ca_t *recipient_of(const keeper_core_t *core, bytes_t envelope) {
    const keyring_t *keys = core->keys;
    for (size_t i = 0; keys->device_cas_n > 1 && i < keys->device_cas_n; i++) {
        const device_ca_t *ca = &keys->device_cas[i];
        if (ca->state == KEEPER_CA_FORMER && clk_unix(core->clk) <= cert_not_after(ca->cert) &&
            cms_head_names(envelope, ca->recipient))
            return ca;
    }
    return keys->device_ca;
}

/* Whose signature the reply bears: the generation's that the request was made for. */
static err_t *find_signer(const keeper_core_t *core, const keeper_scep_reply_t *reply,
                          const cms_signer_t **ret_signer) {
    const keyring_t *keys = core->keys;
    const device_ca_t *ca = keys->device_ca;
    if (reply->generation > keys->device_cas_n)
        return err_new(ERR_INVALID, "there is no device CA %u", reply->generation);
    if (reply->generation) ca = &keys->device_cas[reply->generation - 1];
    if (ca->state == KEEPER_CA_NEXT)
        return err_new(ERR_DENIED, "the next device CA signs no replies yet");
    *ret_signer = ca->scep_signer;
    return NULL;
}

static err_t *decrypt(const keeper_core_t *core, bytes_t envelope, buf_t *plain,
                      cms_cipher_t *ret_cipher) {
    cms_type_t type = CMS_SIGNED_DATA;
    TRY(cms_head_check(envelope, &type));
    if (type != CMS_ENVELOPED_DATA) return err_new(ERR_VERIFY, "not EnvelopedData");
    cms_decrypt_options_t options = {.allow_des3 = core->allow_des3, .allow_des = core->allow_des};
    const device_ca_t *ca = recipient_of(core, envelope);
    return cms_decrypt(envelope, ca->recipient, ca->recipient_key, &options, plain, ret_cipher);
}

static err_t *open_envelope(const keeper_core_t *core, bytes_t envelope, buf_t *plain,
                            cms_cipher_t *ret_cipher) {
    TRY(decrypt(core, envelope, plain, ret_cipher));
    CLEANUP(csr_free) csr_t *csr = NULL;
    TRY(csr_parse_der(buf_bytes(plain), &csr));
    TRY(csr_verify(csr));
    csr_cache_put(core->csrs, STEAL(csr));
    return NULL;
}

/* A certificate's name and nothing besides: what else decrypts is not given away. */
static err_t *open_id(const keeper_core_t *core, bytes_t envelope, keeper_id_kind_t kind,
                      buf_t *plain, cms_cipher_t *ret_cipher) {
    bytes_t issuer, rest;
    TRY(decrypt(core, envelope, plain, ret_cipher));
    return kind == KEEPER_ID_ISSUER_SUBJECT ? cert_id_subject(buf_bytes(plain), &issuer, &rest)
                                            : cert_id_serial(buf_bytes(plain), &issuer, &rest);
}

err_t *intent_scep_open(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    bytes_t envelope;
    TRY(wire_get_bytes(&r, LIMIT_HTTP_BODY_SCEP, &envelope));
    TRY(wire_done(&r));
    intent_about(answer, "envelope of %zu bytes", envelope.n);
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, LIMIT_CSR_BYTES);
    cms_cipher_t cipher = CMS_AES256_CBC;
    err_t *e = open_envelope(core, envelope, &plain, &cipher);
    if (e) return uniform(e, "a certification request");
    TRY(wire_put_u8(&answer->body, (uint8_t)cipher));
    return wire_put_bytes(&answer->body, buf_bytes(&plain));
}

err_t *intent_scep_open_id(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    bytes_t envelope;
    uint8_t kind = 0;
    TRY(wire_get_u8(&r, &kind));
    TRY(wire_get_bytes(&r, LIMIT_HTTP_BODY_SCEP, &envelope));
    TRY(wire_done(&r));
    if (kind != KEEPER_ID_ISSUER_SUBJECT && kind != KEEPER_ID_ISSUER_SERIAL)
        return err_new(ERR_INVALID, "no such way to name a certificate");
    intent_about(answer, "envelope of %zu bytes, kind=%u", envelope.n, kind);
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, LIMIT_CERT_ID_BYTES);
    cms_cipher_t cipher = CMS_AES256_CBC;
    err_t *e = open_id(core, envelope, (keeper_id_kind_t)kind, &plain, &cipher);
    if (e) return uniform(e, "the name of a certificate");
    TRY(wire_put_u8(&answer->body, (uint8_t)cipher));
    return wire_put_bytes(&answer->body, buf_bytes(&plain));
}

err_t *intent_scep_issue(const keeper_core_t *core, const intent_call_t *call,
                         intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(intent_request_done) intent_request_t request = {0};
    keeper_scep_reply_t reply = {0};
    TRY(intent_get_request(&r, &request));
    TRY(intent_get_scep_reply(&r, &reply));
    TRY(wire_done(&r));
    const cert_t *cert = NULL;
    TRY(intent_certify(core, &request, answer, &cert));
    const cms_signer_t *signer;
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    TRY(find_signer(core, &reply, &signer));
    TRY(certrep_success(signer, core->rnd, cert, &reply, &certrep));
    TRY(wire_put_bytes(&answer->body, cert_der(cert)));
    return wire_put_bytes(&answer->body, buf_bytes(&certrep));
}

err_t *intent_scep_repeat(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    bytes_t fingerprint;
    keeper_scep_reply_t reply = {0};
    TRY(wire_get_raw(&r, CERT_SHA256_SIZE, &fingerprint));
    TRY(intent_get_scep_reply(&r, &reply));
    TRY(wire_done(&r));
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(intent_find_issued(core, fingerprint, &cert));
    intent_about(answer, "serial=%s", cert_serial_hex(cert));
    const cms_signer_t *signer;
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    TRY(find_signer(core, &reply, &signer));
    TRY(certrep_success(signer, core->rnd, cert, &reply, &certrep));
    return wire_put_bytes(&answer->body, buf_bytes(&certrep));
}

/* Only a list that a device CA of ours signed, and that is good now: nothing else is signed. */
err_t *intent_scep_crl(const keeper_core_t *core, const intent_call_t *call,
                       intent_answer_t *answer) {
    static const uint8_t nobody[] = {1};
    wire_reader_t r = wire_reader(call->body);
    uint8_t generation = 0;
    bytes_t crl;
    keeper_scep_reply_t reply = {0};
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    TRY(wire_get_u8(&r, &generation));
    TRY(wire_get_bytes(&r, LIMIT_SCEP_CRL, &crl));
    TRY(intent_get_scep_reply(&r, &reply));
    TRY(wire_done(&r));
    if (generation == 0 || generation > core->keys->device_cas_n)
        return err_new(ERR_INVALID, "there is no device CA %u", generation);
    const device_ca_t *ca = &core->keys->device_cas[generation - 1];
    intent_about(answer, "issuer=%s, %zu bytes", ca->name, crl.n);
    TRY(crl_check(crl, ca->cert, clk_unix(core->clk), BYTES_ARRAY(nobody), &revoked, &reason));
    const cms_signer_t *signer;
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    TRY(find_signer(core, &reply, &signer));
    TRY(certrep_crl(signer, core->rnd, crl, &reply, &certrep));
    return wire_put_bytes(&answer->body, buf_bytes(&certrep));
}

err_t *intent_scep_refuse(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint8_t status = 0, info = 0;
    CLEANUP(mem_free) char *text = NULL;
    keeper_scep_reply_t reply = {0};
    TRY(wire_get_u8(&r, &status));
    TRY(wire_get_u8(&r, &info));
    TRY_WRAP(wire_get_str(&r, LIMIT_KEEPER_FAIL_TEXT, &text), "failInfoText");
    TRY(intent_get_scep_reply(&r, &reply));
    TRY(wire_done(&r));
    if ((status != SCEP_STATUS_FAILURE && status != SCEP_STATUS_PENDING) ||
        info > SCEP_FAIL_BAD_CERT_ID)
        return err_new(ERR_INVALID, "no such pkiStatus or failInfo (RFC 8894 section 3.2.1)");
    intent_about(answer, "status=%u failInfo=%u", status, info);
    const cms_signer_t *signer;
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    TRY(find_signer(core, &reply, &signer));
    TRY(certrep_refusal(signer, core->rnd, (keeper_scep_status_t)status, (scep_fail_info_t)info,
                        text, &reply, &certrep));
    return wire_put_bytes(&answer->body, buf_bytes(&certrep));
}
