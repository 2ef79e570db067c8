/*
 * Who waits for something newer in a region: see web_sync.h. A request that finds nothing newer
 * sleeps without a thread until a commit, an entry or a join wakes it, or its time is over; then
 * the ordinary handler answers it. Event threads put requests to sleep, workers and the clock's
 * thread wake them; one lock.
 */
#include <pthread.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/auth.h"
#include "http/query.h"
#include "program/web/api_sync.h"

enum { ROWS = 4096, PLACES_MAX = 65536, HOLD_MS = 55 * 1000, TICK_S = 1 };

typedef struct waiter waiter_t;
typedef struct place place_t;

struct waiter {
    http_request_t *request;
    place_t *place;
    int64_t root, entries, joins; /* what the client has */
    int64_t until_ms;
    waiter_t *next, **self; /* of the place */
};

struct place {
    uint8_t region[SYNC_HASH];
    int64_t root, entries, joins;
    unsigned waiting;
    waiter_t *first;
    place_t *next;
};

struct sync_events {
    pthread_mutex_t lock;
    place_t *rows[ROWS];
    size_t places, waiting;
    bool closed;
};

err_t *sync_events_new(sync_events_t **ret_events) {
    sync_events_t *events = mem_zalloc(sizeof *events);
    if (!events) return err_nomem();
    (void)pthread_mutex_init(&events->lock, NULL);
    *ret_events = events;
    return NULL;
}

void sync_events_free(sync_events_t *events) {
    if (!events) return;
    for (size_t i = 0; i < ROWS; i++)
        for (place_t *place = events->rows[i], *next = NULL; place; place = next) {
            next = place->next;
            mem_free(place);
        }
    (void)pthread_mutex_destroy(&events->lock);
    mem_free(events);
}

static place_t *find(sync_events_t *events, const uint8_t region[SYNC_HASH], bool make) {
    place_t **row = &events->rows[((size_t)region[0] << 8 | region[1]) % ROWS];
    for (place_t *place = *row; place; place = place->next)
        if (memcmp(place->region, region, SYNC_HASH) == 0) return place;
    if (!make || events->places == PLACES_MAX) return NULL;
    place_t *place = mem_zalloc(sizeof *place);
    if (!place) return NULL;
    memcpy(place->region, region, SYNC_HASH);
    place->next = *row;
    *row = place;
    events->places++;
    return place;
}

/* Out of its place and onto a list of its own. */
static void take_out(sync_events_t *events, waiter_t *waiter, waiter_t **list) {
    *waiter->self = waiter->next;
    if (waiter->next) waiter->next->self = waiter->self;
    waiter->place->waiting--;
    events->waiting--;
    waiter->next = *list;
    *list = waiter;
}

static bool is_newer(const place_t *place, const waiter_t *waiter) {
    return place->root > waiter->root || place->entries > waiter->entries ||
           place->joins > waiter->joins;
}

static void take_from(sync_events_t *events, const place_t *place, int64_t mono_ms,
                      waiter_t **list) {
    for (waiter_t *waiter = place->first, *next = NULL; waiter; waiter = next) {
        next = waiter->next;
        if (is_newer(place, waiter) || waiter->until_ms <= mono_ms) take_out(events, waiter, list);
    }
}

/* A request, and the waiter with it, may be gone as soon as it is woken. */
static void wake(waiter_t *list) {
    for (waiter_t *next = NULL; list; list = next) {
        next = list->next;
        http_request_wake(list->request);
    }
}

static void raise_to(int64_t *value, int64_t to) {
    if (to > *value) *value = to;
}

void sync_events_changed(void *ctx, const uint8_t region[SYNC_HASH], int64_t root, int64_t entries,
                         int64_t joins) {
    sync_events_t *events = ctx;
    waiter_t *list = NULL;
    (void)pthread_mutex_lock(&events->lock);
    place_t *place = find(events, region, true);
    if (place) {
        raise_to(&place->root, root);
        raise_to(&place->entries, entries);
        raise_to(&place->joins, joins);
        take_from(events, place, INT64_MIN, &list);
    }
    (void)pthread_mutex_unlock(&events->lock);
    wake(list);
}

