/*
 * See ews_answer.h. coffer-courier's thread of watched mailboxes.
 */
#include "arrival/ews_answer.h"

#include <string.h>

#include "arrival/opaque.h"
#include "base/text.h"

/* ---- messages ---- */

static err_t *add_news(ews_answer_t *a, bytes_t id) {
    int64_t opaque = 0;
    if (id.n == 0 || id.n > LIMIT_ARRIVAL_RESOURCE)
        return err_new(ERR_INVALID, "EWS: a message whose id is nothing or endless");
    TRY(arrival_opaque(id, &opaque));
    for (size_t i = 0; i < a->count; i++) /* NewMailEvent and CreatedEvent tell of the same */
        if (a->news[i] == opaque) return NULL;
    if (a->count == LIMIT_EWS_NEWS) a->more = true;
    else a->news[a->count++] = opaque;
    return NULL;
}

static const char *attribute(const char **attributes, const char *name) {
    for (size_t i = 0; attributes && attributes[i]; i += 2)
        if (strcmp(attributes[i], name) == 0) return attributes[i + 1];
    return NULL;
}

static err_t *on_begin(void *ctx, unsigned depth, const char *name, const char **attributes) {
    ews_answer_t *a = ctx;
    a->backs_off = false;
    if (strcmp(name, "NewMailEvent") == 0 || strcmp(name, "CreatedEvent") == 0) {
        a->event = depth;
    } else if (strcmp(name, "ItemId") == 0 && a->event && depth == a->event + 1) {
        return add_news(a, bytes_str(attribute(attributes, "Id"))); /* a folder's is FolderId */
    } else if (strcmp(name, "Fault") == 0) {
        a->fault = true;
    } else if (strcmp(name, "Value") == 0) {
        const char *what = attribute(attributes, "Name");
        a->backs_off = what && strcmp(what, "BackOffMilliseconds") == 0;
    }
    return NULL;
}

/* ---- the rest ---- */

/* It is shown: letters and digits alone. */
static void take_code(ews_answer_t *a, bytes_t text) {
    size_t n = 0;
    if (a->code[0] || bytes_eq_str(text, "NoError")) return;
    for (size_t i = 0; i < text.n && n + 1 < EWS_CODE_SIZE; i++) {
        uint8_t c = text.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        a->code[n++] = fits ? (char)c : '?';
    }
    a->code[n] = '\0';
}

/* It goes back into XML and nowhere else. */
static err_t *take_subscription(ews_answer_t *a, bytes_t text) {
    if (text.n == 0 || text.n > LIMIT_EWS_SUBSCRIPTION || !text_printable(text))
        return err_new(ERR_INVALID, "EWS: that is no id of a subscription");
    bytes_put(a->subscription, text);
    a->subscription[text.n] = '\0';
    return NULL;
}

static err_t *on_end(void *ctx, unsigned depth, const char *name, bytes_t text) {
    ews_answer_t *a = ctx;
    uint64_t pause_ms = 0;
    if (a->event == depth) a->event = 0;
    if (strcmp(name, "ResponseCode") == 0) take_code(a, text);
    if (strcmp(name, "ConnectionStatus") == 0 && bytes_eq_str(text, "Closed")) a->closed = true;
    if (a->backs_off) {
        TRY(err_recode(text_u64(text, UINT32_MAX, &pause_ms), ERR_INVALID));
        int64_t pause_s = (int64_t)(pause_ms / 1000) + 1;
        a->pause_s = pause_s < LIMIT_EWS_PAUSE_S ? pause_s : LIMIT_EWS_PAUSE_S;
        a->backs_off = false;
    }
    if (strcmp(name, "SubscriptionId") == 0 && !a->subscription[0])
        return take_subscription(a, text);
    return NULL;
}

static err_t *on_done(void *ctx) {
    ews_answer_t *a = ctx;
    a->event = 0;
    if (!a->code[0] && a->fault) take_code(a, BYTES_LIT("Fault"));
    if (!a->code[0]) a->heard = true;
    return NULL;
}

void ews_answer_init(ews_answer_t *a) {
    *a = (ews_answer_t){.handler = {a, on_begin, on_end, on_done}};
    xml_stream_init(&a->xml, &a->handler);
}

void ews_answer_done(ews_answer_t *a) { xml_stream_done(&a->xml); }

void ews_answer_again(ews_answer_t *a) {
    xml_stream_done(&a->xml);
    a->closed = a->fault = a->heard = a->backs_off = false;
    a->event = 0;
    a->code[0] = a->subscription[0] = '\0';
    a->pause_s = 0;
}

void ews_answer_took(ews_answer_t *a) {
    a->count = 0;
    a->more = false;
}

err_t *ews_answer_input(ews_answer_t *a, bytes_t body) { return xml_stream_input(&a->xml, body); }
