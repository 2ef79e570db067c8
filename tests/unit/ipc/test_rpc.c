/*
 * ipc/client.h and ipc/server.h together, over a real channel.
 */
#include "../unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clk.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/client.h"
#include "ipc/frame.h"
#include "ipc/server.h"

enum { ECHO = 1, REFUSE = 2, KEEP = 3, WAKE = 4, HUGE_REPLY = 5, WAIT_MS = 20000 };

typedef struct {
    pthread_mutex_t lock;
    rpc_reply_t *kept[512]; /* replies to be finished later */
    size_t kept_count;
    sem_t kept_one, woken, closed;
    atomic_int malformed, last_role;
} fixture_t;

static void handle(void *ctx, const rpc_request_t *request, rpc_reply_t *reply) {
    fixture_t *f = ctx;
    atomic_store(&f->last_role, (int)request->role);
    if (request->intent == WAKE) {
        assert_null(reply);
        (void)sem_post(&f->woken);
    } else if (request->intent == KEEP) {
        (void)pthread_mutex_lock(&f->lock);
        f->kept[f->kept_count++] = reply;
        (void)pthread_mutex_unlock(&f->lock);
        (void)sem_post(&f->kept_one);
    } else if (request->intent == REFUSE) {
        rpc_reply_finish(reply, err_new(ERR_DENIED, "policy says no"), BYTES_NONE);
    } else if (request->intent == HUGE_REPLY) {
        uint8_t *body = mem_zalloc(LIMIT_FRAME_BYTES);
        rpc_reply_finish(reply, NULL, bytes_make(body, LIMIT_FRAME_BYTES));
        mem_free(body);
    } else {
        rpc_reply_finish(reply, NULL, request->body);
    }
}

static void closed(void *ctx, role_t role, uint64_t channel, err_t *why) {
    fixture_t *f = ctx;
    (void)role;
    (void)channel;
    if (why) atomic_fetch_add(&f->malformed, 1);
    err_free(why);
    (void)sem_post(&f->closed);
}

static rpc_server_t *serve(fixture_t *f) {
    rpc_server_config_t config = {.ctx = f, .handle = handle, .closed = closed, .workers = 3};
    rpc_server_t *server = NULL;
    assert_ok(rpc_server_new(&config, &server));
    return server;
}

static int connect_to(rpc_server_t *server, role_t role) {
    int ends[2];
    assert_ok(channel_pair(ends));
    assert_ok(rpc_server_add(server, ends[0], role));
    return ends[1];
}

static int setup(void **state) {
    fixture_t *f = mem_zalloc(sizeof *f);
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)sem_init(&f->kept_one, 0, 0);
    (void)sem_init(&f->woken, 0, 0);
    (void)sem_init(&f->closed, 0, 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    mem_free(*state);
    return 0;
}

static err_t *call(rpc_client_t *client, uint16_t intent, const char *text, int timeout_ms) {
    CLEANUP(buf_done) buf_t reply;
    buf_init(&reply, 100);
    TRY(rpc_call(client, intent, bytes_str(text), timeout_ms, &reply));
    return bytes_eq_str(buf_bytes(&reply), text) ? NULL : err_new(ERR_VERIFY, "other reply");
}

