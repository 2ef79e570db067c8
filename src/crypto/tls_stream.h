/*
 * TLS over a connected socket, either side, for protocols that say STARTTLS or begin with TLS
 * (RFC 8446, RFC 5246; at least TLS 1.2). A context is shared by any number of streams and threads;
 * one thread at a time uses a stream.
 */
#ifndef COFFER_CRYPTO_TLS_STREAM_H
#define COFFER_CRYPTO_TLS_STREAM_H

#include "crypto/tls_server.h"

typedef struct tls_context tls_context_t;
typedef struct tls_stream tls_stream_t;

/* A server that asks for no certificate. PEM: the chain, leaf first; PKCS#8. */
err_t *tls_context_server(bytes_t cert_pem, bytes_t key_pem,
                          tls_context_t **ret_context) WARN_UNUSED;
/* A client; trusts these CAs alone, or with none the system's. */
err_t *tls_context_client(bytes_t ca_pem, tls_context_t **ret_context) WARN_UNUSED;
void tls_context_free(tls_context_t *context); /* takes NULL */

/*
 * `fd`: connected; stays the caller's, who closes it after tls_stream_free. `name`: a client's: the
 * host name or address that the server's certificate must have; NULL in a server.
 */
err_t *tls_stream_new(tls_context_t *context, int fd, const char *name,
                      tls_stream_t **ret_stream) WARN_UNUSED;
/* Sends close_notify if that needs no wait; takes NULL. */
void tls_stream_free(tls_stream_t *stream);

/* Until TLS_OK; TLS_WANT_READ and TLS_WANT_WRITE say what a non-blocking socket waits for.
 * ERR_VERIFY: no handshake, or a certificate that is not what it should be. */
err_t *tls_stream_handshake(tls_stream_t *stream, tls_state_t *ret_state) WARN_UNUSED;
/* At most `max` bytes into p; *ret_n > 0 with TLS_OK only. */
err_t *tls_stream_read(tls_stream_t *stream, uint8_t *p, size_t max, size_t *ret_n,
                       tls_state_t *ret_state) WARN_UNUSED;
/* Some of `data`; call again with the rest. */
err_t *tls_stream_write(tls_stream_t *stream, bytes_t data, size_t *ret_n,
                        tls_state_t *ret_state) WARN_UNUSED;

DEFINE_CLEANUP(tls_context_t, tls_context_free)
DEFINE_CLEANUP(tls_stream_t, tls_stream_free)

#endif
