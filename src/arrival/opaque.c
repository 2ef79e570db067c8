/*
 * See opaque.h. Any thread.
 */
#include "arrival/opaque.h"

#include <stdio.h>

#include "base/limits.h"
#include "crypto/digest.h"

enum { PLACE_MAX = 16 };

/* Above all UIDVALIDITYs, so that it is none. */
err_t *arrival_opaque(bytes_t id, int64_t *ret_opaque) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    uint64_t number = 0;
    TRY(digest_sha256(id, hash));
    for (size_t i = 0; i < sizeof number; i++) number = number << 8 | hash[i];
    *ret_opaque = (int64_t)(number >> 2 | (uint64_t)1 << 62);
    return NULL;
}

err_t *arrival_opaque_missed(int64_t now_ms, int64_t within_ms, int64_t *ret_opaque) {
    char text[64];
    (void)snprintf(text, sizeof text, "missed %lld", (long long)(now_ms / within_ms));
    return arrival_opaque(bytes_str(text), ret_opaque);
}

/* The places are named after Graph, which had them first: their names lie in databases. */
err_t *arrival_opaque_arrival(arena_t *arena, int64_t opaque, arrival_t *ret_arrival) {
    char place[PLACE_MAX];
    bytes_t copy;
    (void)snprintf(place, sizeof place, "graph %d", (int)(opaque % LIMIT_ARRIVAL_PLACES));
    TRY(arena_copy(arena, bytes_str(place), &copy));
    *ret_arrival = (arrival_t){(const char *)copy.p, opaque, 1, 0};
    return NULL;
}
