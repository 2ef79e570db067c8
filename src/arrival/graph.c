/*
 * Reads Microsoft Graph's change notifications: see graph.h. Any thread.
 */
#include "arrival/graph.h"

#include <stdio.h>

#include "arrival/opaque.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/json.h"

enum { EVENT_MAX = 64, TIME_MAX = 40, SECONDS_N = 19 };

/* Seconds of "2026-11-25T11:00:00.0000000Z"; 0 where it is absent or written otherwise. */
static int64_t read_expiry(const json_t *item) {
    bytes_t text = BYTES_NONE;
    char whole[TEXT_TIME_SIZE];
    int64_t expires = 0;
    err_t *e = jso_get_string(item, "subscriptionExpirationDateTime", TIME_MAX, false, &text);
    if (!e && text.n >= SECONDS_N) {
        (void)snprintf(whole, sizeof whole, "%.*sZ", SECONDS_N, (const char *)text.p);
        e = text_parse_time(bytes_str(whole), &expires);
    }
    err_ignore(e);
    return expires > 0 ? expires : 0;
}

/* *ret_known false: of something that we don't listen to. */
static err_t *read_kind(const json_t *item, graph_kind_t *ret_kind, bool *ret_known) {
    bytes_t event = BYTES_NONE, change = BYTES_NONE;
    TRY(jso_get_string(item, "lifecycleEvent", EVENT_MAX, false, &event));
    TRY(jso_get_string(item, "changeType", EVENT_MAX, false, &change));
    *ret_known = true;
    if (bytes_eq_str(event, "reauthorizationRequired")) *ret_kind = GRAPH_REAUTHORIZE;
    else if (bytes_eq_str(event, "subscriptionRemoved")) *ret_kind = GRAPH_REMOVED;
    else if (bytes_eq_str(event, "missed")) *ret_kind = GRAPH_MISSED;
    else if (event.n == 0 && text_eq_fold(change, BYTES_LIT("created"))) *ret_kind = GRAPH_MAIL;
    else *ret_known = false;
    return NULL;
}

static err_t *read_opaque(const json_t *item, int64_t *ret_opaque) {
    json_t *data = NULL;
    bytes_t id;
    TRY(jso_get_object(item, "resourceData", true, &data));
    TRY(jso_get_string(data, "id", LIMIT_ARRIVAL_RESOURCE, true, &id));
    if (id.n == 0) return err_new(ERR_INVALID, "the message of a notification has no id");
    return arrival_opaque(id, ret_opaque);
}

static err_t *read_notice(arena_t *arena, const json_t *item, graph_notice_t *ret_notice,
                          bool *ret_known) {
    graph_notice_t notice = {0};
    bytes_t id, state, copy;
    bool known = false;
    if (!json_is_object(item)) return err_new(ERR_INVALID, "a notification is an object");
    TRY(read_kind(item, &notice.kind, &known));
    *ret_known = known;
    if (!known) return NULL;
    TRY(jso_get_string(item, "subscriptionId", LIMIT_ARRIVAL_SUBSCRIPTION, true, &id));
    TRY(jso_get_string(item, "clientState", LIMIT_ARRIVAL_STATE, true, &state));
    if (id.n == 0 || !text_printable(id))
        return err_new(ERR_INVALID, "the subscription of a notification has no name");
    if (notice.kind == GRAPH_MAIL) TRY(read_opaque(item, &notice.opaque));
    TRY(digest_sha256(state, notice.state_hash));
    TRY(arena_copy(arena, id, &copy));
    text_lower((char *)(uintptr_t)copy.p); /* our own copy */
    notice.subscription = (const char *)copy.p;
    notice.expires = read_expiry(item);
    *ret_notice = notice;
    return NULL;
}

/* Only by who knows the same secret: a stranger's notice takes nobody's place. */
static graph_notice_t *find_same(graph_notice_t *notices, size_t count, const graph_notice_t *n) {
    for (size_t i = 0; i < count; i++)
        if (notices[i].kind == n->kind && strcmp(notices[i].subscription, n->subscription) == 0 &&
            arrival_graph_is_from(&notices[i], BYTES_ARRAY(n->state_hash)))
            return &notices[i];
    return NULL;
}

err_t *arrival_graph_parse(arena_t *arena, bytes_t body, graph_notice_t **ret_notices,
                           size_t *ret_count) {
    CLEANUP(jso_free) json_t *object = NULL;
    json_t *value = NULL;
    graph_notice_t *notices = NULL;
    size_t count = 0;
    if (body.n > LIMIT_ARRIVAL_HOOK)
        return err_new(ERR_LIMIT, "notifications have at most %d bytes", LIMIT_ARRIVAL_HOOK);
    TRY(jso_parse_object(body, &object));
    TRY(jso_get_array(object, "value", LIMIT_ARRIVAL_NOTICES, true, &value));
    TRY(arena_alloc(arena, (json_array_size(value) + 1) * sizeof *notices, &notices));
    for (size_t i = 0; i < json_array_size(value); i++) {
        graph_notice_t notice = {0};
        bool known = false;
        err_t *e = read_notice(arena, json_array_get(value, i), &notice, &known);
        if (e && err_code(e) != ERR_INVALID && err_code(e) != ERR_LIMIT) return e;
        if (!e && known) {
            graph_notice_t *same = find_same(notices, count, &notice);
            *(same ? same : &notices[count++]) = notice;
        }
        err_ignore(e);
    }
    *ret_notices = notices;
    *ret_count = count;
    return NULL;
}

bool arrival_graph_is_from(const graph_notice_t *notice, bytes_t hash) {
    unsigned differs = hash.n != sizeof notice->state_hash;
    for (size_t i = 0; i < hash.n && i < sizeof notice->state_hash; i++)
        differs |= (unsigned)(notice->state_hash[i] ^ hash.p[i]);
    return differs == 0;
}
