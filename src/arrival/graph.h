/*
 * What Microsoft Graph's change notifications say of mailboxes: a POST of one JSON object whose
 * `value` has notifications (changeNotification and changeNotificationCollection, v1.0), among them
 * lifecycle notifications. Only subscriptionId, clientState, changeType, lifecycleEvent,
 * subscriptionExpirationDateTime and resourceData.id are looked at. Pure; the input is foreign.
 */
#ifndef COFFER_ARRIVAL_GRAPH_H
#define COFFER_ARRIVAL_GRAPH_H

#include "arrival/hook.h"
#include "crypto/digest.h"

typedef enum {
    GRAPH_MAIL,        /* a message was created */
    GRAPH_REAUTHORIZE, /* the subscription ends unless it is renewed */
    GRAPH_REMOVED,     /* there is no such subscription any more */
    GRAPH_MISSED,      /* notifications were lost */
} graph_kind_t;

typedef struct {
    const char *subscription;               /* its id in small letters; in the arena */
    uint8_t state_hash[DIGEST_SHA256_SIZE]; /* of its clientState, which is not kept */
    graph_kind_t kind;
    int64_t expires; /* of the subscription, seconds since 1970; 0: not known */
    int64_t opaque;  /* of GRAPH_MAIL: made of the message's id; see opaque.h */
} graph_notice_t;

/*
 * At most LIMIT_ARRIVAL_NOTICES of them. Those that speak of something else, or make no sense, are
 * left out; several of one subscription and kind are one, the last. ERR_INVALID, ERR_LIMIT.
 */
err_t *arrival_graph_parse(arena_t *arena, bytes_t body, graph_notice_t **ret_notices,
                           size_t *ret_count) WARN_UNUSED;

/* Whether its clientState is the text with this SHA-256; takes the same time wherever they differ.
 */
bool arrival_graph_is_from(const graph_notice_t *notice, bytes_t hash);

#endif
