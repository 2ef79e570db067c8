/*
 * See streams.h. One table of listeners by device under one lock; the hub's thread reads new rows,
 * finds their listeners and writes, lanes ask the keeper for releases where a device wants them
 * with the event, so that a slow keeper holds up nobody else.
 */
#include "program/web/streams.h"

#include <stdatomic.h>
#include <time.h>

#include "arrival/record.h"
#include "arrival/stream_event.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/web/stream_lane.h"
#include "store/device_tokens.h"

enum {
    BUCKETS = 4096,
    LOOKED_AT = 128, /* buckets a round that are looked at for who may not listen any more */
    ROUND_MS = 200,  /* rows of another process are seen after this */
    BEAT_MS = 25 * 1000,
    BATCH = 500,
    ARENA = 4 * 1024 * 1024,
    TEXT_MAX = 4096,
};

struct streams {
    streams_options_t o;
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool woken, stop;
    listener_t *buckets[BUCKETS];
    listener_t *joining; /* not in a bucket yet: the hub first gives them what they missed */
    size_t held;
    atomic_uint_least64_t events;
    /* the hub's thread's */
    int64_t last; /* rows up to this one were handed on */
    int64_t beat_ms;
    int64_t look_ms; /* the next look at rights, and where */
    size_t look_at;
    stream_lane_t *lanes[STREAM_LANES];
};

static size_t hash(const char *text) {
    uint32_t h = 2166136261u;
    for (; *text; text++) h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

/* ---- listeners ---- */

void listener_release(listener_t *l) {
    if (!l || atomic_fetch_sub(&l->references, 1) > 1) return;
    http_stream_free(l->stream);
    mem_free(l->device_id);
    mem_free(l->actor);
    mem_free(l);
}
DEFINE_CLEANUP(listener_t, listener_release)

static err_t *listener_new(const stream_peer_t *peer, http_stream_t *stream, int64_t now_ms,
                           listener_t **ret_listener) {
    CLEANUP(listener_release) listener_t *l = mem_zalloc(sizeof *l);
    if (!l) return err_nomem();
    atomic_init(&l->references, 1);
    l->device_id = mem_strdup(peer->device_id);
    l->actor = mem_strdup(peer->actor);
    if (!l->device_id || !l->actor) return err_nomem();
    l->by_identity = peer->by_identity;
    memcpy(l->shown, peer->shown, sizeof l->shown);
    l->release = peer->release;
    l->after = peer->last_event;
    l->until_ms = now_ms + LIMIT_STREAM_LIFE_S * 1000LL;
    http_stream_hold(stream);
    l->stream = stream;
    *ret_listener = STEAL(l);
    return NULL;
}

err_t *streams_add(streams_t *s, const stream_peer_t *peer, http_stream_t *stream) {
    listener_t *l = NULL;
    TRY(listener_new(peer, stream, clk_mono_ms(s->o.clk), &l));
    (void)pthread_mutex_lock(&s->lock);
    bool full = s->held >= LIMIT_STREAMS || s->stop;
    if (!full) {
        s->held++;
        l->next = s->joining;
        s->joining = l;
        s->woken = true;
        (void)pthread_cond_signal(&s->changed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!full) return NULL;
    listener_release(l);
    return err_new(ERR_BUSY, "%d streams are held already", LIMIT_STREAMS);
}

void streams_wake(void *streams) {
    streams_t *s = streams;
    (void)pthread_mutex_lock(&s->lock);
    s->woken = true;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

streams_stats_t streams_stats(streams_t *s) {
    streams_stats_t stats = {.events = atomic_load(&s->events)};
    (void)pthread_mutex_lock(&s->lock);
    stats.held = s->held;
    (void)pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < STREAM_LANES; i++) stats.releases += stream_lane_count(s->lanes[i]);
    return stats;
}

/* ---- writing ---- */

/* A stream that can't be written to is dropped with the next beat. */
static void write_text(listener_t *l, const buf_t *text) {
    err_free(http_stream_write(l->stream, buf_bytes(text)));
}

static err_t *write_event(streams_t *s, listener_t *l, const db_mail_event_t *event) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, TEXT_MAX);
    atomic_fetch_add(&s->events, 1);
    if (l->release) return stream_lane_add(s->lanes[hash(l->device_id) % STREAM_LANES], l, event);
    TRY(stream_event_mail(event, NULL, &text));
    write_text(l, &text);
    return NULL;
}

/* ---- new ones ---- */

