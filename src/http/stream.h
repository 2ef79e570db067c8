/*
 * http_stream_t: a reply whose body goes on for hours, a few bytes at a time (server-sent events,
 * HTML standard section 9.2). It holds no thread: while there is nothing to send, its connection is
 * suspended; whoever writes wakes it. What the peer has not taken yet waits in a buffer with a
 * limit; a peer that is slower than that is cut off.
 *
 * Thread-safe. Lock order: the server's, then the stream's, then libmicrohttpd's.
 */
#ifndef COFFER_HTTP_STREAM_H
#define COFFER_HTTP_STREAM_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct http_stream http_stream_t;

/* `max`: bytes that may wait for the peer. */
err_t *http_stream_new(size_t max, http_stream_t **ret_stream) WARN_UNUSED;
/* Gives up an owner's reference; the last one ends it. Takes NULL. */
void http_stream_free(http_stream_t *stream);
/* One more owner. */
void http_stream_hold(http_stream_t *stream);
/* The body ends after what waits. */
void http_stream_end(http_stream_t *stream);

/*
 * All of `data` or nothing. ERR_UNAVAILABLE: the peer has gone, or the server stops. ERR_LIMIT: the
 * peer is too slow; the stream ends.
 */
err_t *http_stream_write(http_stream_t *stream, bytes_t data) WARN_UNUSED;
/* Whether the peer, as far as is known, still listens. */
bool http_stream_open(http_stream_t *stream);

DEFINE_CLEANUP(http_stream_t, http_stream_free)

#endif
