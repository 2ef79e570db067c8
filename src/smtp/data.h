/*
 * The content of DATA: dots taken away and put back (RFC 5321 section 4.5.2). The one end of a
 * message is CR LF "." CR LF. Everything else that some server might take for an end ("SMTP
 * smuggling": LF "." LF, CR "." CR and their mixtures) holds a bare CR or LF, which is found here
 * and makes the whole message refused. Pure, streaming.
 */
#ifndef COFFER_SMTP_DATA_H
#define COFFER_SMTP_DATA_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* ---- receiving ---- */

typedef struct {
    unsigned state;
    size_t line;    /* bytes of the current line */
    bool bare;      /* a CR or LF alone was seen */
    bool long_line; /* longer than LIMIT_SMTP_LINE */
    bool eightbit;  /* bytes above 127 */
    bool nul;       /* a NUL, which some servers take away, and then see another line */
} smtp_undot_t;

void smtp_undot_init(smtp_undot_t *undot);
/*
 * Takes from `in` up to the end of the message and gives the content on, in pieces. *ret_used:
 * bytes taken; *ret_done: the end came. An error is `give`'s own.
 */
err_t *smtp_undot_feed(smtp_undot_t *undot, bytes_t in, err_t *(*give)(void *arg, bytes_t data),
                       void *arg, size_t *ret_used, bool *ret_done) WARN_UNUSED;

/* ---- sending ---- */

typedef struct {
    bool begun; /* inside of a line */
    bool open;  /* what came last is not CR LF */
    uint8_t last;
} smtp_dot_t;

/* Appends the next piece of content as it is sent. Its lines should end with CR LF; a dot behind a
 * CR or LF alone is doubled too, since some server may take that for a line end. */
err_t *smtp_dot_add(smtp_dot_t *dot, bytes_t data, buf_t *out) WARN_UNUSED;
/* Ends the last line if it isn't, and the message. */
err_t *smtp_dot_end(smtp_dot_t *dot, buf_t *out) WARN_UNUSED;

#endif
