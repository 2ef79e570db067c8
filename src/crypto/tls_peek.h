/*
 * tls_peek_t: a TLS client that reads the certificates a server shows and goes (RFC 8446,
 * RFC 5246). Nothing is trusted and no data is sent: any version since TLS 1.0, any key, any
 * certificate. Moves no bytes itself. One thread at a time.
 */
#ifndef COFFER_CRYPTO_TLS_PEEK_H
#define COFFER_CRYPTO_TLS_PEEK_H

#include "base/buf.h"
#include "crypto/cert_facts.h"

typedef struct tls_peek tls_peek_t;

/* `name`: the server name to ask for, or NULL (addresses). */
err_t *tls_peek_new(const char *name, tls_peek_t **ret_peek) WARN_UNUSED;
void tls_peek_free(tls_peek_t *peek); /* takes NULL */

/*
 * Takes what came (none to begin with), appends what must be sent. *ret_done: the certificates
 * are there. ERR_INVALID: no TLS, or a handshake that failed before its certificates; ERR_LIMIT:
 * a chain that is too large.
 */
err_t *tls_peek_step(tls_peek_t *peek, bytes_t in, buf_t *out, bool *ret_done) WARN_UNUSED;

/* What was shown, the server's own first; at most `max`, the rest is left out. */
err_t *tls_peek_facts(const tls_peek_t *peek, size_t max, cert_facts_t *facts,
                      size_t *ret_count) WARN_UNUSED;

DEFINE_CLEANUP(tls_peek_t, tls_peek_free)

#endif
