/*
 * What the gateway counts, for /metrics. Atomic; written by all threads.
 */
#ifndef COFFER_PROGRAM_MAILGATE_COUNTERS_H
#define COFFER_PROGRAM_MAILGATE_COUNTERS_H

#include <stdint.h>

#include "base/buf.h"

typedef struct {
    _Atomic uint64_t connections; /* of clients, ever */
    _Atomic uint64_t connected;   /* now */
    _Atomic uint64_t turned_away; /* not allowed, or too many */
    _Atomic uint64_t messages;    /* taken from clients */
    _Atomic uint64_t delivered;   /* recipients whose next hop said 250 */
    _Atomic uint64_t refused;     /* recipients answered 5xx */
    _Atomic uint64_t deferred;    /* recipients answered 4xx */
    _Atomic uint64_t repeats;     /* recipients not sent to again: a sender's retry */
    _Atomic uint64_t hop_connections;
    _Atomic uint64_t spool_bytes; /* now */
} counters_t;

/* As it goes over the wire to coffer-web: u32 n, then n times str name, u64 value. */
err_t *counters_write(const counters_t *counters, buf_t *out) WARN_UNUSED;

#endif
