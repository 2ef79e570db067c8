/* The client's side of a streaming subscription at Exchange: src/arrival/ews_watch.h. */
#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "arrival/ews_watch.h"
#include "arrival/hook.h"
#include "base/fault.h"
#include "base/mem.h"

#define NS                                                                                         \
    " xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\""                    \
    " xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\""
#define ENVELOPE(body)                                                                             \
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>"                                                   \
    "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header>"                 \
    "<h:ServerVersionInfo MajorVersion=\"15\" xmlns:h=\"u\"/></s:Header><s:Body>" body             \
    "</s:Body></s:Envelope>"
#define SUBSCRIBED(id)                                                                             \
    ENVELOPE("<m:SubscribeResponse" NS "><m:ResponseMessages><m:SubscribeResponseMessage"          \
             " ResponseClass=\"Success\"><m:ResponseCode>NoError</m:ResponseCode>"                 \
             "<m:SubscriptionId>" id "</m:SubscriptionId></m:SubscribeResponseMessage>"            \
             "</m:ResponseMessages></m:SubscribeResponse>")
#define MESSAGE(inner)                                                                             \
    ENVELOPE("<m:GetStreamingEventsResponse" NS "><m:ResponseMessages>"                            \
             "<m:GetStreamingEventsResponseMessage ResponseClass=\"Success\">" inner               \
             "</m:GetStreamingEventsResponseMessage></m:ResponseMessages>"                         \
             "</m:GetStreamingEventsResponse>")
#define ALIVE                                                                                      \
    MESSAGE("<m:ResponseCode>NoError</m:ResponseCode><m:ConnectionStatus>OK</m:ConnectionStatus>")
#define CLOSED                                                                                     \
    MESSAGE(                                                                                       \
        "<m:ResponseCode>NoError</m:ResponseCode><m:ConnectionStatus>Closed</m:ConnectionStatus>")
#define FAILS(code)                                                                                \
    MESSAGE("<m:MessageText>No.</m:MessageText><m:ResponseCode>" code "</m:ResponseCode>"          \
            "<m:ErrorSubscriptionIds><m:SubscriptionId>first</m:SubscriptionId>"                   \
            "</m:ErrorSubscriptionIds><m:ConnectionStatus>Closed</m:ConnectionStatus>")
#define EVENT(kind, item, id)                                                                      \
    "<t:" kind "><t:TimeStamp>2026-11-22T04:31:29Z</t:TimeStamp><t:" item " Id=\"" id              \
    "\" ChangeKey=\"CQAAAA==\"/><t:ParentFolderId Id=\"folder\" ChangeKey=\"AQAAAA==\"/></t:" kind \
    ">"
#define TELLS(events)                                                                              \
    MESSAGE("<m:ResponseCode>NoError</m:ResponseCode><m:Notifications><m:Notification>"            \
            "<t:SubscriptionId>first</t:SubscriptionId>" events                                    \
            "</m:Notification></m:Notifications>")
#define MAIL(id) TELLS(EVENT("CreatedEvent", "ItemId", id) EVENT("NewMailEvent", "ItemId", id))

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n";

typedef struct {
    ews_watch_t w;
    buf_t out;
    bool all;
} talk_t;

static void start(talk_t *t, bool known) {
    memset(t, 0, sizeof *t);
    ews_watch_init(&t->w, known);
    ews_watch_connected(&t->w);
    buf_init_secret(&t->out, 32 * 1024);
}

static void end(talk_t *t) {
    ews_watch_done(&t->w);
    buf_done(&t->out);
}

static err_t *ask(talk_t *t) {
    mail_server_t server;
    TRY(mail_server_ews(BYTES_LIT("https://mail.example.org:8443"), &server));
    const ews_request_t request = {.server = &server,
                                   .account = "dan&co@example.org",
                                   .login = "EXAMPLE\\dan",
                                   .password = BYTES_LIT("se<cret"),
                                   .all = t->all};
    buf_clear(&t->out);
    return ews_watch_ask(&t->w, &request, &t->out);
}

static const char *asks(talk_t *t) {
    const char *text = NULL;
    assert_int_equal(t->w.state, EWS_ASKS);
    assert_ok(ask(t));
    assert_ok(buf_cstr(&t->out, &text));
    return text;
}

