/*
 * See ews_watch.h. coffer-courier's thread of watched mailboxes.
 */
#include "arrival/ews_watch.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

/* Exchange names the server that holds a subscription by it: the next request has to find it. */
static const char COOKIE[] = "X-BackEndOverrideCookie";

enum { BODY_MAX = 8 * 1024, LOGIN_MAX = LIMIT_EMAIL + LIMIT_PASSWORD_MAX + 1 };

void ews_watch_init(ews_watch_t *w, bool known) {
    *w = (ews_watch_t){.known = known};
    http_answer_init(&w->http);
    w->http.cookie_name = COOKIE;
    ews_answer_init(&w->answer);
}

void ews_watch_done(ews_watch_t *w) {
    http_answer_done(&w->http);
    ews_answer_done(&w->answer);
    mem_free(w->subscription);
    w->subscription = NULL;
}

void ews_watch_connected(ews_watch_t *w) {
    http_answer_again(&w->http);
    ews_answer_again(&w->answer);
    w->state = EWS_ASKS;
    w->closes = false;
    w->pause_s = 0;
}

/* ---- out ---- */

#define ENVELOPE                                                                                   \
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"                                                 \
    "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\""                      \
    " xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\""                    \
    " xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\">"                      \
    "<soap:Header><t:RequestServerVersion Version=\"Exchange2010_SP1\"/></soap:Header><soap:Body>"
#define ENVELOPE_END "</soap:Body></soap:Envelope>\n"

/*
 * All folders: only mail that was delivered, not what is drafted or filed away. The inbox is that
 * of the address, so that a login of something else is told of nothing.
 */
static err_t *write_subscribe(const ews_request_t *r, buf_t *body) {
    TRY(buf_add_str(body, ENVELOPE "<m:Subscribe><m:StreamingSubscriptionRequest"));
    if (r->all) {
        TRY(buf_add_str(body, " SubscribeToAllFolders=\"true\"><t:EventTypes>"));
    } else {
        TRY(buf_add_str(body, "><t:FolderIds><t:DistinguishedFolderId Id=\"inbox\"><t:Mailbox>"
                              "<t:EmailAddress>"));
        TRY(buf_add_xml(body, bytes_str(r->account)));
        TRY(buf_add_str(body, "</t:EmailAddress></t:Mailbox></t:DistinguishedFolderId>"
                              "</t:FolderIds><t:EventTypes>"
                              "<t:EventType>CreatedEvent</t:EventType>"));
    }
    return buf_add_str(body, "<t:EventType>NewMailEvent</t:EventType></t:EventTypes>"
                             "</m:StreamingSubscriptionRequest></m:Subscribe>" ENVELOPE_END);
}

static err_t *write_stream(const ews_watch_t *w, buf_t *body) {
    TRY(buf_add_str(body, ENVELOPE "<m:GetStreamingEvents><m:SubscriptionIds><t:SubscriptionId>"));
    TRY(buf_add_xml(body, bytes_str(w->subscription)));
    TRY(buf_printf(body,
                   "</t:SubscriptionId></m:SubscriptionIds><m:ConnectionTimeout>%d"
                   "</m:ConnectionTimeout></m:GetStreamingEvents>" ENVELOPE_END,
                   EWS_MINUTES));
    return NULL;
}

/* RFC 7617. */
static err_t *write_basic(const ews_request_t *r, buf_t *out) {
    CLEANUP(buf_done) buf_t pair;
    buf_init_secret(&pair, LOGIN_MAX);
    bytes_t login = bytes_str(r->login);
    if (bytes_find(login, ':') < login.n || !text_printable(login) || !text_printable(r->password))
        return err_new(ERR_INVALID, "a login with a colon, or a password of several lines");
    TRY(buf_add(&pair, login));
    TRY(buf_add_byte(&pair, ':'));
    TRY(buf_add(&pair, r->password));
    TRY(buf_add_str(out, "Authorization: Basic "));
    TRY(text_base64(buf_bytes(&pair), out));
    return buf_add_str(out, "\r\n");
}

static err_t *write_head(const ews_watch_t *w, const ews_request_t *r, size_t length, buf_t *out) {
    const mail_server_t *s = r->server;
    const bool six = strchr(s->host, ':') != NULL;
    TRY(buf_printf(out, "POST %s HTTP/1.1\r\nHost: %s%s%s", s->path, six ? "[" : "", s->host,
                   six ? "]" : ""));
    if (!s->usual_port) TRY(buf_printf(out, ":%s", s->port));
    TRY(buf_add_str(out, "\r\n"));
    TRY(write_basic(r, out));
    TRY(buf_add_str(out, "User-Agent: Coffer\r\nContent-Type: text/xml; charset=utf-8\r\n"
                         "Accept: text/xml\r\nX-PreferServerAffinity: true\r\n"));
    if (text_printable(bytes_str(r->account)))
        TRY(buf_printf(out, "X-AnchorMailbox: %s\r\n", r->account));
    if (w->http.cookie) TRY(buf_printf(out, "Cookie: %s=%s\r\n", COOKIE, w->http.cookie));
    return buf_printf(out, "Content-Length: %zu\r\n\r\n", length);
}

