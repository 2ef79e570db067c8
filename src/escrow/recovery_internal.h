/*
 * For the files of recovery only: one step on a request.
 */
#ifndef COFFER_ESCROW_RECOVERY_INTERNAL_H
#define COFFER_ESCROW_RECOVERY_INTERNAL_H

#include "escrow/escrow_internal.h"
#include "escrow/recovery.h"

/* What every step on a request is about. */
typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    const char *id;
    int64_t now_ms;
    recovery_view_t view;
    escrow_request_t request;
    escrow_set_t set;
} recovery_job_t;

/* The request with its record parsed and its set; refuses records that the row doesn't match. */
err_t *recovery_load(db_conn_t *conn, recovery_job_t *job) WARN_UNUSED;
err_t *recovery_check_waiting(const recovery_job_t *job) WARN_UNUSED;

#endif
