/*
 * Requests in steps on real sockets: http_step_t of src/http/server.h.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit.h"
#include "base/mem.h"
#include "http/server.h"
#include "http_help.h"

typedef struct {
    http_server_t *server;
    uint16_t port;
    sem_t asleep; /* posted by a request that waits for the test to wake it */
    http_request_t *_Atomic sleeper;
    atomic_uint handled; /* by a worker */
    atomic_uint freed;
    atomic_uint after_calls;
} fixture_t;

typedef struct {
    fixture_t *f;
    pthread_t waker;
    bool has_waker;
    char magic;
} state_t;

static void state_free(void *arg) {
    state_t *s = arg;
    s->f->freed++;
    if (s->has_waker) pthread_join(s->waker, NULL);
    mem_free(s);
}

static bool asks(const http_request_t *request, const char *what) {
    return bytes_eq_str(request->raw_query, what);
}

static void *wake(void *request) {
    sched_yield();
    http_request_wake(request);
    return NULL;
}

static err_t *begin(fixture_t *f, http_request_t *request, state_t *s, http_next_t *ret_next) {
    *ret_next = HTTP_STEP_WAIT;
    if (asks(request, "test")) {
        f->sleeper = request;
        sem_post(&f->asleep);
    } else if (asks(request, "at-once")) {
        http_request_wake(request);
    } else {
        s->has_waker = true;
        if (pthread_create(&s->waker, NULL, wake, request) != 0) abort();
    }
    return NULL;
}

static err_t *step(void *ctx, http_request_t *request, http_reply_t *reply, http_next_t *ret_next) {
    fixture_t *f = ctx;
    state_t *s = request->state;
    if (asks(request, "worker")) return NULL;
    if (asks(request, "fails")) return err_new(ERR_DENIED, "not this way");
    if (asks(request, "done") || asks(request, "done-late")) {
        *ret_next = HTTP_STEP_DONE;
        return http_reply_text(reply, 200, "at once");
    }
    if (!s) {
        s = mem_zalloc(sizeof *s);
        if (!s) return err_nomem();
        *s = (state_t){.f = f, .magic = 'm'};
        request->state = s;
        request->state_free = state_free;
        return begin(f, request, s, ret_next);
    }
    if (s->magic != 'm') return err_new(ERR_INTERNAL, "another's state");
    if (asks(request, "then-worker")) return NULL;
    if (asks(request, "then-fails")) return err_new(ERR_BUSY, "too much");
    *ret_next = asks(request, "twice") ? HTTP_STEP_WAIT : HTTP_STEP_DONE;
    return http_reply_text(reply, 200, "in two steps");
}

static err_t *handler(void *ctx, http_request_t *request, http_reply_t *reply) {
    fixture_t *f = ctx;
    f->handled++;
    return http_reply_text(reply, 200, request->state ? "worker, with state" : "worker");
}

static void after(void *ctx, const http_request_t *request, const http_reply_t *reply,
                  const err_t *e) {
    (void)request;
    (void)reply;
    (void)e;
    ((fixture_t *)ctx)->after_calls++;
}

static const http_route_t routes[] = {
    {.method = "POST", .pattern = "/step", .body_max = 1000, .handler = handler},
};

static int setup(void **state) {
    fixture_t *f = mem_zalloc(sizeof *f);
    if (!f) return -1;
    sem_init(&f->asleep, 0, 0);
    const http_listener_t listener = {.address = "127.0.0.1"};
    const http_server_config_t config = {.listeners = &listener,
                                         .listeners_n = 1,
                                         .routes = routes,
                                         .routes_n = 1,
                                         .ctx = f,
                                         .after = after,
                                         .step = step,
                                         .workers = 2};
    *state = f;
    assert_ok(http_server_start(&config, &f->server));
    f->port = http_server_port(f->server, 0);
    return 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    http_server_free(f->server);
    sem_destroy(&f->asleep);
    mem_free(f);
    return 0;
}

#define ASK(what)                                                                                  \
    "POST /step?" what " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"                             \
    "Content-Length: 5\r\n\r\nhello"

static void assert_answer(fixture_t *f, const char *request, const char *status, const char *text) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    help_ask(f->port, request, &out);
    assert_true(help_has(&out, status));
    assert_true(help_has(&out, text));
}

static void test_steps__each_way_to_an_answer(void **state) {
    fixture_t *f = *state;
    assert_answer(f, ASK("done"), " 200 ", "at once\n");
    assert_answer(f, ASK("wait"), " 200 ", "in two steps\n");
    assert_answer(f, ASK("at-once"), " 200 ", "in two steps\n");
    assert_answer(f, ASK("fails"), " 403 ", "not this way\n");
    assert_answer(f, ASK("then-fails"), " 429 ", "too much\n");
    assert_answer(f, ASK("twice"), " 500 ", "Internal");
    assert_int_equal(f->handled, 0);
    assert_answer(f, ASK("worker"), " 200 ", "worker\n");
    assert_answer(f, ASK("then-worker"), " 200 ", "worker, with state\n");
    assert_int_equal(f->handled, 2);
    assert_int_equal(f->after_calls, 8); /* each was reported once */
    while (http_server_stats(f->server).in_flight > 0) sched_yield();
    assert_int_equal(f->freed, 5);
}

/* On one connection, one after the other, so that a state that stays behind would show. */
static void test_steps__a_kept_connection_begins_anew(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100000);
    int fd = help_connect(f->port);
    for (int i = 0; i < 50; i++) {
        buf_clear(&out);
        help_send(fd, i % 2
                          ? "POST /step?wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
                          : "POST /step?at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        help_read(fd, &out, "in two steps\n");
    }
    close(fd);
    assert_int_equal(f->after_calls, 50);
}

/* The caller gives up; the wake still finds its request, and all is freed. */
static void test_steps__client_may_leave_while_it_waits(void **state) {
    fixture_t *f = *state;
    int fd = help_connect(f->port);
    help_send(fd, ASK("test"));
    sem_wait(&f->asleep);
    close(fd);
    assert_int_equal(f->freed, 0);
    http_request_wake(f->sleeper);
    while (http_server_stats(f->server).in_flight > 0) sched_yield();
    assert_int_equal(f->freed, 1);
}

static void *stop_at_once(void *arg) {
    http_server_stop(((fixture_t *)arg)->server, 0);
    return NULL;
}

/* Whoever sleeps is awaited: its wake must not find a server that is gone. */
static void test_steps__stopping_awaits_who_sleeps(void **state) {
    fixture_t *f = *state;
    pthread_t thread;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 10000);
    int fd = help_connect(f->port);
    help_send(fd, ASK("test"));
    sem_wait(&f->asleep);
    assert_int_equal(pthread_create(&thread, NULL, stop_at_once, f), 0);
    do help_ask(f->port, ASK("done"), &out); /* until late callers hear nothing */
    while (out.n > 0);
    while (http_server_stats(f->server).in_flight > 1) sched_yield(); /* the last one heard */
    assert_int_equal(http_server_stats(f->server).in_flight, 1);
    http_request_wake(f->sleeper);
    pthread_join(thread, NULL);
    assert_int_equal(http_server_stats(f->server).in_flight, 0);
    assert_int_equal(f->freed, 1);
    close(fd);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_steps__each_way_to_an_answer),
        WITH_SERVER(test_steps__a_kept_connection_begins_anew),
        WITH_SERVER(test_steps__client_may_leave_while_it_waits),
        WITH_SERVER(test_steps__stopping_awaits_who_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
