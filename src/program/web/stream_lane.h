/*
 * For streams.c: events whose release is fetched before they are written, in the order in which
 * they came, on a thread of their own.
 */
#ifndef COFFER_PROGRAM_WEB_STREAM_LANE_H
#define COFFER_PROGRAM_WEB_STREAM_LANE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "escrow/leases.h"
#include "http/stream.h"
#include "store/mailboxes.h"

enum { STREAM_LANES = 4 };

/* One stream of one device; counted references. */
typedef struct listener listener_t;
struct listener {
    listener_t *next;
    char *device_id, *actor;
    uint8_t shown[32]; /* SHA-256 of the certificate or token */
    bool by_identity, release;
    int64_t after;    /* -1: nothing is missing */
    int64_t until_ms; /* monotonic */
    http_stream_t *stream;
    atomic_uint references;
};
void listener_release(listener_t *listener); /* takes NULL */

typedef struct stream_lane stream_lane_t;

err_t *stream_lane_start(escrow_t *escrow, const log_t *log, stream_lane_t **ret_lane) WARN_UNUSED;
/* What waits is not written any more; takes NULL. */
void stream_lane_stop(stream_lane_t *lane);
/* Copies the event. One too many: the event is written without a release, later ones too. */
err_t *stream_lane_add(stream_lane_t *lane, listener_t *listener,
                       const db_mail_event_t *event) WARN_UNUSED;
/* Releases so far; takes NULL. */
uint64_t stream_lane_count(stream_lane_t *lane);

#endif
