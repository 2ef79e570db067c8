/*
 * What is done to a message before it goes on: the policy of mail/gate.h, with its services made
 * of this process's store and keeper. Thread-safe.
 */
#ifndef COFFER_PROGRAM_MAILGATE_POLICY_H
#define COFFER_PROGRAM_MAILGATE_POLICY_H

#include "mail/gate.h"
#include "program/mailgate/conf.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

enum { POLICY_EXTRA = -1 }; /* a recipient who is none of the envelope's */

typedef struct {
    bytes_t address;
    int index; /* in the envelope's recipients, or POLICY_EXTRA */
} policy_rcpt_t;

/* A mail to hand on. */
typedef struct {
    bytes_t from;
    policy_rcpt_t *rcpts;
    size_t rcpts_n;
    int fd; /* owned by the outcome unless it is the message's own; -1: policy_make */
    uint64_t size;
    bool smtputf8, eightbit;
} policy_mail_t;

typedef struct {
    side_t side;
    const smtp_envelope_t *envelope;
    int fd;
    uint64_t size;
    bool eightbit;       /* bytes above 127 are in it */
    const char *address; /* of the client */
} policy_message_t;

typedef struct {
    smtp_status_t reply;  /* for all, when there are no mails */
    policy_mail_t *mails; /* owned */
    size_t mails_n;
    char note[480]; /* for the log */
    void *inner;    /* owned: what the mails borrow from */
} policy_outcome_t;

void policy_outcome_done(policy_outcome_t *outcome);
DEFINE_CLEANUP_VALUE(policy_outcome_t, policy_outcome_done)

typedef struct policy policy_t;

/* The gate is borrowed. */
err_t *policy_new(const gate_t *gate, policy_t **ret_policy) WARN_UNUSED;
void policy_free(policy_t *policy); /* takes NULL */
/* May block. The outcome borrows from the message. */
err_t *policy_run(policy_t *policy, const policy_message_t *message,
                  policy_outcome_t *ret_outcome) WARN_UNUSED;

/*
 * Makes the outcome's mail `i`, if that wasn't done: 250, or what is to be said of its recipients.
 * policy_drop gives its room back once it was sent, or needn't be.
 */
smtp_status_t policy_make(policy_outcome_t *outcome, size_t i);
void policy_drop(policy_outcome_t *outcome, size_t i);

DEFINE_CLEANUP(policy_t, policy_free)

#endif
