/*
 * The client's side against a script: src/smtp/hop.c, hop_mail.c.
 */
#include "../unit.h"

#include "base/fault.h"
#include "smtp/hop.h"

/* What the next hop says, in order; the end of the script is the end of the connection. */
typedef struct {
    bytes_t script;
    size_t piece; /* bytes that come at once */
    buf_t sent;
    bool secured;
    size_t read; /* of the message */
} peer_t;

static err_t *peer_send(void *ctx, bytes_t data) { return buf_add(&((peer_t *)ctx)->sent, data); }

static err_t *peer_recv(void *ctx, uint8_t *p, size_t max, int timeout_ms, size_t *ret_n) {
    peer_t *peer = ctx;
    (void)timeout_ms;
    bytes_t piece = bytes_slice(peer->script, 0, peer->piece < max ? peer->piece : max);
    if (piece.n == 0) return err_new(ERR_UNAVAILABLE, "the script is over");
    bytes_put(p, piece);
    peer->script = bytes_from(peer->script, piece.n);
    *ret_n = piece.n;
    return NULL;
}

static err_t *peer_secure(void *ctx) {
    ((peer_t *)ctx)->secured = true;
    return NULL;
}

static err_t *read_message(void *arg, uint8_t *p, size_t max, size_t *ret_n) {
    peer_t *peer = arg;
    bytes_t piece = bytes_slice(BYTES_LIT("Subject: x\r\n\r\n.dot"), peer->read, max);
    bytes_put(p, piece);
    peer->read += piece.n;
    *ret_n = piece.n;
    return NULL;
}

typedef struct {
    peer_t peer;
    smtp_link_t link;
    smtp_hop_config_t config;
    smtp_status_t statuses[3];
    bool begun;
    bool eightbit, smtputf8;
    size_t rcpts_n;
} world_t;

static void world_init(world_t *w, const char *script) {
    *w = (world_t){.peer = {.script = bytes_str(script), .piece = 1000},
                   .config = {.hostname = "gate.example.org"},
                   .rcpts_n = 2};
    buf_init(&w->peer.sent, 100000);
    w->link = (smtp_link_t){&w->peer, peer_send, peer_recv, peer_secure};
}

/* Opens and delivers one mail; checks what was sent. */
static err_t *run(world_t *w, const char *sent, bool *ret_usable) {
    static const smtp_rcpt_t rcpts[] = {{.address = {(const uint8_t *)"b@example.org", 13},
                                         .notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY,
                                         .orcpt = {(const uint8_t *)"rfc822;b", 8}},
                                        {.address = {(const uint8_t *)"c@example.org", 13}},
                                        {.address = {(const uint8_t *)"\xc3\xa4@example.org", 14}}};
    static const bytes_t forward[SMTP_FORWARDS] = {
        [SMTP_FORWARD_NAME] = {(const uint8_t *)"mx.example.com", 14},
        [SMTP_FORWARD_ADDR] = {(const uint8_t *)"[UNAVAILABLE]", 13},
        [SMTP_FORWARD_IDENT] = {(const uint8_t *)"4711", 4}};
    CLEANUP(smtp_hop_free) smtp_hop_t *hop = NULL;
    const smtp_mail_t mail = {.from = BYTES_LIT("a@example.org"),
                              .rcpts = rcpts,
                              .rcpts_n = w->rcpts_n,
                              .ret = SMTP_RET_HDRS,
                              .envid = BYTES_LIT("E1"),
                              .eightbit = w->eightbit,
                              .smtputf8 = w->smtputf8,
                              .forward = forward,
                              .size = 18,
                              .read = read_message,
                              .arg = &w->peer};
    TRY(smtp_hop_open(&w->link, &w->config, &hop));
    err_t *e = smtp_hop_deliver(hop, &mail, w->statuses, &w->begun);
    *ret_usable = smtp_hop_usable(hop);
    smtp_hop_quit(hop);
    const char *text = NULL;
    assert_ok(buf_cstr(&w->peer.sent, &text));
    if (sent) assert_string_equal(text, sent);
    return e;
}

static void test_hop__pipelines_with_everything_known(void **state) {
    (void)state;
    for (size_t piece = 1; piece < 300; piece += 7) {
        world_t w;
        bool usable = false;
        world_init(&w,
                   "220 next\r\n250-next\r\n250-PIPELINING\r\n250-DSN\r\n250-SIZE 100\r\n"
                   "250 XFORWARD NAME ADDR IDENT\r\n"
                   "250 ok\r\n250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 taken\r\n");
        w.peer.piece = piece;
        assert_ok(run(&w,
                      "EHLO gate.example.org\r\nXFORWARD NAME=mx.example.com IDENT=4711\r\n"
                      "MAIL FROM:<a@example.org> SIZE=18 RET=HDRS ENVID=E1\r\n"
                      "RCPT TO:<b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b\r\n"
                      "RCPT TO:<c@example.org>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
                      &usable));
        assert_true(usable);
        assert_int_equal(w.statuses[0].code, 250);
        assert_string_equal(w.statuses[0].text, "taken");
        assert_int_equal(w.statuses[1].code, 550);
        buf_done(&w.peer.sent);
    }
}

