/*
 * What the mail gateway does to a message: by policy it signs, encrypts, judges, decrypts or leaves
 * it alone. An accepted envelope and a spooled message go in; a reply or a list of outgoing mails
 * comes out. No sockets and no SQL: policy, people's certificates, the keeper and new files come
 * in through gate_services_t. RFC 8551, RFC 9788 (header protection), RFC 8601 (Authentication-
 * Results), RFC 3834 (automatic replies), RFC 3464 (reports), RFC 5321.
 *
 * gate_run may block (disk, keeper, directory) and is called on worker threads, many at once; a
 * gate_t is immutable.
 */
#ifndef COFFER_MAIL_GATE_H
#define COFFER_MAIL_GATE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "mail/gate_services.h"

/* ---- in ---- */

typedef enum {
    GATE_OUT, /* from our people: sign, encrypt */
    GATE_IN,  /* to our people: harvest, verify, decrypt */
} gate_direction_t;

typedef struct {
    bytes_t address; /* of RCPT TO, without the angle brackets */
    bytes_t orcpt;   /* of ORCPT=rfc822;..., xtext decoded, or none (RFC 3461 section 4.2) */
} gate_rcpt_t;

/* Everything borrowed during gate_run; the mails of the result borrow from it too. */
typedef struct {
    gate_direction_t direction;
    bytes_t from; /* reverse path; none: a bounce */
    const gate_rcpt_t *rcpts;
    size_t rcpts_n; /* at least 1 */
    bool smtputf8;
    bool eightbit;          /* BODY=8BITMIME or BINARYMIME */
    bytes_t client_name;    /* of XFORWARD or the connection itself; may be none */
    bytes_t client_address; /* the same */
    bytes_t helo;
    /* The message: a regular file or memfd, read by offset from 0; `size` bytes, lines ended by
     * CRLF, without dot-stuffing. */
    int fd;
    uint64_t size;
} gate_envelope_t;

/* ---- out ---- */

typedef struct {
    unsigned smtp;     /* 250, or 4xx or 5xx */
    char enhanced[12]; /* "2.0.0", "5.7.1" (RFC 3463) */
    char text[480];    /* one line, printable ASCII */
} gate_reply_t;

enum { GATE_NO_INDEX = -1 };

typedef struct {
    bytes_t address;
    int index; /* in the envelope's recipients: whose DSN parameters go along, and who fails if it
                * does; GATE_NO_INDEX: another mailbox (spam reports), answer for all */
} gate_mail_rcpt_t;

/*
 * A mail to hand to the next hop. All but the first may be still unmade (`write`): its bytes come
 * with gate_mail_make and go with gate_mail_drop, so that a message with many envelopes needs the
 * room of one at a time.
 */
typedef struct gate_write gate_write_t;
typedef struct {
    bytes_t from; /* reverse path; the envelope's parameters (RET, ENVID) go along */
    gate_mail_rcpt_t *rcpts;
    size_t rcpts_n;
    int fd; /* owned by the result, or the envelope's own (unchanged) if `same`; -1: unmade */
    uint64_t size;
    const gate_write_t *write; /* how it is made; NULL: it was */
    bool same;
    bool smtputf8; /* the next hop needs SMTPUTF8 for it */
    bool eightbit; /* its bytes are not all below 128 */
} gate_mail_t;

/*
 * A recipient is in exactly one mail, or none if the reply isn't 250 or nothing is left to deliver
 * to him, or if the same address stands before him: then what becomes of that one is his too. If
 * one of several mails fails, the caller answers a 4xx for all; the next try makes the
 * same mails in the same order.
 */
typedef struct {
    gate_reply_t reply; /* for all recipients */
    gate_mail_t *mails; /* empty unless reply.smtp is 250 */
    size_t mails_n;
    char note[480]; /* for the log, one line: what was done and why; no content, no subject */
    arena_t *arena;
    struct gate_job *job; /* what unmade mails are made of; the result's */
} gate_result_t;

/* Zero-initialise a result before; done closes the files it owns. */
void gate_result_done(gate_result_t *result);
DEFINE_CLEANUP_VALUE(gate_result_t, gate_result_done)

/* ---- the gate ---- */

typedef struct gate gate_t;

/* Options and services are borrowed, and what they point to. */
err_t *gate_new(const gate_options_t *options, const gate_services_t *services,
                gate_t **ret_gate) WARN_UNUSED;
void gate_free(gate_t *gate); /* takes NULL */

/*
 * Decides. A failure of something of ours (keeper away, disk full, no memory) is a reply 4xx, not
 * an error; an error means the call was wrong or memory was too short even for a reply: answer 451
 * 4.3.0. What is wrong with the
 * message itself (too deep, no MIME) never loses it: it is passed on as it is, or refused by 5xx
 * where policy demands what can't be done or its header is beyond every limit.
 */
err_t *gate_run(const gate_t *gate, const gate_envelope_t *envelope,
                gate_result_t *ret_result) WARN_UNUSED;

/*
 * Makes mail `i` if it is unmade. ret_reply->smtp 250: it is there; else what is to be said of its
 * recipients: something of ours failed (4xx), or it can't be made at all (5xx).
 */
void gate_mail_make(gate_result_t *result, size_t i, gate_reply_t *ret_reply);
/* It was sent, or will not be. */
void gate_mail_drop(gate_result_t *result, size_t i);

DEFINE_CLEANUP(gate_t, gate_free)

#endif