static void test_rpc__answers_and_errors_come_back(void **state) {
    fixture_t *f = *state;
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    assert_ok(rpc_client_new(connect_to(server, ROLE_COURIER), &client));
    assert_ok(call(client, ECHO, "hello", WAIT_MS));
    assert_int_equal(atomic_load(&f->last_role), ROLE_COURIER);
    assert_err(ERR_DENIED, call(client, REFUSE, "x", WAIT_MS));
    assert_err(ERR_LIMIT, call(client, HUGE_REPLY, "x", WAIT_MS));
    assert_ok(rpc_notify(client, WAKE, BYTES_NONE));
    (void)sem_wait(&f->woken);
    /* A reply that does not fit the caller's buffer is its own matter; the channel goes on. */
    char big[200];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_err(ERR_LIMIT, call(client, ECHO, big, WAIT_MS));
    assert_ok(call(client, ECHO, "again", WAIT_MS));
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__largest_bodies_pass(void **state) {
    rpc_server_t *server = serve(*state);
    rpc_client_t *client = NULL;
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    CLEANUP(mem_free) uint8_t *body = mem_alloc(FRAME_BODY_MAX + 1);
    memset(body, 7, FRAME_BODY_MAX + 1);
    for (int i = 0; i < 20; i++) {
        CLEANUP(buf_done) buf_t reply;
        buf_init(&reply, FRAME_BODY_MAX);
        assert_ok(rpc_call(client, ECHO, bytes_make(body, FRAME_BODY_MAX), WAIT_MS, &reply));
        assert_true(bytes_eq(buf_bytes(&reply), bytes_make(body, FRAME_BODY_MAX)));
        assert_err(ERR_LIMIT,
                   rpc_call(client, ECHO, bytes_make(body, FRAME_BODY_MAX + 1), WAIT_MS, &reply));
    }
    rpc_client_free(client);
    rpc_server_free(server);
}

typedef struct {
    rpc_client_t *client;
    int number, rounds;
    uint16_t intent;
    err_t *e;
} caller_t;

static void *caller_main(void *arg) {
    caller_t *c = arg;
    for (int i = 0; i < c->rounds && !c->e; i++) {
        char text[40];
        (void)snprintf(text, sizeof text, "%d/%d", c->number, i);
        c->e = call(c->client, c->intent, text, WAIT_MS);
    }
    return NULL;
}

enum { CALLERS = 16 };

static void start_callers(rpc_client_t *client, uint16_t intent, int rounds, caller_t *callers,
                          pthread_t *threads, int count) {
    for (int i = 0; i < count; i++) {
        callers[i] = (caller_t){client, i, rounds, intent, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, caller_main, &callers[i]), 0);
    }
}

static void test_rpc__many_threads_each_get_their_own_answer(void **state) {
    rpc_server_t *server = serve(*state);
    rpc_client_t *client = NULL;
    caller_t callers[CALLERS];
    pthread_t threads[CALLERS];
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    start_callers(client, ECHO, 300, callers, threads, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_ok(callers[i].e);
    }
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__answers_may_come_late_and_from_another_thread(void **state) {
    fixture_t *f = *state;
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    caller_t callers[CALLERS];
    pthread_t threads[CALLERS];
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    start_callers(client, KEEP, 1, callers, threads, CALLERS);
    for (int i = 0; i < CALLERS; i++) (void)sem_wait(&f->kept_one);
    assert_ok(call(client, ECHO, "not held up", WAIT_MS));
    for (size_t i = 0; i < CALLERS; i++)
        rpc_reply_finish(f->kept[i], err_new(ERR_BUSY, "late"), BYTES_NONE);
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_err(ERR_BUSY, callers[i].e);
    }
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__a_timed_out_call_leaves_the_channel_usable(void **state) {
    fixture_t *f = *state;
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    assert_err(ERR_TIMEOUT, call(client, KEEP, "x", 30));
    (void)sem_wait(&f->kept_one);
    rpc_reply_finish(f->kept[0], NULL, BYTES_LIT("too late"));
    for (int i = 0; i < 10; i++) assert_ok(call(client, ECHO, "mine", WAIT_MS));
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__server_death_fails_all_at_once_and_replace_heals(void **state) {
    fixture_t *f = *state;
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    caller_t callers[CALLERS];
    pthread_t threads[CALLERS];
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    start_callers(client, KEEP, 1, callers, threads, CALLERS);
    for (int i = 0; i < CALLERS; i++) (void)sem_wait(&f->kept_one);
    int64_t before = clk_mono_ms(clk_real());
    rpc_server_free(server);
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_err(ERR_UNAVAILABLE, callers[i].e);
    }
    assert_true(clk_mono_ms(clk_real()) - before < WAIT_MS / 2);
    for (size_t i = 0; i < CALLERS; i++) rpc_reply_finish(f->kept[i], NULL, BYTES_NONE);

    assert_err(ERR_UNAVAILABLE, call(client, ECHO, "nobody", 20));
    /* These wait for the new channel and then go on. */
    start_callers(client, ECHO, 5, callers, threads, CALLERS);
    server = serve(f);
    rpc_client_replace(client, connect_to(server, ROLE_WEB));
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_ok(callers[i].e);
    }
    /* Replacing a living channel ends the old one orderly. */
    rpc_client_replace(client, connect_to(server, ROLE_WEB));
    assert_ok(call(client, ECHO, "on the third", WAIT_MS));
    (void)sem_wait(&f->closed);
    rpc_client_free(client);
    rpc_server_free(server);
    assert_int_equal(atomic_load(&f->malformed), 0);
}

