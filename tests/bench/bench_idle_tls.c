/*
 * What an idle TLS connection costs the server: bench_idle_tls [connections]. A child process
 * opens that many keep-alive connections (5,000 unless told), makes one request on each and leaves
 * them open; the server's proportional set size before and after is compared. Fails above 64 KiB a
 * connection. Wants two descriptors a connection within `ulimit -n`, one on each side.
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/http/http_help.h"
#include "../unit/unit.h"
#include "base/file.h"
#include "base/text.h"
#include "http/server.h"

enum { CONNECTIONS = 5000, BUDGET_KIB = 64 };

static err_t *hello(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    return http_reply_text(reply, 200, "hello");
}

static const http_route_t routes[] = {{.method = "GET", .pattern = "/", .handler = hello}};

/* Kilobytes of the line "Pss: N kB" of this process. */
static uint64_t pss_kib(void) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "Pss:", 4) == 0) kib = strtoull(line + 4, NULL, 10);
    if (file) (void)fclose(file);
    return kib;
}

/* The loopback has 28,000 ports an address, so each thousand uses an address of its own. */
static int connect_from(size_t number, uint16_t port) {
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f000002 + (uint32_t)(number / 1000))};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        exit(1);
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void one_request(gnutls_certificate_credentials_t credentials, int fd) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    gnutls_session_t session;
    char reply[2048];
    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    int rc = 0;
    do rc = gnutls_handshake(session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    if (rc < 0 || gnutls_record_send(session, request, sizeof request - 1) <= 0 ||
        gnutls_record_recv(session, reply, sizeof reply) <= 0) {
        (void)fprintf(stderr, "request: %s\n", gnutls_strerror(rc));
        exit(1);
    }
    gnutls_deinit(session); /* forgets the state; the socket stays open */
}

static void be_the_clients(uint16_t port, size_t connections, int report) {
    gnutls_certificate_credentials_t credentials;
    gnutls_certificate_allocate_credentials(&credentials);
    for (size_t i = 0; i < connections; i++) one_request(credentials, connect_from(i, port));
    if (write(report, "x", 1) != 1) exit(1);
    for (;;) pause();
}

int main(int argc, char **argv) {
    uint64_t connections = CONNECTIONS;
    if (argc > 1) assert_ok(text_u64(bytes_str(argv[1]), 9000, &connections));
    http_tune_memory();
    help_certs_t certs;
    help_certs_init(&certs);
    const http_listener_t listener = {.address = "127.0.0.1",
                                      .tls = true,
                                      .cert_pem = buf_bytes(&certs.server_pem),
                                      .key_pem = buf_bytes(&certs.server_key_pem),
                                      .request_client_cert = true,
                                      .client_ca_pem = buf_bytes(&certs.ca_pem)};
    const http_server_config_t config = {.listeners = &listener,
                                         .listeners_n = 1,
                                         .routes = routes,
                                         .routes_n = 1,
                                         .connections = 10000,
                                         .idle_s = 600};
    int ends[2];
    int port_ends[2];
    char byte = 0;
    uint16_t port = 0;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(port_ends), 0);
    pid_t child = fork(); /* before the server has threads */
    if (child == 0) {
        if (read(port_ends[0], &port, sizeof port) != sizeof port) _exit(1);
        (void)close(port_ends[1]);
        (void)close(ends[0]);
        be_the_clients(port, connections, ends[1]);
    }
    (void)close(ends[1]);
    http_server_t *server = NULL;
    assert_ok(http_server_start(&config, &server));
    port = http_server_port(server, 0);
    uint64_t before = pss_kib();
    assert_int_equal(write(port_ends[1], &port, sizeof port), sizeof port);
    if (read(ends[0], &byte, 1) != 1) return 1;
    uint64_t after = pss_kib();
    double each = (double)(after - before) / (double)connections;
    (void)printf("%llu idle TLS connections: %llu KiB before, %llu KiB after, %.1f KiB each\n",
                 (unsigned long long)connections, (unsigned long long)before,
                 (unsigned long long)after, each);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    http_server_free(server);
    help_certs_done(&certs);
    return each <= BUDGET_KIB ? 0 : 1;
}
