/*
 * [mailgate]: see conf.h. At start, before the sandbox.
 */
#include "program/mailgate/conf.h"

#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"

static const char SECTION[] = "mailgate";

static bool take(bytes_t *text, const char *prefix) {
    bytes_t p = bytes_str(prefix);
    if (!bytes_starts(*text, p)) return false;
    *text = bytes_from(*text, p.n);
    return true;
}

err_t *mailgate_next_parse(const char *text, next_conf_t *next) {
    settings_listen_t at = {0};
    bytes_t rest = bytes_str(text);
    next->there = rest.n > 0;
    if (!next->there) return NULL;
    if (take(&rest, "smtps:")) next->implicit = true;
    else if (take(&rest, "lmtp:")) next->lmtp = true;
    else if (!take(&rest, "smtp:"))
        return err_new(ERR_INVALID,
                       "a next hop is written smtp:host:port, smtps:host:port, "
                       "lmtp:host:port or lmtp:unix:/path, not %s",
                       text);
    if (take(&rest, "unix:")) {
        next->path = (const char *)rest.p;
        if (rest.n == 0 || next->path[0] != '/' || rest.n >= 108 || next->implicit)
            return err_new(ERR_INVALID, "a socket's path is absolute and short: %s", text);
        return NULL;
    }
    TRY(settings_parse_listen((const char *)rest.p, &at));
    (void)snprintf(next->host, sizeof next->host, "%s", at.address);
    (void)snprintf(next->port, sizeof next->port, "%u", at.port);
    return NULL;
}

/* Only literal addresses: names are a resolver's word. */
static bool is_here(const next_conf_t *next) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (next->path) return true;
    if (getaddrinfo(next->host, next->port, &hints, &found) != 0) return false;
    bool here = address_is_loopback(found->ai_addr);
    freeaddrinfo(found);
    return here;
}

static const char *key_of(char *room, size_t size, const char *base, const char *side,
                          const char *rest) {
    (void)snprintf(room, size, "%s_%s%s", base, side, rest);
    return room;
}

static err_t *load_next(conf_t *c, const char *side, next_conf_t *next) {
    static const char *const modes[] = {"none", "verify", NULL};
    char key[32];
    const char *text = "";
    size_t mode = 0;
    TRY(conf_get_string(c, SECTION, key_of(key, sizeof key, "next", side, ""), "", &text));
    TRY_WRAP(mailgate_next_parse(text, next), "coffer.conf: [mailgate] next_%s", side);
    bool here = !next->there || is_here(next);
    TRY(conf_get_choice(c, SECTION, key_of(key, sizeof key, "next", side, "_tls"), modes,
                        here && !next->implicit ? 0 : 1, &mode));
    next->verify = mode == 1;
    if (next->there && !next->verify && !here)
        return err_new(ERR_INVALID,
                       "coffer.conf: [mailgate] next_%s_tls = none is for this machine's addresses "
                       "alone: mail would cross the network in clear",
                       side);
    if (next->implicit && !next->verify)
        return err_new(ERR_INVALID, "coffer.conf: [mailgate] smtps: and next_%s_tls = none", side);
    TRY(conf_get_string(c, SECTION, key_of(key, sizeof key, "next", side, "_ca"), "", &next->ca));
    return conf_get_string(c, SECTION, key_of(key, sizeof key, "next", side, "_name"), next->host,
                           &next->name);
}

static err_t *load_networks(conf_t *c, const char *key, networks_t *ret_networks) {
    bytes_t list = BYTES_NONE;
    TRY(conf_get_list(c, SECTION, key, "127.0.0.0/8, ::1", &list));
    TRY_WRAP(networks_parse(list, ret_networks), "coffer.conf: [mailgate] %s", key);
    return NULL;
}

static err_t *load_side(conf_t *c, const char *side, const mailgate_conf_t *conf,
                        side_conf_t *out) {
    static const char *const modes[] = {"off", "starttls", "required", "implicit", NULL};
    char key[32];
    const char *text = "";
    size_t mode = 0;
    TRY(conf_get_string(c, SECTION, key_of(key, sizeof key, "listen", side, ""), "", &text));
    TRY_WRAP(settings_parse_listen(text, &out->listen), "coffer.conf: [mailgate] listen_%s", side);
    TRY(conf_get_choice(c, SECTION, key_of(key, sizeof key, "listen", side, "_tls"), modes,
                        conf->certificate[0] ? LISTEN_STARTTLS : LISTEN_PLAIN, &mode));
    out->tls = (listen_tls_t)mode;
    TRY(load_networks(c, key_of(key, sizeof key, "clients", side, ""), &out->clients));
    TRY(load_networks(c, "xforward_clients", &out->forwarders));
    TRY(load_next(c, side, &out->next));
    if (!out->listen.address[0]) return NULL;
    if (!out->next.there)
        return err_new(ERR_INVALID, "coffer.conf: [mailgate] listen_%s needs next_%s", side, side);
    if (mode != LISTEN_PLAIN && !conf->certificate[0])
        return err_new(ERR_INVALID,
                       "coffer.conf: [mailgate] listen_%s_tls needs a certificate and key", side);
    return NULL;
}

