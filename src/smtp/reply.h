/*
 * Replies of SMTP and LMTP (RFC 5321 section 4.2, RFC 2034): a server's are read, ours are
 * written. Pure.
 */
#ifndef COFFER_SMTP_REPLY_H
#define COFFER_SMTP_REPLY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* What became of a recipient, or of a command. */
typedef struct {
    unsigned code;     /* 200..599; 0: nothing was said */
    char enhanced[12]; /* "2.0.0" (RFC 3463), or "" */
    char text[480];    /* one line, printable ASCII */
} smtp_status_t;

smtp_status_t smtp_status(unsigned code, const char *enhanced, const char *format, ...)
    PRINTF_LIKE(3, 4);
static inline bool smtp_is_done(const smtp_status_t *s) { return s->code / 100 == 2; }
static inline bool smtp_is_refused(const smtp_status_t *s) { return s->code / 100 == 5; }

/* Appends "250 2.0.0 text" and CR LF. */
err_t *smtp_status_write(const smtp_status_t *status, buf_t *out) WARN_UNUSED;

/* ---- reading ---- */

typedef struct {
    buf_t line; /* an unfinished one */
    buf_t text; /* of the lines so far, each ended by LF, without codes */
    unsigned code;
    unsigned lines;
} smtp_reply_t;

void smtp_reply_init(smtp_reply_t *reply);
void smtp_reply_done(smtp_reply_t *reply);
void smtp_reply_clear(smtp_reply_t *reply); /* before the next one */
/*
 * Takes from `in` up to the end of one reply. ERR_INVALID: not a reply, or lines with different
 * codes; ERR_LIMIT: too long.
 */
err_t *smtp_reply_feed(smtp_reply_t *reply, bytes_t in, size_t *ret_used,
                       bool *ret_done) WARN_UNUSED;
/* The whole reply as a status: its enhanced code (of the first line) apart, the rest in one line.
 */
smtp_status_t smtp_reply_status(const smtp_reply_t *reply);

DEFINE_CLEANUP_VALUE(smtp_reply_t, smtp_reply_done)

#endif
