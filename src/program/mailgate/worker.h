/*
 * The worker threads: they deliver what the event thread gives them and give it back. Locks:
 * workers->lock.
 */
#ifndef COFFER_PROGRAM_MAILGATE_WORKER_H
#define COFFER_PROGRAM_MAILGATE_WORKER_H

#include "program/mailgate/deliver.h"

typedef struct workers workers_t;

/* Starts `n` threads. `wake_fd`, an eventfd, is written when a job is back. All borrowed. */
err_t *workers_start(deliver_t *deliver, size_t n, int wake_fd,
                     workers_t **ret_workers) WARN_UNUSED;
/* Finishes what is queued, joins. Takes NULL. */
void workers_stop(workers_t *workers);

/* Takes the job over. */
void workers_give(workers_t *workers, job_t *job);
/* JOB_DELIVER jobs that are done, as a list; NULL: none. The caller's again. */
job_t *workers_take(workers_t *workers);

#endif
