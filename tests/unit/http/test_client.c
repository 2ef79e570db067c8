/*
 * The clients against our own server: src/http/client.c and multi.c.
 */
#include "http/client.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit.h"
#include "base/fault.h"
#include "base/mem.h"
#include "http/multi.h"
#include "http/server.h"
#include "http_help.h"

static help_certs_t certs;

static err_t *echo(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    bytes_t type = BYTES_LIT("none");
    (void)http_request_header(request, "Content-Type", &type);
    CLEANUP(buf_done) buf_t value;
    const char *text = NULL;
    buf_init(&value, 200);
    TRY(buf_add(&value, type));
    TRY(buf_cstr(&value, &text));
    TRY(http_reply_header(reply, "X-Type", text));
    return http_reply_bytes(reply, 200, "application/octet-stream", request->body);
}

static err_t *teapot(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    return http_reply_text(reply, 418, "teapot");
}

static const http_route_t routes[] = {
    {.method = "PUT", .pattern = "/echo", .body_max = 2000000, .handler = echo},
    {.method = "POST", .pattern = "/echo", .body_max = 2000000, .handler = echo},
    {.method = "GET", .pattern = "/teapot", .handler = teapot},
};

typedef struct {
    http_server_t *server;
    char plain[64];
    char tls[64];
} fixture_t;

static int setup(void **state) {
    static fixture_t f;
    const http_listener_t listeners[] = {
        {.address = "127.0.0.1"},
        {.address = "127.0.0.1",
         .tls = true,
         .cert_pem = buf_bytes(&certs.server_pem),
         .key_pem = buf_bytes(&certs.server_key_pem)},
    };
    const http_server_config_t config = {
        .listeners = listeners, .listeners_n = 2, .routes = routes, .routes_n = 3, .workers = 4};
    err_t *e = http_server_start(&config, &f.server);
    if (e) return -1;
    (void)snprintf(f.plain, sizeof f.plain, "http://127.0.0.1:%u",
                   (unsigned)http_server_port(f.server, 0));
    (void)snprintf(f.tls, sizeof f.tls, "https://127.0.0.1:%u",
                   (unsigned)http_server_port(f.server, 1));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    http_server_free(f->server);
    return 0;
}

static const char *url(char out[128], const char *base, const char *path) {
    (void)snprintf(out, 128, "%s%s", base, path);
    return out;
}

static void test_client__asks_and_reuses(void **state) {
    fixture_t *f = *state;
    char to[128];
    const http_client_config_t config = {.ca_pem = buf_bytes(&certs.ca_pem)};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    assert_ok(http_client_new(&config, &client));
    const char *const headers[] = {"Content-Type: text/x-test", NULL};
    for (int i = 0; i < 3; i++) {
        assert_ok(http_client_do(client, "PUT", url(to, f->tls, "/echo"), headers,
                                 BYTES_LIT("hello"), &response));
        assert_int_equal(response.end, HTTP_END_OK);
        assert_int_equal(response.status, 200);
        assert_true(bytes_eq_str(buf_bytes(&response.body), "hello"));
        bytes_t type = BYTES_NONE;
        assert_true(http_response_header(&response, "x-type", &type));
        assert_true(bytes_eq_str(type, "text/x-test"));
    }
    assert_ok(
        http_client_do(client, "POST", url(to, f->plain, "/echo"), NULL, BYTES_NONE, &response));
    bytes_t type = BYTES_NONE;
    assert_true(http_response_header(&response, "x-type", &type));
    assert_true(bytes_eq_str(type, "none"));
    assert_ok(
        http_client_do(client, "GET", url(to, f->plain, "/teapot"), NULL, BYTES_NONE, &response));
    assert_int_equal(response.status, 418);
    assert_ok(
        http_client_do(client, "HEAD", url(to, f->plain, "/teapot"), NULL, BYTES_NONE, &response));
    assert_int_equal(response.body.n, 0);
}

