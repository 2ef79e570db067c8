/*
 * Data on its way: a few threads, one request each. What fails there is done again by the caller's
 * thread, with its tries and its log-in. In the client.
 */
#include <stdio.h>

#include "base/mem.h"
#include "sync/client/remote_internal.h"

enum { LARGE = 1024 * 1024 }; /* bytes of a buffer that is not kept for the next request */

/* ---- the threads ---- */

static void run_one(sender_t *sender) {
    const char *headers[4] = {sender->authorization, NULL};
    size_t n = 1;
    if (sender->body.n) headers[n++] = "Content-Type: application/octet-stream";
    if (sender->range[0]) headers[n++] = sender->range;
    call_pace(sender->http, sender->body.n, sender->expects);
    sender->error = http_client_do(sender->client, sender->method, sender->url, headers,
                                   buf_bytes(&sender->body), &sender->reply);
    if (!sender->expects) call_owe(sender->http, sender->reply.body.n);
}

static void *sender_main(void *arg) {
    sender_t *sender = arg;
    sync_http_t *http = sender->http;
    (void)pthread_mutex_lock(&http->lock);
    for (;;) {
        while (!http->closing && sender->state != SENDER_BUSY)
            (void)pthread_cond_wait(&http->changed, &http->lock);
        if (sender->state != SENDER_BUSY) break;
        (void)pthread_mutex_unlock(&http->lock);
        run_one(sender);
        (void)pthread_mutex_lock(&http->lock);
        sender->state = SENDER_DONE;
        (void)pthread_cond_broadcast(&http->changed);
    }
    (void)pthread_mutex_unlock(&http->lock);
    return NULL;
}

err_t *send_start(sync_http_t *http) {
    if (pthread_mutex_init(&http->lock, NULL) != 0 || pthread_cond_init(&http->changed, NULL) != 0)
        return err_new(ERR_INTERNAL, "a lock can't be made");
    for (size_t i = 0; i < SENDERS; i++) {
        sender_t *sender = &http->senders[i];
        sender->http = http;
        buf_init(&sender->body, SYNC_HTTP_AHEAD);
        http_response_init(&sender->reply);
    }
    return NULL;
}