static void test_hop__poor_server_gets_plain_commands(void **state) {
    (void)state;
    world_t w;
    bool usable = false;
    world_init(
        &w,
        "220 next\r\n502 what\r\n250 next\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n");
    assert_ok(run(&w,
                  "EHLO gate.example.org\r\nHELO gate.example.org\r\nMAIL FROM:<a@example.org>\r\n"
                  "RCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
                  "Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
                  &usable));
    assert_int_equal(w.statuses[1].code, 250);
    buf_done(&w.peer.sent);
}

static void test_hop__lmtp_answers_each(void **state) {
    (void)state;
    world_t w;
    bool usable = false;
    world_init(&w, "220 l\r\n250-l\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"
                   "452 4.2.2 full\r\n250 2.0.0 stored\r\n");
    w.config.lmtp = true;
    assert_ok(run(&w, NULL, &usable));
    assert_true(usable);
    assert_int_equal(w.statuses[0].code, 452);
    assert_int_equal(w.statuses[1].code, 250);
    buf_done(&w.peer.sent);
    world_init(&w, "220 l\r\n250-l\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"
                   "250 2.0.0 stored\r\n");
    w.config.lmtp = true;
    assert_err(ERR_UNAVAILABLE, run(&w, NULL, &usable)); /* dies between the two */
    assert_int_equal(w.statuses[0].code, 250);
    assert_int_equal(w.statuses[1].code, 0);
    buf_done(&w.peer.sent);
}

/* 250 to RCPT is not 250 to the message, wherever the connection ends. */
static void test_hop__an_end_anywhere_delivers_nothing(void **state) {
    (void)state;
    static const char script[] =
        "220 n\r\n250-n\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n"
        "354 go\r\n250 ok\r\n";
    for (size_t n = 0; n < sizeof script - 1; n++) {
        world_t w;
        bool usable = false;
        world_init(&w, script);
        w.peer.script.n = n;
        assert_err(ERR_UNAVAILABLE, run(&w, NULL, &usable));
        assert_false(usable);
        assert_int_equal(w.statuses[0].code, 0);
        assert_int_equal(w.statuses[1].code, 0);
        if (n < 35) assert_false(w.begun);
        buf_done(&w.peer.sent);
    }
}

static void test_hop__refusals_leave_it_usable(void **state) {
    (void)state;
    static const struct {
        const char *script;
        unsigned code;
    } all[] = {
        {"451 4.3.0 a\r\n503 b\r\n503 b\r\n503 c\r\n250 reset\r\n", 451},
        {"250 a\r\n550 b\r\n450 b\r\n554 c\r\n250 reset\r\n", 550},
        {"250 a\r\n550 b\r\n550 b\r\n354 odd\r\n554 none\r\n", 550},
        {"250 a\r\n250 b\r\n250 b\r\n451 not now\r\n250 reset\r\n", 451},
        {"250 a\r\n250 b\r\n250 b\r\n354 go\r\n554 5.6.0 content\r\n", 554},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        world_t w;
        bool usable = false;
        CLEANUP(buf_done) buf_t script;
        const char *text = NULL;
        buf_init(&script, 1000);
        assert_ok(buf_printf(&script, "220 n\r\n250-n\r\n250 PIPELINING\r\n%s", all[i].script));
        assert_ok(buf_cstr(&script, &text));
        world_init(&w, text);
        assert_ok(run(&w, NULL, &usable));
        assert_true(usable);
        assert_int_equal(w.statuses[0].code, all[i].code);
        assert_false(smtp_is_done(&w.statuses[1]));
        buf_done(&w.peer.sent);
    }
}

static void test_hop__nonsense_ends_it(void **state) {
    (void)state;
    static const char *const all[] = {
        "350 a\r\n",   "250 a\r\n354 b\r\n", "250 a\r\n250 b\r\n250 b\r\n250 c\r\n",
        "421 bye\r\n", "250-a\r\n251 b\r\n", "250 a\r\n250 b\r\n250 b\r\n354 go\r\n354 again\r\n"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        world_t w;
        bool usable = true;
        CLEANUP(buf_done) buf_t script;
        const char *text = NULL;
        buf_init(&script, 1000);
        assert_ok(buf_printf(&script, "220 n\r\n250-n\r\n250 PIPELINING\r\n%s", all[i]));
        assert_ok(buf_cstr(&script, &text));
        world_init(&w, text);
        err_t *e = run(&w, NULL, &usable);
        assert_non_null(e);
        err_free(e);
        assert_false(usable);
        assert_false(smtp_is_done(&w.statuses[0]));
        buf_done(&w.peer.sent);
    }
}

