/*
 * The asking side: see client.h. Calls come from any thread; one reader thread per client
 * receives and hands out replies. client->lock guards everything but the socket calls.
 */
#include "ipc/client.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/clk.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/frame.h"
#include "ipc/thread.h"

/* One channel; lives until the last thread that may use its descriptor has let go. */
typedef struct {
    int fd;
    unsigned refs; /* guarded by client->lock */
} rpc_link_t;

/* One call in flight. */
typedef struct {
    pthread_cond_t done;
    uint64_t id; /* 0: the slot is free */
    const rpc_link_t *link;
    buf_t *reply; /* the caller's */
    bool finished;
    err_t *e; /* once finished */
} slot_t;

struct rpc_client {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a link came, a slot became free, a caller left, or the end is near */
    slot_t slots[LIMIT_FRAME_IN_FLIGHT];
    size_t free_slots[LIMIT_FRAME_IN_FLIGHT]; /* a stack */
    size_t free_count;
    uint64_t sequence;
    rpc_link_t *link; /* NULL: none at the moment */
    size_t callers;   /* threads inside rpc_call and rpc_notify */
    bool stopping;
    pthread_t reader;
    uint8_t *room; /* LIMIT_FRAME_BYTES, the reader's own */
};

static void link_unref(rpc_link_t *link) {
    if (--link->refs > 0) return;
    fd_close(link->fd);
    mem_free(link);
}

/* With the lock. The caller then signals slot->done. */
static void slot_finish(slot_t *slot, err_t *e) {
    slot->finished = true;
    slot->e = e;
}

/* With the lock. Everybody who waits for an answer by this link learns that none will come. */
static void link_end(rpc_client_t *client, rpc_link_t *link, const err_t *why) {
    char text[256];
    const char *reason = why ? err_text(why, text, sizeof text) : "replaced or closed";
    for (size_t i = 0; i < LIMIT_FRAME_IN_FLIGHT; i++) {
        slot_t *slot = &client->slots[i];
        if (!slot->id || slot->link != link || slot->finished) continue;
        slot_finish(slot, err_new(ERR_UNAVAILABLE, "the channel ended: %s", reason));
        (void)pthread_cond_signal(&slot->done);
    }
    if (client->link != link) return;
    client->link = NULL;
    (void)shutdown(link->fd, SHUT_RDWR); /* wakes the reader, and tells the server */
    link_unref(link);
}

/*
 * With the lock. A late answer, after its caller gave up, finds another id and is dropped.
 * *ret_slot: whose call is finished; NULL if nobody's.
 */
static err_t *hand_over(rpc_client_t *client, const frame_t *frame, slot_t **ret_slot) {
    if (frame->kind != FRAME_REPLY && frame->kind != FRAME_ERROR)
        return err_new(ERR_INVALID, "the server sent a frame that is no answer");
    slot_t *slot = &client->slots[frame->id % LIMIT_FRAME_IN_FLIGHT];
    if (slot->id != frame->id || slot->finished) return NULL;
    err_t *answer = NULL;
    if (frame->kind == FRAME_REPLY) answer = buf_add(slot->reply, frame->body);
    else TRY(frame_error_decode(frame->body, &answer));
    slot_finish(slot, answer);
    *ret_slot = slot;
    return NULL;
}

/* Receives until the link ends; says why it did. */
static err_t *read_link(rpc_client_t *client, const rpc_link_t *link) {
    for (;;) {
        size_t n = 0;
        frame_t frame;
        TRY(channel_recv(link->fd, client->room, LIMIT_FRAME_BYTES, &n));
        err_t *e = frame_decode(bytes_make(client->room, n), &frame);
        if (!e) {
            slot_t *slot = NULL;
            (void)pthread_mutex_lock(&client->lock);
            e = hand_over(client, &frame, &slot);
            (void)pthread_mutex_unlock(&client->lock);
            /* Whom it wakes needs the lock at once. The slot may be another's by now, who looks
             * for himself; it lives as long as this thread. */
            if (slot) (void)pthread_cond_signal(&slot->done);
        }
        mem_wipe(client->room, n); /* replies may carry secrets */
        if (e) return e;
    }
}

