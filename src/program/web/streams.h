/*
 * The streams of devices (GET /push/v1/stream): who listens, and one thread that hands on what is
 * new in `mail_event`, whichever process wrote it. A stream holds no thread. It ends after an hour
 * (LIMIT_STREAM_LIFE_S), and within ten seconds when its token or identity does.
 *
 * Threads: any may add, wake and count; the hub's own writes.
 */
#ifndef COFFER_PROGRAM_WEB_STREAMS_H
#define COFFER_PROGRAM_WEB_STREAMS_H

#include "base/log.h"
#include "escrow/leases.h"
#include "http/stream.h"

typedef struct streams streams_t;

typedef struct {
    db_t *db; /* borrowed, as all of these */
    escrow_t *escrow;
    const log_t *log;
    const clk_t *clk;
    void (*told)(void *ctx); /* events were handed on; may be NULL. On the hub's thread */
    void *told_ctx;
} streams_options_t;

err_t *streams_start(const streams_options_t *options, streams_t **ret_streams) WARN_UNUSED;
/* Ends them all. After the HTTP server has stopped; takes NULL. */
void streams_stop(streams_t *streams);

/* A device that listens. The texts are copied. */
typedef struct {
    const char *device_id;
    const char *actor;  /* for the audit of releases */
    bool by_identity;   /* showed its certificate */
    uint8_t shown[32];  /* its hash, or the token's: as long as that holds */
    bool release;       /* each event comes with its release */
    int64_t last_event; /* what it had last, or -1: it begins with what comes */
} stream_peer_t;

/* ERR_BUSY: LIMIT_STREAMS. `stream` is held as long as it is open. */
err_t *streams_add(streams_t *streams, const stream_peer_t *peer,
                   http_stream_t *stream) WARN_UNUSED;
/* There may be something new. */
void streams_wake(void *streams);

typedef struct {
    size_t held;
    uint64_t events; /* handed on */
    uint64_t releases;
} streams_stats_t;

streams_stats_t streams_stats(streams_t *streams);

#endif
