/*
 * The push stand-in: what it demands, its scripted faults, and the whole of it in a child process
 * with libcurl as provider and the device's own line.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/json.h"
#include "http/client.h"
#include "pki_fixture.h"
#include "program/sim/apns_server.h"
#include "program/sim/push_client.h"

#define TOPIC "com.apple.mgmt.External.test"

/* ---- demands ---- */

static apns_request_t good_request(void) {
    apns_request_t r = {.method = "POST",
                        .path = "/3/device/00AAff",
                        .topic = TOPIC,
                        .push_type = "mdm",
                        .expiration = "1795000000",
                        .priority = "10"};
    return r;
}

static const char *reason(const apns_request_t *r, const char *body) {
    return apns_check(r, bytes_str(body), TOPIC).reason;
}

static void test_apns_check__takes_an_mdm_push(void **state) {
    (void)state;
    apns_request_t r = good_request();
    apns_verdict_t v = apns_check(&r, BYTES_LIT("{\"mdm\":\"magic\"}"), TOPIC);
    assert_int_equal(v.status, 200);
    assert_string_equal(v.token, "00aaff");
    assert_string_equal(v.magic, "magic");
    assert_int_equal(v.expiry, 1795000000);
}

static void test_apns_check__takes_what_apps_are_sent(void **state) {
    (void)state;
    static const struct {
        const char *type, *priority, *body, *reason;
    } cases[] = {
        {"alert", "10", "{\"aps\":{\"alert\":{\"body\":\"x\"}},\"more\":1}", ""},
        {"background", "5", "{\"aps\":{\"content-available\":1}}", ""},
        {"background", "10", "{\"aps\":{\"content-available\":1}}", "BadPriority"},
        {"background", "5", "{\"aps\":{\"alert\":{}}}", "BadPayload"},
        {"alert", "10", "{\"aps\":{}}", "BadPayload"},
        {"alert", "10", "{\"mdm\":\"magic\"}", "BadPayload"},
        {"alert", "10", "", "PayloadEmpty"},
        {"mdm", "10", "{\"mdm\":\"magic\"}", "InvalidPushType"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        apns_request_t r = good_request();
        (void)snprintf(r.topic, sizeof r.topic, "org.example.mail");
        (void)snprintf(r.push_type, sizeof r.push_type, "%s", cases[i].type);
        (void)snprintf(r.priority, sizeof r.priority, "%s", cases[i].priority);
        apns_verdict_t v = apns_check(&r, bytes_str(cases[i].body), "org.example.mail");
        assert_string_equal(v.reason, cases[i].reason);
        assert_true(v.app);
        assert_string_equal(apns_check(&r, bytes_str(cases[i].body), "org.example").reason,
                            "TopicDisallowed");
    }
}

static void test_apns_check__refuses_with_apples_reasons(void **state) {
    (void)state;
    static const char body[] = "{\"mdm\":\"magic\"}";
    static const struct {
        size_t field;
        const char *value;
        const char *reason;
    } bad[] = {
        {offsetof(apns_request_t, method), "PUT", "MethodNotAllowed"},
        {offsetof(apns_request_t, path), "/2/device/00", "BadPath"},
        {offsetof(apns_request_t, path), "/3/device/", "BadDeviceToken"},
        {offsetof(apns_request_t, path), "/3/device/0", "BadDeviceToken"},
        {offsetof(apns_request_t, path), "/3/device/zz", "BadDeviceToken"},
        {offsetof(apns_request_t, topic), "", "MissingTopic"},
        {offsetof(apns_request_t, topic), "org.example", "BadTopic"},
        {offsetof(apns_request_t, topic), "com.apple.mgmt.other", "TopicDisallowed"},
        {offsetof(apns_request_t, push_type), "", "InvalidPushType"},
        {offsetof(apns_request_t, push_type), "alert", "InvalidPushType"},
        {offsetof(apns_request_t, expiration), "", "BadExpirationDate"},
        {offsetof(apns_request_t, expiration), "soon", "BadExpirationDate"},
        {offsetof(apns_request_t, priority), "7", "BadPriority"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        apns_request_t r = good_request();
        memcpy((char *)&r + bad[i].field, bad[i].value, strlen(bad[i].value) + 1);
        assert_string_equal(reason(&r, body), bad[i].reason);
    }
    apns_request_t r = good_request();
    assert_string_equal(reason(&r, ""), "PayloadEmpty");
    assert_string_equal(reason(&r, "{}"), "BadPayload");
    assert_string_equal(reason(&r, "{\"mdm\":\"m\",\"aps\":{}}"), "BadPayload");
    assert_string_equal(reason(&r, "{\"mdm\":\"\"}"), "BadPayload");
    assert_string_equal(reason(&r, "{\"mdm\":1}"), "BadPayload");
    assert_string_equal(apns_check(&r, bytes_str(body), "").reason, "BadCertificate");
}

static void test_apns_check__notes_oversized_headers(void **state) {
    (void)state;
    char value[APNS_FIELD + 1];
    apns_request_t r = {0};
    memset(value, 'a', sizeof value);
    apns_request_header(&r, BYTES_LIT("apns-topic"), BYTES_ARRAY(value));
    assert_true(r.too_long);
    assert_string_equal(r.topic, "");
}

/* ---- script ---- */

static void test_apns_script__applies_rules_in_order(void **state) {
    (void)state;
    apns_script_t s;
    assert_ok(apns_script_parse(BYTES_LIT("# faults\n410 next 1\n\nstall next 1 2s\n503 next 2\n"
                                          "goaway after 5\nclose after 6\nbadtoken BEEF\n"),
                                &s));
    assert_int_equal(apns_script_next(&s, "aa").status, 410);
    assert_int_equal(apns_script_next(&s, "aa").stall_ms, 2000);
    assert_string_equal(apns_script_next(&s, "aa").reason, "ServiceUnavailable");
    assert_int_equal(apns_script_next(&s, "aa").status, 503);
    assert_true(apns_script_next(&s, "aa").goaway);
    assert_true(apns_script_next(&s, "aa").close);
    apns_fault_t last = apns_script_next(&s, "beef");
    assert_int_equal(last.status, 400);
    assert_false(last.goaway || last.close);
}

static void test_apns_script__refuses_what_it_does_not_know(void **state) {
    (void)state;
    static const char *const bad[] = {"explode next 1", "410 next",         "410 after 1",
                                      "404 next 1",     "stall next 1",     "goaway",
                                      "410 next one",   "stall after 1 5s", "410 next 1 5s",
                                      "badtoken",       "goaway after 1 2s"};
    apns_script_t s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_USAGE, apns_script_parse(bytes_str(bad[i]), &s));
}

/* ---- the whole ---- */

typedef struct {
    pki_fixture_t *pki;
    credential_t server, push;
    buf_t ca, server_cert, server_key;
    pid_t child;
    unsigned port, device_port;
} world_t;

static void make_leaf(const world_t *w, const char *uid, const char *eku, credential_t *ret) {
    const name_entry_t subject[] = {{OID_UID, uid}, {"CN", "x"}};
    const san_entry_t san = {SAN_DNS, "localhost"};
    const credential_spec_t spec = {.subject = subject,
                                    .subject_n = 2,
                                    .sans = &san,
                                    .sans_n = 1,
                                    .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
                                    .eku = eku,
                                    .days = 2};
    assert_ok(
        credential_make(&spec, PKEY_P256, &w->pki->root, clk_unix(clk_real()), rnd_real(), ret));
}

static void serve(const world_t *w, const char *script, int out) {
    sigset_t signals;
    tls_server_t *tls = NULL;
    apns_lines_t *lines = NULL;
    sim_out_t told = {0};
    apns_t apns = {.clk = clk_real(), .log = -1};
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)dup2(out, STDOUT_FILENO);
    tls_server_config_t config = {.cert_pem = buf_bytes(&w->server_cert),
                                  .key_pem = buf_bytes(&w->server_key),
                                  .client_ca_pem = buf_bytes(&w->ca),
                                  .alpn = "h2"};
    err_t *e = apns_script_parse(bytes_str(script), &apns.script);
    if (!e) e = tls_server_new(&config, &tls);
    if (!e) e = apns_lines_new(&lines);
    apns.lines = lines;
    apns_server_options_t options = {.host = "127.0.0.1", .tls = tls, .out = &told};
    if (!e) e = apns_serve(&apns, &options);
    apns_lines_free(lines);
    tls_server_free(tls);
    _exit(e ? 1 : 0);
}

