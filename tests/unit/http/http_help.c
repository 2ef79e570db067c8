/*
 * See http_help.h.
 */
#include "http_help.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../unit.h"

#define assert_gnutls(call) assert_int_equal((call), GNUTLS_E_SUCCESS)

static gnutls_x509_privkey_t make_key(void) {
    gnutls_x509_privkey_t key;
    assert_gnutls(gnutls_x509_privkey_init(&key));
    assert_gnutls(gnutls_x509_privkey_generate(
        key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return key;
}

static gnutls_x509_crt_t make_cert(const char *name, bool ca, uint8_t serial,
                                   gnutls_x509_privkey_t key, gnutls_x509_crt_t issuer,
                                   gnutls_x509_privkey_t issuer_key) {
    gnutls_x509_crt_t cert;
    const uint8_t loopback[4] = {127, 0, 0, 1};
    assert_gnutls(gnutls_x509_crt_init(&cert));
    assert_gnutls(gnutls_x509_crt_set_version(cert, 3));
    assert_gnutls(gnutls_x509_crt_set_serial(cert, &serial, 1));
    assert_gnutls(gnutls_x509_crt_set_activation_time(cert, time(NULL) - 3600));
    assert_gnutls(gnutls_x509_crt_set_expiration_time(cert, time(NULL) + 86400));
    assert_gnutls(gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                                (unsigned)strlen(name)));
    assert_gnutls(gnutls_x509_crt_set_key(cert, key));
    assert_gnutls(gnutls_x509_crt_set_basic_constraints(cert, ca, -1));
    if (ca) assert_gnutls(gnutls_x509_crt_set_key_usage(cert, GNUTLS_KEY_KEY_CERT_SIGN));
    else
        assert_gnutls(gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, loopback,
                                                           sizeof loopback, GNUTLS_FSAN_SET));
    assert_gnutls(gnutls_x509_crt_sign2(cert, issuer ? issuer : cert, issuer ? issuer_key : key,
                                        GNUTLS_DIG_SHA256, 0));
    return cert;
}

static void export_cert(gnutls_x509_crt_t cert, gnutls_x509_crt_fmt_t format, buf_t *out) {
    gnutls_datum_t data;
    assert_gnutls(gnutls_x509_crt_export2(cert, format, &data));
    assert_ok(buf_add(out, bytes_make(data.data, data.size)));
    gnutls_free(data.data);
}

static void export_key(gnutls_x509_privkey_t key, buf_t *out) {
    gnutls_datum_t data;
    assert_gnutls(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                                    GNUTLS_PKCS_PLAIN, &data));
    assert_ok(buf_add(out, bytes_make(data.data, data.size)));
    gnutls_free(data.data);
}

void help_certs_init(help_certs_t *c) {
    buf_t *all[] = {&c->ca_pem,     &c->server_pem,     &c->server_key_pem,
                    &c->client_pem, &c->client_key_pem, &c->client_der};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) buf_init(all[i], 65536);
    gnutls_x509_privkey_t keys[4];
    for (size_t i = 0; i < 4; i++) keys[i] = make_key();
    gnutls_x509_crt_t ca = make_cert("Test CA", true, 1, keys[0], NULL, NULL);
    gnutls_x509_crt_t server = make_cert("server", false, 2, keys[1], ca, keys[0]);
    gnutls_x509_crt_t other = make_cert("Unknown CA", true, 3, keys[2], NULL, NULL);
    gnutls_x509_crt_t client = make_cert("client", false, 4, keys[3], other, keys[2]);
    export_cert(ca, GNUTLS_X509_FMT_PEM, &c->ca_pem);
    export_cert(server, GNUTLS_X509_FMT_PEM, &c->server_pem);
    export_cert(client, GNUTLS_X509_FMT_PEM, &c->client_pem);
    export_cert(client, GNUTLS_X509_FMT_DER, &c->client_der);
    export_key(keys[1], &c->server_key_pem);
    export_key(keys[3], &c->client_key_pem);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(server);
    gnutls_x509_crt_deinit(other);
    gnutls_x509_crt_deinit(client);
    for (size_t i = 0; i < 4; i++) gnutls_x509_privkey_deinit(keys[i]);
}

void help_certs_done(help_certs_t *c) {
    buf_done(&c->ca_pem);
    buf_done(&c->server_pem);
    buf_done(&c->server_key_pem);
    buf_done(&c->client_pem);
    buf_done(&c->client_key_pem);
    buf_done(&c->client_der);
}

int help_connect(uint16_t port) {
    const struct timeval limit = {.tv_sec = 10};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

void help_send(int fd, const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
        if (n <= 0) return; /* the peer hung up: what it said before is still to be read */
        text += n;
        left -= (size_t)n;
    }
}

bool help_has(const buf_t *out, const char *text) {
    return out->n > 0 && memmem(out->p, out->n, text, strlen(text)) != NULL;
}

void help_read(int fd, buf_t *out, const char *until) {
    char chunk[4096];
    while (!until || !help_has(out, until)) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0) return;
        assert_ok(buf_add(out, bytes_make(chunk, (size_t)n)));
    }
}

void help_ask(uint16_t port, const char *request, buf_t *out) {
    int fd = help_connect(port);
    assert_true(fd >= 0);
    buf_clear(out);
    help_send(fd, request);
    help_read(fd, out, NULL);
    close(fd);
}
