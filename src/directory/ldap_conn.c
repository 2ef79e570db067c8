/*
 * Connections to LDAP servers over libldap: see ldap_conn.h (RFC 4511, RFC 4513). The socket is
 * ours, so that connecting is bounded and another thread can end it. coffer-courier's workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "directory/ldap_internal.h"
#include "format/conf.h"

enum { READ_SLICE_S = 1 };
static const char SYSTEM_CA[] = "/etc/ssl/certs/ca-certificates.crt";

/* ---- the gate ---- */

void ldapconn_gate_init(ldapconn_gate_t *gate) {
    (void)pthread_mutex_init(&gate->lock, NULL);
    for (size_t i = 0; i < LDAPCONN_OPEN; i++) gate->fds[i] = -1;
    gate->shut = false;
}

void ldapconn_gate_done(ldapconn_gate_t *gate) { (void)pthread_mutex_destroy(&gate->lock); }

void ldapconn_gate_shut(ldapconn_gate_t *gate) {
    (void)pthread_mutex_lock(&gate->lock);
    gate->shut = true;
    for (size_t i = 0; i < LDAPCONN_OPEN; i++)
        if (gate->fds[i] >= 0) (void)shutdown(gate->fds[i], SHUT_RDWR);
    (void)pthread_mutex_unlock(&gate->lock);
}

static err_t *gate_enter(ldapconn_t *conn, int fd) {
    err_t *e = err_new(ERR_BUSY, "too many connections to the directory");
    (void)pthread_mutex_lock(&conn->gate->lock);
    for (size_t i = 0; i < LDAPCONN_OPEN && e; i++) {
        if (conn->gate->fds[i] >= 0) continue;
        err_free(e);
        e = NULL;
        conn->gate->fds[i] = conn->fd = fd;
        conn->slot = i;
    }
    bool shut = conn->gate->shut;
    (void)pthread_mutex_unlock(&conn->gate->lock);
    if (!e && shut) return err_new(ERR_UNAVAILABLE, "the program ends");
    return e;
}

static void gate_leave(ldapconn_t *conn) {
    if (conn->fd < 0) return;
    (void)pthread_mutex_lock(&conn->gate->lock);
    conn->gate->fds[conn->slot] = -1;
    (void)pthread_mutex_unlock(&conn->gate->lock);
    conn->fd = -1;
}

static bool gate_is_shut(ldapconn_t *conn) {
    (void)pthread_mutex_lock(&conn->gate->lock);
    bool shut = conn->gate->shut;
    (void)pthread_mutex_unlock(&conn->gate->lock);
    return shut;
}

/* ---- errors ---- */

static err_code_t code_of(int rc) {
    switch (rc) {
    case LDAP_NO_SUCH_OBJECT: return ERR_NOT_FOUND;
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_CONFIDENTIALITY_REQUIRED:
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_INVALID_CREDENTIALS: return ERR_DENIED;
    case LDAP_TIMEOUT:
    case LDAP_TIMELIMIT_EXCEEDED: return ERR_TIMEOUT;
    case LDAP_NO_MEMORY: return ERR_NOMEM;
    case LDAP_SIZELIMIT_EXCEEDED:
    case LDAP_ADMINLIMIT_EXCEEDED: return ERR_LIMIT;
    case LDAP_FILTER_ERROR:
    case LDAP_INVALID_DN_SYNTAX:
    case LDAP_UNDEFINED_TYPE:
    case LDAP_INVALID_SYNTAX:
    case LDAP_OBJECT_CLASS_VIOLATION:
    case LDAP_CONSTRAINT_VIOLATION:
    case LDAP_UNAVAILABLE_CRITICAL_EXTENSION: return ERR_INVALID;
    default: return ERR_UNAVAILABLE;
    }
}

err_t *ldapconn_error(ldapconn_t *conn, int rc, const char *doing) {
    char *words = NULL;
    if (rc == LDAP_NO_MEMORY) return err_nomem();
    (void)ldap_get_option(conn->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &words);
    bytes_t said = bytes_slice(bytes_str(words), 0, 200);
    bool fit = said.n && text_printable(said);
    err_t *e = err_new(code_of(rc), "%s: %s%s%.*s", doing, ldap_err2string(rc), fit ? ": " : "",
                       fit ? (int)said.n : 0, fit ? (const char *)said.p : "");
    ldap_memfree(words);
    return e;
}

/* ---- connecting ---- */

