/*
 * What the keeper says of its device CAs: their certificates, and the next one signed by the
 * current (GetNextCACert, RFC 8894 section 4.7). Worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/intent.h"

static err_t *put_urls(const revocation_t *revocation, const device_ca_t *ca, buf_t *out) {
    CLEANUP(mem_free) char *crl = NULL;
    CLEANUP(mem_free) char *cert = NULL;
    if (revocation) TRY(revocation_crl_url(revocation, ca->name, "", false, &crl));
    if (revocation) TRY(revocation_ca_url(revocation, ca->name, &cert));
    TRY(wire_put_str(out, crl ? crl : ""));
    return wire_put_str(out, cert ? cert : "");
}

static err_t *put_ca(const keeper_core_t *core, const device_ca_t *ca, buf_t *out) {
    TRY(wire_put_str(out, ca->name));
    TRY(wire_put_u8(out, (uint8_t)ca->state));
    TRY(put_urls(core->revocation, ca, out));
    TRY(wire_put_bytes(out, cert_der(ca->cert)));
    TRY(wire_put_bool(out, ca->ra));
    if (!ca->ra) return NULL;
    TRY(wire_put_bytes(out, cert_der(cms_signer_cert(ca->scep_signer))));
    return wire_put_bytes(out, cert_der(ca->recipient));
}

err_t *intent_device_cas(const keeper_core_t *core, const intent_call_t *call,
                         intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    TRY(wire_done(&r));
    const keyring_t *keys = core->keys;
    intent_about(answer, "%zu", keys->device_cas_n);
    TRY(wire_put_u16(&answer->body, (uint16_t)keys->device_cas_n));
    for (size_t i = 0; i < keys->device_cas_n; i++)
        TRY(put_ca(core, &keys->device_cas[i], &answer->body));
    return NULL;
}

/* As GetCACert will give it: with an RA its certificates and the chain to the root. */
static err_t *list_of(const device_ca_t *ca, const cert_t *root, cert_list_t *list) {
    if (ca->ra) {
        TRY(cert_list_add(list, cms_signer_cert(ca->scep_signer)));
        TRY(cert_list_add(list, ca->recipient));
        TRY(cert_list_add(list, root));
    }
    return cert_list_add(list, ca->cert);
}

err_t *intent_next_ca(const keeper_core_t *core, const intent_call_t *call,
                      intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    TRY(wire_done(&r));
    const keyring_t *keys = core->keys;
    const device_ca_t *next = &keys->device_cas[keys->device_cas_n - 1];
    if (next->state != KEEPER_CA_NEXT) return err_new(ERR_NOT_FOUND, "there is no next device CA");
    intent_about(answer, "%s", next->name);
    CLEANUP(cert_list_done) cert_list_t list = {0};
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    CLEANUP(buf_done) buf_t certs, message;
    buf_init(&certs, LIMIT_CMS_BYTES);
    buf_init(&message, LIMIT_FRAME_BYTES);
    TRY(list_of(next, keys->root, &list));
    TRY(cms_certs_only(&list, &certs));
    /* Section 4.7.1: by the CA's own key, in RA mode too. */
    TRY(cms_signer_new(keys->device_ca->cert, keys->device_ca->key, NULL, &signer));
    cms_sign_options_t options = {.signing_time = clk_unix(core->clk)};
    TRY(cms_sign(signer, buf_bytes(&certs), &options, &message));
    return wire_put_bytes(&answer->body, buf_bytes(&message));
}
