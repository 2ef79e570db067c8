/*
 * See imap_server.h.
 */
#include "arrival/imap_server.h"

#include <stdio.h>

#include "base/text.h"

static bool host_ok(bytes_t host) {
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == ':';
        if (!fits) return false;
    }
    return host.n > 0 && host.n < IMAP_HOST_SIZE && host.p[0] != '-';
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

err_t *imap_server_parse(bytes_t text, imap_server_t *ret_server) {
    static const char how[] = "an IMAP server is written imaps://host or imaps://host:port";
    imap_server_t s = {.tls = bytes_starts(text, BYTES_LIT("imaps://"))};
    bytes_t host, port;
    uint64_t number = s.tls ? 993 : 143;
    if (!s.tls && !bytes_starts(text, BYTES_LIT("imap://"))) return err_new(ERR_INVALID, "%s", how);
    split(bytes_from(text, s.tls ? 8 : 7), &host, &port);
    if (!host_ok(host)) return err_new(ERR_INVALID, "%s", how);
    if (port.n) {
        err_t *e = text_u64(port, 65535, &number);
        if (e || number == 0) {
            err_free(e);
            return err_new(ERR_INVALID, "%s", how);
        }
    }
    bytes_put(s.host, host);
    (void)snprintf(s.port, sizeof s.port, "%u", (unsigned)number);
    if (!s.tls && !is_local(s.host))
        return err_new(ERR_DENIED, "without TLS only a server on this machine: imaps://");
    *ret_server = s;
    return NULL;
}