static err_t *hear(talk_t *t, const char *text) { return ews_watch_input(&t->w, bytes_str(text)); }

/* As a chunk. */
static err_t *hear_chunk(talk_t *t, const char *text) {
    char size[32];
    (void)snprintf(size, sizeof size, "%zx\r\n", strlen(text));
    TRY(hear(t, size));
    TRY(hear(t, text));
    return hear(t, "\r\n");
}

static void until_stream(talk_t *t) {
    (void)asks(t);
    assert_ok(hear(t, HEAD));
    assert_ok(hear_chunk(t, SUBSCRIBED("first")));
    assert_ok(hear(t, "0\r\n\r\n"));
    (void)asks(t);
    assert_ok(hear(t, HEAD));
    assert_ok(hear_chunk(t, ALIVE));
    assert_int_equal(t->w.state, EWS_STREAMS);
}

static void test_ews_watch__subscribes_and_hears_of_mail(void **state) {
    (void)state;
    talk_t t;
    start(&t, false);
    const char *text = asks(&t);
    assert_ptr_equal(strstr(text,
                            "POST /EWS/Exchange.asmx HTTP/1.1\r\nHost: mail.example.org:8443\r\n"
                            "Authorization: Basic RVhBTVBMRVxkYW46c2U8Y3JldA==\r\n"),
                     text);
    assert_non_null(strstr(text, "<t:EmailAddress>dan&amp;co@example.org</t:EmailAddress>"));
    assert_null(strstr(text, "SubscribeToAllFolders"));
    char length[40];
    const char *body = strstr(text, "\r\n\r\n") + 4;
    (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    assert_non_null(strstr(text, length));
    assert_ok(hear(&t, HEAD));
    assert_ok(hear_chunk(&t, SUBSCRIBED("fir&lt;st==")));
    assert_int_equal(t.w.state, EWS_SUBSCRIBES);
    assert_ok(hear(&t, "0\r\n\r\n"));
    text = asks(&t);
    assert_non_null(strstr(text, "<t:SubscriptionId>fir&lt;st==</t:SubscriptionId>"));
    assert_non_null(strstr(text, "<m:ConnectionTimeout>30</m:ConnectionTimeout>"));
    assert_ok(hear(&t, HEAD));
    assert_int_equal(t.w.state, EWS_ASKED); /* a head alone is no stream yet */
    assert_ok(hear_chunk(&t, ALIVE));
    assert_int_equal(t.w.state, EWS_STREAMS);
    assert_int_equal(t.w.answer.count, 0);
    assert_false(t.w.missed); /* the first time nothing is new */
    assert_ok(hear_chunk(&t, MAIL("AAMk1")));
    assert_int_equal(t.w.answer.count, 1); /* two events of one message */
    assert_ok(hear_chunk(&t, MAIL("AAMk2")));
    assert_int_equal(t.w.answer.count, 2);
    assert_int_not_equal(t.w.answer.news[0], t.w.answer.news[1]);
    assert_true(t.w.answer.news[0] > ARRIVAL_UIDVALIDITY_MAX);
    ews_answer_took(&t.w.answer);
    assert_null(t.w.answer.xml.document); /* nothing is held while it waits */
    assert_null(t.w.http.line.p);
    end(&t);
}

static void test_ews_watch__asks_for_all_folders(void **state) {
    (void)state;
    talk_t t;
    start(&t, false);
    t.all = true;
    const char *text = asks(&t);
    assert_non_null(strstr(text, "SubscribeToAllFolders=\"true\""));
    assert_null(strstr(text, "CreatedEvent")); /* drafts are no mail that came */
    assert_null(strstr(text, "FolderIds"));
    end(&t);
}

/* Whole streams, cut everywhere: chunks do not end where documents do. */
static void test_ews_watch__hears_wherever_it_is_cut(void **state) {
    (void)state;
    static const char whole[] = ALIVE MAIL("one") "\r\n" ALIVE MAIL("two") CLOSED;
    const size_t n = sizeof whole - 1;
    for (size_t cut = 1; cut < n; cut += 7) {
        talk_t t;
        char size[40];
        start(&t, false);
        until_stream(&t);
        (void)snprintf(size, sizeof size, "%zX;ext\r\n", cut);
        assert_ok(hear(&t, size));
        assert_ok(ews_watch_input(&t.w, bytes_make(whole, cut / 2)));
        assert_ok(ews_watch_input(&t.w, bytes_make(whole + cut / 2, cut - cut / 2)));
        (void)snprintf(size, sizeof size, "\r\n%zx\r\n", n - cut);
        for (const char *c = size; *c; c++) assert_ok(ews_watch_input(&t.w, bytes_make(c, 1)));
        assert_ok(ews_watch_input(&t.w, bytes_make(whole + cut, n - cut)));
        assert_int_equal(t.w.answer.count, 2);
        assert_true(t.w.answer.closed);
        assert_ok(hear(&t, "\r\n0\r\n\r\n"));
        assert_non_null(strstr(asks(&t), "<m:GetStreamingEvents>")); /* the same, anew */
        end(&t);
    }
}

static void test_ews_watch__hears_of_messages_alone(void **state) {
    (void)state;
    talk_t t;
    start(&t, false);
    until_stream(&t);
    assert_ok(hear_chunk(&t, TELLS(EVENT("CreatedEvent", "FolderId", "a folder")
                                       EVENT("ModifiedEvent", "ItemId", "read") EVENT(
                                           "DeletedEvent", "ItemId", "gone") "<t:StatusEvent/>")));
    assert_int_equal(t.w.answer.count, 0);
    assert_ok(hear_chunk(&t, TELLS(EVENT("NewMailEvent", "ItemId", "new"))));
    assert_int_equal(t.w.answer.count, 1);
    end(&t);
}

static void test_ews_watch__more_than_it_remembers_is_missed(void **state) {
    (void)state;
    talk_t t;
    char id[2000];
    start(&t, false);
    until_stream(&t);
    for (int i = 0; i <= LIMIT_EWS_NEWS; i++) {
        assert_false(t.w.missed);
        (void)snprintf(id, sizeof id, TELLS(EVENT("NewMailEvent", "ItemId", "id%d")), i);
        assert_ok(hear_chunk(&t, id));
    }
    assert_int_equal(t.w.answer.count, LIMIT_EWS_NEWS);
    assert_true(t.w.missed);
    end(&t);
}

static void subscribe_again(talk_t *t) {
    assert_non_null(strstr(asks(t), "<m:Subscribe>"));
    assert_ok(hear(t, HEAD));
    assert_ok(hear_chunk(t, SUBSCRIBED("second")));
    assert_ok(hear(t, "0\r\n\r\n"));
    assert_non_null(strstr(asks(t), ">second<"));
    assert_ok(hear(t, HEAD));
}

static void test_ews_watch__lost_subscriptions_are_made_anew(void **state) {
    (void)state;
    static const char *const lost[] = {FAILS("ErrorSubscriptionNotFound"),
                                       FAILS("ErrorInvalidSubscription"),
                                       FAILS("ErrorMissedNotificationEvents")};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        talk_t t;
        start(&t, false);
        until_stream(&t);
        assert_ok(hear_chunk(&t, lost[i]));
        assert_true(t.w.closes); /* whatever else it says on this connection */
        assert_ok(hear(&t, "0\r\n\r\nHTTP"));
        ews_watch_connected(&t.w);
        subscribe_again(&t);
        assert_ok(hear_chunk(&t, ALIVE));
        assert_true(t.w.missed); /* the device looks itself */
        end(&t);
    }
}

