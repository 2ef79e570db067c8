/* The client's side of IMAP: src/arrival/imap_watch.h, mail_server.h. */
#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "arrival/imap_watch.h"
#include "arrival/mail_server.h"
#include "base/limits.h"

enum { OUT_MAX = 1 << 20 };

typedef struct {
    imap_watch_t w;
    buf_t out;
} talk_t;

static void start(talk_t *t, int64_t uidvalidity, int64_t uid) {
    const arrival_t from = {"INBOX", uidvalidity, uid, 0};
    imap_watch_init(&t->w, &from);
    buf_init(&t->out, OUT_MAX);
}

static void end(talk_t *t) {
    imap_watch_done(&t->w);
    buf_done(&t->out);
}

/* The server says this, and what we answer has to be that. */
static void hears(talk_t *t, const char *server, const char *client) {
    const char *text = NULL;
    buf_clear(&t->out);
    assert_ok(imap_watch_input(&t->w, bytes_str(server), &t->out));
    assert_ok(buf_cstr(&t->out, &text));
    assert_string_equal(text, client);
}

static void refuses(talk_t *t, err_code_t code, const char *server) {
    assert_err(code, imap_watch_input(&t->w, bytes_str(server), &t->out));
    end(t);
}

static void log_in(talk_t *t, const char *client) {
    const char *text = NULL;
    buf_clear(&t->out);
    assert_int_equal(t->w.state, IMAP_LOGIN);
    assert_ok(imap_watch_login(&t->w, "alice", BYTES_LIT("se\"cret"), &t->out));
    assert_ok(buf_cstr(&t->out, &text));
    assert_string_equal(text, client);
}

#define CAN "IDLE CONDSTORE SASL-IR AUTH=PLAIN"

/* Until it idles; `next` is the server's UIDNEXT. */
static void until_idle(talk_t *t, const char *next) {
    char text[200];
    hears(t, "* OK ready\r\n", "C1 CAPABILITY\r\n");
    hears(t, "* CAPABILITY IMAP4rev1 " CAN "\r\nC1 OK done\r\n", "");
    log_in(t, "C2 AUTHENTICATE PLAIN AGFsaWNlAHNlImNyZXQ=\r\n");
    hears(t, "C2 OK in\r\n", "C3 CAPABILITY\r\n");
    hears(t, "* CAPABILITY IMAP4rev1 " CAN "\r\nC3 OK\r\n", "C4 EXAMINE INBOX (CONDSTORE)\r\n");
    (void)snprintf(text, sizeof text,
                   "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT %s] x\r\n"
                   "* OK [HIGHESTMODSEQ 90]\r\nC4 OK [READ-ONLY] done\r\n",
                   next);
    hears(t, text, "C5 IDLE\r\n");
    hears(t, "+ idling\r\n", "");
    assert_int_equal(t->w.state, IMAP_IDLE);
}

static void test_imap_watch__waits_and_hears_of_mail(void **state) {
    (void)state;
    talk_t t;
    start(&t, 0, 0);
    until_idle(&t, "12");
    assert_false(t.w.news);  /* the first time nothing is new */
    assert_null(t.w.line.p); /* and nothing is held */
    hears(&t, "* OK still here\r\n* 3 FETCH (FLAGS (\\Seen))\r\n", "");
    hears(&t, "* 4 EXISTS\r\n", "DONE\r\n");
    hears(&t, "* 1 RECENT\r\nC5 OK\r\n", "C6 UID FETCH 12:* (UID MODSEQ)\r\n");
    hears(&t, "* 4 FETCH (UID 12 MODSEQ (95))\r\n* 5 FETCH (MODSEQ (96) UID 14)\r\n", "");
    assert_false(t.w.news);
    hears(&t, "C6 OK\r\n", "C7 IDLE\r\n");
    assert_true(t.w.news);
    arrival_t a = imap_watch_news(&t.w);
    assert_string_equal(a.folder, "INBOX");
    assert_int_equal(a.uidvalidity, 7);
    assert_int_equal(a.uid, 14);
    assert_int_equal(a.modseq, 96);
    assert_false(t.w.news);
    /* deleted ones: the last one is shown once more, which is no news */
    hears(&t, "+\r\n* 2 EXISTS\r\n", "DONE\r\n");
    hears(&t, "C7 OK\r\n", "C8 UID FETCH 15:* (UID MODSEQ)\r\n");
    hears(&t, "* 2 FETCH (UID 14 MODSEQ (96))\r\nC8 OK\r\n", "C9 IDLE\r\n");
    assert_false(t.w.news);
    end(&t);
}

