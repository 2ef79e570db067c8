/*
 * One run of the expiry watch: which notices stand now, to whom they go, and that they went. All in
 * one transaction; the courier's workers send them. Uses no network.
 */
#ifndef COFFER_PKI_EXPIRY_RUN_H
#define COFFER_PKI_EXPIRY_RUN_H

#include "audit/audit.h"
#include "notify/notify.h"
#include "pki/expiry.h"
#include "store/watch.h"

/* All borrowed. */
typedef struct {
    db_t *db;
    const audit_t *audit;
    const clk_t *clk;
    const notify_t *notify;
    const char *organisation;
    const int64_t *days; /* thresholds, descending */
    size_t days_n;
    int64_t brake;
    bool holders;               /* they get a mail about their own */
    const char *const *actions; /* names of programs to run */
    size_t actions_n;
} expiry_options_t;

typedef struct {
    expiry_brake_t brake;
    int64_t due;     /* certificates whose notice stood */
    int64_t noticed; /* the same, or 0 when held */
} expiry_result_t;

/* `elapsed_ms`: since the last run that was not held, by a clock that can't jump; -1: unknown. */
err_t *expiry_run(const expiry_options_t *options, int64_t elapsed_ms,
                  expiry_result_t *ret_result) WARN_UNUSED;

/* Lets held notices go within the next hour: an admin looked and found them right. */
err_t *expiry_release(db_conn_t *conn, int64_t now_ms) WARN_UNUSED;

/* How it stands, for people. */
typedef struct {
    int64_t checked_ms; /* the last run, held or not; 0: none yet */
    const char *held;   /* "", clock, many */
    int64_t held_count;
} expiry_status_t;
err_t *expiry_status(db_conn_t *conn, arena_t *arena, expiry_status_t *ret_status) WARN_UNUSED;

/* One certificate as programs are told: webhooks, actions, the API. Facts may be NULL. */
err_t *expiry_json(const db_expiring_t *cert, const db_expiry_facts_t *facts, int64_t threshold,
                   int64_t now_ms, json_t *object) WARN_UNUSED;

/* Kind of the jobs that run programs; payload {action, key, body}. */
#define EXPIRY_JOB_ACTION "action"
/* And of the one that asks for a check now, named "run". */
#define EXPIRY_JOB_WATCH "watch"

#endif