static void test_ews_watch__a_server_that_loses_each_is_not_asked_without_end(void **state) {
    (void)state;
    talk_t t;
    start(&t, false);
    until_stream(&t);
    assert_ok(hear_chunk(&t, FAILS("ErrorSubscriptionNotFound")));
    ews_watch_connected(&t.w);
    subscribe_again(&t);
    assert_err(ERR_UNAVAILABLE, hear_chunk(&t, FAILS("ErrorSubscriptionNotFound")));
    end(&t);
}

/* The same subscription on the next connection: Exchange keeps what happened meanwhile. */
static void test_ews_watch__a_subscription_outlives_its_connection(void **state) {
    (void)state;
    talk_t t;
    start(&t, false);
    until_stream(&t);
    assert_ok(hear(&t, "40\r\n<half><an-envelope"));
    ews_watch_connected(&t.w);
    assert_non_null(strstr(asks(&t), ">first<"));
    assert_ok(hear(&t, HEAD));
    assert_ok(hear_chunk(&t, MAIL("late")));
    assert_int_equal(t.w.answer.count, 1);
    assert_false(t.w.missed);
    end(&t);
}

static void test_ews_watch__what_came_while_we_were_away_is_missed(void **state) {
    (void)state;
    talk_t t;
    start(&t, true);
    until_stream(&t);
    assert_true(t.w.missed);
    end(&t);
}