static void test_hop__starttls(void **state) {
    (void)state;
    world_t w;
    bool usable = false;
    world_init(&w, "220 n\r\n250 n\r\n");
    w.config.starttls = true;
    assert_err(ERR_VERIFY, run(&w, NULL, &usable));
    buf_done(&w.peer.sent);
    world_init(&w, "220 n\r\n250-n\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n");
    w.config.starttls = true;
    assert_err(ERR_VERIFY, run(&w, NULL, &usable)); /* said before the handshake */
    assert_false(w.peer.secured);
    buf_done(&w.peer.sent);
    world_init(&w, "220 n\r\n250-n\r\n250 STARTTLS\r\n220 go\r\n");
    w.config.starttls = true;
    w.peer.piece = 1;
    assert_err(ERR_UNAVAILABLE, run(&w, NULL, &usable));
    assert_true(w.peer.secured);
    buf_done(&w.peer.sent);
}

static void test_hop__what_the_next_hop_cannot_take(void **state) {
    (void)state;
    static const char script[] = "220 n\r\n250-n\r\n250 SIZE 17\r\n";
    world_t w;
    bool usable = false;
    world_init(&w, script);
    assert_ok(run(&w, NULL, &usable));
    assert_string_equal(w.statuses[0].enhanced, "5.3.4");
    buf_done(&w.peer.sent);
    world_init(&w, script);
    w.eightbit = true;
    assert_ok(run(&w, NULL, &usable));
    assert_string_equal(w.statuses[0].enhanced, "5.6.3");
    buf_done(&w.peer.sent);
    world_init(&w, script);
    w.rcpts_n = 3;
    assert_ok(run(&w, NULL, &usable));
    assert_string_equal(w.statuses[0].enhanced, "5.6.7");
    assert_true(usable);
    buf_done(&w.peer.sent);
}

static void test_hop__many_recipients_in_groups(void **state) {
    (void)state;
    enum { MANY = 130 };
    CLEANUP(buf_done) buf_t script, sent;
    CLEANUP(smtp_hop_free) smtp_hop_t *hop = NULL;
    smtp_rcpt_t rcpts[MANY];
    smtp_status_t statuses[MANY];
    world_t w;
    buf_init(&script, 10000);
    buf_init(&sent, 10000);
    assert_ok(buf_add_str(&script, "220 n\r\n250-n\r\n250 PIPELINING\r\n250 ok\r\n"));
    for (int i = 0; i < MANY; i++) {
        assert_ok(buf_add_str(&script, i % 2 ? "550 no\r\n" : "250 ok\r\n"));
        rcpts[i] = (smtp_rcpt_t){.address = BYTES_LIT("b@example.org")};
    }
    assert_ok(buf_add_str(&script, "354 go\r\n250 taken\r\n"));
    world_init(&w, "");
    w.peer.script = buf_bytes(&script);
    assert_ok(smtp_hop_open(&w.link, &w.config, &hop));
    const smtp_mail_t mail = {
        .rcpts = rcpts, .rcpts_n = MANY, .read = read_message, .arg = &w.peer};
    assert_ok(smtp_hop_deliver(hop, &mail, statuses, &w.begun));
    for (int i = 0; i < MANY; i++) assert_int_equal(statuses[i].code, i % 2 ? 550 : 250);
    assert_int_equal(w.peer.script.n, 0);
    buf_done(&w.peer.sent);
}

static void test_hop__survives_failing_memory(void **state) {
    (void)state;
    for (unsigned long n = 1; n < 100; n++) {
        world_t w;
        bool usable = false;
        world_init(&w, "220 n\r\n250-n\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 "
                       "go\r\n250 ok\r\n");
        fault_arm_memory(n);
        err_t *e = run(&w, NULL, &usable);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (e) assert_false(smtp_is_done(&w.statuses[0]));
        err_free(e);
        buf_done(&w.peer.sent);
        if (!fired) return;
    }
    fail();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hop__pipelines_with_everything_known),
        cmocka_unit_test(test_hop__poor_server_gets_plain_commands),
        cmocka_unit_test(test_hop__lmtp_answers_each),
        cmocka_unit_test(test_hop__an_end_anywhere_delivers_nothing),
        cmocka_unit_test(test_hop__refusals_leave_it_usable),
        cmocka_unit_test(test_hop__nonsense_ends_it),
        cmocka_unit_test(test_hop__starttls),
        cmocka_unit_test(test_hop__what_the_next_hop_cannot_take),
        cmocka_unit_test(test_hop__many_recipients_in_groups),
        cmocka_unit_test(test_hop__survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
