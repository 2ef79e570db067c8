/*
 * A device gets a certificate by SCEP: see device_enrol.h. RFC 8894 section 2.5, 4; main thread.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/sim/device_enrol.h"
#include "program/sim/net.h"
#include "program/sim/scep_client.h"

enum { NAME_QUERY = 4096 }; /* bytes */

typedef struct {
    enrolment_t *e;
    const scep_terms_t *terms;
    scep_caps_t caps;
    scep_peer_t peer;
    http_response_t response;
} scep_talk_t;

static void talk_done(scep_talk_t *t) {
    scep_peer_done(&t->peer);
    http_response_done(&t->response);
}
DEFINE_CLEANUP_VALUE(scep_talk_t, talk_done)

static err_t *ask(scep_talk_t *t, const char *method, const char *operation,
                  const char *const *headers, bytes_t body) {
    CLEANUP(mem_free)
    char *url = mem_printf("%s%soperation=%s", t->terms->url,
                           strchr(t->terms->url, '?') ? "&" : "?", operation);
    if (!url) return err_nomem();
    return net_do(t->e->client, operation, method, url, headers, body, &t->response);
}

static err_t *learn_ca(scep_talk_t *t) {
    enrolment_t *e = t->e;
    TRY(ask(t, "GET", "GetCACaps", NULL, BYTES_NONE));
    TRY(scep_client_caps(buf_bytes(&t->response.body), &t->caps));
    CLEANUP(buf_done) buf_t get;
    const char *operation = NULL;
    buf_init(&get, NAME_QUERY);
    TRY(buf_add_str(&get, "GetCACert&message="));
    TRY(text_percent(bytes_str(t->terms->name), &get));
    TRY(buf_cstr(&get, &operation));
    TRY(ask(t, "GET", operation, NULL, BYTES_NONE));
    bool ra = net_has_type(&t->response, "application/x-x509-ca-ra-cert");
    if (!ra) TRY(net_need_type(&t->response, "application/x-x509-ca-cert"));
    TRY(scep_client_ca(buf_bytes(&t->response.body), ra, t->terms->ca_fingerprint,
                       &e->device->roots, clk_unix(e->clk), &t->peer));
    sim_step(e->out, "scep.ca", "SCEP: CA is %s%s; chain to the trusted root ok%s%s",
             cert_subject(t->peer.ca), ra ? ", with a registration authority" : "",
             t->terms->ca_fingerprint.n ? ", fingerprint of the profile ok" : "",
             t->caps.aes ? ", it speaks AES and SHA-2" : "");
    return NULL;
}

static err_t *exchange(scep_talk_t *t, pkey_t *key, cert_t **ret_cert) {
    static const char *const headers[] = {"Content-Type: application/x-pki-message", NULL};
    enrolment_t *e = t->e;
    CLEANUP(scep_request_out_done) scep_request_out_t request = {0};
    scep_request_spec_t spec = {.terms = t->terms,
                                .peer = &t->peer,
                                .key = key,
                                .caps = &t->caps,
                                .now = clk_unix(e->clk),
                                .rnd = e->rnd};
    if (!t->caps.post) return err_new(ERR_VERIFY, "the CA takes no POST: too old for this device");
    TRY(scep_client_request(&spec, &request));
    TRY(ask(t, "POST", "PKIOperation", headers, buf_bytes(&request.message)));
    TRY(net_need_type(&t->response, "application/x-pki-message"));
    return scep_client_reply(&request, t->terms, buf_bytes(&t->response.body), &e->device->roots,
                             clk_unix(e->clk), ret_cert);
}

err_t *enrol_scep(enrolment_t *e, const scep_terms_t *terms, const char *purpose,
                  credential_t *ret_credential) {
    CLEANUP(talk_done) scep_talk_t t = {.e = e, .terms = terms};
    CLEANUP(credential_done) credential_t credential = {0};
    http_response_init(&t.response);
    TRY(learn_ca(&t));
    TRY(pkey_generate(PKEY_RSA, terms->bits, &credential.key));
    TRY(exchange(&t, credential.key, &credential.cert));
    sim_step(e->out, "scep.certificate",
             "SCEP: %s: certificate %s for %s; reply signed by the CA, our nonce and transaction, "
             "opened with our key; key, subject, usage and chain ok",
             purpose, cert_serial_hex(credential.cert), cert_subject(credential.cert));
    *ret_credential = credential;
    credential = (credential_t){0};
    return NULL;
}
