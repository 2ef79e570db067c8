/*
 * What is said of a message outside of it: reverse path, recipients, the parameters of MAIL and
 * RCPT (RFC 5321, RFC 3461, RFC 6531), and the client before the client (XFORWARD). Owns a copy of
 * everything. One thread at a time.
 */
#ifndef COFFER_SMTP_ENVELOPE_H
#define COFFER_SMTP_ENVELOPE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum { /* RFC 3461 section 4.1; 0: nothing said */
       SMTP_NOTIFY_NEVER = 1,
       SMTP_NOTIFY_SUCCESS = 2,
       SMTP_NOTIFY_FAILURE = 4,
       SMTP_NOTIFY_DELAY = 8,
};

typedef enum { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS } smtp_ret_t;

typedef struct {
    bytes_t address;
    bytes_t orcpt; /* as it came: "rfc822;xtext", or none */
    unsigned notify;
} smtp_rcpt_t;

/* Attributes of XFORWARD. */
typedef enum {
    SMTP_FORWARD_NAME,
    SMTP_FORWARD_ADDR,
    SMTP_FORWARD_PORT,
    SMTP_FORWARD_PROTO,
    SMTP_FORWARD_HELO,
    SMTP_FORWARD_IDENT,
    SMTP_FORWARD_SOURCE,
    SMTP_FORWARDS,
} smtp_forward_t;
const char *smtp_forward_name(smtp_forward_t attribute); /* "NAME", ... */

typedef struct {
    arena_t *arena;
    bool has_from;
    bytes_t from; /* none: a report, "<>" */
    bool smtputf8, eightbit;
    uint64_t size; /* as declared; 0: not */
    smtp_ret_t ret;
    bytes_t envid; /* xtext as it came */
    smtp_rcpt_t *rcpts;
    size_t rcpts_n, rcpts_room;
    bytes_t forward[SMTP_FORWARDS]; /* xtext as it came; none: not said */
} smtp_envelope_t;

err_t *smtp_envelope_new(smtp_envelope_t **ret_envelope) WARN_UNUSED;
void smtp_envelope_free(smtp_envelope_t *envelope); /* takes NULL */
/* Copies what the recipient borrows. ERR_LIMIT when the envelope is too large. */
err_t *smtp_envelope_add(smtp_envelope_t *envelope, const smtp_rcpt_t *rcpt) WARN_UNUSED;

DEFINE_CLEANUP(smtp_envelope_t, smtp_envelope_free)

#endif
