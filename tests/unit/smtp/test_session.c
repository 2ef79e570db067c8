/*
 * The server's side: src/smtp/session.c, session_commands.c.
 */
#include "../unit.h"

#include "base/fault.h"
#include "base/limits.h"
#include "smtp/session.h"

typedef struct {
    buf_t content, out;
    bool full; /* the spool is */
    smtp_server_t server;
    smtp_session_t session;
    smtp_event_t event;
} world_t;

static err_t *begin(void *conn, uint64_t size) {
    world_t *w = conn;
    (void)size;
    buf_clear(&w->content);
    return NULL;
}

static err_t *give(void *conn, bytes_t data) {
    world_t *w = conn;
    return w->full ? err_new(ERR_FULL, "full") : buf_add(&w->content, data);
}

static const smtp_sink_t sink = {begin, give};

static void world_init(world_t *w) {
    *w = (world_t){.server = {.hostname = "gate.example.org",
                              .max_message = 1000,
                              .max_recipients = 3,
                              .starttls = true,
                              .dsn = true}};
    buf_init(&w->content, 10000);
    buf_init(&w->out, LIMIT_SMTP_OUT);
    smtp_session_init(&w->session, &w->server, &sink, w, false, true);
}

static void world_done(world_t *w) {
    smtp_session_done(&w->session);
    buf_done(&w->content);
    buf_done(&w->out);
}

/* Feeds in pieces; what is said to it. */
static const char *say_bytes(world_t *w, bytes_t in, size_t step) {
    const char *text = NULL;
    size_t at = 0;
    buf_clear(&w->out);
    do {
        size_t used = 0;
        assert_ok(
            smtp_session_feed(&w->session, bytes_slice(in, at, step), &w->out, &used, &w->event));
        at += used;
    } while (at < in.n && (w->event == SMTP_NEEDS_INPUT || w->event == SMTP_FLUSH));
    assert_ok(buf_cstr(&w->out, &text));
    return text;
}

static const char *say(world_t *w, const char *in) { return say_bytes(w, bytes_str(in), 1 << 20); }

static void told(world_t *w, const char *in, const char *reply) {
    const char *text = say(w, in);
    if (strncmp(text, reply, strlen(reply)) != 0) fail_msg("%s was answered %s", in, text);
}

static void test_session__order_of_commands(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    told(&w, "MAIL FROM:<a@example.org>\r\n", "503 5.5.1");
    told(&w, "DATA\r\n", "503 5.5.1");
    told(&w, "EHLO\r\n", "501 5.5.4");
    told(&w, "EHLO c\r\n", "250-gate.example.org\r\n250-PIPELINING\r\n250-SIZE 1000\r\n");
    told(&w, "RCPT TO:<b@example.org>\r\n", "503 5.5.1");
    told(&w, "MAIL FROM:<a@example.org>\r\n", "250 2.1.0");
    told(&w, "MAIL FROM:<a@example.org>\r\n", "503 5.5.1");
    told(&w, "XFORWARD NAME=x\r\n", "503 5.5.1");
    told(&w, "DATA\r\n", "554 5.5.1");
    told(&w, "RCPT TO:<b@example.org>\r\n", "250 2.1.5");
    told(&w, "RSET\r\n", "250 2.0.0");
    told(&w, "RCPT TO:<b@example.org>\r\n", "503 5.5.1");
    told(&w, "VRFY b\r\n", "252");
    told(&w, "EXPN b\r\n", "502");
    told(&w, "AUTH PLAIN\r\n", "502 5.5.1");
    told(&w, "BDAT 10 LAST\r\n", "502 5.5.1");
    told(&w, "QUIT\r\n", "221 2.0.0");
    assert_int_equal(w.event, SMTP_CLOSE);
    world_done(&w);
}