#define ALL                                                                                        \
    "NOTIFY SET STATUS (selected (MessageNew (UID) MessageExpunge))"                               \
    " (personal (MessageNew MessageExpunge))\r\n"

/* A server with NOTIFY, up to its answer to that. */
static void until_notify(talk_t *t) {
    hears(t, "* OK [CAPABILITY IMAP4rev1] ready\r\n", "C1 CAPABILITY\r\n");
    hears(t, "* CAPABILITY IMAP4rev1 NOTIFY " CAN "\r\nC1 OK done\r\n", "");
    log_in(t, "C2 AUTHENTICATE PLAIN AGFsaWNlAHNlImNyZXQ=\r\n");
    hears(t, "C2 OK in\r\n", "C3 CAPABILITY\r\n");
    hears(t, "* CAPABILITY IMAP4rev1 NOTIFY " CAN "\r\nC3 OK\r\n",
          "C4 EXAMINE INBOX (CONDSTORE)\r\n");
    hears(t, "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 12] x\r\nC4 OK done\r\n", "C5 " ALL);
}

static void says_folder(talk_t *t, const char *name, int64_t uidvalidity, int64_t uid, bool asked) {
    const imap_folder_t *f = t->w.folders.first;
    while (f && strcmp(f->name, name) != 0) f = f->next;
    assert_non_null(f);
    assert_string_equal(f->arrival.folder, name);
    assert_int_equal(f->arrival.uidvalidity, uidvalidity);
    assert_int_equal(f->arrival.uid, uid);
    assert_int_equal(f->asked, asked);
}

static void test_imap_watch__hears_of_all_folders(void **state) {
    (void)state;
    talk_t t;
    const char *text = NULL;
    start(&t, 7, 11);
    until_notify(&t);
    hears(&t,
          "* STATUS INBOX (MESSAGES 1 UIDNEXT 12 UIDVALIDITY 7)\r\n"
          "* STATUS Lists (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 3)\r\n"
          "* STATUS \"a \\\"b\\\"\" (UIDVALIDITY 4 HIGHESTMODSEQ 17 UIDNEXT 9)\r\nC5 OK\r\n",
          "C6 IDLE\r\n");
    assert_int_equal(t.w.folders.count, 2);
    says_folder(&t, "Lists", 3, 0, true);
    says_folder(&t, "a \"b\"", 4, 8, true);
    hears(&t, "+\r\n* STATUS Lists (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n", "");
    assert_int_equal(t.w.folders.count, 2);
    says_folder(&t, "Lists", 3, 1, false);
    assert_false(t.w.news);
    imap_folders_done(&t.w.folders);
    assert_null(t.w.line.p);
    /* from time to time all are asked for */
    buf_clear(&t.out);
    assert_ok(imap_watch_look(&t.w, &t.out));
    assert_ok(buf_cstr(&t.out, &text));
    assert_string_equal(text, "DONE\r\n");
    hears(&t, "C6 OK\r\n", "C7 UID FETCH 12:* (UID MODSEQ)\r\n");
    hears(&t, "C7 OK\r\n", "C8 " ALL);
    hears(&t, "C8 OK\r\n", "C9 IDLE\r\n");
    /* mail in INBOX: the others are not */
    hears(&t, "+\r\n* 2 EXISTS\r\n", "DONE\r\n");
    hears(&t, "C9 OK\r\n", "C10 UID FETCH 12:* (UID MODSEQ)\r\n");
    hears(&t, "* 2 FETCH (UID 12)\r\nC10 OK\r\n", "C11 IDLE\r\n");
    assert_true(t.w.news);
    end(&t);
}