static void test_rpc__malformed_frame_closes_only_its_channel(void **state) {
    fixture_t *f = *state;
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    const char *bad[] = {"nonsense", "COFF\1\2\0\1aaaaaaaa" /* a reply, to a server */};
    size_t sizes[] = {8, FRAME_HEADER};
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(fd_close) int fd = connect_to(server, ROLE_WEB);
        uint8_t room[64];
        size_t n = 0;
        assert_ok(channel_send(fd, bytes_make(bad[i], sizes[i])));
        (void)sem_wait(&f->closed);
        assert_int_equal(atomic_load(&f->malformed), i + 1);
        assert_err(ERR_UNAVAILABLE, channel_recv(fd, room, sizeof room, &n));
    }
    assert_ok(call(client, ECHO, "unharmed", WAIT_MS));
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__client_ends_a_channel_that_sends_nonsense(void **state) {
    (void)state;
    int ends[2];
    rpc_client_t *client = NULL;
    assert_ok(channel_pair(ends));
    assert_ok(rpc_client_new(ends[0], &client));
    assert_ok(channel_send(ends[1], BYTES_LIT("nonsense")));
    assert_err(ERR_UNAVAILABLE, call(client, ECHO, "x", 2000));
    rpc_client_free(client);
    fd_close(ends[1]);
}

