/*
 * Private to smtp: what session.c and session_commands.c share.
 */
#ifndef COFFER_SMTP_SESSION_INTERNAL_H
#define COFFER_SMTP_SESSION_INTERNAL_H

#include "smtp/session.h"

/* Appends one reply line. */
#define smtp_say(out, code, enhanced, ...)                                                         \
    smtp_say_status((out), &(smtp_status_t[1]){smtp_status((code), (enhanced), __VA_ARGS__)}[0])
err_t *smtp_say_status(buf_t *out, const smtp_status_t *status) WARN_UNUSED;
/* The same, and counts it as the client's mistake. */
#define smtp_scold(session, out, code, enhanced, ...)                                              \
    ((session)->errors++, smtp_say((out), (code), (enhanced), __VA_ARGS__))

void smtp_session_reset(smtp_session_t *session);
/* What a command line means here. *ret_event stays SMTP_NEEDS_INPUT unless something is to do. */
err_t *smtp_session_command(smtp_session_t *session, bytes_t line, buf_t *out,
                            smtp_event_t *ret_event) WARN_UNUSED;
smtp_status_t smtp_status_of(const err_t *e);

#endif
