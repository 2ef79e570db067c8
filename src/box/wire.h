/*
 * A connection to a server, TLS or plain, whose reads and writes end at a deadline and which counts
 * what it was given: a server that floods meets a limit. One thread.
 */
#ifndef COFFER_BOX_WIRE_H
#define COFFER_BOX_WIRE_H

#include "base/clk.h"
#include "crypto/tls_stream.h"

typedef enum { BOX_TLS, BOX_STARTTLS, BOX_PLAIN } box_tls_t;

typedef struct box_wire box_wire_t;

/* How a server is waited for. */
typedef struct {
    const clk_t *clk; /* borrowed */
    int64_t timeout_ms;
    bool (*go_on)(void *arg); /* asked several times a second meanwhile; false: the wait ends with
                                 ERR_BUSY; may be NULL */
    void *arg;
} box_wait_t;

/* Connects; with `tls` BOX_TLS does the handshake. `host` is what the certificate must be for.
 * BOX_PLAIN to other than this machine is ERR_DENIED. tls_context is borrowed. */
err_t *box_wire_connect(const char *host, const char *port, box_tls_t tls,
                        tls_context_t *tls_context, const box_wait_t *wait,
                        box_wire_t **ret_wire) WARN_UNUSED;
void box_wire_free(box_wire_t *wire); /* takes NULL */
/* TLS from here on. */
err_t *box_wire_start_tls(box_wire_t *wire) WARN_UNUSED;
/* At least one byte, or 0 at the end. ERR_TIMEOUT; ERR_LIMIT past the budget. */
err_t *box_wire_read(box_wire_t *wire, uint8_t *p, size_t max, size_t *ret_n) WARN_UNUSED;
/* The same without waiting: *ret_n 0 and *ret_end false if there is nothing. */
err_t *box_wire_read_now(box_wire_t *wire, uint8_t *p, size_t max, size_t *ret_n,
                         bool *ret_end) WARN_UNUSED;
err_t *box_wire_write(box_wire_t *wire, bytes_t data) WARN_UNUSED;
/* Bytes that may be read from now on. */
void box_wire_budget(box_wire_t *wire, uint64_t bytes);
int box_wire_fd(const box_wire_t *wire);

DEFINE_CLEANUP(box_wire_t, box_wire_free)

#endif