void sync_events_tick(sync_events_t *events, int64_t mono_ms, bool all) {
    waiter_t *list = NULL;
    (void)pthread_mutex_lock(&events->lock);
    if (all) events->closed = true;
    for (size_t i = 0; i < ROWS && events->waiting; i++)
        for (const place_t *place = events->rows[i]; place; place = place->next)
            take_from(events, place, mono_ms, &list);
    (void)pthread_mutex_unlock(&events->lock);
    wake(list);
}

static void run(background_t *clock) {
    web_t *web = background_web(clock);
    while (!background_wait(clock, TICK_S))
        sync_events_tick(web->sync->events, clk_mono_ms(clk_real()), false);
}

err_t *sync_events_start(web_t *web, background_t **ret_clock) {
    return background_start(web, "sync events", run, ret_clock);
}

/* ---- requests ---- */

/* Goes to sleep unless there is something newer, or nothing is known of the region. */
static bool sleep_on(sync_events_t *events, const uint8_t region[SYNC_HASH], waiter_t *waiter) {
    bool asleep = false;
    (void)pthread_mutex_lock(&events->lock);
    place_t *place = find(events, region, false);
    bool room =
        events->waiting < LIMIT_SYNC_WAITERS && place && place->waiting < LIMIT_SYNC_WAITERS_REGION;
    if (room && !events->closed && !is_newer(place, waiter)) {
        waiter->place = place;
        waiter->next = place->first;
        waiter->self = &place->first;
        if (place->first) place->first->self = &waiter->next;
        place->first = waiter;
        place->waiting++;
        events->waiting++;
        asleep = true;
    }
    (void)pthread_mutex_unlock(&events->lock);
    return asleep;
}

static err_t *read_query(const http_request_t *request, waiter_t *waiter) {
    uint64_t root = 0, chain = 0, joins = 0;
    TRY(http_query_u64(request->raw_query, "root", INT64_MAX, 0, &root));
    TRY(http_query_u64(request->raw_query, "chain", INT64_MAX, 0, &chain));
    TRY(http_query_u64(request->raw_query, "joins", INT64_MAX, INT64_MAX, &joins));
    waiter->root = (int64_t)root;
    waiter->entries = (int64_t)chain;
    waiter->joins = (int64_t)joins;
    return NULL;
}

static err_t *check_token(const web_sync_t *sync, const http_request_t *request,
                          const uint8_t region[SYNC_HASH]) {
    bytes_t authorization, token = BYTES_NONE;
    bool found = false;
    TRY(http_request_header_once(request, "Authorization", &authorization, &found));
    if (found) TRY(http_auth_bearer(authorization, &token, &found));
    return sync_token_check(sync->service, region, token);
}

static err_t *begin(web_sync_t *sync, http_request_t *request, http_next_t *ret_next) {
    uint8_t region[SYNC_HASH];
    waiter_t *waiter = NULL;
    TRY(api_sync_hash(http_request_param(request, "region"), region));
    TRY(check_token(sync, request, region));
    TRY(arena_alloc(request->arena, sizeof *waiter, &waiter));
    waiter->request = request;
    waiter->until_ms = clk_mono_ms(clk_real()) + HOLD_MS;
    TRY(read_query(request, waiter));
    request->state = waiter; /* in the arena: nothing to free */
    if (sleep_on(sync->events, region, waiter)) *ret_next = HTTP_STEP_WAIT;
    return NULL;
}

err_t *route_sync_step(void *ctx, http_request_t *request, http_reply_t *reply,
                       http_next_t *ret_next) {
    web_t *web = ctx;
    if (request->route->handler != sync_events_get || !web->sync || request->state)
        return route_mdm_step(ctx, request, reply, ret_next);
    /* Whatever is wrong with it, the handler finds it too and answers. */
    err_ignore(begin(web->sync, request, ret_next));
    return NULL;
}
