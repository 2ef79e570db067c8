/*
 * coffer-sim load scep: many devices ask for certificates at once. Keys, requests and signatures
 * are made before the clock runs; replies are verified after it stops. Main thread.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/sim/load.h"
#include "program/sim/load_modes.h"
#include "program/sim/net.h"
#include "program/sim/scep_client.h"

enum { CHALLENGE_FILE = 32 * 1024 * 1024 };

typedef struct {
    const load_arguments_t *a;
    load_devices_t devices;
    scep_peer_t peer;
    scep_caps_t caps;
    char *url; /* of PKIOperation */
    scep_request_out_t *requests;
    scep_terms_t *terms;
    char (*udids)[LOAD_UDID];
    buf_t *replies;
    buf_t challenges;
} scep_load_t;

static void scep_load_done(scep_load_t *s) {
    for (size_t i = 0; s->requests && i < s->a->devices; i++)
        scep_request_out_done(&s->requests[i]);
    for (size_t i = 0; s->replies && i < s->a->devices; i++) buf_done(&s->replies[i]);
    load_devices_done(&s->devices);
    scep_peer_done(&s->peer);
    mem_free(s->url);
    mem_free(s->requests);
    mem_free(s->terms);
    mem_free(s->udids);
    mem_free(s->replies);
    buf_done(&s->challenges);
}
DEFINE_CLEANUP_VALUE(scep_load_t, scep_load_done)

static err_t *learn_ca(scep_load_t *s, http_client_t *client) {
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    CLEANUP(mem_free) char *caps = mem_printf("%s?operation=GetCACaps", s->a->url);
    CLEANUP(mem_free) char *cert = mem_printf("%s?operation=GetCACert", s->a->url);
    s->url = mem_printf("%s?operation=PKIOperation", s->a->url);
    if (!caps || !cert || !s->url) return err_nomem();
    TRY(net_do(client, "GetCACaps", "GET", caps, NULL, BYTES_NONE, &response));
    TRY(scep_client_caps(buf_bytes(&response.body), &s->caps));
    TRY(net_do(client, "GetCACert", "GET", cert, NULL, BYTES_NONE, &response));
    bool ra = net_has_type(&response, "application/x-x509-ca-ra-cert");
    return scep_client_ca(buf_bytes(&response.body), ra, BYTES_NONE, &s->a->roots,
                          clk_unix(clk_real()), &s->peer);
}

static err_t *make_request(scep_load_t *s, size_t i, bytes_t challenge) {
    scep_terms_t *terms = &s->terms[i];
    load_devices_udid(i, s->udids[i]);
    terms->subject[0] = (name_entry_t){"CN", s->udids[i]};
    terms->subject_n = 1;
    terms->challenge = challenge;
    terms->key_usage = KEY_USAGE_DIGITAL_SIGNATURE;
    scep_request_spec_t spec = {.terms = terms,
                                .peer = &s->peer,
                                .key = load_devices_key(&s->devices, i),
                                .caps = &s->caps,
                                .now = clk_unix(clk_real()),
                                .rnd = rnd_real(),
                                .random_transaction = true};
    buf_init(&s->replies[i], LIMIT_HTTP_BODY_SCEP);
    return scep_client_request(&spec, &s->requests[i]);
}

static err_t *make_requests(scep_load_t *s) {
    size_t n = s->a->devices;
    bytes_t line = BYTES_NONE;
    s->requests = mem_array(n, sizeof *s->requests);
    s->terms = mem_array(n, sizeof *s->terms);
    s->udids = mem_array(n, sizeof *s->udids);
    s->replies = mem_array(n, sizeof *s->replies);
    if (!s->requests || !s->terms || !s->udids || !s->replies) return err_nomem();
    bytes_t rest = buf_bytes(&s->challenges);
    for (size_t i = 0; i < n;) {
        if (!text_split(&rest, '\n', &line))
            return err_new(ERR_USAGE, "the file of challenges has %zu, %zu devices need one each",
                           i, n);
        line = text_trim(line);
        if (line.n) TRY(make_request(s, i++, line));
    }
    return NULL;
}

static err_t *next(void *ctx, size_t index, unsigned step, const http_response_t *reply,
                   load_request_t *ret_request, bool *ret_more) {
    scep_load_t *s = ctx;
    *ret_more = step == 0;
    if (step > 0) return buf_add(&s->replies[index], buf_bytes(&reply->body));
    *ret_request = (load_request_t){.method = "POST",
                                    .url = s->url,
                                    .headers = {"Content-Type: application/x-pki-message"},
                                    .body = buf_bytes(&s->requests[index].message)};
    return NULL;
}

/* After the clock stopped. The certificates are kept for the other modes. */
static err_t *verify_replies(scep_load_t *s) {
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    for (size_t i = 0; i < s->a->devices; i++) {
        CLEANUP(cert_free) cert_t *cert = NULL;
        TRY_WRAP(scep_client_reply(&s->requests[i], &s->terms[i], buf_bytes(&s->replies[i]),
                                   &s->a->roots, clk_unix(clk_real()), &cert),
                 "device %zu", i + 1);
        TRY(cert_list_add(&certs, cert));
    }
    return load_devices_save(&s->devices, &certs);
}

err_t *load_mode_scep(const load_arguments_t *a) {
    CLEANUP(scep_load_done) scep_load_t s = {.a = a};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    load_figures_t figures;
    buf_init_secret(&s.challenges, CHALLENGE_FILE);
    TRY(sim_need(a->challenges, "challenges"));
    TRY(file_read(a->challenges, &s.challenges));
    TRY(http_client_new(&a->http, &client));
    TRY(learn_ca(&s, client));
    TRY(load_devices_open(a->state, a->keys, &s.devices));
    TRY(make_requests(&s));
    load_plan_t plan = {.name = "scep",
                        .http = &a->http,
                        .dialogues = a->devices,
                        .concurrency = a->concurrency,
                        .ctx = &s,
                        .next = next};
    TRY(load_run(&plan, &figures));
    TRY(load_report(&a->out, "scep", &figures));
    return verify_replies(&s);
}
