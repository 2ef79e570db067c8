/*
 * One kind of job and the thread that does it: takes what is due, works on one after the other,
 * writes down how it ended. At least once: a job whose courier dies is taken again when its lease
 * ends. What may be slow (a mail server, a program) so never holds up another kind.
 */
#ifndef COFFER_PROGRAM_WORKER_H
#define COFFER_PROGRAM_WORKER_H

#include "base/log.h"
#include "store/jobs.h"

typedef struct worker worker_t;

typedef enum {
    WORK_DONE,
    WORK_RETRY, /* after wait_ms, or the usual back-off for 0; buried after `attempts` */
    WORK_BURY,  /* it can't succeed: kept to be seen */
} work_end_t;

enum { WORK_WHY = 300 };

typedef struct {
    work_end_t end;
    int64_t wait_ms;
    char why[WORK_WHY]; /* for people; no secrets */
} work_result_t;

typedef struct {
    const char *kind;
    size_t batch;     /* jobs taken at once; 0: 16 */
    int64_t lease_ms; /* longer than the whole batch may take */
    int64_t attempts; /* then it is given up; 0: never */
    void *ctx;
    /* Does one. On the worker's thread, outside of any transaction. */
    void (*work)(void *ctx, const db_job_t *job, work_result_t *result);
    /* Inside the transaction that settles it, e.g. for an audit entry; may be NULL. */
    err_t *(*settled)(void *ctx, db_conn_t *conn, const db_job_t *job, const work_result_t *result);
} worker_kind_t;

/* Everything is borrowed until worker_stop. */
err_t *worker_start(db_t *db, const log_t *log, const clk_t *clk, const worker_kind_t *kind,
                    worker_t **ret_worker) WARN_UNUSED;
void worker_wake(worker_t *worker); /* from any thread; takes NULL */
/* Waits for the job that is being done; takes NULL. */
void worker_stop(worker_t *worker);

/* Fills in `why` from the error and frees it. */
void work_failed(work_result_t *result, work_end_t end, err_t *e);
/* 30 s, doubling to an hour, with a spread by `salt`. */
int64_t work_backoff_ms(int64_t attempts, uint8_t salt);

#endif