void send_stop(sync_http_t *http) {
    (void)pthread_mutex_lock(&http->lock);
    http->closing = true;
    (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    for (size_t i = 0; i < SENDERS; i++) {
        sender_t *sender = &http->senders[i];
        if (sender->started) (void)pthread_join(sender->thread, NULL);
        http_client_free(sender->client);
        buf_done(&sender->body);
        http_response_done(&sender->reply);
        err_free(sender->error);
        mem_wipe(sender->authorization, sizeof sender->authorization);
    }
    (void)pthread_cond_destroy(&http->changed);
    (void)pthread_mutex_destroy(&http->lock);
}

static err_t *ensure_thread(sync_http_t *http, sender_t *sender) {
    if (!sender->client) TRY(call_new_client(http, &sender->client));
    if (sender->started) return NULL;
    if (pthread_create(&sender->thread, NULL, sender_main, sender) != 0)
        return err_new(ERR_UNAVAILABLE, "a thread can't be made");
    sender->started = true;
    return NULL;
}

/* ---- the caller's side ---- */

/* Its request is over. What went wrong in the net or with the token is tried once more here. */
static err_t *collect(sync_http_t *http, sender_t *sender) {
    CLEANUP(err_free) err_t *failed = STEAL(sender->error);
    bool again = failed || sender->reply.status == 401 || sender->reply.status == 429 ||
                 sender->reply.status >= 502;
    err_t *e = NULL;
    if (again && failed && err_code(failed) != ERR_UNAVAILABLE && err_code(failed) != ERR_TIMEOUT)
        e = STEAL(failed);
    else if (again)
        e = call_do(http, sender->method, sender->url, "application/octet-stream", sender->range,
                    buf_bytes(&sender->body), &sender->reply);
    if (!e) e = call_judge(http, &sender->reply);
    (void)pthread_mutex_lock(&http->lock);
    http->ahead -= sender->body.n;
    sender->state = SENDER_IDLE;
    (void)pthread_mutex_unlock(&http->lock);
    buf_clear(&sender->body);
    return e;
}

/* Any that is over but the one that fetches ahead. */
static sender_t *find(sync_http_t *http, sender_state_t state) {
    for (size_t i = 0; i < SENDERS; i++)
        if (&http->senders[i] != http->fetching && http->senders[i].state == state)
            return &http->senders[i];
    return NULL;
}

static err_t *collect_done(sync_http_t *http) {
    for (;;) {
        (void)pthread_mutex_lock(&http->lock);
        sender_t *done = find(http, SENDER_DONE);
        (void)pthread_mutex_unlock(&http->lock);
        if (!done) return NULL;
        TRY(collect(http, done));
    }
}

static void await_change(sync_http_t *http) {
    (void)pthread_mutex_lock(&http->lock);
    while (!find(http, SENDER_DONE) && find(http, SENDER_BUSY))
        (void)pthread_cond_wait(&http->changed, &http->lock);
    (void)pthread_mutex_unlock(&http->lock);
}

/* An idle one, with room for so many bytes more. */
static err_t *acquire(sync_http_t *http, size_t bytes, sender_t **ret_sender) {
    for (;;) {
        TRY(collect_done(http));
        (void)pthread_mutex_lock(&http->lock);
        sender_t *idle = find(http, SENDER_IDLE);
        bool room = http->ahead == 0 || http->ahead + bytes <= SYNC_HTTP_AHEAD;
        (void)pthread_mutex_unlock(&http->lock);
        if (idle && room) {
            TRY(ensure_thread(http, idle));
            *ret_sender = idle;
            return NULL;
        }
        await_change(http);
    }
}

/* Each has what the other had, but for how much they may have. */
static void swap(buf_t *a, buf_t *b) {
    buf_t was = *a;
    a->p = b->p, a->n = b->n, a->room = b->room;
    b->p = was.p, b->n = was.n, b->room = was.room;
}

/* Takes the body (NULL: none): a part of 8 MiB is not worth a copy. */
static err_t *begin(sync_http_t *http, sender_t *sender, const char *method, const char *url,
                    const char *range, buf_t *body) {
    TRY(call_login(http, false));
    buf_clear(&sender->body);
    if (body) swap(&sender->body, body);
    (void)snprintf(sender->method, sizeof sender->method, "%s", method);
    (void)snprintf(sender->url, sizeof sender->url, "%s", url);
    (void)snprintf(sender->range, sizeof sender->range, "%s", range);
    memcpy(sender->authorization, http->authorization, sizeof sender->authorization);
    http->requests++;
    http->sent += sender->body.n;
    (void)pthread_mutex_lock(&http->lock);
    http->ahead += sender->body.n;
    sender->state = SENDER_BUSY;
    (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    return NULL;
}

err_t *send_put(sync_http_t *http, const char *url, buf_t *body) {
    sender_t *sender = NULL;
    TRY(acquire(http, body->n, &sender));
    sender->expects = 0;
    return begin(http, sender, "PUT", url, "", body);
}

static err_t *wait_for(sync_http_t *http, size_t bytes) {
    for (;;) {
        TRY(collect_done(http));
        (void)pthread_mutex_lock(&http->lock);
        bool busy = find(http, SENDER_BUSY) || find(http, SENDER_DONE);
        bool room = http->ahead + bytes <= SYNC_HTTP_HELD;
        (void)pthread_mutex_unlock(&http->lock);
        if (!busy || room) return NULL;
        await_change(http);
    }
}

err_t *send_room(sync_http_t *http, size_t bytes) { return wait_for(http, bytes); }

err_t *send_drain(sync_http_t *http) {
    TRY(wait_for(http, SYNC_HTTP_HELD + 1));
    for (size_t i = 0; i < SENDERS; i++) {
        sender_t *sender = &http->senders[i];
        if (sender != http->fetching && sender->body.room > LARGE) buf_done(&sender->body);
    }
    return NULL;
}

err_t *send_fetch(sync_http_t *http, const char *url, const char *range, uint64_t size,
                  sender_t **ret_sender) {
    sender_t *sender = NULL;
    TRY(acquire(http, 0, &sender));
    sender->expects = size;
    TRY(begin(http, sender, "GET", url, range, NULL));
    *ret_sender = sender;
    return NULL;
}

err_t *send_fetched(sync_http_t *http, sender_t *sender, buf_t *ret_data) {
    (void)pthread_mutex_lock(&http->lock);
    while (sender->state == SENDER_BUSY) (void)pthread_cond_wait(&http->changed, &http->lock);
    (void)pthread_mutex_unlock(&http->lock);
    TRY(collect(http, sender));
    buf_clear(ret_data);
    swap(ret_data, &sender->reply.body);
    return NULL;
}
