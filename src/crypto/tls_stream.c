/*
 * TLS streams: see tls_stream.h. Runs in coffer-mailgate: its event thread and its workers.
 */
#include "crypto/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include "base/fault.h"
#include "base/mem.h"
#include "crypto/tls_internal.h"

struct tls_context {
    SSL_CTX *ctx;
    bool client;
};

struct tls_stream {
    SSL *ssl;
};

void tls_context_free(tls_context_t *context) {
    if (!context) return;
    SSL_CTX_free(context->ctx);
    mem_free(context);
}

static err_t *context_new(const SSL_METHOD *method, bool client, tls_context_t **ret_context) {
    CLEANUP(tls_context_free) tls_context_t *context = mem_zalloc(sizeof *context);
    if (!context) return err_nomem();
    context->client = client;
    context->ctx = SSL_CTX_new(method);
    if (!context->ctx) return err_openssl(ERR_INTERNAL, "TLS");
    if (SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION) != 1)
        return err_openssl(ERR_INTERNAL, "TLS version");
    (void)SSL_CTX_set_options(context->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                                SSL_OP_CLEANSE_PLAINTEXT);
    (void)SSL_CTX_set_mode(context->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                             SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    *ret_context = STEAL(context);
    return NULL;
}

err_t *tls_context_server(bytes_t cert_pem, bytes_t key_pem, tls_context_t **ret_context) {
    CLEANUP(tls_context_free) tls_context_t *context = NULL;
    TRY(context_new(TLS_server_method(), false, &context));
    (void)SSL_CTX_set_num_tickets(context->ctx, 0);
    TRY(tls_use_identity(context->ctx, cert_pem, key_pem));
    *ret_context = STEAL(context);
    return NULL;
}

err_t *tls_context_client(bytes_t ca_pem, tls_context_t **ret_context) {
    CLEANUP(tls_context_free) tls_context_t *context = NULL;
    TRY(context_new(TLS_client_method(), true, &context));
    if (ca_pem.n) TRY(tls_trust(context->ctx, ca_pem));
    else if (SSL_CTX_set_default_verify_paths(context->ctx) != 1)
        return err_openssl(ERR_IO, "the system's CA certificates");
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    *ret_context = STEAL(context);
    return NULL;
}

/* RFC 6125: the name that was configured, not one that somebody told us. */
static err_t *expect(SSL *ssl, const char *name) {
    uint8_t address[16];
    bool literal =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (literal) {
        if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1)
            return err_openssl(ERR_INTERNAL, "TLS name");
        return NULL;
    }
    if (SSL_set1_host(ssl, name) != 1 || SSL_set_tlsext_host_name(ssl, name) != 1)
        return err_openssl(ERR_INTERNAL, "TLS name");
    return NULL;
}

err_t *tls_stream_new(tls_context_t *context, int fd, const char *name, tls_stream_t **ret_stream) {
    CLEANUP(tls_stream_free) tls_stream_t *stream = mem_zalloc(sizeof *stream);
    if (!stream) return err_nomem();
    stream->ssl = SSL_new(context->ctx);
    if (!stream->ssl || SSL_set_fd(stream->ssl, fd) != 1) return err_openssl(ERR_INTERNAL, "TLS");
    if (context->client) {
        if (!name) return err_new(ERR_INTERNAL, "TLS without a name to verify");
        TRY(expect(stream->ssl, name));
        SSL_set_connect_state(stream->ssl);
    } else {
        SSL_set_accept_state(stream->ssl);
    }
    *ret_stream = STEAL(stream);
    return NULL;
}

void tls_stream_free(tls_stream_t *stream) {
    if (!stream) return;
    if (stream->ssl && SSL_is_init_finished(stream->ssl)) (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
    SSL_free(stream->ssl);
    mem_free(stream);
}

/* What an SSL_* call that returned `result` means. */
static err_t *judge(tls_stream_t *stream, int result, const char *what, tls_state_t *ret_state) {
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ: *ret_state = TLS_WANT_READ; return NULL;
    case SSL_ERROR_WANT_WRITE: *ret_state = TLS_WANT_WRITE; return NULL;
    case SSL_ERROR_ZERO_RETURN: *ret_state = TLS_CLOSED; return NULL;
    default: return err_openssl(ERR_UNAVAILABLE, "%s", what);
    }
}

err_t *tls_stream_handshake(tls_stream_t *stream, tls_state_t *ret_state) {
    ERR_clear_error();
    if (fault_io()) return err_new(ERR_IO, "TLS handshake");
    int result = SSL_do_handshake(stream->ssl);
    if (result == 1) {
        *ret_state = TLS_OK;
        return NULL;
    }
    long verified = SSL_get_verify_result(stream->ssl);
    err_t *e = judge(stream, result, "TLS handshake", ret_state);
    if (!e) return NULL;
    if (verified != X509_V_OK)
        e = err_wrap(e, "the certificate: %s", X509_verify_cert_error_string(verified));
    return err_recode(e, ERR_VERIFY);
}

err_t *tls_stream_read(tls_stream_t *stream, uint8_t *p, size_t max, size_t *ret_n,
                       tls_state_t *ret_state) {
    ERR_clear_error();
    if (fault_io()) return err_new(ERR_IO, "TLS read");
    *ret_n = 0;
    int result = SSL_read_ex(stream->ssl, p, max, ret_n);
    if (result != 1) return judge(stream, result, "TLS read", ret_state);
    *ret_state = TLS_OK;
    return NULL;
}

err_t *tls_stream_write(tls_stream_t *stream, bytes_t data, size_t *ret_n, tls_state_t *ret_state) {
    ERR_clear_error();
    if (fault_io()) return err_new(ERR_IO, "TLS write");
    *ret_n = 0;
    int result =
        SSL_write_ex(stream->ssl, data.p, data.n < TLS_CHUNK_MAX ? data.n : TLS_CHUNK_MAX, ret_n);
    if (result != 1) return judge(stream, result, "TLS write", ret_state);
    *ret_state = TLS_OK;
    return NULL;
}
