/*
 * Private to mailgate: one transaction while it runs.
 */
#ifndef COFFER_PROGRAM_MAILGATE_DELIVER_INTERNAL_H
#define COFFER_PROGRAM_MAILGATE_DELIVER_INTERNAL_H

#include "program/mailgate/deliver.h"

typedef struct {
    deliver_t *d;
    job_t *job;
    smtp_status_t *rcpts;       /* what became of each recipient of the envelope; code 0: nothing */
    bool *relayed;              /* handed to a server that notifies nobody of success */
    smtp_status_t extra;        /* the worst of others; code 0: none failed */
    bool extra_only;            /* there are mails to others alone */
    size_t repeats;             /* recipients who had it from an earlier try */
    ledger_key_t *had, *done;   /* keys found in the ledger; keys of who has it now, unrecorded */
    size_t had_n, done_n, room; /* room of each */
} transaction_t;

/* transaction_report.c: tells the sender whom it was refused. NULL: the next hop has the report. */
err_t *transaction_report(transaction_t *t) WARN_UNUSED;
/* Tells the sender, who asked for it, where notifications of success end (RFC 3461 section 5.2.2
 * (c)). Nothing for strangers, and if there is no way back: the mail itself is delivered. */
err_t *transaction_relayed(transaction_t *t) WARN_UNUSED;
/* Whether somebody can be told, and there is a way to him. */
bool transaction_can_report(const transaction_t *t);

#endif