static void *reader_main(void *arg) {
    rpc_client_t *client = arg;
    (void)pthread_mutex_lock(&client->lock);
    while (!client->stopping) {
        rpc_link_t *link = client->link;
        if (!link) {
            (void)pthread_cond_wait(&client->changed, &client->lock);
            continue;
        }
        link->refs++;
        (void)pthread_mutex_unlock(&client->lock);
        err_t *why = read_link(client, link);
        (void)pthread_mutex_lock(&client->lock);
        link_end(client, link, why);
        link_unref(link);
        err_free(why);
    }
    (void)pthread_mutex_unlock(&client->lock);
    return NULL;
}

static err_t *link_new(int fd, rpc_link_t **ret_link) {
    rpc_link_t *link = mem_alloc(sizeof *link);
    if (!link) return err_nomem();
    *link = (rpc_link_t){.fd = fd, .refs = 1};
    *ret_link = link;
    return NULL;
}

static void client_destroy(rpc_client_t *client, size_t conds) {
    for (size_t i = 0; i < conds; i++) (void)pthread_cond_destroy(&client->slots[i].done);
    (void)pthread_cond_destroy(&client->changed);
    (void)pthread_mutex_destroy(&client->lock);
    if (client->link) link_unref(client->link);
    mem_free(client->room);
    mem_free(client);
}

static err_t *client_start(rpc_client_t *client, int fd, size_t *conds) {
    for (size_t i = 0; i < LIMIT_FRAME_IN_FLIGHT; i++) {
        TRY(cond_init(&client->slots[i].done));
        *conds = i + 1;
        client->free_slots[i] = i;
    }
    client->free_count = LIMIT_FRAME_IN_FLIGHT;
    client->room = mem_alloc(LIMIT_FRAME_BYTES);
    if (!client->room) return err_nomem();
    if (fd >= 0) TRY(link_new(fd, &client->link));
    err_t *e = thread_start("rpc-reader", reader_main, client, &client->reader);
    if (e) mem_free(STEAL(client->link)); /* the descriptor stays the caller's to close */
    return e;
}

err_t *rpc_client_new(int fd, rpc_client_t **ret_client) {
    rpc_client_t *client = mem_zalloc(sizeof *client);
    err_t *e = client ? cond_init(&client->changed) : err_nomem();
    if (e) {
        mem_free(client);
        fd_close(fd);
        return e;
    }
    (void)pthread_mutex_init(&client->lock, NULL);
    size_t conds = 0;
    e = client_start(client, fd, &conds);
    if (e) {
        client_destroy(client, conds);
        fd_close(fd);
        return e;
    }
    *ret_client = client;
    return NULL;
}

void rpc_client_free(rpc_client_t *client) {
    if (!client) return;
    (void)pthread_mutex_lock(&client->lock);
    client->stopping = true;
    if (client->link) link_end(client, client->link, NULL);
    (void)pthread_cond_broadcast(&client->changed);
    while (client->callers) (void)pthread_cond_wait(&client->changed, &client->lock);
    (void)pthread_mutex_unlock(&client->lock);
    (void)pthread_join(client->reader, NULL);
    client_destroy(client, LIMIT_FRAME_IN_FLIGHT);
}

void rpc_client_replace(rpc_client_t *client, int fd) {
    rpc_link_t *link = NULL;
    err_t *e = link_new(fd, &link);
    (void)pthread_mutex_lock(&client->lock);
    if (client->link) link_end(client, client->link, e);
    client->link = link; /* without memory: none, the closed end tells the server so */
    (void)pthread_cond_broadcast(&client->changed);
    (void)pthread_mutex_unlock(&client->lock);
    if (e) fd_close(fd);
    err_free(e);
}

