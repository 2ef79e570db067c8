/*
 * starttls_t: the few lines of a protocol before TLS begins on its port: SMTP (RFC 3207), IMAP
 * (RFC 9051 section 6.2.1), LDAP (RFC 4511 section 4.14). Moves no bytes itself. Pure.
 */
#ifndef COFFER_PKI_STARTTLS_H
#define COFFER_PKI_STARTTLS_H

#include "base/buf.h"
#include "base/limits.h"

typedef enum { STARTTLS_NONE, STARTTLS_SMTP, STARTTLS_IMAP, STARTTLS_LDAP } starttls_kind_t;

typedef struct {
    starttls_kind_t kind;
    unsigned step;
    unsigned lines;                    /* seen */
    uint8_t line[LIMIT_STARTTLS_LINE]; /* what came of the current one */
    size_t line_n;
} starttls_t;

void starttls_init(starttls_t *s, starttls_kind_t kind);
/*
 * Takes what came (none to begin with), appends what must be sent. *ret_ready: TLS begins now;
 * nothing of `in` is left. ERR_INVALID: refused, or another protocol, or bytes that came too early;
 * ERR_LIMIT: too long.
 */
err_t *starttls_step(starttls_t *s, bytes_t in, buf_t *out, bool *ret_ready) WARN_UNUSED;

#endif