static void test_imap_watch__goes_on_without_notify(void **state) {
    (void)state;
    static const char *const answers[] = {"C5 NO [BADEVENT] x\r\n", "C5 BAD what\r\n"};
    for (size_t i = 0; i < 2; i++) {
        talk_t t;
        start(&t, 7, 11);
        until_notify(&t);
        hears(&t, answers[i], "C6 IDLE\r\n");
        hears(&t, "+\r\n* STATUS Lists (UIDNEXT 2 UIDVALIDITY 3)\r\n", "");
        assert_int_equal(t.w.folders.count, 0);
        end(&t);
    }
    talk_t t;
    start(&t, 7, 11);
    until_notify(&t);
    hears(&t, "C5 OK\r\n", "C6 IDLE\r\n");
    hears(&t, "+\r\n* OK [NOTIFICATIONOVERFLOW] too much\r\n", "");
    assert_ok(imap_watch_look(&t.w, &t.out));
    hears(&t, "C6 OK\r\n", "C7 UID FETCH 12:* (UID MODSEQ)\r\n");
    hears(&t, "C7 OK\r\n", "C8 IDLE\r\n");
    end(&t);
}

static void test_imap_watch__passes_over_folders_of_no_use(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",
        "(UIDNEXT 2 UIDVALIDITY 3)",
        "A",
        "A (",
        "A (UIDNEXT 2)",
        "A (UIDVALIDITY 3)",
        "A (UIDNEXT 0 UIDVALIDITY 3)",
        "A (UIDNEXT 2 UIDVALIDITY 0)",
        "\"A (UIDNEXT 2 UIDVALIDITY 3)",
        "inbox (UIDNEXT 2 UIDVALIDITY 3)",
        "\"\" (UIDNEXT 2 UIDVALIDITY 3)",
        "\"\xc3\xa4\" (UIDNEXT 2 UIDVALIDITY 3)",
    };
    imap_folders_t folders = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_ok(imap_folders_take(&folders, bytes_str(lines[i]), false));
    assert_int_equal(folders.count, 0);
    assert_err(ERR_INVALID,
               imap_folders_take(&folders, BYTES_LIT("A (UIDNEXT x UIDVALIDITY 3)"), false));
    assert_err(
        ERR_INVALID,
        imap_folders_take(&folders, BYTES_LIT("A (UIDNEXT 4294967296 UIDVALIDITY 3)"), false));
    for (int i = 0; i < LIMIT_ARRIVAL_FOLDERS + 5; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "F%d (UIDNEXT 2 UIDVALIDITY 3)", i);
        assert_ok(imap_folders_take(&folders, bytes_str(line), false));
    }
    assert_int_equal(folders.count, LIMIT_ARRIVAL_FOLDERS);
    imap_folders_done(&folders);
    assert_null(folders.first);
}

static void test_imap_watch__looks_when_told(void **state) {
    (void)state;
    talk_t t;
    const char *text = NULL;
    start(&t, 0, 0);
    assert_ok(imap_watch_look(&t.w, &t.out)); /* not now */
    assert_int_equal(t.out.n, 0);
    until_idle(&t, "12");
    buf_clear(&t.out);
    assert_ok(imap_watch_look(&t.w, &t.out));
    assert_ok(buf_cstr(&t.out, &text));
    assert_string_equal(text, "DONE\r\n");
    hears(&t, "C5 OK\r\n", "C6 UID FETCH 12:* (UID MODSEQ)\r\n");
    hears(&t, "* 4 FETCH (UID 12)\r\nC6 OK\r\n", "C7 IDLE\r\n");
    assert_true(t.w.news); /* though the server had said nothing */
    end(&t);
}

static void test_imap_watch__mail_while_it_was_away(void **state) {
    (void)state;
    talk_t t;
    start(&t, 7, 11);
    until_idle(&t, "12");
    assert_false(t.w.news);
    end(&t);
    start(&t, 7, 8);
    until_idle(&t, "12");
    assert_true(t.w.news);
    assert_int_equal(imap_watch_news(&t.w).uid, 11);
    end(&t);
    start(&t, 6, 500); /* another folder of that name */
    until_idle(&t, "12");
    assert_true(t.w.news);
    assert_int_equal(imap_watch_news(&t.w).uidvalidity, 7);
    end(&t);
    start(&t, 7, 4000000000); /* a lie was believed once: not for ever */
    until_idle(&t, "12");
    assert_int_equal(t.w.uid, 11);
    end(&t);
}