#define BUSY                                                                                       \
    ENVELOPE("<s:Fault><faultcode xmlns:a=\"u\">a:ErrorServerBusy</faultcode><faultstring>Busy"    \
             "</faultstring><detail><e:ResponseCode xmlns:e=\"v\">ErrorServerBusy"                 \
             "</e:ResponseCode><t:MessageXml" NS "><t:Value Name=\"BackOffMilliseconds\">%s"       \
             "</t:Value></t:MessageXml></detail></s:Fault>")

/* The whole document is one chunk's, so that the code and the time come before the error. */
static void test_ews_watch__a_busy_server_is_left_alone(void **state) {
    (void)state;
    static const struct {
        const char *ms;
        int64_t pause_s;
    } cases[] = {{"297749", 298}, {"0", 1}, {"4294967295", LIMIT_EWS_PAUSE_S}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2000], head[200];
        talk_t t;
        start(&t, false);
        (void)asks(&t);
        (void)snprintf(text, sizeof text, BUSY, cases[i].ms);
        (void)snprintf(head, sizeof head, "HTTP/1.1 500 Oops\r\nContent-Length: %zu\r\n\r\n",
                       strlen(text));
        assert_ok(hear(&t, head));
        assert_err(ERR_UNAVAILABLE, hear(&t, text));
        assert_int_equal(t.w.pause_s, cases[i].pause_s);
        end(&t);
    }
}

static void refuses(err_code_t code, const char *text, int64_t pause_s) {
    talk_t t;
    start(&t, false);
    (void)asks(&t);
    assert_err(code, hear(&t, text));
    assert_int_equal(t.w.pause_s, pause_s);
    end(&t);
}

#define EMPTY "Content-Length: 0\r\n\r\n"

static void test_ews_watch__refusals(void **state) {
    (void)state;
    refuses(ERR_AUTH, "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"\"\r\n" EMPTY, 0);
    refuses(ERR_AUTH, "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\n" EMPTY, 0);
    refuses(ERR_AUTH, "HTTP/1.1 403 No\r\n" EMPTY, 0);
    refuses(ERR_UNAVAILABLE, "HTTP/1.1 302 There\r\nLocation: https://x/\r\n" EMPTY, 0);
    refuses(ERR_UNAVAILABLE, "HTTP/1.1 503 Busy\r\nRetry-After: 90\r\n" EMPTY, 90);
    refuses(ERR_UNAVAILABLE, "HTTP/1.1 500 Oops\r\n" EMPTY, 0);
    refuses(ERR_INVALID, "HTTP/1.1 200 OK\r\n" EMPTY, 0); /* no subscription */
    refuses(ERR_INVALID, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 0);
    refuses(ERR_INVALID, "* OK IMAP4\r\n", 0);
    refuses(ERR_INVALID, "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n<!DOCTYPE x SYSTEM \"x\">  ",
            0);
}

static void test_ews_watch__codes_are_shown_without_their_tricks(void **state) {
    (void)state;
    char text[200];
    talk_t t;
    start(&t, false);
    until_stream(&t);
    err_t *e = hear_chunk(&t, FAILS("Error\xe2\x80\xae Denied"));
    assert_string_equal(err_text(e, text, sizeof text), "Exchange says Error????Denied");
    err_free(e);
    assert_null(t.w.subscription);
    end(&t);
}

