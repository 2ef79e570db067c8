/*
 * For the tests of src/http that need sockets: certificates made on the spot and a client that
 * says exactly what it is told.
 */
#ifndef COFFER_TESTS_HTTP_HELP_H
#define COFFER_TESTS_HTTP_HELP_H

#include "base/buf.h"
#include "base/bytes.h"

/* A self-signed CA, a server certificate for 127.0.0.1 and localhost, and a client certificate
 * from a CA that nobody knows. P-256, valid for a day. */
typedef struct {
    buf_t ca_pem;
    buf_t server_pem;
    buf_t server_key_pem;
    buf_t client_pem;
    buf_t client_key_pem;
    buf_t client_der;
} help_certs_t;

void help_certs_init(help_certs_t *certs);
void help_certs_done(help_certs_t *certs);

int help_connect(uint16_t port);
void help_send(int fd, const char *text);
/* Appends to out until the peer closes or, with `until`, until out holds that text. */
void help_read(int fd, buf_t *out, const char *until);
bool help_has(const buf_t *out, const char *text);
/* Connects, sends, reads to the end (the request should say "Connection: close"). */
void help_ask(uint16_t port, const char *request, buf_t *out);

#endif
