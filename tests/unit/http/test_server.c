/*
 * The server on real sockets: src/http/server*.c.
 */
#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../unit.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/client.h"
#include "http/multi.h"
#include "http_help.h"

static help_certs_t certs;

typedef struct {
    http_server_t *server;
    uint16_t plain;
    uint16_t tls;
    sem_t entered;
    sem_t release;
    atomic_uint after_calls;
    atomic_uint last_status;
    atomic_bool saw_error;
} fixture_t;

/* ---- handlers ---- */

static err_t *show(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    bytes_t id = http_request_param(request, "id");
    TRY(buf_printf(&out, "path=%.*s\nquery=%.*s\nid=%.*s\npeer=%s\ntag=%u\nbody=%zu\n",
                   (int)request->path.n, (const char *)request->path.p, (int)request->raw_query.n,
                   (const char *)request->raw_query.p, (int)id.n, (const char *)id.p, request->peer,
                   request->tag, request->body.n));
    return http_reply_body(reply, 200, "text/plain", &out);
}

static err_t *slow(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)request;
    fixture_t *f = ctx;
    sem_post(&f->entered);
    sem_wait(&f->release);
    return http_reply_text(reply, 200, "slow but done");
}

static err_t *fails(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    TRY(http_reply_text(reply, 200, "half an answer"));
    if (bytes_eq_str(request->raw_query, "io"))
        return err_wrap(err_new(ERR_IO, "the inner secret"), "the outer secret");
    return err_new(ERR_NOT_FOUND, "no such device");
}

static err_t *whose_cert(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    return http_reply_bytes(reply, 200, "application/octet-stream", request->client_cert);
}

static err_t *file(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return http_reply_file(reply, 200, "application/octet-stream", fd, 1, 3);
}

/* The hash of the body as the server found it while it came, and where the body lies. */
static err_t *sum(void *ctx, http_request_t *request, http_reply_t *reply) {
    CLEANUP(mem_free) char *hex = NULL;
    char text[160];
    (void)ctx;
    TRY(text_hex_new(BYTES_ARRAY(request->body_sha256), &hex));
    (void)snprintf(text, sizeof text, "%zu %s %p", request->body.n, hex,
                   (const void *)request->body.p);
    return http_reply_text(reply, 200, text);
}

static const http_route_t routes[] = {
    {.method = "GET", .pattern = "/show", .handler = show},
    {.method = "POST", .pattern = "/show", .body_max = 1000, .handler = show},
    {.method = "GET", .pattern = "/show/:id", .handler = show},
    {.method = "GET", .pattern = "/slow", .handler = slow},
    {.method = "GET", .pattern = "/fails", .handler = fails, .json_errors = true},
    {.method = "GET", .pattern = "/cert", .handler = whose_cert},
    {.method = "GET", .pattern = "/file", .handler = file},
    {.method = "POST", .pattern = "/sum", .body_max = 4 * 1024 * 1024, .handler = sum},
    {.method = "GET", .pattern = "/tls-only", .handler = show, .listeners = 1U << 1},
    {.method = "GET", .pattern = "/guarded", .handler = show, .auth = HTTP_AUTH_TOKEN},
};

static err_t *before(void *ctx, http_request_t *request, http_reply_t *reply, bool *ret_answered) {
    (void)ctx;
    (void)reply;
    (void)ret_answered;
    if (request->route->auth != HTTP_AUTH_NONE) return err_new(ERR_AUTH, "sign in first");
    return NULL;
}

static void after(void *ctx, const http_request_t *request, const http_reply_t *reply,
                  const err_t *e) {
    (void)request;
    fixture_t *f = ctx;
    f->after_calls++;
    f->last_status = reply->status;
    f->saw_error = e != NULL;
}

/* ---- fixture ---- */

static err_t *start_with(fixture_t *f, http_server_config_t config) {
    const http_listener_t listeners[] = {
        {.address = "127.0.0.1"},
        {.address = "127.0.0.1",
         .tag = 1,
         .tls = true,
         .hsts = true,
         .cert_pem = buf_bytes(&certs.server_pem),
         .key_pem = buf_bytes(&certs.server_key_pem),
         .request_client_cert = true,
         .client_ca_pem = buf_bytes(&certs.ca_pem)},
    };
    config.listeners = listeners;
    config.listeners_n = 2;
    config.routes = routes;
    config.hashed = sum;
    config.routes_n = sizeof routes / sizeof routes[0];
    config.ctx = f;
    config.before = before;
    config.after = after;
    TRY(http_server_start(&config, &f->server));
    f->plain = http_server_port(f->server, 0);
    f->tls = http_server_port(f->server, 1);
    return NULL;
}

