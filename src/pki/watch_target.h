/*
 * What can be watched, as a person writes it:
 *   file:/etc/ssl/mail.pem
 *   tls:mail.example.org:443          tls:[2001:db8::1]:8443
 *   tls:mail.example.org:25,starttls=smtp     (smtp, imap, ldap)
 *   ldap:nurse@example.org     the certificates that [ldap] has for that address
 * Pure.
 */
#ifndef COFFER_PKI_WATCH_TARGET_H
#define COFFER_PKI_WATCH_TARGET_H

#include "base/limits.h"
#include "pki/starttls.h"

typedef enum {
    WATCH_FILE,
    WATCH_TLS,
    WATCH_LDAP,
} watch_kind_t;

typedef struct {
    watch_kind_t kind;
    char path[LIMIT_WATCH_TARGET]; /* WATCH_FILE: absolute */
    char address[LIMIT_EMAIL + 1]; /* WATCH_LDAP */
    char host[256];                /* WATCH_TLS: name or address, without brackets */
    uint16_t port;
    bool is_name; /* whether to ask for it by name (SNI) */
    starttls_kind_t starttls;
} watch_target_t;

/* ERR_INVALID with what is right. */
err_t *watch_target_parse(const char *text, watch_target_t *ret_target) WARN_UNUSED;

#endif
