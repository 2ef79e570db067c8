/*
 * Replies that go on, on real sockets: src/http/stream.h.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../unit.h"
#include "base/buf.h"
#include "base/mem.h"
#include "http/client.h"
#include "http/server.h"
#include "http_help.h"

enum { WAITS_MAX = 256 * 1024 };

static help_certs_t certs;

typedef struct {
    http_server_t *server;
    uint16_t port, tls;
    sem_t began;
    http_stream_t *stream; /* of the last request */
} fixture_t;

static err_t *handler(void *ctx, http_request_t *request, http_reply_t *reply) {
    fixture_t *f = ctx;
    http_stream_t *stream = NULL;
    TRY(http_stream_new(WAITS_MAX, &stream));
    err_t *e = http_reply_stream(reply, 200, "text/event-stream", stream);
    if (!e && bytes_eq_str(request->raw_query, "first"))
        e = http_stream_write(stream, BYTES_LIT("first\n"));
    if (!e && bytes_eq_str(request->raw_query, "fails")) e = err_new(ERR_DENIED, "changed my mind");
    http_stream_free(f->stream);
    f->stream = stream;
    sem_post(&f->began);
    return e;
}

static const http_route_t routes[] = {
    {.method = "GET", .pattern = "/stream", .handler = handler},
};

static int setup(void **state) {
    fixture_t *f = mem_zalloc(sizeof *f);
    if (!f) return -1;
    sem_init(&f->began, 0, 0);
    const http_listener_t listeners[] = {{.address = "127.0.0.1"},
                                         {.address = "127.0.0.1",
                                          .tag = 1,
                                          .tls = true,
                                          .cert_pem = buf_bytes(&certs.server_pem),
                                          .key_pem = buf_bytes(&certs.server_key_pem)}};
    const http_server_config_t config = {.listeners = listeners,
                                         .listeners_n = 2,
                                         .routes = routes,
                                         .routes_n = 1,
                                         .ctx = f,
                                         .workers = 2};
    *state = f;
    assert_ok(http_server_start(&config, &f->server));
    f->port = http_server_port(f->server, 0);
    f->tls = http_server_port(f->server, 1);
    return 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    http_server_free(f->server);
    http_stream_free(f->stream);
    sem_destroy(&f->began);
    mem_free(f);
    return 0;
}

#define GET(query) "GET /stream?" query " HTTP/1.1\r\nHost: x\r\n\r\n"

static int begin(fixture_t *f, const char *request) {
    int fd = help_connect(f->port);
    help_send(fd, request);
    sem_wait(&f->began);
    return fd;
}

static void await_gone(http_stream_t *stream) {
    while (http_stream_open(stream)) {
        err_free(http_stream_write(stream, BYTES_LIT(":\n")));
        sched_yield();
    }
}

static void test_stream__bytes_come_as_they_are_written(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    int fd = begin(f, GET("first"));
    help_read(fd, &out, "first\n");
    assert_true(help_has(&out, "text/event-stream"));
    for (int i = 0; i < 200; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "line %d.\n", i);
        assert_ok(http_stream_write(f->stream, bytes_str(line)));
        help_read(fd, &out, line);
    }
    http_stream_free(f->stream); /* its last owner: the body ends, the connection is kept */
    f->stream = NULL;
    help_read(fd, &out, "\r\n0\r\n\r\n");
    help_send(fd, GET("first"));
    sem_wait(&f->began);
    buf_clear(&out);
    help_read(fd, &out, "first\n");
    close(fd);
}

static void test_stream__a_peer_that_left_is_noticed(void **state) {
    fixture_t *f = *state;
    int fd = begin(f, GET(""));
    assert_true(http_stream_open(f->stream));
    close(fd);
    await_gone(f->stream);
    assert_err(ERR_UNAVAILABLE, http_stream_write(f->stream, BYTES_LIT("x")));
    while (http_server_stats(f->server).in_flight > 0) sched_yield();
}

static void test_stream__a_slow_peer_is_cut_off(void **state) {
    fixture_t *f = *state;
    int fd = begin(f, GET("")); /* and reads nothing */
    uint8_t block[8192] = {0};
    err_t *e = NULL;
    for (int i = 0; i < 100000 && !e; i++) e = http_stream_write(f->stream, BYTES_ARRAY(block));
    assert_err(ERR_LIMIT, e);
    assert_false(http_stream_open(f->stream));
    close(fd);
}