static void test_client__large_bodies(void **state) {
    fixture_t *f = *state;
    char to[128];
    const http_client_config_t config = {.ca_pem = buf_bytes(&certs.ca_pem)};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(mem_free) uint8_t *body = mem_alloc(2000000);
    http_response_init(&response);
    for (size_t i = 0; i < 2000000; i++) body[i] = (uint8_t)(i * 31 >> 3);
    assert_ok(http_client_new(&config, &client));
    assert_ok(http_client_do(client, "POST", url(to, f->tls, "/echo"), NULL,
                             bytes_make(body, 2000000), &response));
    assert_true(bytes_eq(buf_bytes(&response.body), bytes_make(body, 2000000)));
    /* Into the same answer, shorter and longer ones; and what is announced beyond the limit. */
    static const size_t sizes[] = {70000, 65536, 65537, 1999990, 5, 1048576};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bytes_t sent = bytes_make(body + i, sizes[i]);
        assert_ok(
            http_client_do(client, "POST", url(to, f->plain, "/echo"), NULL, sent, &response));
        assert_true(bytes_eq(buf_bytes(&response.body), sent));
    }
    CLEANUP(http_client_free) http_client_t *small = NULL;
    const http_client_config_t limited = {.response_max = 1500000};
    assert_ok(http_client_new(&limited, &small));
    assert_err(ERR_LIMIT, http_client_do(small, "POST", url(to, f->plain, "/echo"), NULL,
                                         bytes_make(body, 1500001), &response));
    assert_ok(http_client_do(small, "POST", url(to, f->plain, "/echo"), NULL,
                             bytes_make(body, 1500000), &response));
    assert_int_equal(response.body.n, 1500000);
}

static void test_client__names_its_failures(void **state) {
    fixture_t *f = *state;
    char to[128];
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    const http_client_config_t config = {
        .ca_pem = buf_bytes(&certs.ca_pem), .response_max = 10, .connect_ms = 2000};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    assert_ok(http_client_new(&config, &client));
    assert_err(ERR_LIMIT, http_client_do(client, "POST", url(to, f->plain, "/echo"), NULL,
                                         BYTES_LIT("12345678901"), &response));
    assert_int_equal(response.end, HTTP_END_LIMIT);
    assert_err(ERR_UNAVAILABLE,
               http_client_do(client, "GET", "http://127.0.0.1:1/", NULL, BYTES_NONE, &response));
    assert_int_equal(response.end, HTTP_END_REFUSED);
    assert_true(http_end_retry_safe(response.end));
    assert_err(ERR_INVALID,
               http_client_do(client, "GET", "file:///etc/passwd", NULL, BYTES_NONE, &response));
    const char *const bad[] = {"X: a\r\nY: b", NULL};
    assert_err(ERR_INVALID, http_client_do(client, "GET", url(to, f->plain, "/teapot"), bad,
                                           BYTES_NONE, &response));
    /* An anchor that did not issue the server's certificate. */
    const http_client_config_t other = {.ca_pem = buf_bytes(&certs.client_pem)};
    CLEANUP(http_client_free) http_client_t *stranger = NULL;
    assert_ok(http_client_new(&other, &stranger));
    assert_err(ERR_VERIFY, http_client_do(stranger, "GET", url(to, f->tls, "/teapot"), NULL,
                                          BYTES_NONE, &response));
    assert_int_equal(response.end, HTTP_END_TLS);
}

/* A peer that accepts and never answers, and one that hangs up in the middle. */
typedef struct {
    int fd;
    bool hang_up;
} mute_t;

static void *mute(void *arg) {
    mute_t *m = arg;
    char chunk[1000];
    int fd = accept(m->fd, NULL, NULL);
    if (recv(fd, chunk, sizeof chunk, 0) > 0 && !m->hang_up)
        while (recv(fd, chunk, sizeof chunk, 0) > 0) continue;
    close(fd);
    return NULL;
}

static http_end_t ask_mute(bool hang_up, err_code_t code) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    mute_t m = {.fd = socket(AF_INET, SOCK_STREAM, 0), .hang_up = hang_up};
    pthread_t thread;
    char to[64];
    assert_int_equal(listen(m.fd, 1), 0);
    assert_int_equal(getsockname(m.fd, (struct sockaddr *)&address, &size), 0);
    const uint8_t *port = (const uint8_t *)&address + 2;
    (void)snprintf(to, sizeof to, "http://127.0.0.1:%u/", (unsigned)(port[0] << 8 | port[1]));
    assert_int_equal(pthread_create(&thread, NULL, mute, &m), 0);
    const http_client_config_t config = {.total_ms = 200};
    http_client_t *client = NULL;
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    assert_ok(http_client_new(&config, &client));
    assert_err(code, http_client_do(client, "GET", to, NULL, BYTES_NONE, &response));
    http_client_free(client);
    pthread_join(thread, NULL);
    close(m.fd);
    return response.end;
}

