/*
 * Microsoft Graph's change notifications, with what must hold: subscriptions are names fit to be
 * shown and short, there are no more than the limit, and what mail is told by is no UIDVALIDITY.
 */
#include <stdlib.h>

#include "arrival/graph.h"
#include "arrival/opaque.h"
#include "base/limits.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA = 1 << 20 };

static void check(arena_t *arena, const graph_notice_t *notice) {
    size_t n = strlen(notice->subscription);
    arrival_t arrival;
    if (n == 0 || n > LIMIT_ARRIVAL_SUBSCRIPTION) abort();
    if (!text_printable(bytes_str(notice->subscription))) abort();
    if (notice->expires < 0) abort();
    if (notice->kind != GRAPH_MAIL) return;
    if (notice->opaque <= ARRIVAL_UIDVALIDITY_MAX) abort();
    err_t *e = arrival_opaque_arrival(arena, notice->opaque, &arrival);
    if (!e && (!arrival.folder[0] || arrival.uidvalidity != notice->opaque)) abort();
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    arena_t *arena = NULL;
    graph_notice_t *notices = NULL;
    size_t count = 0;
    err_t *e = arena_new(ARENA, &arena);
    if (!e) e = arrival_graph_parse(arena, bytes_make(data, size), &notices, &count);
    if (count > LIMIT_ARRIVAL_NOTICES) abort();
    for (size_t i = 0; i < count; i++) check(arena, &notices[i]);
    err_free(e);
    arena_free(arena);
    return 0;
}
