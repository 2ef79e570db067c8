/*
 * Reading a TLS server's certificates: see tls_peek.h. In coffer-courier's probe threads.
 */
#include "crypto/tls_peek.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/openssl_internal.h"

enum { CHAIN_BYTES = 128 * 1024 };

struct tls_peek {
    SSL_CTX *ctx;
    SSL *ssl;
    STACK_OF(X509) * chain;
    bool no_memory;
};

/* Keeps the chain; whatever it is, the handshake may go on. */
static int on_certificates(X509_STORE_CTX *store, void *arg) {
    tls_peek_t *peek = arg;
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store);
    X509 *own = X509_STORE_CTX_get0_cert(store);
    sk_X509_pop_free(peek->chain, X509_free);
    peek->chain = shown ? X509_chain_up_ref(shown) : NULL;
    if (!peek->chain && own) {
        peek->chain = sk_X509_new_null();
        if (peek->chain && X509_up_ref(own) == 1 && sk_X509_push(peek->chain, own) <= 0)
            X509_free(own);
    }
    if (!peek->chain) peek->no_memory = true;
    return 1;
}

static err_t *make_context(tls_peek_t *peek) {
    peek->ctx = SSL_CTX_new(TLS_client_method());
    if (!peek->ctx) return err_openssl(ERR_INTERNAL, "cannot make a TLS client");
    SSL_CTX_set_security_level(peek->ctx, 0);
    SSL_CTX_set_max_cert_list(peek->ctx, CHAIN_BYTES);
    SSL_CTX_set_verify(peek->ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(peek->ctx, on_certificates, peek);
    if (SSL_CTX_set_min_proto_version(peek->ctx, TLS1_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(peek->ctx, "ALL:!aNULL:@SECLEVEL=0") != 1)
        return err_openssl(ERR_INTERNAL, "cannot set up a TLS client");
    return NULL;
}

err_t *tls_peek_new(const char *name, tls_peek_t **ret_peek) {
    CLEANUP(tls_peek_free) tls_peek_t *peek = mem_zalloc(sizeof *peek);
    if (!peek) return err_nomem();
    TRY(make_context(peek));
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    peek->ssl = SSL_new(peek->ctx);
    if (!in || !out || !peek->ssl) {
        BIO_free(in);
        BIO_free(out);
        return err_nomem();
    }
    (void)BIO_set_mem_eof_return(in, -1); /* empty is "later", not the end */
    SSL_set_bio(peek->ssl, in, out);
    if (name && SSL_set_tlsext_host_name(peek->ssl, name) != 1)
        return err_openssl(ERR_INVALID, "%s is no server name", name);
    SSL_set_connect_state(peek->ssl);
    *ret_peek = STEAL(peek);
    return NULL;
}

void tls_peek_free(tls_peek_t *peek) {
    if (!peek) return;
    sk_X509_pop_free(peek->chain, X509_free);
    SSL_free(peek->ssl);
    SSL_CTX_free(peek->ctx);
    mem_free(peek);
}

static err_t *hand_out(tls_peek_t *peek, buf_t *out) {
    BIO *bio = SSL_get_wbio(peek->ssl);
    uint8_t piece[4096];
    for (int n; (n = BIO_read(bio, piece, sizeof piece)) > 0;)
        TRY(buf_add(out, bytes_make(piece, (size_t)n)));
    ERR_clear_error();
    return NULL;
}

err_t *tls_peek_step(tls_peek_t *peek, bytes_t in, buf_t *out, bool *ret_done) {
    if (in.n > LIMIT_WATCH_BYTES) return err_new(ERR_LIMIT, "%zu bytes of TLS", in.n);
    if (in.n && BIO_write(SSL_get_rbio(peek->ssl), in.p, (int)in.n) != (int)in.n)
        return err_nomem();
    ERR_clear_error();
    int done = SSL_do_handshake(peek->ssl);
    int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(peek->ssl, done);
    if (peek->no_memory) return err_nomem();
    if (peek->chain) {
        ERR_clear_error();
        *ret_done = true;
        return NULL;
    }
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        return err_openssl(ERR_INVALID, "the TLS handshake failed");
    TRY(hand_out(peek, out));
    *ret_done = false;
    return NULL;
}

err_t *tls_peek_facts(const tls_peek_t *peek, size_t max, cert_facts_t *facts, size_t *ret_count) {
    int have = peek->chain ? sk_X509_num(peek->chain) : 0;
    size_t count = 0;
    for (int i = 0; i < have && count < max; i++) {
        unsigned char *der = NULL;
        int n = i2d_X509(sk_X509_value(peek->chain, i), &der);
        if (n <= 0) return err_openssl(ERR_INVALID, "a shown certificate can't be written again");
        err_t *e = cert_facts_der(bytes_make(der, (size_t)n), &facts[count]);
        OPENSSL_free(der);
        if (e) return e;
        count++;
    }
    *ret_count = count;
    return NULL;
}
