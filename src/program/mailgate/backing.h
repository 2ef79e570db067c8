/*
 * What stands behind the gate in this process: the store, the keeper, the chain of the audit log
 * and its head. Owned by the main thread; what it gives is safe from many.
 */
#ifndef COFFER_PROGRAM_MAILGATE_BACKING_H
#define COFFER_PROGRAM_MAILGATE_BACKING_H

#include <pthread.h>

#include "base/log.h"
#include "ipc/client.h"
#include "program/common/mail_gateway.h"
#include "program/mailgate/conf.h"
#include "program/mailgate/spool.h"

typedef struct {
    mail_gateway_t *gateway;
    char *store_dir, *store_path;
    db_t *db;
    keeper_t *keeper;
    audit_t audit;
    char node[96]; /* audit chain: "host/mailgate" */
    log_t *log;
    pthread_t heads; /* signs the chain's head now and then */
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool started, stopping;
} backing_t;

/* Before the sandbox: reads files. settings, conf, spool and log are borrowed. */
err_t *backing_prepare(backing_t *backing, const settings_t *settings, const mailgate_conf_t *conf,
                       const gatespool_t *spool, log_t *log) WARN_UNUSED;
/* After it: opens the store. */
err_t *backing_start(backing_t *backing, rpc_client_t *keeper) WARN_UNUSED;
/* Nobody may be using it any more. */
void backing_done(backing_t *backing);

#endif