static void test_ews_watch__logins_that_cannot_be_told(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    mail_server_t server;
    ews_watch_t w;
    buf_init_secret(&out, 32 * 1024);
    assert_ok(mail_server_ews(BYTES_LIT("https://x"), &server));
    ews_watch_init(&w, false);
    ews_request_t r = {&server, "a@example.org", "a:b", BYTES_LIT("x"), false};
    assert_err(ERR_INVALID, ews_watch_ask(&w, &r, &out));
    r.login = "a";
    r.password = BYTES_LIT("x\r\nX: y");
    assert_err(ERR_INVALID, ews_watch_ask(&w, &r, &out));
    ews_watch_done(&w);
}

static void test_ews_watch__servers_are_written(void **state) {
    (void)state;
    mail_server_t s;
    assert_ok(mail_server_ews(BYTES_LIT("https://mail.example.org/ews/x.asmx"), &s));
    assert_true(s.tls && s.usual_port);
    assert_string_equal(s.path, "/ews/x.asmx");
    assert_ok(mail_server_ews(BYTES_LIT("https://[::1]:444/"), &s));
    assert_string_equal(s.host, "::1");
    assert_string_equal(s.port, "444");
    assert_string_equal(s.path, "/EWS/Exchange.asmx");
    assert_ok(mail_server_ews(BYTES_LIT("http://127.0.0.1:80"), &s));
    assert_err(ERR_DENIED, mail_server_ews(BYTES_LIT("http://mail.example.org"), &s));
    static const char *const bad[] = {"",
                                      "imaps://x",
                                      "https://",
                                      "https://a b",
                                      "https://x?y=z",
                                      "https://x/a#b",
                                      "https://u:p@x/",
                                      "https://x/ HTTP"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, mail_server_ews(bytes_str(bad[i]), &s));
}

static err_t *whole(talk_t *t) {
    TRY(ask(t));
    TRY(hear(t, HEAD));
    TRY(hear_chunk(t, SUBSCRIBED("first")));
    TRY(hear(t, "0\r\n\r\n"));
    TRY(ask(t));
    TRY(hear(t, "HTTP/1.1 200 OK\r\nSet-Cookie: X-BackEndOverrideCookie=x~1; path=/\r\n"
                "Transfer-Encoding: chunked\r\n\r\n"));
    TRY(hear_chunk(t, ALIVE MAIL("one") CLOSED));
    TRY(hear(t, "0\r\n\r\n"));
    return ask(t);
}

static void test_ews_watch__survives_failing_allocations(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        talk_t t;
        start(&t, false);
        fault_arm_memory(n);
        err_t *e = whole(&t);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            const char *text = NULL;
            assert_ok(e);
            assert_ok(buf_cstr(&t.out, &text));
            assert_non_null(strstr(text, "Cookie: X-BackEndOverrideCookie=x~1\r\n"));
            end(&t);
            break;
        }
        assert_err(ERR_NOMEM, e);
        end(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ews_watch__subscribes_and_hears_of_mail),
        cmocka_unit_test(test_ews_watch__asks_for_all_folders),
        cmocka_unit_test(test_ews_watch__hears_wherever_it_is_cut),
        cmocka_unit_test(test_ews_watch__hears_of_messages_alone),
        cmocka_unit_test(test_ews_watch__more_than_it_remembers_is_missed),
        cmocka_unit_test(test_ews_watch__lost_subscriptions_are_made_anew),
        cmocka_unit_test(test_ews_watch__a_server_that_loses_each_is_not_asked_without_end),
        cmocka_unit_test(test_ews_watch__a_subscription_outlives_its_connection),
        cmocka_unit_test(test_ews_watch__what_came_while_we_were_away_is_missed),
        cmocka_unit_test(test_ews_watch__a_busy_server_is_left_alone),
        cmocka_unit_test(test_ews_watch__refusals),
        cmocka_unit_test(test_ews_watch__codes_are_shown_without_their_tricks),
        cmocka_unit_test(test_ews_watch__logins_that_cannot_be_told),
        cmocka_unit_test(test_ews_watch__servers_are_written),
        cmocka_unit_test(test_ews_watch__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