static err_t *wait_connected(ldapconn_t *conn, int fd, int64_t deadline_ms) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    for (;;) {
        int64_t left = deadline_ms - clk_mono_ms(clk_real());
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n > 0) break;
        if (n == 0) return err_new(ERR_TIMEOUT, "no connection in time");
        if (errno != EINTR) return err_errno(errno, "poll");
        if (gate_is_shut(conn)) return err_new(ERR_UNAVAILABLE, "the program ends");
    }
    int problem = 0;
    socklen_t size = sizeof problem;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0) problem = errno;
    if (problem) return err_recode(err_errno(problem, "cannot connect"), ERR_UNAVAILABLE);
    return NULL;
}

/* Afterwards the socket blocks, but for a second at most: libldap looks at its own clock then. */
static err_t *tame(int fd) {
    const struct timeval slice = {.tv_sec = READ_SLICE_S};
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice) != 0)
        return err_errno(errno, "socket options");
    return NULL;
}

static err_t *connect_one(ldapconn_t *conn, const struct addrinfo *to, int64_t deadline_ms) {
    CLEANUP(fd_close)
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_errno(errno, "socket");
    err_t *e = gate_enter(conn, fd);
    if (!e && connect(fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS)
        e = err_recode(err_errno(errno, "cannot connect"), ERR_UNAVAILABLE);
    if (!e) e = wait_connected(conn, fd, deadline_ms);
    if (!e) e = tame(fd);
    if (e) {
        gate_leave(conn);
        return e;
    }
    fd = -1; /* conn->fd */
    return NULL;
}

static err_t *connect_to(ldapconn_t *conn, const ldaptext_url_t *url) {
    char port[8];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    (void)snprintf(port, sizeof port, "%u", url->port);
    int rc = getaddrinfo(url->host, port, &hints, &list);
    if (rc) return err_new(ERR_UNAVAILABLE, "no address of %s: %s", url->host, gai_strerror(rc));
    int64_t deadline_ms = clk_mono_ms(clk_real()) + conn->o.timeout_ms;
    err_t *e = NULL;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        err_free(e);
        e = connect_one(conn, a, deadline_ms);
        if (!e) break;
    }
    freeaddrinfo(list);
    return e;
}

/* ---- TLS ---- */

static bool set(LDAP *ld, int option, const void *value) {
    return ldap_set_option(ld, option, value) == LDAP_OPT_SUCCESS;
}

/* TLS 1.2 at least, in the words of the library that libldap was built with. */
static bool set_versions(LDAP *ld) {
    const int least = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
    char *package = NULL;
    bool ok = set(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, &least);
    if (ldap_get_option(NULL, LDAP_OPT_X_TLS_PACKAGE, &package) != LDAP_OPT_SUCCESS) return false;
    if (package && strcmp(package, "GnuTLS") == 0)
        ok =
            set(ld, LDAP_OPT_X_TLS_CIPHER_SUITE, "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2") &&
            ok;
    ldap_memfree(package);
    return ok;
}

static err_t *set_tls(ldapconn_t *conn) {
    const int demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
    const char *ca = conn->o.ca_file[0] ? conn->o.ca_file : SYSTEM_CA;
    if (!set(conn->ld, LDAP_OPT_X_TLS_CACERTFILE, ca) ||
        !set(conn->ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) || !set_versions(conn->ld) ||
        !set(conn->ld, LDAP_OPT_X_TLS_NEWCTX, &client))
        return err_new(ERR_VERIFY, "TLS can't be set up: are there CA certificates in %s?", ca);
    return NULL;
}

/*
 * libldap's handshake over GnuTLS repeats itself for as long as nothing comes, whatever timeout it
 * was told: a thread ends the connection under it.
 */
typedef struct {
    pthread_mutex_t lock; /* guards done and bit */
    pthread_cond_t wake;
    bool done, bit;
    int fd;
    struct timespec until; /* monotonic */
} watchdog_t;

static void *watch(void *arg) {
    watchdog_t *dog = arg;
    int timed_out = 0;
    (void)pthread_mutex_lock(&dog->lock);
    while (!dog->done && !timed_out)
        timed_out = pthread_cond_timedwait(&dog->wake, &dog->lock, &dog->until);
    dog->bit = !dog->done;
    if (dog->bit) (void)shutdown(dog->fd, SHUT_RDWR);
    (void)pthread_mutex_unlock(&dog->lock);
    return NULL;
}

static void watchdog_init(watchdog_t *dog, const ldapconn_t *conn) {
    pthread_condattr_t attributes;
    *dog = (watchdog_t){.fd = conn->fd};
    (void)pthread_mutex_init(&dog->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&dog->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)clock_gettime(CLOCK_MONOTONIC, &dog->until);
    dog->until.tv_sec += (conn->o.timeout_ms + 999) / 1000;
}

