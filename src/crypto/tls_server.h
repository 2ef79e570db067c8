/*
 * TLS servers over non-blocking sockets, with a client certificate demanded and one ALPN protocol
 * (RFC 8446, RFC 7301): for coffer-sim's stand-in of Apple's push service. Servers of an instance
 * use src/http. One thread at a time uses a server and its connections.
 */
#ifndef COFFER_CRYPTO_TLS_SERVER_H
#define COFFER_CRYPTO_TLS_SERVER_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cert.h"

typedef struct tls_server tls_server_t;
typedef struct tls_conn tls_conn_t;

/* All borrowed during tls_server_new. */
typedef struct {
    bytes_t cert_pem;      /* the chain, leaf first */
    bytes_t key_pem;       /* PKCS#8 */
    bytes_t client_ca_pem; /* who may sign client certificates; others fail the handshake */
    const char *alpn;      /* "h2": a client that doesn't offer it fails the handshake */
} tls_server_config_t;

err_t *tls_server_new(const tls_server_config_t *config, tls_server_t **ret_server) WARN_UNUSED;
void tls_server_free(tls_server_t *server); /* after its connections; takes NULL */

/* What a connection waits for. */
typedef enum {
    TLS_OK,         /* done, or some bytes moved */
    TLS_WANT_READ,  /* call again when the socket is readable */
    TLS_WANT_WRITE, /* call again when the socket is writable */
    TLS_CLOSED,     /* the peer closed (reading only) */
} tls_state_t;

/* `fd`: connected, non-blocking; stays the caller's, who closes it after tls_conn_free. */
err_t *tls_conn_new(tls_server_t *server, int fd, tls_conn_t **ret_conn) WARN_UNUSED;
/* Sends close_notify if that needs no wait; takes NULL. */
void tls_conn_free(tls_conn_t *conn);

/* Until TLS_OK. ERR_VERIFY when the client's certificate is missing or not of the client CA, or
 * ALPN finds nothing in common. */
err_t *tls_conn_handshake(tls_conn_t *conn, tls_state_t *ret_state) WARN_UNUSED;
/* At most `max` bytes into p; *ret_n > 0 with TLS_OK only. */
err_t *tls_conn_read(tls_conn_t *conn, uint8_t *p, size_t max, size_t *ret_n,
                     tls_state_t *ret_state) WARN_UNUSED;
/* Some of `data`; call again with the rest. */
err_t *tls_conn_write(tls_conn_t *conn, bytes_t data, size_t *ret_n,
                      tls_state_t *ret_state) WARN_UNUSED;
/* The client's certificate after the handshake; the caller owns it. */
err_t *tls_conn_peer(const tls_conn_t *conn, cert_t **ret_cert) WARN_UNUSED;

DEFINE_CLEANUP(tls_server_t, tls_server_free)
DEFINE_CLEANUP(tls_conn_t, tls_conn_free)

#endif