typedef struct {
    streams_t *s;
    arena_t *arena;
    const listener_t *listener;
    db_mail_event_t *rows;
    size_t count;
    int64_t first, last, now_ms;
} round_t;

static err_t *read_missed(db_conn_t *conn, void *arg) {
    round_t *r = arg;
    TRY(db_mail_events_span(conn, &r->first, &r->last));
    if (r->listener->after < 0) return NULL;
    return db_mail_events_of(conn, r->arena, r->listener->device_id, r->listener->after, r->s->last,
                             LIMIT_STREAM_BACKLOG + 1, &r->rows, &r->count);
}

/*
 * What it missed since the event it names: those that are still there. Lost is what was before
 * them, what is too much, and everything if its number is of another life (a restored backup).
 */
static err_t *catch_up(streams_t *s, listener_t *l) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, TEXT_MAX);
    TRY(arena_new(ARENA, &arena));
    round_t r = {.s = s, .arena = arena, .listener = l};
    TRY(db_read(s->o.db, read_missed, &r));
    bool lost = l->after >= 0 && (l->after > r.last || (r.first && l->after < r.first - 1));
    if (r.count > LIMIT_STREAM_BACKLOG) lost = true;
    TRY(stream_event_hello(l->device_id, lost || l->after < 0 ? s->last : l->after, &text));
    if (lost) TRY(stream_event_resync(s->last, &text));
    write_text(l, &text);
    for (size_t i = 0; i < r.count && !lost; i++) TRY(write_event(s, l, &r.rows[i]));
    return NULL;
}

/* The lock is held. Not more than a few of one device: the oldest, which are last, end. */
static void enter(streams_t *s, listener_t *l) {
    listener_t **bucket = &s->buckets[hash(l->device_id) % BUCKETS];
    unsigned same = 0;
    l->next = *bucket;
    *bucket = l;
    for (listener_t *other = l; other; other = other->next)
        if (strcmp(other->device_id, l->device_id) == 0 && ++same > LIMIT_STREAMS_DEVICE)
            other->until_ms = 0;
}

static void let_in(streams_t *s) {
    (void)pthread_mutex_lock(&s->lock);
    listener_t *l = s->joining;
    s->joining = NULL;
    (void)pthread_mutex_unlock(&s->lock);
    for (listener_t *next; l; l = next) {
        next = l->next;
        log_error(s->o.log, LOG_WARNING, catch_up(s, l), "a device's stream");
        (void)pthread_mutex_lock(&s->lock);
        enter(s, l);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

/* ---- rounds ---- */

static err_t *read_new(db_conn_t *conn, void *arg) {
    round_t *r = arg;
    return db_mail_events_after(conn, r->arena, r->s->last, BATCH, &r->rows, &r->count);
}

/* Entered listeners are removed by the hub's thread alone, so it may look without the lock; others
 * only read `held`. */
static err_t *hand_on(streams_t *s, const db_mail_event_t *event) {
    err_t *e = NULL;
    listener_t *l = s->buckets[hash(event->device_id) % BUCKETS];
    for (; l && !e; l = l->next)
        if (strcmp(l->device_id, event->device_id) == 0) e = write_event(s, l, event);
    return e;
}

static err_t *flush(db_conn_t *conn, void *arg) {
    round_t *r = arg;
    return arrival_flush(conn, r->arena, r->now_ms, BATCH, &r->count);
}

static err_t *read_due(db_conn_t *conn, void *arg) {
    round_t *r = arg;
    return db_mailbox_waits_due(conn, r->arena, r->now_ms, r->now_ms + ARRIVAL_GATHER_MS, 1,
                                &(db_mail_mark_t *){NULL}, &r->count);
}

static err_t *make_round(streams_t *s) {
    for (bool more = true; more;) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        TRY(arena_new(ARENA, &arena));
        round_t r = {.s = s, .arena = arena, .now_ms = clk_unix_ms(s->o.clk)};
        TRY(db_read(s->o.db, read_due, &r));
        if (r.count) TRY(db_write(s->o.db, flush, &r));
        TRY(db_read(s->o.db, read_new, &r));
        for (size_t i = 0; i < r.count; i++) {
            TRY(hand_on(s, &r.rows[i]));
            s->last = r.rows[i].seq;
        }
        more = r.count == BATCH;
        if (r.count && s->o.told) s->o.told(s->o.told_ctx);
    }
    return NULL;
}

/* Drops who has gone or was here long enough; the others hear that we are there. */
static void beat_bucket(streams_t *s, listener_t **at, const buf_t *text, int64_t now) {
    while (*at) {
        listener_t *l = *at;
        if (now < l->until_ms && text) write_text(l, text);
        if (now < l->until_ms && http_stream_open(l->stream)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        s->held--;
        http_stream_end(l->stream);
        listener_release(l);
    }
}

static err_t *beat(streams_t *s) {
    CLEANUP(buf_done) buf_t text;
    int64_t now = clk_mono_ms(s->o.clk);
    buf_init(&text, TEXT_MAX);
    if (now < s->beat_ms) return NULL;
    s->beat_ms = now + BEAT_MS;
    TRY(stream_event_heartbeat(&text));
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < BUCKETS; i++) beat_bucket(s, &s->buckets[i], &text, now);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- who may not listen any more ---- */

/* Only the hub's thread enters and removes. A stream that is to end has no time left. */
static err_t *look_at_rights(db_conn_t *conn, void *arg) {
    streams_t *s = arg;
    for (size_t i = 0; i < LOOKED_AT; i++) {
        for (listener_t *l = s->buckets[(s->look_at + i) % BUCKETS]; l; l = l->next) {
            bool holds = false;
            TRY(db_device_reach_holds(conn, l->device_id, BYTES_ARRAY(l->shown), l->by_identity,
                                      &holds));
            if (!holds) l->until_ms = 0;
        }
    }
    return NULL;
}

static bool anybody_there(const streams_t *s) {
    for (size_t i = 0; i < LOOKED_AT; i++)
        if (s->buckets[(s->look_at + i) % BUCKETS]) return true;
    return false;
}

/* Some each time: all of them in about seven seconds. */
static err_t *end_who_may_not(streams_t *s) {
    int64_t now = clk_mono_ms(s->o.clk);
    if (now < s->look_ms) return NULL;
    s->look_ms = now + ROUND_MS;
    if (anybody_there(s)) {
        TRY(db_read(s->o.db, look_at_rights, s));
        (void)pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < LOOKED_AT; i++)
            beat_bucket(s, &s->buckets[(s->look_at + i) % BUCKETS], NULL, now);
        (void)pthread_mutex_unlock(&s->lock);
    }
    s->look_at = (s->look_at + LOOKED_AT) % BUCKETS;
    return NULL;
}

static bool wait_for_work(streams_t *s) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ROUND_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_mutex_lock(&s->lock);
    int ended = 0;
    while (!s->stop && !s->woken && !ended)
        ended = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    s->woken = false;
    bool stop = s->stop;
    (void)pthread_mutex_unlock(&s->lock);
    return stop;
}