static void test_imap_watch__old_servers(void **state) {
    (void)state;
    talk_t t;
    start(&t, 0, 0);
    hears(&t, "* OK\r\n", "C1 CAPABILITY\r\n");
    hears(&t, "* CAPABILITY IMAP4\r\nC1 OK\r\n", "");
    log_in(&t, "C2 LOGIN \"alice\" \"se\\\"cret\"\r\n");
    hears(&t, "C2 OK\r\n", "C3 CAPABILITY\r\n");
    hears(&t, "* CAPABILITY IMAP4\r\nC3 OK\r\n", "C4 EXAMINE INBOX\r\n");
    hears(&t, "* OK [UIDVALIDITY 7]\r\nC4 OK\r\n", "C5 UID FETCH 1:* (UID)\r\n");
    hears(&t, "* 1 FETCH (UID 5)\r\nC5 OK\r\n", "");
    assert_int_equal(t.w.state, IMAP_IDLE);
    assert_false(t.w.news);
    buf_clear(&t.out);
    assert_ok(imap_watch_look(&t.w, &t.out));
    hears(&t, "* 2 EXISTS\r\nC6 OK\r\n", "C7 UID FETCH 6:* (UID)\r\n");
    hears(&t, "* 2 FETCH (UID 6)\r\nC7 OK\r\n", "");
    assert_true(t.w.news);
    end(&t);
    start(&t, 0, 0); /* without SASL-IR the secret comes after a "+" */
    hears(&t, "* OK\r\n", "C1 CAPABILITY\r\n");
    hears(&t, "* CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED\r\nC1 OK\r\n", "");
    log_in(&t, "C2 AUTHENTICATE PLAIN\r\n");
    hears(&t, "+\r\n", "AGFsaWNlAHNlImNyZXQ=\r\n");
    hears(&t, "C2 OK\r\n", "C3 CAPABILITY\r\n");
    assert_int_equal(t.w.secret.n, 0);
    end(&t);
}

static void test_imap_watch__refusals(void **state) {
    (void)state;
    talk_t t;
    start(&t, 0, 0);
    refuses(&t, ERR_INVALID, "220 mail.example.org ESMTP\r\n");
    start(&t, 0, 0);
    refuses(&t, ERR_UNAVAILABLE, "* BYE too many\r\n");
    start(&t, 0, 0);
    hears(&t, "* OK\r\n", "C1 CAPABILITY\r\n");
    hears(&t, "* CAPABILITY " CAN "\r\nC1 OK\r\n", "");
    log_in(&t, "C2 AUTHENTICATE PLAIN AGFsaWNlAHNlImNyZXQ=\r\n");
    refuses(&t, ERR_AUTH, "C2 NO wrong\r\n");
    start(&t, 0, 0);
    hears(&t, "* OK\r\n* CAPABILITY LOGINDISABLED\r\nC1 OK\r\n", "C1 CAPABILITY\r\n");
    assert_err(ERR_UNAVAILABLE, imap_watch_login(&t.w, "alice", BYTES_LIT("x"), &t.out));
    end(&t);
    start(&t, 0, 0);
    hears(&t, "* OK\r\nC1 OK\r\n", "C1 CAPABILITY\r\n");
    assert_err(ERR_INVALID, imap_watch_login(&t.w, "al\r\nice", BYTES_LIT("x"), &t.out));
    end(&t);
}