static err_t *start(fixture_t *f, unsigned workers, unsigned queue) {
    return start_with(f, (http_server_config_t){.workers = workers, .queue = queue});
}

static int setup(void **state) {
    fixture_t *f = mem_zalloc(sizeof *f);
    if (!f) return -1;
    sem_init(&f->entered, 0, 0);
    sem_init(&f->release, 0, 0);
    *state = f;
    err_t *e = start(f, 2, 4);
    return e ? -1 : 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    for (int i = 0; i < 20; i++) sem_post(&f->release); /* a test that failed may have left some */
    http_server_free(f->server);
    sem_destroy(&f->entered);
    sem_destroy(&f->release);
    mem_free(f);
    return 0;
}

#define ASK(method_and_target) method_and_target " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

/* ---- tests ---- */

static void test_server__answers(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    help_ask(f->plain, ASK("GET /show/A%20b?x=1&y=a+b%2Bc==") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 200 OK\r\n"));
    assert_true(help_has(&out, "path=/show/A b\n"));
    assert_true(help_has(&out, "query=x=1&y=a+b%2Bc==\n"));
    assert_true(help_has(&out, "id=A b\n"));
    assert_true(help_has(&out, "peer=127.0.0.1\ntag=0\n"));
    assert_true(help_has(&out, "X-Content-Type-Options: nosniff"));
    assert_true(help_has(&out, "Content-Security-Policy: default-src 'none'"));
    assert_false(help_has(&out, "Strict-Transport-Security"));
    help_ask(f->plain, ASK("HEAD /show") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 200 OK\r\n"));
    assert_false(help_has(&out, "path="));
    assert_int_equal(f->after_calls, 2);
}

static void test_server__keeps_the_raw_query(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t request;
    buf_init(&out, 100000);
    buf_init(&request, 100000);
    static const char *const queries[] = {
        "operation=GetCACaps&message=", "operation=PKIOperation&message=MIAG+/Cz=%0A=",
        "a=%zz&&b==&c", "%26=%3D&+=+", "?"};
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        const char *text = NULL;
        char want[200];
        buf_clear(&request);
        assert_ok(buf_printf(
            &request, "GET /show?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", queries[i]));
        assert_ok(buf_cstr(&request, &text));
        help_ask(f->plain, text, &out);
        (void)snprintf(want, sizeof want, "\nquery=%s\n", queries[i]);
        assert_true(help_has(&out, want));
    }
    /* A SCEP message by GET: 8 KB of base64 must fit the connection's memory. */
    buf_clear(&request);
    assert_ok(buf_add_str(&request, "GET /show?message="));
    for (int i = 0; i < 800; i++) assert_ok(buf_add_str(&request, "MIIB+/abcd"));
    assert_ok(buf_add_str(&request, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    const char *text = NULL;
    assert_ok(buf_cstr(&request, &text));
    help_ask(f->plain, text, &out);
    assert_true(help_has(&out, "MIIB+/abcdMIIB+/abcd"));
    assert_true(help_has(&out, "200 OK"));
}

static void test_server__refuses_paths_and_methods(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    help_ask(f->plain, ASK("GET /nowhere") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 404 "));
    help_ask(f->plain, ASK("DELETE /show") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 405 "));
    assert_true(help_has(&out, "Allow: GET, HEAD, POST\r\n"));
    help_ask(f->plain, ASK("GET /show/../fails") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 400 "));
    help_ask(f->plain, ASK("GET /show/%00") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 400 "));
    help_ask(f->plain, ASK("GET /tls-only") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 404 "));
    help_ask(f->plain, ASK("GET /guarded") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 401 "));
    assert_int_equal(f->after_calls, 6);
    assert_true(f->saw_error);
}

static void test_server__errors_leak_nothing(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    help_ask(f->plain, ASK("GET /fails?io") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 500 "));
    assert_false(help_has(&out, "secret"));
    assert_false(help_has(&out, "half an answer"));
    help_ask(f->plain, ASK("GET /fails") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 404 "));
    assert_true(help_has(&out, "\"message\": \"no such device\""));
}

static void test_server__body_within_the_limit(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    help_ask(f->plain, ASK("POST /show") "Content-Length: 5\r\n\r\nhello", &out);
    assert_true(help_has(&out, "body=5\n"));
    help_ask(
        f->plain,
        ASK("POST /show") "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
        &out);
    assert_true(help_has(&out, "body=6\n"));
    /* "100 Continue" comes when the body is welcome. */
    int fd = help_connect(f->plain);
    buf_clear(&out);
    help_send(fd, ASK("POST /show") "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    help_read(fd, &out, "100 Continue\r\n\r\n");
    help_send(fd, "hello");
    help_read(fd, &out, NULL);
    close(fd);
    assert_true(help_has(&out, "body=5\n"));
}

static void test_server__body_over_the_limit(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t big;
    const char *text = NULL;
    buf_init(&out, 100000);
    buf_init(&big, 5000000);
    /* Announced and waiting: refused at once, no "100 Continue". */
    help_ask(f->plain, ASK("POST /show") "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
             &out);
    assert_true(help_has(&out, "HTTP/1.1 413 "));
    assert_false(help_has(&out, "100 Continue"));
    assert_true(help_has(&out, "at most 1000 bytes"));
    /* Announced as enormous: refused before it comes. */
    help_ask(f->plain, ASK("POST /show") "Content-Length: 99999999999\r\n\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 413 "));
    /* A little too large: read to its end, then refused. */
    assert_ok(buf_add_str(&big, ASK("POST /show") "Content-Length: 100000\r\n\r\n"));
    for (int i = 0; i < 10000; i++) assert_ok(buf_add_str(&big, "0123456789"));
    assert_ok(buf_cstr(&big, &text));
    help_ask(f->plain, text, &out);
    assert_true(help_has(&out, "HTTP/1.1 413 "));
    /* Not announced. */
    buf_clear(&big);
    assert_ok(buf_add_str(&big, ASK("POST /show") "Transfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 110; i++) assert_ok(buf_add_str(&big, "A\r\n0123456789\r\n"));
    assert_ok(buf_add_str(&big, "0\r\n\r\n"));
    assert_ok(buf_cstr(&big, &text));
    help_ask(f->plain, text, &out);
    assert_true(help_has(&out, "HTTP/1.1 413 "));
    /* Where no body is wanted at all. */
    help_ask(f->plain, ASK("GET /show") "Content-Length: 1\r\n\r\nx", &out);
    assert_true(help_has(&out, "HTTP/1.1 413 "));
    assert_int_equal(f->after_calls, 5);
}

static void send_all(int fd, bytes_t data) {
    while (data.n) {
        ssize_t n = send(fd, data.p, data.n, MSG_NOSIGNAL);
        assert_true(n > 0);
        data = bytes_from(data, (size_t)n);
    }
}

/* A body of n bytes, each another than the call's before. What the answer says of its place. */
static void send_large(uint16_t port, size_t n, uint8_t first, char place[32]) {
    CLEANUP(buf_done) buf_t body, out;
    CLEANUP(mem_free) char *hex = NULL;
    char head[160], wanted[160];
    uint8_t hash[DIGEST_SHA256_SIZE];
    buf_init(&body, n);
    buf_init(&out, 4096);
    for (size_t i = 0; i < n; i++) assert_ok(buf_add_byte(&body, (uint8_t)(first + i * 7)));
    int fd = help_connect(port);
    (void)snprintf(head, sizeof head, ASK("POST /sum") "Content-Length: %zu\r\n\r\n", n);
    help_send(fd, head);
    send_all(fd, buf_bytes(&body));
    help_read(fd, &out, NULL);
    close(fd);
    assert_ok(digest_sha256(buf_bytes(&body), hash));
    assert_ok(text_hex_new(BYTES_ARRAY(hash), &hex));
    (void)snprintf(wanted, sizeof wanted, "%zu %s ", n, hex);
    assert_true(help_has(&out, wanted));
    const char *text = NULL;
    assert_ok(buf_cstr(&out, &text));
    (void)snprintf(place, 32, "%.20s", strstr(text, hex) + 2 * sizeof hash + 1);
}

/* Content from the body before must not be seen in the next one's memory. */
static void test_server__large_bodies_are_hashed_and_their_memory_serves_again(void **state) {
    fixture_t *f = *state;
    char first[32], place[32];
    send_large(f->plain, 3 * 1024 * 1024, 1, first);
    send_large(f->plain, 3 * 1024 * 1024, 9, place);
    assert_string_equal(first, place);
    send_large(f->plain, 2 * 1024 * 1024 + 1, 17, place);
    assert_string_equal(first, place);
    send_large(f->plain, 4 * 1024 * 1024, 25, place); /* the one that is kept has no room */
    send_large(f->plain, 70000, 33, place);
    send_large(f->plain, 1, 41, place);
    /* Who announces much and leaves takes nothing with him. */
    for (int i = 0; i < 4; i++) {
        static const uint8_t some[100000] = {1};
        int fd = help_connect(f->plain);
        help_send(fd, ASK("POST /sum") "Content-Length: 4194304\r\n\r\n");
        send_all(fd, BYTES_ARRAY(some));
        close(fd);
    }
    send_large(f->plain, 3 * 1024 * 1024, 49, place);
}

static void test_server__too_many_headers(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t request;
    const char *text = NULL;
    buf_init(&out, 100000);
    buf_init(&request, 100000);
    assert_ok(buf_add_str(&request, ASK("GET /show")));
    for (int i = 0; i < LIMIT_HTTP_HEADERS; i++) assert_ok(buf_add_str(&request, "X: y\r\n"));
    assert_ok(buf_add_str(&request, "\r\n"));
    assert_ok(buf_cstr(&request, &text));
    help_ask(f->plain, text, &out);
    assert_true(help_has(&out, "HTTP/1.1 431 "));
}

static void test_server__slow_handler_blocks_nobody(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    int fd = help_connect(f->plain);
    help_send(fd, ASK("GET /slow") "\r\n");
    sem_wait(&f->entered);
    for (int i = 0; i < 20; i++) {
        help_ask(f->plain, ASK("GET /show") "\r\n", &out);
        assert_true(help_has(&out, "200 OK"));
    }
    while (http_server_stats(f->server).running != 1) sched_yield(); /* the other is at rest */
    sem_post(&f->release);
    buf_clear(&out);
    help_read(fd, &out, NULL);
    close(fd);
    assert_true(help_has(&out, "slow but done"));
}

static void test_server__overload(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    int fds[6];
    buf_init(&out, 100000);
    for (int i = 0; i < 6; i++) { /* two in handlers, four in the queue */
        fds[i] = help_connect(f->plain);
        help_send(fds[i], ASK("GET /slow") "\r\n");
        if (i < 2) sem_wait(&f->entered);
    }
    while (http_server_stats(f->server).waiting < 4) sched_yield();
    help_ask(f->plain, ASK("GET /show") "\r\n", &out);
    assert_true(help_has(&out, "HTTP/1.1 503 "));
    assert_true(help_has(&out, "Retry-After: "));
    assert_int_equal(http_server_stats(f->server).overloaded, 1);
    for (int i = 0; i < 6; i++) sem_post(&f->release);
    for (int i = 0; i < 6; i++) {
        buf_clear(&out);
        help_read(fds[i], &out, NULL);
        close(fds[i]);
        assert_true(help_has(&out, "slow but done"));
    }
}

static void test_server__client_may_leave(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    int fd = help_connect(f->plain);
    help_send(fd, ASK("GET /slow") "\r\n");
    sem_wait(&f->entered);
    close(fd);
    sem_post(&f->release);
    fd = help_connect(f->plain); /* leaves in the middle of its body */
    help_send(fd, ASK("POST /show") "Content-Length: 50\r\n\r\nabc");
    close(fd);
    help_ask(f->plain, ASK("GET /show") "\r\n", &out);
    assert_true(help_has(&out, "200 OK"));
}

static void test_server__sends_files(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    help_ask(f->plain, ASK("GET /file") "\r\n", &out);
    assert_true(help_has(&out, "Content-Length: 3\r\n"));
    assert_true(help_has(&out, "\r\n\r\nELF"));
}

static void ask_tls(const fixture_t *f, bool with_cert, const char *path,
                    http_response_t *response) {
    char url[64];
    const http_client_config_t config = {
        .ca_pem = buf_bytes(&certs.ca_pem),
        .cert_pem = with_cert ? buf_bytes(&certs.client_pem) : BYTES_NONE,
        .key_pem = with_cert ? buf_bytes(&certs.client_key_pem) : BYTES_NONE};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u%s", (unsigned)f->tls, path);
    assert_ok(http_client_new(&config, &client));
    assert_ok(http_client_do(client, "GET", url, NULL, BYTES_NONE, response));
}

static void test_server__tls_and_client_certificate(void **state) {
    fixture_t *f = *state;
    CLEANUP(http_response_done) http_response_t response;
    bytes_t value = BYTES_NONE;
    http_response_init(&response);
    ask_tls(f, false, "/tls-only", &response);
    assert_int_equal(response.status, 200);
    assert_true(help_has(&response.body, "tag=1\n"));
    assert_true(http_response_header(&response, "strict-transport-security", &value));
    ask_tls(f, false, "/cert", &response);
    assert_int_equal(response.body.n, 0);
    /* Its issuer is unknown to the server, which hands it on all the same. */
    ask_tls(f, true, "/cert", &response);
    assert_true(bytes_eq(buf_bytes(&response.body), buf_bytes(&certs.client_der)));
}

static int64_t cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A stranger who never finishes his handshake must not keep an event thread busy. */
static void test_server__half_a_handshake_is_idle(void **state) {
    fixture_t *f = *state;
    static const struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
    int fd = help_connect(f->tls);
    help_send(fd, "\x16\x03\x01"); /* the first three bytes of a record */
    int64_t before_ms = cpu_ms();
    nanosleep(&pause, NULL); /* nothing to await: that nothing happens is the point */
    assert_true(cpu_ms() - before_ms < 150);
    close(fd);
}

/* Whether the peer hangs up on a client that sends a byte every 100 ms, for 6 s at most. */
static bool dripping_is_cut(uint16_t port, const char *first) {
    static const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    char byte = 0;
    int fd = help_connect(port);
    bool cut = false;
    help_send(fd, first);
    for (int i = 0; i < 60 && !cut; i++) {
        nanosleep(&pause, NULL); /* the drip itself */
        help_send(fd, "x");
        cut = recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    }
    close(fd);
    return cut;
}

static void test_server__headers_have_a_deadline(void **state) {
    (void)state;
    fixture_t f = {.server = NULL};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    assert_ok(start_with(&f, (http_server_config_t){.workers = 2, .head_s = 1}));
    assert_true(dripping_is_cut(f.plain, "GET /show?"));
    assert_true(dripping_is_cut(f.plain, "GET /show HTTP/1.1\r\nX: "));
    assert_true(dripping_is_cut(f.tls, "\x16\x03\x01\x02"));
    /* The second request of a connection as well; a body may take longer. */
    static const struct timespec pause = {.tv_sec = 1, .tv_nsec = 500 * 1000 * 1000};
    int fd = help_connect(f.plain);
    help_send(fd, "POST /show HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na");
    nanosleep(&pause, NULL); /* beyond the deadline of headers */
    help_send(fd, "b");
    help_read(fd, &out, "body=2\n");
    assert_true(help_has(&out, "body=2\n"));
    help_send(fd, "GET /show HT");
    help_read(fd, &out, NULL); /* until it is cut */
    assert_false(help_has(&out, "HTTP/1.1 400"));
    close(fd);
    http_server_free(f.server);
}

static void test_server__one_address_does_not_take_all_connections(void **state) {
    (void)state;
    fixture_t f = {.server = NULL};
    int fds[4];
    char byte = 0;
    assert_ok(start_with(&f, (http_server_config_t){.workers = 2, .per_address = 3}));
    for (size_t i = 0; i < 4; i++) {
        fds[i] = help_connect(f.plain);
        help_send(fds[i], "G");
    }
    assert_true(recv(fds[3], &byte, 1, 0) <= 0);
    assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1); /* still open */
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
    for (size_t i = 0; i < 4; i++) close(fds[i]);
    http_server_free(f.server);
}

typedef struct {
    unsigned ok;
} tally_t;

static void count(void *ctx, const http_response_t *response) {
    tally_t *tally = ctx;
    if (response->end == HTTP_END_OK && response->status == 200) tally->ok++;
}

static void test_server__two_hundred_at_once(void **state) {
    (void)state;
    fixture_t f = {.server = NULL};
    char url[64];
    tally_t tally = {0};
    const http_client_config_t config = {.ca_pem = buf_bytes(&certs.ca_pem)};
    http_multi_t *multi = NULL;
    assert_ok(start(&f, 32, 1024));
    assert_ok(http_multi_new(&config, 200, 200, &multi));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            bool tls = i % 4 == 0;
            (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u/show/%d", tls ? "https" : "http",
                           (unsigned)(tls ? f.tls : f.plain), i);
            assert_ok(http_multi_add(multi, "GET", url, NULL, BYTES_NONE, count, &tally));
        }
        while (http_multi_active(multi) > 0) assert_ok(http_multi_step(multi, 1000));
    }
    assert_int_equal(tally.ok, 600);
    assert_int_equal(f.after_calls, 600);
    http_multi_free(multi);
    http_server_free(f.server);
}

static void *stop(void *arg) {
    fixture_t *f = arg;
    http_server_stop(f->server, 10000);
    return NULL;
}

static void test_server__stops_gracefully(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    pthread_t thread;
    buf_init(&out, 100000);
    int idle = help_connect(f->plain); /* keep-alive, must not hold the stop up */
    help_send(idle, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
    help_read(idle, &out, "body=0\n");
    int fd = help_connect(f->plain);
    help_send(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    sem_wait(&f->entered);
    assert_int_equal(pthread_create(&thread, NULL, stop, f), 0);
    int late = 0; /* nobody gets in while the handler still runs */
    while ((late = help_connect(f->tls)) >= 0) close(late);
    help_ask(f->plain, ASK("GET /show") "\r\n", &out);
    assert_int_equal(out.n, 0);
    sem_post(&f->release);
    buf_clear(&out);
    help_read(fd, &out, NULL);
    assert_true(help_has(&out, "slow but done"));
    assert_true(help_has(&out, "Connection: close"));
    pthread_join(thread, NULL);
    close(fd);
    close(idle);
}

static void *stop_at_once(void *arg) {
    fixture_t *f = arg;
    http_server_stop(f->server, 0);
    return NULL;
}

static void test_server__stops_at_once(void **state) {
    fixture_t *f = *state;
    int fds[6];
    pthread_t thread;
    for (int i = 0; i < 6; i++) {
        fds[i] = help_connect(f->plain);
        help_send(fds[i], ASK("GET /slow") "\r\n");
        if (i < 2) sem_wait(&f->entered);
    }
    while (http_server_stats(f->server).waiting < 4) sched_yield();
    assert_int_equal(pthread_create(&thread, NULL, stop_at_once, f), 0);
    int late = 0;
    while ((late = help_connect(f->tls)) >= 0) close(late);
    for (int i = 0; i < 6; i++) sem_post(&f->release);
    pthread_join(thread, NULL);
    assert_int_equal(http_server_stats(f->server).in_flight, 0);
    assert_int_equal(f->after_calls, 6); /* each was answered, by its handler or by a refusal */
    for (int i = 0; i < 6; i++) close(fds[i]);
}

static void *call_until_refused(void *arg) {
    const fixture_t *f = arg;
    for (int fd = 0; (fd = help_connect(f->plain)) >= 0;) close(fd);
    return NULL;
}

/* libmicrohttpd aborts the process when its threads and a quiescing one both take the socket out
 * of the epoll set: callers keep the threads busy there. */
static void test_server__stops_while_callers_come(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        fixture_t f = {.server = NULL};
        pthread_t callers[2];
        assert_ok(start(&f, 2, 4));
        for (int c = 0; c < 2; c++)
            assert_int_equal(pthread_create(&callers[c], NULL, call_until_refused, &f), 0);
        int fd = help_connect(f.plain);
        assert_true(fd >= 0);
        http_server_stop(f.server, 0);
        for (int c = 0; c < 2; c++) pthread_join(callers[c], NULL);
        close(fd);
        http_server_free(f.server);
    }
}

static void test_server__refuses_bad_configuration(void **state) {
    (void)state;
    http_server_t *server = NULL;
    http_listener_t listener = {.address = "not an address"};
    http_server_config_t config = {
        .listeners = &listener, .listeners_n = 1, .routes = routes, .routes_n = 1};
    assert_err(ERR_USAGE, http_server_start(&config, &server));
    listener = (http_listener_t){.address = "127.0.0.1", .tls = true};
    assert_err(ERR_USAGE, http_server_start(&config, &server));
    listener.cert_pem = buf_bytes(&certs.server_pem);
    listener.key_pem = buf_bytes(&certs.client_key_pem); /* of another certificate */
    assert_err(ERR_USAGE, http_server_start(&config, &server));
    listener = (http_listener_t){.address = "127.0.0.1", .tag = 32};
    assert_err(ERR_USAGE, http_server_start(&config, &server));
    config.listeners_n = 0;
    assert_err(ERR_USAGE, http_server_start(&config, &server));
    assert_null(server);
}

/* Each allocation and each system call of a start and a request fails once. */
static void test_server__survives_faults(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    unsigned long n = 1;
    for (bool fired = true; fired && n < 200; n++) {
        fixture_t f = {.server = NULL};
        fault_arm_memory(n);
        err_t *e = start(&f, 2, 4);
        fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_int_equal(e == NULL, !fired);
        err_free(e);
        http_server_free(f.server);
    }
    assert_true(n > 6);
    for (bool fired = true; fired && n < 200; n++) {
        fixture_t f = {.server = NULL};
        fault_arm_io(n);
        err_t *e = start(&f, 2, 4);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_int_equal(e == NULL, !fired);
        err_free(e);
        http_server_free(f.server);
    }
    fixture_t f = {.server = NULL};
    assert_ok(start(&f, 2, 4));
    int fd = 0;
    unsigned answers = 0;
    n = 1;
    for (bool fired = true; fired && n < 200; n++) {
        /* libmicrohttpd's own allocations do not count here; ours give 503 or a closed connection
         */
        fd = help_connect(f.plain);
        buf_clear(&out);
        assert_ok(buf_reserve(&out, 50000)); /* so that the test itself does not allocate */
        fault_arm_memory(n);
        help_send(fd, ASK("POST /show?a=b") "Content-Length: 5\r\n\r\nhello");
        help_read(fd, &out, NULL);
        fired = fault_memory_fired();
        fault_arm_memory(0);
        close(fd);
        if (help_has(&out, "HTTP/1.1 200")) answers++;
        else assert_true(out.n == 0 || help_has(&out, "HTTP/1.1 503"));
    }
    assert_true(n > 10);
    assert_true(answers > 0);
    http_server_free(f.server);
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

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_server__answers),
        WITH_SERVER(test_server__keeps_the_raw_query),
        WITH_SERVER(test_server__refuses_paths_and_methods),
        WITH_SERVER(test_server__errors_leak_nothing),
        WITH_SERVER(test_server__body_within_the_limit),
        WITH_SERVER(test_server__body_over_the_limit),
        WITH_SERVER(test_server__large_bodies_are_hashed_and_their_memory_serves_again),
        WITH_SERVER(test_server__too_many_headers),
        WITH_SERVER(test_server__slow_handler_blocks_nobody),
        WITH_SERVER(test_server__overload),
        WITH_SERVER(test_server__client_may_leave),
        WITH_SERVER(test_server__sends_files),
        WITH_SERVER(test_server__tls_and_client_certificate),
        WITH_SERVER(test_server__half_a_handshake_is_idle),
        cmocka_unit_test(test_server__headers_have_a_deadline),
        cmocka_unit_test(test_server__one_address_does_not_take_all_connections),
        cmocka_unit_test(test_server__two_hundred_at_once),
        WITH_SERVER(test_server__stops_gracefully),
        WITH_SERVER(test_server__stops_at_once),
        cmocka_unit_test(test_server__stops_while_callers_come),
        cmocka_unit_test(test_server__refuses_bad_configuration),
        cmocka_unit_test(test_server__survives_faults),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