static void *run(void *arg) {
    streams_t *s = arg;
    while (!wait_for_work(s)) {
        let_in(s);
        log_error(s->o.log, LOG_WARNING, make_round(s), "telling devices of new mail");
        log_error(s->o.log, LOG_WARNING, beat(s), "streams");
        log_error(s->o.log, LOG_WARNING, end_who_may_not(s), "streams of who lost the right");
    }
    return NULL;
}

/* ---- life ---- */

static err_t *read_last(db_conn_t *conn, void *arg) {
    streams_t *s = arg;
    int64_t first = 0;
    return db_mail_events_span(conn, &first, &s->last);
}

static void init_lock(streams_t *s) {
    pthread_condattr_t attributes;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

err_t *streams_start(const streams_options_t *options, streams_t **ret_streams) {
    streams_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    s->o = *options;
    init_lock(s);
    s->beat_ms = clk_mono_ms(s->o.clk) + BEAT_MS;
    err_t *e = db_read(s->o.db, read_last, s);
    for (size_t i = 0; i < STREAM_LANES && !e; i++)
        e = stream_lane_start(s->o.escrow, s->o.log, &s->lanes[i]);
    int number = e ? 0 : pthread_create(&s->thread, NULL, run, s);
    if (number) e = err_errno(number, "cannot start the thread of streams");
    s->runs = !e;
    if (e) {
        streams_stop(s);
        return e;
    }
    *ret_streams = s;
    return NULL;
}

static void drop_all(listener_t *l) {
    for (listener_t *next; l; l = next) {
        next = l->next;
        listener_release(l);
    }
}

void streams_stop(streams_t *s) {
    if (!s) return;
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    if (s->runs) (void)pthread_join(s->thread, NULL);
    for (size_t i = 0; i < STREAM_LANES; i++) stream_lane_stop(s->lanes[i]);
    for (size_t i = 0; i < BUCKETS; i++) drop_all(s->buckets[i]);
    drop_all(s->joining);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->changed);
    mem_free(s);
}