static void test_imap_watch__hostile_servers(void **state) {
    (void)state;
    static const char *const lines[] = {
        "C99 OK\r\n",
        "+ go on\r\nC5 OK\r\n+ again\r\n",
        "* 4 EXISTS\r\nC5 OK\r\n* 4 FETCH (UID 4294967296)\r\n",
        "* 4 EXISTS\r\nC5 OK\r\n* 4 FETCH (UID 4294967295)\r\nC6 OK\r\n", /* a leap */
        "* 4 EXISTS\r\nC5 OK\r\n* 4 FETCH (UID -1)\r\n",
        "* 4 EXISTS\r\nC5 OK\r\n* 4 FETCH (UID 13 MODSEQ (99999999999999999999))\r\n",
        "* 1 FETCH (BODY {99999999999999999999}\r\n",
        "* BYE\r\n",
        "nonsense\r\n",
        "\r\n",
    };
    talk_t t;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        start(&t, 0, 0);
        until_idle(&t, "12");
        err_t *e = imap_watch_input(&t.w, bytes_str(lines[i]), &t.out);
        if (!e) print_error("taken: %s\n", lines[i]);
        assert_non_null(e);
        err_free(e);
        end(&t);
    }
}

static void test_imap_watch__limits(void **state) {
    (void)state;
    static char flood[LIMIT_IMAP_LINE + 2];
    talk_t t;
    memset(flood, 'x', sizeof flood - 1);
    start(&t, 0, 0);
    refuses(&t, ERR_LIMIT, flood);
    start(&t, 0, 0);
    until_idle(&t, "12");
    refuses(&t, ERR_LIMIT, "* 1 FETCH (BODY {65537}\r\n");
    start(&t, 0, 0);
    until_idle(&t, "12");
    hears(&t, "* 1 FETCH (BODY {20}\r\n* 9 EXISTS\r\nC5 OK\r\nxx FLAGS ())\r\n", "");
    hears(&t, "* 4 EXISTS\r\n", "DONE\r\n");
    err_t *e = NULL;
    for (int i = 0; i < LIMIT_IMAP_LINES + 10 && !e; i++)
        e = imap_watch_input(&t.w, BYTES_LIT("* 1 RECENT\r\n"), &t.out);
    assert_err(ERR_LIMIT, e);
    end(&t);
}

/* However the bytes are cut. */
static void test_imap_watch__byte_by_byte(void **state) {
    (void)state;
    static const char all[] = "* OK\r\n* CAPABILITY " CAN "\r\nC1 OK\r\n";
    talk_t t;
    start(&t, 0, 0);
    for (size_t i = 0; i + 1 < sizeof all; i++)
        assert_ok(imap_watch_input(&t.w, bytes_make(all + i, 1), &t.out));
    assert_int_equal(t.w.state, IMAP_LOGIN);
    assert_true(t.w.idles && t.w.condstore && t.w.sasl_ir && t.w.auth_plain);
    end(&t);
}

/* A server with QRESYNC of which UIDVALIDITY 7, UID 11 and MODSEQ 90 are remembered. */
static void until_examine(talk_t *t) {
    const arrival_t from = {"INBOX", 7, 11, 90};
    imap_watch_init(&t->w, &from);
    buf_init(&t->out, OUT_MAX);
    hears(t, "* OK ready\r\n", "C1 CAPABILITY\r\n");
    hears(t, "* CAPABILITY IMAP4rev1 ENABLE QRESYNC " CAN "\r\nC1 OK done\r\n", "");
    log_in(t, "C2 AUTHENTICATE PLAIN AGFsaWNlAHNlImNyZXQ=\r\n");
    hears(t, "C2 OK in\r\n", "C3 CAPABILITY\r\n");
    hears(t, "* CAPABILITY IMAP4rev1 ENABLE QRESYNC " CAN "\r\nC3 OK\r\n", "C4 ENABLE QRESYNC\r\n");
    hears(t, "* ENABLED CONDSTORE QRESYNC\r\nC4 OK\r\n",
          "C5 EXAMINE INBOX (QRESYNC (7 90 12:4294967295))\r\n");
}

#define EXAMINED "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 15] x\r\n* OK [HIGHESTMODSEQ 99] x\r\n"

static void test_imap_watch__what_came_meanwhile_by_qresync(void **state) {
    (void)state;
    talk_t t;
    until_examine(&t);
    hears(&t,
          EXAMINED "* VANISHED (EARLIER) 12\r\n* 3 FETCH (UID 13 FLAGS () MODSEQ (97))\r\n"
                   "C5 OK done\r\n",
          "C6 IDLE\r\n");
    assert_true(t.w.news);
    arrival_t a = imap_watch_news(&t.w);
    assert_int_equal(a.uid, 14);
    assert_int_equal(a.modseq, 99);
    end(&t);
}

