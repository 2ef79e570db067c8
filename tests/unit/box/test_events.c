/* Streams of events, cut anywhere, and answers that are none. */
#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include "box/events.h"

typedef struct {
    size_t n;
    char last[256];
} heard_t;

static err_t *hear(void *arg, const box_event_t *event) {
    heard_t *h = arg;
    h->n++;
    (void)snprintf(h->last, sizeof h->last, "%s|%.*s|%.*s", event->type, (int)event->data.n,
                   (const char *)event->data.p, (int)event->id.n, (const char *)event->id.p);
    return NULL;
}

static const char chunked[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                              "transfer-encoding: Chunked\r\n\r\n"
                              "b;x=y\r\nid: 5\nevent\r\n"
                              "1a\r\n: mail\n: beat\ndata: {\ndata\r\n"
                              "7\r\n: \"a\"}\n\r\n1\r\n\n\r\n"
                              "0\r\n\r\n";

static void test_events__reads_them_however_they_are_cut(void **state) {
    (void)state;
    for (size_t step = 1; step < sizeof chunked; step++) {
        box_events_t events;
        heard_t h = {0};
        bytes_t all = BYTES_LIT(chunked);
        box_events_init(&events);
        for (size_t at = 0; at < all.n; at += step)
            assert_ok(box_events_feed(&events, bytes_slice(all, at, step), hear, &h));
        assert_int_equal(h.n, 1);
        assert_string_equal(h.last, "mail|{\n\"a\"}|5");
        assert_true(events.ended);
        box_events_done(&events);
    }
}

static void test_events__knows_answers_that_are_no_stream(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        err_code_t code;
    } cases[] = {
        {"HTTP/1.1 401 No\r\n\r\n", ERR_AUTH},
        {"HTTP/1.1 404 No\r\n\r\n", ERR_NOT_FOUND},
        {"HTTP/1.1 503 No\r\n\r\n", ERR_UNAVAILABLE},
        {"HTTP/2 200\r\n\r\n", ERR_INVALID},
        {"SSH-2.0-x\r\n", ERR_INVALID},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ERR_INVALID},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n", ERR_INVALID},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n", ERR_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        box_events_t events;
        heard_t h = {0};
        box_events_init(&events);
        assert_err(cases[i].code, box_events_feed(&events, bytes_str(cases[i].answer), hear, &h));
        box_events_done(&events);
    }
}

static void test_events__a_flood_without_an_end_meets_its_limit(void **state) {
    (void)state;
    static char line[4096];
    box_events_t events;
    heard_t h = {0};
    err_t *e = NULL;
    memset(line, 'x', sizeof line);
    box_events_init(&events);
    assert_ok(box_events_feed(&events, BYTES_LIT("HTTP/1.1 200 OK\r\n\r\ndata: "), hear, &h));
    for (unsigned i = 0; i < 100 && !e; i++)
        e = box_events_feed(&events, BYTES_ARRAY(line), hear, &h);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_LIMIT);
    err_free(e);
    box_events_done(&events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events__reads_them_however_they_are_cut),
        cmocka_unit_test(test_events__knows_answers_that_are_no_stream),
        cmocka_unit_test(test_events__a_flood_without_an_end_meets_its_limit),
    };
    return cmocka_run_group_tests_name("box events", tests, NULL, NULL);
}
