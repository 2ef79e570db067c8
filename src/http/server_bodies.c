/*
 * The memory of request bodies: see server_internal.h. A large one is not freed but kept for the
 * next: pages that the kernel has to give and to clear anew cost a tenth of what an upload costs.
 *
 * Called on the event threads and the reaper's; one lock.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "http/server_internal.h"

enum {
    KEPT_MIN = 1024 * 1024,  /* bytes; smaller ones come from malloc's own lists */
    KEPT_MS = 30 * 1000,     /* nobody wants it for so long: it is freed */
    TRUST_AFTER = 64 * 1024, /* bytes that came before the announced length is believed */
};

void bodies_init(bodies_t *bodies) {
    *bodies = (bodies_t){.n = 0};
    pthread_mutex_init(&bodies->lock, NULL);
}

void bodies_done(bodies_t *bodies) {
    while (bodies->n) mem_free(bodies->kept[--bodies->n].p);
    pthread_mutex_destroy(&bodies->lock);
}

/* One with so much room, or nothing. */
static body_t take(bodies_t *bodies, size_t room) {
    body_t found = {.p = NULL};
    pthread_mutex_lock(&bodies->lock);
    for (size_t i = 0; i < bodies->n && !found.p; i++) {
        if (bodies->kept[i].room < room) continue;
        found = bodies->kept[i];
        bodies->kept[i] = bodies->kept[--bodies->n];
    }
    pthread_mutex_unlock(&bodies->lock);
    return found;
}

err_t *bodies_add(bodies_t *bodies, buf_t *body, bytes_t data, uint64_t announced) {
    bool large = announced >= KEPT_MIN && announced <= body->max && announced >= body->n + data.n;
    if (!large || body->room > announced || body->n + data.n < TRUST_AFTER)
        return buf_add(body, data);
    body_t kept = take(bodies, (size_t)announced + 1);
    if (!kept.p) {
        TRY(buf_reserve(body, (size_t)announced - body->n));
        return buf_add(body, data);
    }
    bytes_put(kept.p, buf_bytes(body));
    mem_free(body->p);
    body->p = kept.p;
    body->room = kept.room;
    return buf_add(body, data);
}

void bodies_give(bodies_t *bodies, buf_t *body, int64_t now_ms) {
    if (body->room >= KEPT_MIN && body->room <= LIMIT_HTTP_KEPT_BODY && !body->secret) {
        pthread_mutex_lock(&bodies->lock);
        if (bodies->n < LIMIT_HTTP_KEPT_BODIES) {
            bodies->kept[bodies->n++] = (body_t){body->p, body->room, now_ms};
            *body = (buf_t){.max = body->max};
        }
        pthread_mutex_unlock(&bodies->lock);
    }
    buf_done(body);
}

void bodies_age(bodies_t *bodies, int64_t now_ms) {
    pthread_mutex_lock(&bodies->lock);
    for (size_t i = bodies->n; i--;) {
        if (now_ms - bodies->kept[i].since_ms < KEPT_MS) continue;
        mem_free(bodies->kept[i].p);
        bodies->kept[i] = bodies->kept[--bodies->n];
    }
    pthread_mutex_unlock(&bodies->lock);
}
