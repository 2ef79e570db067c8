/*
 * A listening socket and the libmicrohttpd daemon behind it: see server_internal.h. Opening
 * happens on the thread that starts the server.
 *
 * TLS is GnuTLS's, 1.2 and 1.3 with forward secrecy and AEAD only (RFC 9325 section 4.2). No
 * session tickets: a resumed session would carry a client certificate that was never checked on
 * this connection.
 *
 * TLS listeners poll, plain ones use epoll: libmicrohttpd 0.9.75 spins a whole core in epoll mode
 * for as long as some client leaves its handshake half done
 * (test_server__half_a_handshake_is_idle).
 *
 * A listener that polls is quiesced when the server stops, so late callers are refused. In epoll
 * mode libmicrohttpd (0.9.75 and later ones) aborts the process when a poller removes the socket
 * from its set at the moment MHD_quiesce_daemon() does, so there late callers are accepted and
 * closed at once (test_server__stops_while_callers_come).
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/server_internal.h"

enum { BACKLOG = 1024, POLLERS_PLAIN = 2, POLLERS_TLS = 4, POLLER_STACK = 512 * 1024 };

static const char tls_priorities[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"
    "-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:"
    "-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%SERVER_PRECEDENCE:%NO_TICKETS";

static err_t *bind_and_listen(int fd, const struct addrinfo *info, const http_listener_t *config) {
    int on = 1;
    int off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (fault_io() || bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return err_errno(errno, "cannot listen on %s port %u", config->address,
                         (unsigned)config->port);
    return NULL;
}

static err_t *bound_port(int fd, uint16_t *ret_port) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return err_errno(errno, "cannot read the port that was chosen");
    if (address.ss_family == AF_INET6)
        *ret_port = ntohs(((const struct sockaddr_in6 *)(const void *)&address)->sin6_port);
    else *ret_port = ntohs(((const struct sockaddr_in *)(const void *)&address)->sin_port);
    return NULL;
}

err_t *listener_open(listener_t *listener, const http_listener_t *config) {
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)config->port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *info = NULL;
    int rc = getaddrinfo(config->address, port, &hints, &info);
    if (rc != 0)
        return err_new(ERR_USAGE, "not an address to listen on: %s: %s", config->address,
                       gai_strerror(rc));
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    err_t *e =
        fd < 0 ? err_errno(errno, "cannot make a socket") : bind_and_listen(fd, info, config);
    freeaddrinfo(info);
    if (!e) e = bound_port(fd, &listener->port);
    if (e) {
        fd_close(fd);
        return e;
    }
    listener->socket = fd;
    return NULL;
}

static err_t *pem_copy(bytes_t pem, const char *what, char **ret_text) {
    if (pem.n == 0 || bytes_has_nul(pem)) return err_new(ERR_USAGE, "TLS needs %s in PEM", what);
    char *text = mem_strndup((const char *)pem.p, pem.n);
    if (!text) return err_nomem();
    *ret_text = text;
    return NULL;
}

static err_t *tls_options(listener_t *l, const http_listener_t *config,
                          struct MHD_OptionItem options[5]) {
    size_t n = 0;
    if (config->tls) {
        TRY(pem_copy(config->cert_pem, "a certificate", &l->cert_pem));
        TRY(pem_copy(config->key_pem, "a key", &l->key_pem));
        l->key_size = config->key_pem.n;
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, l->cert_pem};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, l->key_pem};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                               (void *)(uintptr_t)tls_priorities};
    }
    if (config->tls && config->request_client_cert) {
        TRY(pem_copy(config->client_ca_pem, "the CA of its clients", &l->client_ca_pem));
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, l->client_ca_pem};
    }
    options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return NULL;
}

static enum MHD_Result unless_draining(void *cls, const struct sockaddr *peer, socklen_t size) {
    (void)peer;
    (void)size;
    const listener_t *l = cls;
    return atomic_load(&l->server->draining) ? MHD_NO : MHD_YES;
}

err_t *listener_start(listener_t *l, const http_listener_t *config) {
    struct MHD_OptionItem tls[5];
    TRY(tls_options(l, config, tls));
    const http_server_config_t *c = &l->server->config;
    unsigned flags = MHD_ALLOW_SUSPEND_RESUME;
    flags |=
        config->tls ? MHD_USE_TLS | MHD_USE_POLL_INTERNAL_THREAD : MHD_USE_EPOLL_INTERNAL_THREAD;
    if (fault_io()) return err_new(ERR_IO, "cannot start the HTTP server");
    /* One thread is none to libmicrohttpd's pool: it then runs the daemon's own. */
    unsigned wanted = c->pollers ? c->pollers : config->tls ? POLLERS_TLS : POLLERS_PLAIN;
    unsigned pool = wanted > 1 ? wanted : 0;
    l->daemon = MHD_start_daemon(
        flags, 0, unless_draining, l, exchange_step, l, MHD_OPTION_LISTEN_SOCKET, l->socket,
        MHD_OPTION_THREAD_POOL_SIZE, pool, MHD_OPTION_THREAD_STACK_SIZE, (size_t)POLLER_STACK,
        MHD_OPTION_CONNECTION_LIMIT, c->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        c->per_address, MHD_OPTION_CONNECTION_TIMEOUT, c->idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_HTTP_CONNECTION_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, l,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_end, l, MHD_OPTION_NOTIFY_CONNECTION,
        connection_notify, l, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    mem_wipe(l->key_pem, l->key_size);
    if (!l->daemon && config->tls)
        return err_new(ERR_USAGE, "cannot start TLS on %s: do key and certificate fit?",
                       config->address);
    if (!l->daemon) return err_new(ERR_IO, "cannot start the HTTP server on %s", config->address);
    l->socket = -1; /* the daemon's now */
    return NULL;
}

void listener_quiesce(listener_t *l) {
    if (!l->daemon || !l->tls) return; /* the plain ones: see the head */
    /* Gives the socket back, or an invalid one when it was quiet already. */
    int fd = MHD_quiesce_daemon(l->daemon);
    if (fd >= 0) l->socket = fd;
    /* Late callers must be refused, not left in the backlog. */
    if (l->socket >= 0) (void)shutdown(l->socket, SHUT_RDWR);
}

void listener_done(listener_t *l) {
    if (l->daemon) MHD_stop_daemon(l->daemon);
    l->daemon = NULL;
    fd_close(l->socket);
    l->socket = -1;
    mem_free(l->cert_pem);
    mem_wipe(l->key_pem, l->key_size);
    mem_free(l->key_pem);
    mem_free(l->client_ca_pem);
    l->cert_pem = l->key_pem = l->client_ca_pem = NULL;
    l->key_size = 0;
}