/* With the lock: takes a slot, once there is a link and a free one. */
static err_t *slot_take(rpc_client_t *client, int64_t deadline, buf_t *reply, size_t *ret_slot) {
    bool in_time = true;
    while (!client->stopping && !(client->link && client->free_count)) {
        if (!in_time && !client->link)
            return err_new(ERR_UNAVAILABLE, "there is no channel to the server");
        if (!in_time)
            return err_new(ERR_TIMEOUT, "%d requests are in flight", LIMIT_FRAME_IN_FLIGHT);
        in_time = cond_wait_until(&client->changed, &client->lock, deadline);
    }
    if (client->stopping) return err_new(ERR_UNAVAILABLE, "this process is ending");
    size_t index = client->free_slots[--client->free_count];
    slot_t *slot = &client->slots[index];
    /* The sequence begins at 1, so no id is 0; the slot is found again by id modulo their number */
    slot->id = ++client->sequence * LIMIT_FRAME_IN_FLIGHT + index;
    slot->link = client->link;
    slot->reply = reply;
    slot->finished = false;
    slot->e = NULL;
    client->link->refs++;
    *ret_slot = index;
    return NULL;
}

/* With the lock. */
static void slot_release(rpc_client_t *client, size_t index) {
    slot_t *slot = &client->slots[index];
    slot->id = 0;
    slot->link = NULL;
    slot->reply = NULL;
    client->free_slots[client->free_count++] = index;
    /* Those who wait want different things of `changed`; one woken in vain must not eat this. */
    (void)pthread_cond_broadcast(&client->changed);
}

static err_t *send_request(const rpc_link_t *link, const frame_t *frame, int64_t deadline) {
    uint8_t header[FRAME_HEADER];
    TRY(frame_header(frame, header));
    int64_t left = deadline - clk_mono_ms(clk_real());
    err_t *e =
        channel_send2_within(link->fd, BYTES_ARRAY(header), frame->body, left > 0 ? (int)left : 0);
    if (e && err_code(e) == ERR_IO) e = err_recode(e, ERR_UNAVAILABLE);
    return e;
}

/* With the lock: until the reader has finished the slot. */
static err_t *await_answer(rpc_client_t *client, slot_t *slot, int64_t deadline) {
    bool in_time = true;
    while (!slot->finished) {
        if (!in_time) return err_new(ERR_TIMEOUT, "the server did not answer in time");
        in_time = cond_wait_until(&slot->done, &client->lock, deadline);
    }
    return STEAL(slot->e);
}

static err_t *call_locked(rpc_client_t *client, uint16_t intent, bytes_t body, int64_t deadline,
                          buf_t *reply) {
    size_t index = 0;
    TRY(slot_take(client, deadline, reply, &index));
    slot_t *slot = &client->slots[index];
    rpc_link_t *link = client->link;
    frame_t frame = {.kind = FRAME_REQUEST, .intent = intent, .id = slot->id, .body = body};
    (void)pthread_mutex_unlock(&client->lock);
    err_t *e = send_request(link, &frame, deadline);
    (void)pthread_mutex_lock(&client->lock);
    if (e) err_free(STEAL(slot->e));
    else e = await_answer(client, slot, deadline);
    slot_release(client, index);
    link_unref(link);
    return e;
}

err_t *rpc_call(rpc_client_t *client, uint16_t intent, bytes_t body, int timeout_ms, buf_t *reply) {
    if (body.n > FRAME_BODY_MAX)
        return err_new(ERR_LIMIT, "a request of %zu bytes, at most %d allowed", body.n,
                       FRAME_BODY_MAX);
    int64_t deadline = clk_mono_ms(clk_real()) + timeout_ms;
    (void)pthread_mutex_lock(&client->lock);
    client->callers++;
    err_t *e = call_locked(client, intent, body, deadline, reply);
    if (--client->callers == 0 && client->stopping) (void)pthread_cond_broadcast(&client->changed);
    (void)pthread_mutex_unlock(&client->lock);
    return e;
}

err_t *rpc_notify(rpc_client_t *client, uint16_t intent, bytes_t body) {
    frame_t frame = {.kind = FRAME_EVENT, .intent = intent, .body = body};
    uint8_t header[FRAME_HEADER];
    TRY(frame_header(&frame, header));
    (void)pthread_mutex_lock(&client->lock);
    err_t *e = client->link ? NULL : err_new(ERR_UNAVAILABLE, "there is no channel to the server");
    bool sent = false;
    if (!e) e = channel_try_send2(client->link->fd, BYTES_ARRAY(header), body, &sent);
    (void)pthread_mutex_unlock(&client->lock);
    if (!e && !sent) e = err_new(ERR_UNAVAILABLE, "the channel is full");
    return e;
}
