/*
 * The server's stream as bytes: an HTTP/1.1 answer (RFC 9112), chunked or not, of server-sent
 * events (HTML standard, section 9.2). docs/formats/stream.md says what they mean. Pure.
 */
#ifndef COFFER_BOX_EVENTS_H
#define COFFER_BOX_EVENTS_H

#include "base/buf.h"

enum { BOX_EVENT_MAX = 64 * 1024, BOX_EVENT_NAME = 32 };

typedef struct {
    const char *type; /* "message" if none was said */
    bytes_t data;
    bytes_t id; /* the last one said; may be none */
} box_event_t;
typedef err_t *(*box_on_event_t)(void *arg, const box_event_t *event);

typedef struct {
    int part; /* of the answer that comes next */
    bool chunked;
    uint64_t left; /* bytes of the chunk */
    buf_t line;    /* of the head, or that says a chunk's size */
    buf_t text;    /* of an event's line */
    buf_t data, id;
    char type[BOX_EVENT_NAME];
    unsigned status;
    bool ended; /* the answer is at its end */
} box_events_t;

void box_events_init(box_events_t *events);
void box_events_done(box_events_t *events);
/* ERR_AUTH, ERR_NOT_FOUND, ERR_UNAVAILABLE by the answer's status; ERR_INVALID, ERR_LIMIT. */
err_t *box_events_feed(box_events_t *events, bytes_t data, box_on_event_t on,
                       void *arg) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(box_events_t, box_events_done)

#endif
