/*
 * See client_ca.h; bodies are read by intent_device_ca.c. Any thread.
 */
#include "keeper/client_ca.h"

#include <string.h>

#include "base/mem.h"
#include "ipc/frame.h"
#include "ipc/wire.h"

void keeper_cas_done(keeper_cas_t *cas) {
    for (size_t i = 0; i < cas->n; i++) {
        mem_free(cas->list[i].crl_url);
        mem_free(cas->list[i].ca_url);
        cert_free(cas->list[i].cert);
        cert_free(cas->list[i].signer);
        cert_free(cas->list[i].recipient);
    }
    *cas = (keeper_cas_t){0};
}

static err_t *get_cert(wire_reader_t *r, cert_t **ret_cert) {
    bytes_t der;
    TRY(wire_get_bytes(r, LIMIT_CERTIFICATE_BYTES, &der));
    return cert_parse_der(der, ret_cert);
}

/* Into a place that keeper_cas_done will see. */
static err_t *get_ca(wire_reader_t *r, keeper_ca_t *ca) {
    CLEANUP(mem_free) char *name = NULL;
    uint8_t state = 0;
    bool ra = false;
    TRY(wire_get_str(r, KEEPER_CA_NAME - 1, &name));
    TRY(wire_get_u8(r, &state));
    if (state < KEEPER_CA_FORMER || state > KEEPER_CA_NEXT)
        return err_new(ERR_INVALID, "the keeper gave a device CA of unknown state");
    memcpy(ca->name, name, strlen(name) + 1);
    ca->state = (keeper_ca_state_t)state;
    TRY(wire_get_str(r, LIMIT_CRL_URL, &ca->crl_url));
    TRY(wire_get_str(r, LIMIT_CRL_URL, &ca->ca_url));
    TRY(get_cert(r, &ca->cert));
    TRY(wire_get_bool(r, &ra));
    if (ra) {
        TRY(get_cert(r, &ca->signer));
        return get_cert(r, &ca->recipient);
    }
    ca->signer = cert_share(ca->cert);
    ca->recipient = cert_share(ca->cert);
    return NULL;
}

err_t *keeper_device_cas(keeper_t *keeper, keeper_cas_t *ret_cas) {
    CLEANUP(buf_done) buf_t body, reply;
    CLEANUP(keeper_cas_done) keeper_cas_t cas = {0};
    buf_init(&body, 0);
    buf_init(&reply, FRAME_BODY_MAX);
    TRY(keeper_call(keeper, KEEPER_DEVICE_CAS, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    uint16_t n = 0;
    TRY(wire_get_u16(&r, &n));
    if (n == 0 || n > LIMIT_DEVICE_CAS) return err_new(ERR_INVALID, "%u device CAs", n);
    while (cas.n < n) {
        keeper_ca_t *ca = &cas.list[cas.n++];
        ca->generation = (uint8_t)cas.n;
        TRY(get_ca(&r, ca));
    }
    TRY(wire_done(&r));
    *ret_cas = cas;
    cas = (keeper_cas_t){0};
    return NULL;
}

static err_t *ask_bytes(keeper_t *keeper, keeper_intent_t intent, const buf_t *body,
                        buf_t *ret_der) {
    CLEANUP(buf_done) buf_t reply;
    buf_init(&reply, FRAME_BODY_MAX);
    TRY(keeper_call(keeper, intent, body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    bytes_t der;
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &der));
    TRY(wire_done(&r));
    return buf_add(ret_der, der);
}

err_t *keeper_next_ca(keeper_t *keeper, buf_t *ret_der) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, 0);
    return ask_bytes(keeper, KEEPER_NEXT_CA, &body, ret_der);
}

err_t *keeper_scep_crl(keeper_t *keeper, uint8_t generation, bytes_t crl,
                       const keeper_scep_reply_t *reply, buf_t *ret_certrep) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, FRAME_BODY_MAX);
    TRY(wire_put_u8(&body, generation));
    TRY(wire_put_bytes(&body, crl));
    TRY(keeper_put_reply(&body, reply));
    return ask_bytes(keeper, KEEPER_SCEP_CRL, &body, ret_certrep);
}
