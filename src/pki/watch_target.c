/*
 * Parsing of watch targets: see watch_target.h. In coffer-web, when one is added, and in the
 * courier.
 */
#include "pki/watch_target.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "notify/mail.h"

static err_t *parse_option(bytes_t option, watch_target_t *target) {
    static const struct {
        const char *name;
        starttls_kind_t kind;
    } kinds[] = {{"starttls=smtp", STARTTLS_SMTP},
                 {"starttls=imap", STARTTLS_IMAP},
                 {"starttls=ldap", STARTTLS_LDAP}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!bytes_eq_str(option, kinds[i].name)) continue;
        if (target->starttls != STARTTLS_NONE) break;
        target->starttls = kinds[i].kind;
        return NULL;
    }
    return err_new(ERR_INVALID, "a TLS target may end with ,starttls=smtp, imap or ldap");
}

static bool is_host(bytes_t host) {
    if (host.n == 0 || host.p[0] == '-' || host.p[0] == '.') return false;
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
        if (!fits) return false;
    }
    return true;
}

/* HOST:PORT, [V6]:PORT */
static err_t *parse_endpoint(bytes_t text, watch_target_t *target) {
    struct in6_addr six;
    struct in_addr four;
    uint64_t port = 0;
    bool bracket = text.n && text.p[0] == '[';
    size_t end = bracket ? bytes_find(text, ']') : bytes_find(text, ':');
    bytes_t host = bracket ? bytes_slice(text, 1, end ? end - 1 : 0) : bytes_slice(text, 0, end);
    bytes_t rest = bytes_from(text, bracket ? end + 1 : end);
    if (rest.n < 2 || rest.p[0] != ':' || host.n >= sizeof target->host)
        return err_new(ERR_INVALID, "a TLS target is written tls:HOST:PORT");
    TRY_WRAP(text_u64(bytes_from(rest, 1), UINT16_MAX, &port), "port");
    bytes_put(target->host, host);
    target->host[host.n] = '\0';
    bool is_six = bracket && !bytes_has_nul(host) && inet_pton(AF_INET6, target->host, &six) == 1;
    if (port == 0 || (bracket ? !is_six : !is_host(host)))
        return err_new(ERR_INVALID, "a TLS target is written tls:HOST:PORT");
    target->is_name = !bracket && inet_pton(AF_INET, target->host, &four) != 1;
    target->port = (uint16_t)port;
    return NULL;
}

static err_t *parse_file(bytes_t path, watch_target_t *target) {
    if (path.n < 2 || path.p[0] != '/' || !text_printable(path))
        return err_new(ERR_INVALID, "a file target is written file:/absolute/path");
    bytes_put(target->path, path);
    target->path[path.n] = '\0';
    return NULL;
}

static err_t *parse_address(bytes_t address, watch_target_t *target) {
    if (address.n == 0 || address.n > LIMIT_EMAIL)
        return err_new(ERR_INVALID, "an address has 1 to %d bytes", LIMIT_EMAIL);
    bytes_put(target->address, address);
    target->address[address.n] = '\0';
    return mail_address_check(target->address);
}

err_t *watch_target_parse(const char *text, watch_target_t *ret_target) {
    watch_target_t target = {0};
    bytes_t all = bytes_str(text), part;
    if (all.n >= LIMIT_WATCH_TARGET)
        return err_new(ERR_INVALID, "a target has at most %d bytes", LIMIT_WATCH_TARGET - 1);
    if (bytes_starts(all, BYTES_LIT("file:"))) {
        target.kind = WATCH_FILE;
        TRY(parse_file(bytes_from(all, 5), &target));
    } else if (bytes_starts(all, BYTES_LIT("tls:"))) {
        target.kind = WATCH_TLS;
        bytes_t rest = bytes_from(all, 4);
        if (!text_split(&rest, ',', &part)) part = BYTES_NONE;
        TRY(parse_endpoint(part, &target));
        while (text_split(&rest, ',', &part)) TRY(parse_option(part, &target));
    } else if (bytes_starts(all, BYTES_LIT("ldap:"))) {
        target.kind = WATCH_LDAP;
        TRY(parse_address(bytes_from(all, 5), &target));
    } else {
        return err_new(ERR_INVALID, "a target is written file:PATH, tls:HOST:PORT or ldap:ADDRESS");
    }
    *ret_target = target;
    return NULL;
}