/* Sends requests without ever reading answers. */
static void test_rpc__a_slow_client_holds_up_nobody(void **state) {
    rpc_server_t *server = serve(*state);
    rpc_client_t *client = NULL;
    CLEANUP(fd_close) int slow = connect_to(server, ROLE_WEB);
    CLEANUP(mem_free) uint8_t *body = mem_zalloc(100000);
    CLEANUP(mem_free) uint8_t *room = mem_alloc(LIMIT_FRAME_BYTES);
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    uint64_t sent_count = 0;
    for (;;) { /* until the server stops reading them and our buffer fills */
        uint8_t header[FRAME_HEADER];
        frame_t frame = {.kind = FRAME_REQUEST,
                         .intent = ECHO,
                         .id = sent_count + 1,
                         .body = bytes_make(body, 100000)};
        assert_ok(frame_header(&frame, header));
        err_t *e = channel_send2_within(slow, BYTES_ARRAY(header), frame.body, 300);
        if (e) {
            assert_err(ERR_TIMEOUT, e);
            break;
        }
        sent_count++;
        assert_true(sent_count < 1000);
    }
    assert_true(sent_count > LIMIT_FRAME_IN_FLIGHT);
    for (int i = 0; i < 50; i++) assert_ok(call(client, ECHO, "quick", WAIT_MS));
    for (uint64_t i = 0; i < sent_count; i++) { /* it reads again, and gets every answer */
        size_t n = 0;
        assert_ok(channel_recv(slow, room, LIMIT_FRAME_BYTES, &n));
        assert_int_equal(n, FRAME_HEADER + 100000);
    }
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__more_calls_than_may_be_in_flight_wait(void **state) {
    fixture_t *f = *state;
    enum { MANY = LIMIT_FRAME_IN_FLIGHT + 20 };
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    static caller_t callers[MANY];
    static pthread_t threads[MANY];
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    start_callers(client, KEEP, 1, callers, threads, MANY);
    for (int i = 0; i < LIMIT_FRAME_IN_FLIGHT; i++) (void)sem_wait(&f->kept_one);
    assert_err(ERR_TIMEOUT, call(client, ECHO, "no room", 30));
    assert_int_equal(f->kept_count, LIMIT_FRAME_IN_FLIGHT);
    for (size_t i = 0; i < MANY; i++) {
        if (i >= LIMIT_FRAME_IN_FLIGHT) (void)sem_wait(&f->kept_one);
        (void)pthread_mutex_lock(&f->lock);
        rpc_reply_t *reply = f->kept[i];
        (void)pthread_mutex_unlock(&f->lock);
        rpc_reply_finish(reply, err_new(ERR_BUSY, "done"), BYTES_NONE);
    }
    for (int i = 0; i < MANY; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_err(ERR_BUSY, callers[i].e);
    }
    rpc_client_free(client);
    rpc_server_free(server);
}

static void test_rpc__freeing_the_client_releases_its_callers(void **state) {
    fixture_t *f = *state;
    rpc_server_t *server = serve(f);
    rpc_client_t *client = NULL;
    caller_t callers[CALLERS];
    pthread_t threads[CALLERS];
    assert_ok(rpc_client_new(connect_to(server, ROLE_WEB), &client));
    start_callers(client, KEEP, 1, callers, threads, CALLERS);
    for (int i = 0; i < CALLERS; i++) (void)sem_wait(&f->kept_one);
    rpc_client_free(client);
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_err(ERR_UNAVAILABLE, callers[i].e);
    }
    for (size_t i = 0; i < CALLERS; i++) rpc_reply_finish(f->kept[i], NULL, BYTES_NONE);
    rpc_server_free(server);
}

/* Allocations strike on all threads; whatever fails, nothing hangs, leaks or crashes. */
static void test_rpc__survives_failing_allocations(void **state) {
    for (unsigned long nth = 1; nth < 60; nth++) {
        rpc_server_config_t config = {.ctx = *state, .handle = handle, .workers = 2};
        rpc_server_t *server = NULL;
        rpc_client_t *client = NULL;
        int ends[2];
        assert_ok(channel_pair(ends));
        fault_arm_memory(nth);
        err_t *e = rpc_server_new(&config, &server);
        if (!e) e = rpc_server_add(server, ends[0], ROLE_WEB);
        else fd_close(ends[0]);
        err_t *e2 = rpc_client_new(ends[1], &client);
        if (!e && !e2) e = call(client, ECHO, "x", 2000);
        if (!e && !e2) e = call(client, REFUSE, "x", 2000);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        rpc_client_free(client);
        rpc_server_free(server);
        if (!fired) assert_int_equal(err_code(e), ERR_DENIED);
        else assert_true(e || e2);
        err_free(e);
        err_free(e2);
        if (!fired) return;
    }
    fail_msg("allocations never end");
}

#define RPC_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RPC_TEST(test_rpc__answers_and_errors_come_back),
        RPC_TEST(test_rpc__largest_bodies_pass),
        RPC_TEST(test_rpc__many_threads_each_get_their_own_answer),
        RPC_TEST(test_rpc__answers_may_come_late_and_from_another_thread),
        RPC_TEST(test_rpc__a_timed_out_call_leaves_the_channel_usable),
        RPC_TEST(test_rpc__server_death_fails_all_at_once_and_replace_heals),
        RPC_TEST(test_rpc__malformed_frame_closes_only_its_channel),
        RPC_TEST(test_rpc__client_ends_a_channel_that_sends_nonsense),
        RPC_TEST(test_rpc__a_slow_client_holds_up_nobody),
        RPC_TEST(test_rpc__more_calls_than_may_be_in_flight_wait),
        RPC_TEST(test_rpc__freeing_the_client_releases_its_callers),
        RPC_TEST(test_rpc__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