/* Shakes hands, for no longer than the timeout. */
static err_t *install_tls(ldapconn_t *conn, int *ret_code) {
    watchdog_t dog;
    pthread_t thread;
    watchdog_init(&dog, conn);
    int number = pthread_create(&thread, NULL, watch, &dog);
    if (!number) {
        *ret_code = ldap_install_tls(conn->ld);
        (void)pthread_mutex_lock(&dog.lock);
        dog.done = true;
        (void)pthread_cond_signal(&dog.wake);
        (void)pthread_mutex_unlock(&dog.lock);
        (void)pthread_join(thread, NULL);
    }
    (void)pthread_mutex_destroy(&dog.lock);
    (void)pthread_cond_destroy(&dog.wake);
    if (number) return err_errno(number, "cannot start a thread");
    return dog.bit ? err_new(ERR_TIMEOUT, "TLS: the directory does not answer") : NULL;
}

static err_t *start_tls(ldapconn_t *conn, const ldaptext_url_t *url) {
    if (!url->tls) {
        int id = -1, code = LDAP_SUCCESS;
        int rc = ldap_start_tls(conn->ld, NULL, NULL, &id);
        if (rc != LDAP_SUCCESS) return ldapconn_error(conn, rc, "StartTLS");
        TRY(ldapconn_result(conn, id, "StartTLS", &code));
        if (code != LDAP_SUCCESS) return ldapconn_error(conn, code, "StartTLS");
    }
    int rc = LDAP_OTHER;
    TRY(install_tls(conn, &rc));
    if (rc == LDAP_SUCCESS) return NULL;
    err_t *e = ldapconn_error(conn, rc, "TLS");
    if (rc != LDAP_CONNECT_ERROR) return e;
    /* libldap has but one code and no words for all of these. */
    return err_recode(err_wrap(e,
                               "no TLS, or a certificate that is not of [ldap] ca, expired, or "
                               "for another name than %s",
                               url->host),
                      ERR_VERIFY);
}

/* ---- a connection ---- */