err_t *ews_watch_ask(ews_watch_t *w, const ews_request_t *request, buf_t *out) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, BODY_MAX);
    if (w->state != EWS_ASKS) return err_new(ERR_INTERNAL, "EWS: nothing is to be asked");
    if (w->subscription) TRY(write_stream(w, &body));
    else TRY(write_subscribe(request, &body));
    TRY(write_head(w, request, body.n, out));
    TRY(buf_add(out, buf_bytes(&body)));
    http_answer_again(&w->http);
    ews_answer_again(&w->answer);
    w->state = w->subscription ? EWS_ASKED : EWS_SUBSCRIBES;
    return NULL;
}

/* ---- in ---- */

/* The server does not know the subscription, or has lost what it should have told. */
static bool is_lost(const char *code) {
    static const char *const lost[] = {
        "ErrorSubscriptionNotFound",     "ErrorInvalidSubscription",
        "ErrorMissedNotificationEvents", "ErrorExpiredSubscription",
        "ErrorSubscriptionUnsubscribed", "ErrorSubscriptionAccessDenied",
        "ErrorInvalidWatermark",         "ErrorReadEventsFailed",
    };
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
        if (strcmp(code, lost[i]) == 0) return true;
    return false;
}

static void forget(ews_watch_t *w) {
    mem_free(w->subscription);
    w->subscription = NULL;
}

/* Another one is asked for on another connection, whatever else this one would say. Once without a
 * pause: a server that loses each at once is not asked without end. */
static err_t *take_lost(ews_watch_t *w) {
    forget(w);
    if (w->renewed) return err_new(ERR_UNAVAILABLE, "Exchange says %s again", w->answer.code);
    w->renewed = true;
    w->closes = true;
    w->state = EWS_ASKS;
    return NULL;
}

static err_t *take_code(ews_watch_t *w) {
    const char *code = w->answer.code;
    if (!code[0]) return NULL;
    if (strcmp(code, "ErrorServerBusy") == 0) {
        w->pause_s = w->answer.pause_s ? w->answer.pause_s : w->http.retry_s;
        return err_new(ERR_UNAVAILABLE, "Exchange is busy");
    }
    if (w->state != EWS_SUBSCRIBES && is_lost(code)) return take_lost(w);
    if (w->state != EWS_SUBSCRIBES) forget(w);
    return err_new(ERR_UNAVAILABLE, "Exchange says %s", code);
}

/* The head has come. A SOAP fault comes with 500 and says why in its body. */
static err_t *check_status(ews_watch_t *w) {
    const http_answer_t *h = &w->http;
    switch (h->status) {
    case 200:
    case 500: return NULL;
    case 401:
        if (!h->basic) return err_new(ERR_AUTH, "the server takes no passwords (Basic)");
        return err_new(ERR_AUTH, "the server refuses login or password");
    case 403: return err_new(ERR_AUTH, "the server forbids its web services to this login");
    case 429:
    case 503:
        w->pause_s = h->retry_s;
        return err_new(ERR_UNAVAILABLE, "Exchange is busy (%u)", h->status);
    default: return err_new(ERR_UNAVAILABLE, "the server answers %u", h->status);
    }
}

/* A document has come, or several. */
static err_t *take_documents(ews_watch_t *w) {
    TRY(take_code(w));
    if (w->state == EWS_ASKED && w->answer.heard) {
        w->state = EWS_STREAMS;
        w->known = true;
        w->renewed = false;
    }
    if (w->answer.more) w->missed = true;
    return NULL;
}

/* The whole answer: what comes next is asked for. */
static err_t *end_answer(ews_watch_t *w) {
    if (w->http.status == 500 && !w->answer.code[0])
        return err_new(ERR_UNAVAILABLE, "the server answers 500");
    if (!xml_stream_between(&w->answer.xml))
        return err_new(ERR_INVALID, "an answer of Exchange that ends in the middle");
    if (w->state == EWS_SUBSCRIBES && !w->answer.code[0]) {
        if (!w->answer.subscription[0])
            return err_new(ERR_INVALID, "Exchange names no subscription");
        mem_free(w->subscription);
        w->subscription = mem_strdup(w->answer.subscription);
        if (!w->subscription) return err_nomem();
        w->missed = w->missed || w->known;
    }
    w->closes = w->http.closes;
    w->state = EWS_ASKS;
    return NULL;
}

err_t *ews_watch_input(ews_watch_t *w, bytes_t data) {
    while (data.n) {
        const bool had_status = http_answer_has_status(&w->http);
        bytes_t body = BYTES_NONE;
        if (w->state == EWS_ASKS && w->closes) return NULL;
        if (w->state == EWS_ASKS) return err_new(ERR_INVALID, "an answer to nothing");
        TRY(http_answer_input(&w->http, &data, &body));
        if (!had_status && http_answer_has_status(&w->http)) TRY(check_status(w));
        if (body.n) {
            TRY(ews_answer_input(&w->answer, body));
            TRY(take_documents(w));
        }
        if (w->http.state == HTTP_ANSWER_DONE && w->state != EWS_ASKS) TRY(end_answer(w));
    }
    return NULL;
}
