/*
 * TLS servers: see tls_server.h. Runs in coffer-sim, its one thread.
 */
#include "crypto/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/fault.h"
#include "base/mem.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/pkey.h"
#include "crypto/tls_internal.h"

enum { ALPN_MAX = 32, CHUNK_MAX = 1 << 20 };

struct tls_server {
    SSL_CTX *ctx;
    uint8_t alpn[ALPN_MAX + 1]; /* length byte and name, RFC 7301 section 3.1 */
};

struct tls_conn {
    SSL *ssl;
};

void tls_server_free(tls_server_t *server) {
    if (!server) return;
    SSL_CTX_free(server->ctx);
    mem_free(server);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *offered, unsigned int offered_n, void *arg) {
    const tls_server_t *server = arg;
    (void)ssl;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_n, server->alpn, (unsigned)server->alpn[0] + 1, offered,
                              offered_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static err_t *trust_clients(SSL_CTX *ctx, bytes_t pem) {
    CLEANUP(cert_list_done) cert_list_t cas = {0};
    TRY_WRAP(cert_parse_pem_list(pem, &cas), "client CA");
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (size_t i = 0; i < cas.n; i++) {
        CLEANUP(X509_free) X509 *x509 = NULL;
        TRY(tls_x509_of(cas.certs[i], &x509));
        if (X509_STORE_add_cert(store, x509) != 1 || SSL_CTX_add_client_CA(ctx, x509) != 1)
            return err_openssl(ERR_INTERNAL, "client CA");
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return NULL;
}

err_t *tls_server_new(const tls_server_config_t *config, tls_server_t **ret_server) {
    CLEANUP(tls_server_free) tls_server_t *server = mem_zalloc(sizeof *server);
    size_t n = strlen(config->alpn);
    if (!server) return err_nomem();
    if (n == 0 || n > ALPN_MAX) return err_new(ERR_USAGE, "ALPN name %s", config->alpn);
    server->alpn[0] = (uint8_t)n;
    memcpy(server->alpn + 1, config->alpn, n);
    server->ctx = SSL_CTX_new(TLS_server_method());
    if (!server->ctx) return err_openssl(ERR_INTERNAL, "TLS");
    if (SSL_CTX_set_min_proto_version(server->ctx, TLS1_2_VERSION) != 1)
        return err_openssl(ERR_INTERNAL, "TLS version");
    (void)SSL_CTX_set_options(server->ctx, SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode(server->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                            SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(server->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(server->ctx, 0);
    SSL_CTX_set_alpn_select_cb(server->ctx, choose_alpn, server);
    TRY(tls_use_identity(server->ctx, config->cert_pem, config->key_pem));
    TRY(trust_clients(server->ctx, config->client_ca_pem));
    *ret_server = STEAL(server);
    return NULL;
}

err_t *tls_conn_new(tls_server_t *server, int fd, tls_conn_t **ret_conn) {
    CLEANUP(tls_conn_free) tls_conn_t *conn = mem_zalloc(sizeof *conn);
    if (!conn) return err_nomem();
    conn->ssl = SSL_new(server->ctx);
    if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) return err_openssl(ERR_INTERNAL, "TLS");
    SSL_set_accept_state(conn->ssl);
    *ret_conn = STEAL(conn);
    return NULL;
}

void tls_conn_free(tls_conn_t *conn) {
    if (!conn) return;
    if (conn->ssl && SSL_is_init_finished(conn->ssl)) (void)SSL_shutdown(conn->ssl);
    ERR_clear_error();
    SSL_free(conn->ssl);
    mem_free(conn);
}

/* What an SSL_* call that returned `result` means. */
static err_t *judge(tls_conn_t *conn, int result, const char *what, tls_state_t *ret_state) {
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ: *ret_state = TLS_WANT_READ; return NULL;
    case SSL_ERROR_WANT_WRITE: *ret_state = TLS_WANT_WRITE; return NULL;
    case SSL_ERROR_ZERO_RETURN: *ret_state = TLS_CLOSED; return NULL;
    default: return err_openssl(ERR_UNAVAILABLE, "%s", what);
    }
}

err_t *tls_conn_handshake(tls_conn_t *conn, tls_state_t *ret_state) {
    ERR_clear_error();
    if (fault_io()) return err_new(ERR_IO, "TLS handshake");
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1) {
        const unsigned char *alpn = NULL;
        unsigned int n = 0;
        SSL_get0_alpn_selected(conn->ssl, &alpn, &n);
        if (n == 0) return err_new(ERR_VERIFY, "the TLS client offers no protocol by ALPN");
        *ret_state = TLS_OK;
        return NULL;
    }
    err_t *e = judge(conn, result, "TLS handshake", ret_state);
    return e && err_code(e) == ERR_UNAVAILABLE ? err_recode(e, ERR_VERIFY) : e;
}

err_t *tls_conn_read(tls_conn_t *conn, uint8_t *p, size_t max, size_t *ret_n,
                     tls_state_t *ret_state) {
    ERR_clear_error();
    if (fault_io()) return err_new(ERR_IO, "TLS read");
    *ret_n = 0;
    int result = SSL_read_ex(conn->ssl, p, max, ret_n);
    if (result != 1) return judge(conn, result, "TLS read", ret_state);
    *ret_state = TLS_OK;
    return NULL;
}

err_t *tls_conn_write(tls_conn_t *conn, bytes_t data, size_t *ret_n, tls_state_t *ret_state) {
    ERR_clear_error();
    if (fault_io()) return err_new(ERR_IO, "TLS write");
    *ret_n = 0;
    int result = SSL_write_ex(conn->ssl, data.p, data.n < CHUNK_MAX ? data.n : CHUNK_MAX, ret_n);
    if (result != 1) return judge(conn, result, "TLS write", ret_state);
    *ret_state = TLS_OK;
    return NULL;
}

err_t *tls_conn_peer(const tls_conn_t *conn, cert_t **ret_cert) {
    const X509 *x509 = SSL_get0_peer_certificate(conn->ssl);
    if (!x509) return err_new(ERR_VERIFY, "the TLS client has no certificate");
    unsigned char *der = NULL;
    int n = i2d_X509(x509, &der);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "client certificate");
    err_t *e = cert_parse_der(bytes_make(der, (size_t)n), ret_cert);
    OPENSSL_free(der);
    return e;
}