static err_t *set_up(ldapconn_t *conn, const ldaptext_url_t *url) {
    const int three = LDAP_VERSION3, never = LDAP_DEREF_NEVER;
    const struct timeval timeout = {.tv_sec = (conn->o.timeout_ms + 999) / 1000};
    ber_len_t most = LIMIT_LDAP_MESSAGE;
    Sockbuf *sockets = NULL;
    bool v6 = strchr(url->host, ':') != NULL;
    (void)snprintf(conn->url, sizeof conn->url, "%s://%s%s%s:%u", url->tls ? "ldaps" : "ldap",
                   v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    int rc = ldap_init_fd(conn->fd, LDAP_PROTO_TCP, conn->url, &conn->ld);
    if (rc != LDAP_SUCCESS) return err_new(ERR_INTERNAL, "libldap: %s", ldap_err2string(rc));
    if (!set(conn->ld, LDAP_OPT_PROTOCOL_VERSION, &three) ||
        !set(conn->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) ||
        !set(conn->ld, LDAP_OPT_DEREF, &never) || !set(conn->ld, LDAP_OPT_RESTART, LDAP_OPT_ON) ||
        !set(conn->ld, LDAP_OPT_NETWORK_TIMEOUT, &timeout) ||
        ldap_get_option(conn->ld, LDAP_OPT_SOCKBUF, &sockets) != LDAP_OPT_SUCCESS ||
        ber_sockbuf_ctrl(sockets, LBER_SB_OPT_SET_MAX_INCOMING, &most) != 1)
        return err_new(ERR_INTERNAL, "libldap refuses an option");
    if (!url->tls && !conn->o.starttls) return NULL;
    TRY(set_tls(conn));
    return start_tls(conn, url);
}

static err_t *open_one(const ldapconn_options_t *options, ldapconn_gate_t *gate, bytes_t text,
                       ldapconn_t **ret_conn) {
    ldaptext_url_t url;
    TRY(ldaptext_url(text, &url));
    if (!url.tls && !options->starttls && !(options->insecure && ldaptext_is_loopback(&url)))
        return err_new(ERR_DENIED, "%s without TLS is refused", url.host);
    CLEANUP(ldapconn_free) ldapconn_t *conn = mem_zalloc(sizeof *conn);
    if (!conn) return err_nomem();
    conn->o = *options;
    conn->gate = gate;
    conn->fd = -1;
    TRY_WRAP(connect_to(conn, &url), "%s port %u", url.host, url.port);
    TRY_WRAP(set_up(conn, &url), "%s port %u", url.host, url.port);
    *ret_conn = STEAL(conn);
    return NULL;
}

err_t *ldapconn_init(void) {
    if (setenv("LDAPNOINIT", "1", 1) != 0) return err_errno(errno, "setenv");
    return NULL;
}

err_t *ldapconn_open(const ldapconn_options_t *options, ldapconn_gate_t *gate,
                     ldapconn_t **ret_conn) {
    bytes_t list = options->urls, url;
    CLEANUP(err_free) err_t *e = NULL;
    while (conf_list_next(&list, &url)) {
        err_free(e);
        e = open_one(options, gate, url, ret_conn);
        if (!e) return NULL;
    }
    if (!e) return err_new(ERR_USAGE, "coffer.conf has no [ldap] url");
    return err_wrap(STEAL(e), "the directory can't be reached");
}

void ldapconn_free(ldapconn_t *conn) {
    if (!conn) return;
    int fd = conn->fd;
    gate_leave(conn);
    if (conn->ld) (void)ldap_unbind_ext(conn->ld, NULL, NULL); /* closes the socket */
    else fd_close(fd);
    mem_free(conn);
}

const char *ldapconn_server(const ldapconn_t *conn) { return conn->url; }

/* ---- waiting ---- */

err_t *ldapconn_wait(ldapconn_t *conn, int id, int64_t deadline_ms, const char *doing,
                     LDAPMessage **ret_message) {
    int64_t left = deadline_ms - clk_mono_ms(clk_real());
    if (left > conn->o.timeout_ms) left = conn->o.timeout_ms;
    if (left <= 0) return err_new(ERR_TIMEOUT, "%s: the directory takes too long", doing);
    struct timeval wait = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    LDAPMessage *message = NULL;
    int kind = ldap_result(conn->ld, id, LDAP_MSG_ONE, &wait, &message);
    if (gate_is_shut(conn)) {
        if (message) (void)ldap_msgfree(message);
        return err_new(ERR_UNAVAILABLE, "the program ends");
    }
    if (kind == 0) {
        (void)ldap_abandon_ext(conn->ld, id, NULL, NULL);
        return err_new(ERR_TIMEOUT, "%s: the directory does not answer", doing);
    }
    if (kind < 0) {
        int rc = LDAP_SERVER_DOWN;
        (void)ldap_get_option(conn->ld, LDAP_OPT_RESULT_CODE, &rc);
        err_t *e = ldapconn_error(conn, rc == LDAP_SUCCESS ? LDAP_SERVER_DOWN : rc, doing);
        return err_recode(e, ERR_UNAVAILABLE);
    }
    *ret_message = message;
    return NULL;
}

err_t *ldapconn_result(ldapconn_t *conn, int id, const char *doing, int *ret_code) {
    CLEANUP(ldapconn_message_free) LDAPMessage *message = NULL;
    int code = LDAP_OTHER;
    TRY(ldapconn_wait(conn, id, clk_mono_ms(clk_real()) + conn->o.timeout_ms, doing, &message));
    char *words = NULL;
    int rc = ldap_parse_result(conn->ld, message, &code, NULL, &words, NULL, NULL, 0);
    ldap_memfree(words);
    if (rc != LDAP_SUCCESS) return err_new(ERR_UNAVAILABLE, "%s: the answer makes no sense", doing);
    *ret_code = code;
    return NULL;
}

/* ---- binding ---- */

/* What a server says of a person who may not come in, whatever the reason. */
static bool means_no(int code) {
    return code == LDAP_INVALID_CREDENTIALS || code == LDAP_NO_SUCH_OBJECT ||
           code == LDAP_INAPPROPRIATE_AUTH || code == LDAP_UNWILLING_TO_PERFORM ||
           code == LDAP_CONSTRAINT_VIOLATION || code == LDAP_INSUFFICIENT_ACCESS ||
           code == LDAP_INVALID_DN_SYNTAX;
}

err_t *ldapconn_bind(ldapconn_t *conn, const char *dn, bytes_t password, bool *ret_good) {
    if (!dn[0] || password.n == 0)
        return err_new(ERR_USAGE, "a bind without a name or password proves nothing");
    struct berval secret = {.bv_len = password.n, .bv_val = (char *)(uintptr_t)password.p};
    int id = -1, code = LDAP_OTHER;
    int rc = ldap_sasl_bind(conn->ld, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, &id);
    if (rc != LDAP_SUCCESS) return ldapconn_error(conn, rc, "bind");
    TRY(ldapconn_result(conn, id, "bind", &code));
    if (code != LDAP_SUCCESS && !means_no(code)) return ldapconn_error(conn, code, "bind");
    *ret_good = code == LDAP_SUCCESS;
    return NULL;
}