static void test_imap_watch__mail_that_came_and_went_is_no_news(void **state) {
    (void)state;
    talk_t t;
    until_examine(&t);
    hears(&t, EXAMINED "C5 OK done\r\n", "C6 IDLE\r\n");
    assert_false(t.w.news);
    assert_int_equal(t.w.uid, 14);
    end(&t);
}

/* Where the server can't resync, UIDNEXT is believed. */
static void test_imap_watch__qresync_that_the_server_passes_over(void **state) {
    (void)state;
    static const char *const said[] = {
        "* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 15]\r\n* OK [NOMODSEQ]\r\nC5 OK\r\n",
        "* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 15]\r\n* OK [HIGHESTMODSEQ 89]\r\nC5 OK\r\n",
        "* OK [UIDVALIDITY 8]\r\n* OK [UIDNEXT 3]\r\n* OK [HIGHESTMODSEQ 99]\r\nC5 OK\r\n",
    };
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        talk_t t;
        until_examine(&t);
        hears(&t, said[i], "C6 IDLE\r\n");
        assert_true(t.w.news);
        end(&t);
    }
}

static void test_imap_watch__servers_that_refuse_qresync(void **state) {
    (void)state;
    talk_t t;
    until_examine(&t);
    hears(&t, "C5 BAD what\r\n", "C6 EXAMINE INBOX (CONDSTORE)\r\n");
    hears(&t, EXAMINED "C6 OK done\r\n", "C7 IDLE\r\n");
    assert_true(t.w.news);
    end(&t);
    until_examine(&t);
    refuses(&t, ERR_INVALID, EXAMINED "* 1 FETCH (UID 4294967295)\r\nC5 OK done\r\n");
}

static void test_imap_watch__servers_are_written(void **state) {
    (void)state;
    mail_server_t s;
    assert_ok(mail_server_imap(BYTES_LIT("imaps://imap.example.org"), &s));
    assert_true(s.tls);
    assert_string_equal(s.host, "imap.example.org");
    assert_string_equal(s.port, "993");
    assert_ok(mail_server_imap(BYTES_LIT("imaps://[2001:db8::1]:1993"), &s));
    assert_string_equal(s.host, "2001:db8::1");
    assert_string_equal(s.port, "1993");
    assert_ok(mail_server_imap(BYTES_LIT("imap://127.0.0.1:1143"), &s));
    assert_false(s.tls);
    assert_err(ERR_DENIED, mail_server_imap(BYTES_LIT("imap://imap.example.org"), &s));
    static const char *const bad[] = {
        "",           "imaps://",         "https://x",    "imaps://x:0",
        "imaps://x:", "imaps://x:99999",  "imaps://a b",  "imaps://-x",
        "imaps://[",  "imaps://[::1]993", "imaps://u:p@x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, mail_server_imap(bytes_str(bad[i]), &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_imap_watch__waits_and_hears_of_mail),
        cmocka_unit_test(test_imap_watch__hears_of_all_folders),
        cmocka_unit_test(test_imap_watch__goes_on_without_notify),
        cmocka_unit_test(test_imap_watch__passes_over_folders_of_no_use),
        cmocka_unit_test(test_imap_watch__looks_when_told),
        cmocka_unit_test(test_imap_watch__mail_while_it_was_away),
        cmocka_unit_test(test_imap_watch__old_servers),
        cmocka_unit_test(test_imap_watch__what_came_meanwhile_by_qresync),
        cmocka_unit_test(test_imap_watch__mail_that_came_and_went_is_no_news),
        cmocka_unit_test(test_imap_watch__qresync_that_the_server_passes_over),
        cmocka_unit_test(test_imap_watch__servers_that_refuse_qresync),
        cmocka_unit_test(test_imap_watch__refusals),
        cmocka_unit_test(test_imap_watch__hostile_servers),
        cmocka_unit_test(test_imap_watch__limits),
        cmocka_unit_test(test_imap_watch__byte_by_byte),
        cmocka_unit_test(test_imap_watch__servers_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