static unsigned port_after(const char *line, const char *text) {
    const char *at = strstr(line, text);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(text), NULL, 10);
}

static void start(world_t *w, const char *script) {
    int ends[2];
    char line[300] = "";
    assert_int_equal(pipe(ends), 0);
    w->child = fork();
    assert_true(w->child >= 0);
    if (w->child == 0) serve(w, script, ends[1]);
    (void)close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    assert_non_null(in);
    assert_non_null(fgets(line, sizeof line, in));
    (void)fclose(in); /* the child says nothing that matters any more */
    w->port = port_after(line, "https://127.0.0.1:");
    w->device_port = port_after(line, "devices at 127.0.0.1:");
}

static void stop(world_t *w) {
    int status = 1;
    if (w->child <= 0) return;
    (void)kill(w->child, SIGTERM);
    (void)waitpid(w->child, &status, 0);
    w->child = 0;
    assert_int_equal(status, 0);
}

static int world_setup(void **state) {
    world_t *w = mem_zalloc(sizeof *w);
    void *pki = NULL;
    assert_non_null(w);
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(fixture_setup(&pki), 0);
    w->pki = pki;
    const unsigned ca = KEY_USAGE_CERT_SIGN;
    credential_done(&w->pki->root);
    const name_entry_t subject = {"CN", "Root"};
    const credential_spec_t spec = {
        .subject = &subject, .subject_n = 1, .is_ca = true, .key_usage = ca, .days = 2};
    assert_ok(
        credential_make(&spec, PKEY_P256, NULL, clk_unix(clk_real()), rnd_real(), &w->pki->root));
    make_leaf(w, "server", OID_EKU_SERVER_AUTH, &w->server);
    make_leaf(w, TOPIC, OID_EKU_CLIENT_AUTH, &w->push);
    buf_init(&w->ca, 1 << 16);
    buf_init(&w->server_cert, 1 << 16);
    buf_init(&w->server_key, 1 << 16);
    assert_ok(cert_pem(w->pki->root.cert, &w->ca));
    assert_ok(cert_pem(w->server.cert, &w->server_cert));
    assert_ok(pkey_private_pem(w->server.key, &w->server_key));
    *state = w;
    return 0;
}