static void test_stream__a_handler_that_fails_sends_its_error(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    int fd = begin(f, GET("fails"));
    help_read(fd, &out, "changed my mind");
    assert_true(help_has(&out, " 403 "));
    close(fd);
}

static void test_stream__the_server_stops_though_streams_go_on(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    http_stream_t *streams[20] = {0};
    int fds[20];
    buf_init(&out, 100000);
    for (int i = 0; i < 20; i++) {
        fds[i] = begin(f, GET("first"));
        streams[i] = f->stream;
        f->stream = NULL;
        help_read(fds[i], &out, "first\n");
        buf_clear(&out);
    }
    http_server_stop(f->server, 60 * 1000); /* waits for nobody who only listens */
    assert_int_equal(http_server_stats(f->server).in_flight, 0);
    for (int i = 0; i < 20; i++) {
        assert_err(ERR_UNAVAILABLE, http_stream_write(streams[i], BYTES_LIT("x")));
        http_stream_free(streams[i]);
        close(fds[i]);
    }
}

static void *write_some(void *arg) {
    for (int i = 0; i < 2000; i++) err_free(http_stream_write(arg, BYTES_LIT("0123456789abcde\n")));
    return NULL;
}

/* Nothing is lost when writers and the event thread meet. */
static void test_stream__many_writers(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    pthread_t threads[4];
    size_t lines = 0;
    buf_init(&out, 4 * 1000 * 1000);
    int fd = begin(f, GET(""));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, f->stream), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_ok(http_stream_write(f->stream, BYTES_LIT("end\n")));
    help_read(fd, &out, "end\n");
    for (size_t i = 0; i + 1 < out.n; i++) lines += out.p[i] == 'e' && out.p[i + 1] == '\n';
    assert_true(lines > 7900); /* some are cut by a chunk's head */
    close(fd);
}

/* Whoever reads over TLS: each piece after a rest. */
static void *feed(void *arg) {
    fixture_t *f = arg;
    const struct timespec rest = {.tv_nsec = 1000000};
    sem_wait(&f->began);
    for (int i = 0; i < 20; i++) {
        (void)nanosleep(&rest, NULL);
        err_free(http_stream_write(f->stream, BYTES_LIT("piece\n")));
    }
    http_stream_end(f->stream);
    return NULL;
}

static void test_stream__over_tls(void **state) {
    fixture_t *f = *state;
    char url[64];
    pthread_t threads;
    CLEANUP(http_client_free) http_client_t *client = NULL;
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/stream?first", (unsigned)f->tls);
    assert_ok(http_client_init());
    assert_ok(
        http_client_new(&(http_client_config_t){.ca_pem = buf_bytes(&certs.ca_pem)}, &client));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pthread_create(&threads, NULL, feed, f), 0);
        assert_ok(http_client_do(client, "GET", url, NULL, BYTES_NONE, &response));
        assert_int_equal(response.body.n, 21 * 6);
        pthread_join(threads, NULL);
    }
}

static void test_stream__without_memory(void **state) {
    (void)state;
    http_stream_t *stream = NULL;
    assert_ok(http_stream_new(10, &stream));
    assert_err(ERR_LIMIT, http_stream_write(stream, BYTES_LIT("0123456789a")));
    assert_err(ERR_UNAVAILABLE, http_stream_write(stream, BYTES_LIT("0")));
    http_stream_free(stream);
    http_stream_free(NULL);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_stream__bytes_come_as_they_are_written),
        WITH_SERVER(test_stream__a_peer_that_left_is_noticed),
        WITH_SERVER(test_stream__a_slow_peer_is_cut_off),
        WITH_SERVER(test_stream__a_handler_that_fails_sends_its_error),
        WITH_SERVER(test_stream__the_server_stops_though_streams_go_on),
        WITH_SERVER(test_stream__many_writers),
        WITH_SERVER(test_stream__over_tls),
        cmocka_unit_test(test_stream__without_memory),
    };
    help_certs_init(&certs);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    help_certs_done(&certs);
    return failed;
}
