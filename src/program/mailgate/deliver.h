/*
 * One transaction, from the accepted message to the answer for its sender: policy, the next hop,
 * the ledger, a report where a part of the recipients was refused. Nothing is answered with 250
 * before its next hop has said 250. Runs on a worker.
 */
#ifndef COFFER_PROGRAM_MAILGATE_DELIVER_H
#define COFFER_PROGRAM_MAILGATE_DELIVER_H

#include <pthread.h>

#include "base/log.h"
#include "program/mailgate/ledger.h"
#include "program/mailgate/nexthop.h"
#include "program/mailgate/policy.h"
#include "program/mailgate/spool.h"

/* What a worker is to do with a job. */
typedef enum {
    JOB_DELIVER,
    JOB_RECORD, /* the sender went before it had read the answer: into the ledger */
    JOB_FORGET, /* the sender knows: out of the ledger */
} job_task_t;

typedef struct job job_t;
struct job {
    job_task_t task;
    void *conn; /* the event thread's */
    side_t side;
    smtp_envelope_t *envelope; /* owned */
    int fd;                    /* owned */
    uint64_t size;
    bool eightbit, lmtp;
    bool stranger;              /* incoming, of a client that nobody vouches for */
    char address[ADDRESS_TEXT]; /* of the client */
    ledger_key_t key;           /* of the message */
    bool held; /* the message counts as being delivered: another try of it has to wait */
    /* What came of it. */
    smtp_status_t *statuses; /* owned: one for all, or with LMTP one a recipient */
    size_t statuses_n;
    ledger_key_t *keys, *had; /* owned: who has it; without, and with the ledger knowing */
    size_t keys_n, had_n;
    job_t *next;
};

void job_free(const gatespool_t *spool, job_t *job); /* takes NULL */

enum { IN_FLIGHT_MAX = 256 };

/* Shared by the workers. */
typedef struct {
    const mailgate_conf_t *conf;
    log_t *log;
    counters_t *counters;
    const gatespool_t *spool;
    policy_t *policy;
    ledger_t *ledger;
    nexthop_t *hops[SIDES]; /* NULL: that side is off and has no next hop */
    const rnd_t *rnd;
    const clk_t *clk;
    pthread_mutex_t lock; /* of: */
    ledger_key_t in_flight[IN_FLIGHT_MAX];
    size_t in_flight_n;
} deliver_t;

err_t *deliver_init(deliver_t *deliver) WARN_UNUSED;
void deliver_done(deliver_t *deliver);

/* Fills in job->statuses; logs. ERR_NOMEM: there is no answer. */
err_t *deliver_run(deliver_t *deliver, job_t *job) WARN_UNUSED;
/* JOB_RECORD, JOB_FORGET. Releases. */
void deliver_settle(deliver_t *deliver, job_t *job);

/*
 * After deliver_run the job still holds its message. Who has its answer releases it when the sender
 * is there to hear it; a sender that left may be back with the message before the ledger says who
 * has it, so it stays held, or is held again, until then. Any thread.
 */
void deliver_hold(deliver_t *deliver, job_t *job);
void deliver_release(deliver_t *deliver, job_t *job);

#endif
