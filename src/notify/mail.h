/*
 * Plain text mails: RFC 5322 headers, RFC 2047 encoded words, RFC 2045 quoted-printable. Pure.
 * Whatever text comes in, no header can be added and none ended early.
 */
#ifndef COFFER_NOTIFY_MAIL_H
#define COFFER_NOTIFY_MAIL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* All borrowed, UTF-8. */
typedef struct {
    const char *from;      /* address */
    const char *from_name; /* shown, or "" */
    const char *to;        /* address */
    const char *subject;
    const char *text; /* lines end with \n */
    const char *key;  /* the same key and recipient give the same Message-ID */
    int64_t date;     /* seconds since 1970 UTC */
} mail_t;

/* Appends the whole message with CRLF line ends. ERR_INVALID for an address that is none. */
err_t *mail_compose(const mail_t *mail, buf_t *out) WARN_UNUSED;

/*
 * Whether it is an address as Coffer sends to: local part of atoms and dots, a domain, ASCII, at
 * most LIMIT_EMAIL bytes. ERR_INVALID.
 */
err_t *mail_address_check(const char *address) WARN_UNUSED;

enum { MAIL_DATE_SIZE = 32 }; /* "Sun, 22 Nov 2026 07:45:00 +0000" and NUL */
/* RFC 5322 section 3.3; years 1 to 9999. Returns out. */
const char *mail_date(int64_t unix_seconds, char out[MAIL_DATE_SIZE]);

/* Appends "Name: text" CRLF, folded, encoded where it is not plain ASCII; control characters
 * become spaces. */
err_t *mail_header(buf_t *out, const char *name, bytes_t text) WARN_UNUSED;
/* Appends the text quoted-printable with CRLF line ends. */
err_t *mail_quoted_printable(buf_t *out, bytes_t text) WARN_UNUSED;

#endif