static void test_session__parameters(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    (void)say(&w, "EHLO c\r\n");
    told(&w, "MAIL FROM:<a@example.org> SIZE=1001\r\n", "552 5.3.4");
    told(&w, "MAIL FROM:<a@example.org> SIZE=x\r\n", "501 5.5.4");
    told(&w, "MAIL FROM:<a@example.org> BODY=BINARYMIME\r\n", "501 5.5.4");
    told(&w, "MAIL FROM:<a@example.org> SMTPUTF8=1\r\n", "555 5.5.4");
    told(&w, "MAIL FROM:<a@example.org> AUTH=<>\r\n", "555 5.5.4");
    told(&w, "MAIL FROM:<a@example.org> RET=SOME\r\n", "501 5.5.4");
    told(&w, "MAIL FROM:<a@example.org> ENVID=a+\r\n", "501 5.5.4");
    told(&w, "MAIL FROM:<a@b@>\r\n", "501 5.1.7");
    told(&w, "MAIL FROM:<\xc3\xa4@example.org>\r\n", "553 5.6.7");
    told(&w, "MAIL FROM:<\xc3\xa4@example.org> SMTPUTF8 SIZE=10 RET=FULL ENVID=x BODY=7BIT\r\n",
         "250");
    told(&w, "RCPT TO:<b@example.org> NOTIFY=NEVER,DELAY\r\n", "501 5.5.4");
    told(&w, "RCPT TO:<b@example.org> NOTIFY=SUCCESS,SUCCESS\r\n", "501 5.5.4");
    told(&w, "RCPT TO:<b@example.org> ORCPT=b\r\n", "501 5.5.4");
    told(&w, "RCPT TO:<b@example.org> SIZE=1\r\n", "555 5.5.4");
    told(&w, "RCPT TO:<>\r\n", "501 5.1.3");
    told(&w, "RCPT TO:<Postmaster>\r\n", "250");
    told(&w, "RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b\r\n", "250");
    told(&w, "RCPT TO:<c@example.org>\r\n", "250");
    told(&w, "RCPT TO:<d@example.org>\r\n", "452 4.5.3");
    const smtp_envelope_t *m = w.session.envelope;
    assert_int_equal(m->rcpts_n, 3);
    assert_int_equal(m->rcpts[1].notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
    assert_true(m->smtputf8 && m->ret == SMTP_RET_FULL);
    world_done(&w);
}

static void test_session__message_in_any_pieces(void **state) {
    (void)state;
    static const char wire[] = "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
                               "Subject: x\r\n\r\n..dot\r\n.\r\nNOOP\r\n";
    for (size_t step = 1; step < sizeof wire; step++) {
        world_t w;
        bool eightbit = true;
        world_init(&w);
        (void)say_bytes(&w, BYTES_LIT(wire), step);
        assert_int_equal(w.event, SMTP_MESSAGE);
        CLEANUP(smtp_envelope_free) smtp_envelope_t *m = smtp_session_take(&w.session, &eightbit);
        assert_int_equal(m->from.n, 0);
        assert_false(eightbit);
        assert_true(bytes_eq_str(buf_bytes(&w.content), "Subject: x\r\n\r\n.dot\r\n"));
        told(&w, "NOOP\r\n", ""); /* waits for the answer */
        assert_int_equal(w.event, SMTP_WAITS);
        const smtp_status_t done = smtp_status(250, "2.0.0", "taken");
        assert_ok(smtp_session_answer(&w.session, &done, 1, &w.out));
        told(&w, "NOOP\r\n", "250 2.0.0 Ok");
        world_done(&w);
    }
}

static void begin_data(world_t *w, const char *hello) {
    (void)say(w, hello);
    (void)say(
        w, "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n");
    told(w, "DATA\r\n", "354");
}

static void test_session__message_that_is_refused(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    begin_data(&w, "EHLO c\r\n");
    told(&w, "a\n.\nb\r\n.\r\n", "554 5.5.2");
    begin_data(&w, "LHLO c\r\n"); /* one answer a recipient */
    told(&w, "a\rb\r\n.\r\n",
         "554 5.5.2 A bare CR or LF is in the message: lines end with CR LF\r\n554");
    w.full = true;
    begin_data(&w, "EHLO c\r\n");
    told(&w, "a\r\n.\r\n", "452 4.3.1");
    w.full = false;
    begin_data(&w, "EHLO c\r\n");
    for (int i = 0; i < 200; i++) (void)say(&w, "xxxxxxxx\r\n");
    told(&w, ".\r\n", "552 5.3.4");
    told(&w, "NOOP\r\n", "250");
    assert_int_equal(w.event, SMTP_NEEDS_INPUT);
    world_done(&w);
}

static void test_session__lines(void **state) {
    (void)state;
    world_t w;
    char line[LIMIT_SMTP_COMMAND + 10];
    memset(line, 'x', sizeof line);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    for (size_t step = 1; step < 5000; step += 499) {
        world_init(&w);
        const char *text = say_bytes(&w, bytes_str(line), step);
        assert_true(strncmp(text, "500 5.5.2", 9) == 0);
        told(&w, "NOOP\r\n", "250");
        world_done(&w);
    }
    static const char *const bad[] = {"NOOP\n", "NO\rOP\r\n", "NOOP\r\r\n"};
    for (size_t i = 0; i < 3; i++) {
        world_init(&w);
        told(&w, bad[i], "500 5.5.2");
        assert_int_equal(w.event, SMTP_CLOSE);
        world_done(&w);
    }
}

static void test_session__errors_have_an_end(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    for (int i = 0; i < LIMIT_SMTP_ERRORS - 1; i++) told(&w, "FOO\r\n", "502");
    told(&w, "FOO\r\n", "502 5.5.1 That command is not known here\r\n421 4.7.0");
    assert_int_equal(w.event, SMTP_CLOSE);
    world_done(&w);
}

static void test_session__starttls(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    w.server.tls_required = true;
    (void)say(&w, "EHLO c\r\n");
    told(&w, "MAIL FROM:<a@example.org>\r\n", "530 5.7.0");
    told(&w, "XFORWARD NAME=x\r\n", "250");
    told(&w, "STARTTLS\r\n", "220");
    assert_int_equal(w.event, SMTP_SECURE);
    smtp_session_secured(&w.session);
    told(&w, "MAIL FROM:<a@example.org>\r\n", "503 5.5.1"); /* EHLO is forgotten */
    assert_null(strstr(say(&w, "EHLO c\r\n"), "STARTTLS"));
    told(&w, "STARTTLS\r\n", "503 5.5.1");
    told(&w, "MAIL FROM:<a@example.org>\r\n", "250");
    assert_int_equal(w.session.envelope->forward[SMTP_FORWARD_NAME].n, 0);
    world_done(&w);
    world_init(&w);
    told(&w, "STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n", "554 5.5.1");
    assert_int_equal(w.event, SMTP_CLOSE);
    world_done(&w);
}

static void test_session__many_replies_are_flushed(void **state) {
    (void)state;
    world_t w;
    CLEANUP(buf_done) buf_t in;
    size_t used = 0;
    world_init(&w);
    buf_init(&in, 1 << 20);
    for (int i = 0; i < 10000; i++) assert_ok(buf_add_str(&in, "NOOP\r\n"));
    assert_ok(smtp_session_feed(&w.session, buf_bytes(&in), &w.out, &used, &w.event));
    assert_int_equal(w.event, SMTP_FLUSH);
    assert_true(used < in.n && w.out.n < 20000);
    world_done(&w);
}

static void test_session__survives_failing_memory(void **state) {
    (void)state;
    for (unsigned long n = 1; n < 200; n++) {
        world_t w;
        size_t used = 0;
        err_t *e = NULL;
        bytes_t in = BYTES_LIT("EHLO c\r\nXFORWARD NAME=x\r\nMAIL FROM:<a@example.org>\r\n"
                               "RCPT TO:<b@example.org>\r\nDATA\r\na\n\r\n.\r\n");
        world_init(&w);
        fault_arm_memory(n);
        for (size_t at = 0; at < in.n && !e; at += used)
            e = smtp_session_feed(&w.session, bytes_slice(in, at, 7), &w.out, &used, &w.event);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
        world_done(&w);
        if (!fired) return;
    }
    fail();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__order_of_commands),
        cmocka_unit_test(test_session__parameters),
        cmocka_unit_test(test_session__message_in_any_pieces),
        cmocka_unit_test(test_session__message_that_is_refused),
        cmocka_unit_test(test_session__lines),
        cmocka_unit_test(test_session__errors_have_an_end),
        cmocka_unit_test(test_session__starttls),
        cmocka_unit_test(test_session__many_replies_are_flushed),
        cmocka_unit_test(test_session__survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
