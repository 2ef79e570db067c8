/*
 * Replies that go on: see stream.h. Written on any thread; read on the event thread of its
 * connection. Who may write to it are its owners; the reply is one until libmicrohttpd has it.
 */
#include <string.h>

#include "base/mem.h"
#include "http/server_internal.h"

enum { BLOCK = 4096 }; /* bytes that libmicrohttpd asks for at once */

struct http_stream {
    pthread_mutex_t lock; /* guards all that follows */
    buf_t waiting;
    size_t sent; /* bytes of `waiting` that are with libmicrohttpd already */
    bool ended, gone, suspended;
    unsigned owners, references;       /* owners count as references too */
    struct MHD_Connection *connection; /* while there is one */
    http_server_t *server;             /* the same; its list is under its own lock */
    http_stream_t *next, *previous;
};

err_t *http_stream_new(size_t max, http_stream_t **ret_stream) {
    http_stream_t *stream = mem_zalloc(sizeof *stream);
    if (!stream) return err_nomem();
    (void)pthread_mutex_init(&stream->lock, NULL);
    buf_init(&stream->waiting, max);
    stream->owners = stream->references = 1;
    *ret_stream = stream;
    return NULL;
}

/* With the lock: the event thread looks again. */
static void wake(http_stream_t *stream) {
    if (!stream->suspended) return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

/* With the lock. */
static void disown(http_stream_t *stream) {
    if (--stream->owners) return;
    stream->ended = true;
    wake(stream);
}

/* Without the lock. */
static void release(http_stream_t *stream, bool owner) {
    (void)pthread_mutex_lock(&stream->lock);
    if (owner) disown(stream);
    unsigned left = --stream->references;
    (void)pthread_mutex_unlock(&stream->lock);
    if (left) return;
    buf_done(&stream->waiting);
    (void)pthread_mutex_destroy(&stream->lock);
    mem_free(stream);
}

void http_stream_end(http_stream_t *stream) {
    (void)pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    wake(stream);
    (void)pthread_mutex_unlock(&stream->lock);
}

void http_stream_free(http_stream_t *stream) {
    if (stream) release(stream, true);
}

void http_stream_hold(http_stream_t *stream) {
    (void)pthread_mutex_lock(&stream->lock);
    stream->owners++;
    stream->references++;
    (void)pthread_mutex_unlock(&stream->lock);
}

bool http_stream_open(http_stream_t *stream) {
    (void)pthread_mutex_lock(&stream->lock);
    bool open = !stream->ended && !stream->gone;
    (void)pthread_mutex_unlock(&stream->lock);
    return open;
}

/* With the lock. */
static err_t *append(http_stream_t *stream, bytes_t data) {
    if (stream->ended || stream->gone)
        return err_new(ERR_UNAVAILABLE, "nobody listens to the stream any more");
    if (stream->sent) { /* the peer took some: make room for as much */
        memmove(stream->waiting.p, stream->waiting.p + stream->sent,
                stream->waiting.n - stream->sent);
        stream->waiting.n -= stream->sent;
        stream->sent = 0;
    }
    return buf_add(&stream->waiting, data);
}

err_t *http_stream_write(http_stream_t *stream, bytes_t data) {
    (void)pthread_mutex_lock(&stream->lock);
    err_t *e = append(stream, data);
    if (e && err_code(e) == ERR_LIMIT) stream->ended = true;
    wake(stream);
    (void)pthread_mutex_unlock(&stream->lock);
    return e;
}

/* ---- on the event thread ---- */

/* With the lock: as much as there is and fits. */
static ssize_t take(http_stream_t *stream, char *to, size_t max) {
    size_t n = stream->waiting.n - stream->sent;
    if (n > max) n = max;
    bytes_put(to, bytes_slice(buf_bytes(&stream->waiting), stream->sent, n));
    stream->sent += n;
    if (stream->sent == stream->waiting.n) { /* thousands of streams wait: with no memory */
        buf_t empty;
        buf_init(&empty, stream->waiting.max);
        buf_done(&stream->waiting);
        stream->waiting = empty;
        stream->sent = 0;
    }
    return (ssize_t)n;
}

static ssize_t on_read(void *cls, uint64_t position, char *to, size_t max) {
    http_stream_t *stream = cls;
    (void)position;
    (void)pthread_mutex_lock(&stream->lock);
    ssize_t n = take(stream, to, max);
    if (n == 0 && stream->ended) n = MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    (void)pthread_mutex_unlock(&stream->lock);
    return n;
}

/* The reply is out, or its peer has gone. The connection was not suspended, or it would not be
 * closed. */
static void on_gone(void *cls) {
    http_stream_t *stream = cls;
    http_server_t *server = stream->server;
    (void)pthread_mutex_lock(&server->lock);
    if (stream->next) stream->next->previous = stream->previous;
    if (stream->previous) stream->previous->next = stream->next;
    else server->streams = stream->next;
    (void)pthread_mutex_unlock(&server->lock);
    (void)pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    stream->connection = NULL;
    (void)pthread_mutex_unlock(&stream->lock);
    release(stream, false);
}

struct MHD_Response *stream_response(http_server_t *server, struct MHD_Connection *connection,
                                     http_stream_t *stream) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_read, stream, on_gone);
    if (!response) return NULL;
    (void)pthread_mutex_lock(&server->lock);
    stream->connection = connection;
    stream->server = server;
    stream->next = server->streams;
    if (stream->next) stream->next->previous = stream;
    server->streams = stream;
    bool stopping = server->streams_end;
    (void)pthread_mutex_unlock(&server->lock);
    (void)pthread_mutex_lock(&stream->lock);
    disown(stream); /* a reference still, but nobody who writes */
    (void)pthread_mutex_unlock(&stream->lock);
    if (stopping) http_stream_end(stream);
    return response;
}

void http_streams_end(http_server_t *server) {
    (void)pthread_mutex_lock(&server->lock);
    server->streams_end = true;
    for (http_stream_t *s = server->streams; s; s = s->next) http_stream_end(s);
    (void)pthread_mutex_unlock(&server->lock);
}