static int world_teardown(void **state) {
    world_t *w = *state;
    stop(w);
    credential_done(&w->server);
    credential_done(&w->push);
    buf_done(&w->ca);
    buf_done(&w->server_cert);
    buf_done(&w->server_key);
    void *pki = w->pki;
    (void)fixture_teardown(&pki);
    mem_free(w);
    return 0;
}

static http_client_t *provider(const world_t *w, const credential_t *who) {
    CLEANUP(buf_done) buf_t cert;
    CLEANUP(buf_done) buf_t key;
    http_client_t *client = NULL;
    buf_init(&cert, 1 << 16);
    buf_init(&key, 1 << 16);
    if (who) {
        assert_ok(cert_pem(who->cert, &cert));
        assert_ok(pkey_private_pem(who->key, &key));
    }
    http_client_config_t config = {.ca_pem = buf_bytes(&w->ca),
                                   .cert_pem = buf_bytes(&cert),
                                   .key_pem = buf_bytes(&key),
                                   .version = HTTP_VERSION_ALPN,
                                   .total_ms = 20000};
    assert_ok(http_client_new(&config, &client));
    return client;
}

static err_t *push(const world_t *w, http_client_t *client, const char *token, const char *magic,
                   http_response_t *response) {
    static const char *const headers[] = {"apns-topic: " TOPIC, "apns-push-type: mdm",
                                          "apns-expiration: 4000000000", NULL};
    CLEANUP(mem_free) char *url = mem_printf("https://localhost:%u/3/device/%s", w->port, token);
    CLEANUP(mem_free) char *body = mem_printf("{\"mdm\":\"%s\"}", magic);
    return http_client_do(client, "POST", url, headers, bytes_str(body), response);
}

