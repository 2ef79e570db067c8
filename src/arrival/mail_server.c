/*
 * See mail_server.h. Any thread.
 */
#include "arrival/mail_server.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static bool host_ok(bytes_t host) {
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == ':';
        if (!fits) return false;
    }
    return host.n > 0 && host.n < MAIL_SERVER_HOST_SIZE && host.p[0] != '-';
}

static bool is_local(const char *host) {
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* [::1]:993, name:993, name */
static void split(bytes_t text, bytes_t *host, bytes_t *port) {
    *port = BYTES_NONE;
    if (text.n && text.p[0] == '[') {
        size_t close = bytes_find(text, ']');
        *host = bytes_slice(text, 1, close - 1);
        if (close + 1 < text.n && text.p[close + 1] == ':') *port = bytes_from(text, close + 2);
        else if (close + 1 != text.n) *host = BYTES_NONE;
        return;
    }
    size_t colon = bytes_find(text, ':');
    *host = bytes_slice(text, 0, colon);
    if (colon < text.n) *port = bytes_from(text, colon + 1);
    if (colon + 1 == text.n) *host = BYTES_NONE;
}

typedef struct {
    const char *secure, *plain; /* how it begins */
    uint64_t secure_port, plain_port;
    const char *how;
} scheme_t;

/* Without TLS only inside this machine: passwords travel on it. */
static err_t *parse_host(const scheme_t *scheme, bytes_t text, mail_server_t *s) {
    bytes_t host, port;
    uint64_t number = s->tls ? scheme->secure_port : scheme->plain_port;
    const uint64_t usual = number;
    split(text, &host, &port);
    if (!host_ok(host)) return err_new(ERR_INVALID, "%s", scheme->how);
    if (port.n) {
        err_t *e = text_u64(port, 65535, &number);
        if (e || number == 0) {
            err_free(e);
            return err_new(ERR_INVALID, "%s", scheme->how);
        }
    }
    bytes_put(s->host, host);
    s->usual_port = number == usual;
    (void)snprintf(s->port, sizeof s->port, "%u", (unsigned)number);
    if (!s->tls && !is_local(s->host))
        return err_new(ERR_DENIED, "without TLS only a server on this machine: %s", scheme->secure);
    return NULL;
}

static err_t *parse(const scheme_t *scheme, bytes_t text, mail_server_t *s, bytes_t *ret_rest) {
    s->tls = bytes_starts(text, bytes_str(scheme->secure));
    if (!s->tls && !bytes_starts(text, bytes_str(scheme->plain)))
        return err_new(ERR_INVALID, "%s", scheme->how);
    bytes_t rest = bytes_from(text, strlen(s->tls ? scheme->secure : scheme->plain));
    size_t slash = bytes_find(rest, '/');
    *ret_rest = bytes_from(rest, slash);
    return parse_host(scheme, bytes_slice(rest, 0, slash), s);
}

err_t *mail_server_imap(bytes_t text, mail_server_t *ret_server) {
    static const scheme_t scheme = {"imaps://", "imap://", 993, 143,
                                    "an IMAP server is written imaps://host or imaps://host:port"};
    mail_server_t s = {0};
    bytes_t rest;
    TRY(parse(&scheme, text, &s, &rest));
    if (rest.n) return err_new(ERR_INVALID, "%s", scheme.how);
    *ret_server = s;
    return NULL;
}

static bool path_ok(bytes_t path) {
    for (size_t i = 0; i < path.n; i++) {
        uint8_t c = path.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("/._-~%", c) != NULL;
        if (!fits || c == 0) return false;
    }
    return path.n < MAIL_SERVER_PATH_SIZE;
}

err_t *mail_server_ews(bytes_t text, mail_server_t *ret_server) {
    static const scheme_t scheme = {
        "https://", "http://", 443, 80,
        "Exchange's web services are written https://host or https://host:port/EWS/Exchange.asmx"};
    mail_server_t s = {0};
    bytes_t rest;
    TRY(parse(&scheme, text, &s, &rest));
    if (!path_ok(rest)) return err_new(ERR_INVALID, "%s", scheme.how);
    bytes_put(s.path, rest.n > 1 ? rest : BYTES_LIT("/EWS/Exchange.asmx"));
    *ret_server = s;
    return NULL;
}