static void test_client__silent_and_broken_peers(void **state) {
    (void)state;
    assert_int_equal(ask_mute(false, ERR_TIMEOUT), HTTP_END_TIMEOUT);
    assert_int_equal(ask_mute(true, ERR_UNAVAILABLE), HTTP_END_BROKEN);
    assert_false(http_end_retry_safe(HTTP_END_TIMEOUT));
    assert_false(http_end_retry_safe(HTTP_END_BROKEN));
}

typedef struct {
    unsigned ok;
    unsigned cancelled;
    unsigned other;
} tally_t;

static void count(void *ctx, const http_response_t *response) {
    tally_t *tally = ctx;
    if (response->end == HTTP_END_OK && response->status == 200) tally->ok++;
    else if (response->end == HTTP_END_CANCELLED) tally->cancelled++;
    else tally->other++;
}

static void test_multi__many_at_once(void **state) {
    fixture_t *f = *state;
    char to[128];
    tally_t tally = {0};
    const http_client_config_t config = {.ca_pem = buf_bytes(&certs.ca_pem)};
    CLEANUP(http_multi_free) http_multi_t *multi = NULL;
    assert_ok(http_multi_new(&config, 4, 50, &multi));
    for (int i = 0; i < 50; i++)
        assert_ok(http_multi_add(multi, "POST", url(to, f->plain, "/echo"), NULL, BYTES_LIT("body"),
                                 count, &tally));
    assert_int_equal(http_multi_room(multi), 0);
    assert_err(ERR_BUSY, http_multi_add(multi, "GET", to, NULL, BYTES_NONE, count, &tally));
    for (int i = 0; i < 2000 && http_multi_active(multi) > 0; i++)
        assert_ok(http_multi_step(multi, 100));
    assert_int_equal(tally.ok, 50);
    assert_ok(http_multi_add(multi, "GET", "http://127.0.0.1:1/", NULL, BYTES_NONE, count, &tally));
    for (int i = 0; i < 2000 && http_multi_active(multi) > 0; i++)
        assert_ok(http_multi_step(multi, 100));
    assert_int_equal(tally.other, 1);
    assert_ok(
        http_multi_add(multi, "POST", url(to, f->plain, "/echo"), NULL, BYTES_NONE, count, &tally));
    http_multi_free(STEAL(multi));
    assert_int_equal(tally.cancelled, 1);
}

static void *wake(void *arg) {
    http_multi_wake(arg);
    return NULL;
}

static void test_multi__is_woken(void **state) {
    (void)state;
    const http_client_config_t config = {.total_ms = 0};
    CLEANUP(http_multi_free) http_multi_t *multi = NULL;
    pthread_t thread;
    const clk_t *clk = clk_real();
    assert_ok(http_multi_new(&config, 1, 1, &multi));
    int64_t before = clk_mono_ms(clk);
    assert_int_equal(pthread_create(&thread, NULL, wake, multi), 0);
    assert_ok(http_multi_step(multi, 20000));
    assert_true(clk_mono_ms(clk) - before < 15000);
    pthread_join(thread, NULL);
}

static void test_client__survives_lack_of_memory(void **state) {
    fixture_t *f = *state;
    char to[128];
    tally_t tally = {0};
    const http_client_config_t config = {.ca_pem = buf_bytes(&certs.ca_pem),
                                         .cert_pem = buf_bytes(&certs.client_pem),
                                         .key_pem = buf_bytes(&certs.client_key_pem)};
    unsigned long n = 1;
    for (bool fired = true; fired; n++) {
        CLEANUP(http_multi_free) http_multi_t *multi = NULL;
        fault_arm_memory(n);
        err_t *e = http_multi_new(&config, 1, 4, &multi);
        if (!e)
            e = http_multi_add(multi, "GET", url(to, f->plain, "/teapot"), NULL, BYTES_LIT("x"),
                               count, &tally);
        fired = fault_memory_fired();
        fault_arm_memory(0);
        if (fired) assert_err(ERR_NOMEM, e);
        else assert_ok(e);
    }
    assert_true(n > 5);
}

static int group_setup(void **state) {
    (void)state;
    help_certs_init(&certs);
    return 0;
}

static int group_teardown(void **state) {
    (void)state;
    help_certs_done(&certs);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_client__asks_and_reuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client__large_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client__names_its_failures, setup, teardown),
        cmocka_unit_test(test_client__silent_and_broken_peers),
        cmocka_unit_test_setup_teardown(test_multi__many_at_once, setup, teardown),
        cmocka_unit_test(test_multi__is_woken),
        cmocka_unit_test_setup_teardown(test_client__survives_lack_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
