/*
 * The device's side of leases: docs/formats/lease.md. Leaves the KEK with the keeper, and opens
 * what comes back for an event. One thread; blocking, with time limits.
 */
#ifndef COFFER_BOX_LEASE_H
#define COFFER_BOX_LEASE_H

#include "base/clk.h"
#include "box/events.h"
#include "box/key.h"
#include "box/wire.h"

enum { BOX_DEVICE_MAX = 64 };

/* All borrowed. */
typedef struct {
    const char *url; /* https://host[:port] */
    bytes_t ca_pem;
    bytes_t token;
    const char *account;
    const secret_t *push_key; /* X25519 */
    bool (*go_on)(void *arg); /* as in box_wait_t; may be NULL */
    void *arg;
} box_server_t;

/* What the device knows of the lease it left last. */
typedef struct {
    char device[BOX_DEVICE_MAX + 1];
    uint64_t epoch;
    int64_t expires; /* seconds since 1970 UTC; 0: there is none */
} box_lease_t;

/* The highest epoch that the server knows for the account; 0: none. */
err_t *box_lease_epoch(const box_server_t *server, uint64_t *ret_epoch) WARN_UNUSED;
/* Leaves the KEK until `expires`. */
err_t *box_lease_put(const box_server_t *server, const secret_t *kek, uint64_t epoch,
                     int64_t expires, box_lease_t *ret_lease) WARN_UNUSED;
/* Asks for the key for an event; ERR_NOT_FOUND: there is none for it. */
err_t *box_lease_ask(const box_server_t *server, const char *event, buf_t *ret_sealed) WARN_UNUSED;
/* Events that wait, as the server lists them. */
err_t *box_lease_waiting(const box_server_t *server, err_t *(*each)(void *arg, const char *event),
                         void *arg) WARN_UNUSED;
/* Opens a release: ERR_VERIFY unless it is of this lease, this push key and this event. */
err_t *box_lease_open(const box_server_t *server, const box_lease_t *lease, const char *event,
                      bytes_t sealed, buf_t *ret_kek) WARN_UNUSED;
/* Ends the lease. */
err_t *box_lease_revoke(const box_server_t *server) WARN_UNUSED;

/* ---- the stream ---- */

typedef struct {
    box_wire_t *wire;
    box_events_t events;
} box_stream_t;

/* Asks for the stream; `last` is the last id, or "". */
err_t *box_stream_open(const box_server_t *server, tls_context_t *tls, const clk_t *clk,
                       const char *last, box_stream_t **ret_stream) WARN_UNUSED;
void box_stream_free(box_stream_t *stream); /* takes NULL */
int box_stream_fd(const box_stream_t *stream);
/* Takes what has come; ERR_UNAVAILABLE at the end. */
err_t *box_stream_take(box_stream_t *stream, box_on_event_t on, void *arg) WARN_UNUSED;

DEFINE_CLEANUP(box_stream_t, box_stream_free)

#endif
