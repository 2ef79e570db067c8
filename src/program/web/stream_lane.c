/*
 * See stream_lane.h. The lock guards the queue; a release is asked for outside of it.
 */
#include "program/web/stream_lane.h"

#include "arrival/stream_event.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/web/api_leases.h"

enum { QUEUE_MAX = 2000, TEXT_MAX = 8192 };

typedef struct item item_t;
struct item {
    item_t *next;
    listener_t *listener;
    db_mail_event_t event; /* its texts are owned */
    char *account, *name, *folder;
};

struct stream_lane {
    escrow_t *escrow;
    const log_t *log;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    item_t *first, *last;
    size_t waiting;
    bool stop;
    atomic_uint_least64_t released;
};

static void item_free(item_t *item) {
    if (!item) return;
    listener_release(item->listener);
    mem_free(item->account);
    mem_free(item->name);
    mem_free(item->folder);
    mem_free(item);
}
DEFINE_CLEANUP(item_t, item_free)

/* None: a cap, or no lease. The device asks itself then, when it needs the key. */
static json_t *release_of(stream_lane_t *lane, const item_t *item) {
    json_t *json = NULL;
    const lease_ref_t ref = {.device_id = item->listener->device_id,
                             .account = item->event.account,
                             .actor = item->listener->actor,
                             .by_identity = item->listener->by_identity};
    err_t *e = push_release_json(lane->escrow, &ref, item->event.event, &json);
    if (!e) atomic_fetch_add(&lane->released, 1);
    else if (err_code(e) == ERR_NOT_FOUND || err_code(e) == ERR_BUSY || err_code(e) == ERR_DENIED)
        err_free(e);
    else log_error(lane->log, LOG_WARNING, e, "release for a stream");
    return json;
}

static err_t *write_item(stream_lane_t *lane, const item_t *item) {
    CLEANUP(buf_done) buf_t text;
    CLEANUP(jso_free) json_t *release = NULL;
    buf_init(&text, TEXT_MAX);
    if (!http_stream_open(item->listener->stream)) return NULL;
    release = release_of(lane, item);
    TRY(stream_event_mail(&item->event, release, &text));
    err_free(http_stream_write(item->listener->stream, buf_bytes(&text)));
    return NULL;
}

static item_t *take(stream_lane_t *lane) {
    (void)pthread_mutex_lock(&lane->lock);
    while (!lane->first && !lane->stop) (void)pthread_cond_wait(&lane->changed, &lane->lock);
    item_t *item = lane->stop ? NULL : lane->first;
    if (item) {
        lane->first = item->next;
        if (!lane->first) lane->last = NULL;
        lane->waiting--;
    }
    (void)pthread_mutex_unlock(&lane->lock);
    return item;
}

static void *run(void *arg) {
    stream_lane_t *lane = arg;
    for (item_t *item; (item = take(lane));) {
        log_error(lane->log, LOG_WARNING, write_item(lane, item), "a device's stream");
        item_free(item);
    }
    return NULL;
}

static err_t *item_new(listener_t *listener, const db_mail_event_t *event, item_t **ret_item) {
    CLEANUP(item_free) item_t *item = mem_zalloc(sizeof *item);
    if (!item) return err_nomem();
    item->account = mem_strdup(event->account);
    item->name = mem_strdup(event->event);
    item->folder = mem_strdup(event->folder);
    if (!item->account || !item->name || !item->folder) return err_nomem();
    item->event = *event;
    item->event.account = item->account;
    item->event.event = item->name;
    item->event.folder = item->folder;
    atomic_fetch_add(&listener->references, 1);
    item->listener = listener;
    *ret_item = STEAL(item);
    return NULL;
}

/* A device that has not got what waits here reads of its loss when it comes again: its stream ends.
 */
err_t *stream_lane_add(stream_lane_t *lane, listener_t *listener, const db_mail_event_t *event) {
    item_t *item = NULL;
    TRY(item_new(listener, event, &item));
    (void)pthread_mutex_lock(&lane->lock);
    bool full = lane->waiting >= QUEUE_MAX;
    if (!full) {
        if (lane->last) lane->last->next = item;
        else lane->first = item;
        lane->last = item;
        lane->waiting++;
        (void)pthread_cond_signal(&lane->changed);
    }
    (void)pthread_mutex_unlock(&lane->lock);
    if (full) {
        http_stream_end(listener->stream);
        item_free(item);
    }
    return NULL;
}

uint64_t stream_lane_count(stream_lane_t *lane) { return lane ? atomic_load(&lane->released) : 0; }

err_t *stream_lane_start(escrow_t *escrow, const log_t *log, stream_lane_t **ret_lane) {
    stream_lane_t *lane = mem_zalloc(sizeof *lane);
    if (!lane) return err_nomem();
    lane->escrow = escrow;
    lane->log = log;
    (void)pthread_mutex_init(&lane->lock, NULL);
    (void)pthread_cond_init(&lane->changed, NULL);
    int number = pthread_create(&lane->thread, NULL, run, lane);
    if (number) {
        mem_free(lane);
        return err_errno(number, "cannot start a thread of streams");
    }
    *ret_lane = lane;
    return NULL;
}

void stream_lane_stop(stream_lane_t *lane) {
    if (!lane) return;
    (void)pthread_mutex_lock(&lane->lock);
    lane->stop = true;
    (void)pthread_cond_signal(&lane->changed);
    (void)pthread_mutex_unlock(&lane->lock);
    (void)pthread_join(lane->thread, NULL);
    for (item_t *next; lane->first; lane->first = next) {
        next = lane->first->next;
        item_free(lane->first);
    }
    (void)pthread_mutex_destroy(&lane->lock);
    (void)pthread_cond_destroy(&lane->changed);
    mem_free(lane);
}