static err_t *load_limits(conf_t *c, mailgate_conf_t *conf) {
    enum {
        MEGABYTE = 1024 * 1024,
        CONNECTIONS = 4096,
        CONNECTIONS_MAX = 60000,
        PER_CLIENT = 500,
        WORKERS = 16,
        WORKERS_MAX = 256,
        RECIPIENTS = 1000,
        IDLE_S = 300,
        HOUR_S = 3600,
    };
    const int64_t most = (int64_t)1 << 40;
    TRY(conf_get_int(c, SECTION, "max_message", 1024, (int64_t)4096 * MEGABYTE,
                     (int64_t)50 * MEGABYTE, &conf->max_message));
    TRY(conf_get_int(c, SECTION, "spool_max", 1024, most, (int64_t)1024 * MEGABYTE,
                     &conf->spool_max));
    TRY(conf_get_int(c, SECTION, "max_recipients", 1, LIMIT_SMTP_RECIPIENTS, RECIPIENTS,
                     &conf->max_recipients));
    TRY(conf_get_int(c, SECTION, "connections", 1, CONNECTIONS_MAX, CONNECTIONS,
                     &conf->connections));
    TRY(conf_get_int(c, SECTION, "per_client", 1, CONNECTIONS_MAX, PER_CLIENT, &conf->per_client));
    TRY(conf_get_int(c, SECTION, "workers", 1, WORKERS_MAX, WORKERS, &conf->workers));
    TRY(conf_get_duration(c, SECTION, "timeout", 1, HOUR_S, IDLE_S, &conf->timeout_s));
    TRY(conf_get_duration(c, SECTION, "next_timeout", 1, HOUR_S, IDLE_S, &conf->next_timeout_s));
    return conf_get_duration(c, SECTION, "delivery_timeout", 1, HOUR_S, IDLE_S,
                             &conf->delivery_timeout_s);
}

static err_t *check(const mailgate_conf_t *conf) {
    const side_conf_t *out = &conf->sides[SIDE_OUT], *in = &conf->sides[SIDE_IN];
    if (out->listen.address[0] && networks_are_open(&out->clients))
        return err_new(ERR_INVALID,
                       "coffer.conf: [mailgate] clients_out is everybody: that would be "
                       "an open relay");
    if (in->listen.address[0] && networks_are_open(&in->clients) && in->domains.n == 0)
        return err_new(ERR_INVALID, "coffer.conf: [mailgate] clients_in is everybody, so domains "
                                    "must say whose mail is taken");
    return NULL;
}

err_t *mailgate_conf_load(const settings_t *s, mailgate_conf_t *ret_conf) {
    conf_t *c = s->conf;
    mailgate_conf_t conf = {0};
    const char *name = "";
    TRY(conf_get_string(c, SECTION, "hostname", "", &name));
    if (name[0]) (void)snprintf(conf.hostname_room, sizeof conf.hostname_room, "%s", name);
    else if (gethostname(conf.hostname_room, sizeof conf.hostname_room - 1) != 0)
        return err_new(ERR_IO, "this machine has no name: set [mailgate] hostname");
    TRY(conf_get_string(c, SECTION, "certificate", "", &conf.certificate));
    TRY(conf_get_string(c, SECTION, "key", "", &conf.key));
    if (!conf.certificate[0] != !conf.key[0])
        return err_new(ERR_INVALID, "coffer.conf: [mailgate] certificate and key go together");
    TRY(load_side(c, "out", &conf, &conf.sides[SIDE_OUT]));
    TRY(load_side(c, "in", &conf, &conf.sides[SIDE_IN]));
    TRY(conf_get_list(c, SECTION, "domains", NULL, &conf.sides[SIDE_IN].domains));
    TRY(conf_get_string(c, SECTION, "spool", "mailgate", &conf.spool));
    TRY(load_limits(c, &conf));
    TRY(check(&conf));
    *ret_conf = conf;
    ret_conf->hostname = ret_conf->hostname_room;
    return NULL;
}
