/*
 * [mailgate] of coffer.conf, checked. Read once at start.
 */
#ifndef COFFER_PROGRAM_MAILGATE_CONF_H
#define COFFER_PROGRAM_MAILGATE_CONF_H

#include "base/bytes.h"
#include "program/common/settings.h"
#include "program/mailgate/networks.h"

/* The direction of mail: from our people, to our people. */
typedef enum { SIDE_OUT, SIDE_IN, SIDES } side_t;

typedef enum { LISTEN_PLAIN, LISTEN_STARTTLS, LISTEN_REQUIRED, LISTEN_IMPLICIT } listen_tls_t;

/* Where mail goes on to. */
typedef struct {
    bool there, lmtp, implicit; /* implicit: TLS from the first byte */
    bool verify;                /* TLS with a verified certificate; else none at all */
    const char *path;           /* of a UNIX socket, or NULL */
    char host[256], port[8];
    const char *name; /* that its certificate must have */
    const char *ca;   /* PEM file, or "": the system's */
} next_conf_t;

/* One direction: a listener, its clients, its next hop. */
typedef struct {
    settings_listen_t listen; /* address "": off */
    listen_tls_t tls;
    networks_t clients, forwarders;
    bytes_t domains; /* list; recipients elsewhere are refused; none: any */
    next_conf_t next;
} side_conf_t;

typedef struct {
    side_conf_t sides[SIDES];
    const char *hostname;
    char hostname_room[256];
    const char *certificate, *key;  /* PEM files, or "" */
    const char *spool;              /* directory */
    int64_t max_message, spool_max; /* bytes */
    int64_t max_recipients, connections, per_client, workers;
    int64_t timeout_s, next_timeout_s, delivery_timeout_s;
} mailgate_conf_t;

static inline bool mailgate_is_on(const mailgate_conf_t *conf) {
    return conf->sides[SIDE_OUT].listen.address[0] || conf->sides[SIDE_IN].listen.address[0];
}

/* Strings are borrowed from the settings. */
err_t *mailgate_conf_load(const settings_t *settings, mailgate_conf_t *ret_conf) WARN_UNUSED;
/* "smtp:host:port", "smtps:...", "lmtp:host:port", "lmtp:unix:/path". */
err_t *mailgate_next_parse(const char *text, next_conf_t *next) WARN_UNUSED;

#endif
