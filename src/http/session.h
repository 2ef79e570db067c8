/*
 * Sessions of signed-in people, in memory: a random token names one, a second random token guards
 * its forms (CSRF). Bounded: the one used longest ago makes room. They end with the process, on
 * purpose. Thread-safe (one lock).
 *
 * A token is 16 bytes that find the entry and 32 that prove it, the latter compared in constant
 * time, so that the look-up leaks nothing about the proof.
 */
#ifndef COFFER_HTTP_SESSION_H
#define COFFER_HTTP_SESSION_H

#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"
#include "base/rnd.h"

enum {
    SESSION_TOKEN_SIZE = 65, /* base64url text and NUL */
    SESSION_CSRF_SIZE = 44,  /* base64url text and NUL */
};

typedef struct sessions sessions_t;

typedef struct {
    char *subject;                /* owned */
    char csrf[SESSION_CSRF_SIZE]; /* for the forms of this session */
    int64_t begun_unix;           /* seconds since 1970 */
} session_t;

void session_done(session_t *session);

/*
 * `idle_s`: seconds without use after which a session ends; `life_s`: seconds after which it ends
 * in any case; `max`: sessions at once, 1..LIMIT_SESSIONS. clk and rnd are borrowed.
 */
err_t *sessions_new(const clk_t *clk, const rnd_t *rnd, int64_t idle_s, int64_t life_s, size_t max,
                    sessions_t **ret_sessions) WARN_UNUSED;
void sessions_free(sessions_t *sessions); /* takes NULL */

/* Begins a session of `subject` (copied, opaque to us). */
err_t *session_create(sessions_t *sessions, const char *subject,
                      char ret_token[SESSION_TOKEN_SIZE]) WARN_UNUSED;
/* The live session of a token (session_done it), and marks its use. ERR_AUTH if there is none. */
err_t *session_check(sessions_t *sessions, bytes_t token, session_t *ret_session) WARN_UNUSED;
/* ERR_DENIED unless `csrf` is this session's. Constant time. */
err_t *session_check_csrf(const session_t *session, bytes_t csrf) WARN_UNUSED;
/* Ends one; an unknown token is fine. */
void session_drop(sessions_t *sessions, bytes_t token);
/* Ends all of a subject (password changed, person disabled). */
void session_drop_subject(sessions_t *sessions, const char *subject);
size_t sessions_count(sessions_t *sessions);

DEFINE_CLEANUP(sessions_t, sessions_free)
DEFINE_CLEANUP_VALUE(session_t, session_done)

#endif