static void test_apns__delivers_and_keeps_one_push(void **state) {
    world_t *w = *state;
    static const uint8_t token[] = {0xbe, 0xef};
    bytes_t magic = BYTES_NONE;
    start(w, "");
    CLEANUP(http_client_free) http_client_t *client = provider(w, &w->push);
    CLEANUP(push_client_free) push_client_t *device = NULL;
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    assert_ok(push(w, client, "BEEF", "first", &response));
    assert_int_equal(response.status, 200);
    assert_int_equal(response.http_major, 2);
    assert_ok(push(w, client, "beef", "second", &response));
    assert_ok(push_client_open("127.0.0.1", (uint16_t)w->device_port, BYTES_ARRAY(token), &device));
    assert_ok(push_client_wait(device, 10000, &magic));
    assert_true(bytes_eq_str(magic, "second")); /* one is kept, the newest */
    assert_ok(push(w, client, "beef", "third", &response));
    assert_ok(push_client_wait(device, 10000, &magic));
    assert_true(bytes_eq_str(magic, "third"));
    assert_ok(push_client_wait(device, 0, &magic));
    assert_null(magic.p);
}

static void test_apns__demands_a_client_certificate_of_its_ca(void **state) {
    world_t *w = *state;
    start(w, "");
    CLEANUP(http_client_free) http_client_t *none = provider(w, NULL);
    CLEANUP(http_client_free) http_client_t *foreign = provider(w, &w->pki->foreign_signer);
    CLEANUP(http_client_free) http_client_t *right = provider(w, &w->push);
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    err_t *e = push(w, none, "beef", "m", &response);
    assert_non_null(e);
    err_free(e);
    e = push(w, foreign, "beef", "m", &response);
    assert_non_null(e);
    err_free(e);
    assert_ok(push(w, right, "beef", "m", &response));
}

static void test_apns__faults_come_as_scripted(void **state) {
    world_t *w = *state;
    start(w, "410 next 1\n429 next 1\nstall next 1 1s\ngoaway after 4\nclose after 5\n");
    CLEANUP(http_client_free) http_client_t *client = provider(w, &w->push);
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    assert_ok(push(w, client, "aa", "m", &response));
    assert_int_equal(response.status, 410);
    assert_true(memmem(response.body.p, response.body.n, "Unregistered", 12) != NULL);
    assert_ok(push(w, client, "aa", "m", &response));
    assert_int_equal(response.status, 429);
    int64_t begun = clk_mono_ms(clk_real());
    assert_ok(push(w, client, "aa", "m", &response));
    assert_int_equal(response.status, 200);
    assert_true(clk_mono_ms(clk_real()) - begun >= 900);
    assert_ok(push(w, client, "aa", "m", &response)); /* answered, then GOAWAY */
    assert_int_equal(response.status, 200);
    err_t *e = push(w, client, "aa", "m", &response); /* a new connection; it breaks */
    assert_non_null(e);
    err_free(e);
    assert_ok(push(w, client, "aa", "m", &response));
    assert_int_equal(response.status, 200);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apns_check__takes_an_mdm_push),
        cmocka_unit_test(test_apns_check__takes_what_apps_are_sent),
        cmocka_unit_test(test_apns_check__refuses_with_apples_reasons),
        cmocka_unit_test(test_apns_check__notes_oversized_headers),
        cmocka_unit_test(test_apns_script__applies_rules_in_order),
        cmocka_unit_test(test_apns_script__refuses_what_it_does_not_know),
        TEST(test_apns__delivers_and_keeps_one_push),
        TEST(test_apns__demands_a_client_certificate_of_its_ca),
        TEST(test_apns__faults_come_as_scripted),
    };
    jso_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
