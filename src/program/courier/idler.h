/*
 * Watches mailboxes at IMAP servers (arrival/imap_watch.h) and at Exchange's web services
 * (arrival/ews_watch.h): thousands of connections that wait, on one thread with epoll. Mail is
 * recorded in the store (arrival/record.h), from where coffer-web's streams take it. A mailbox's
 * password is asked from the keeper at each log-in and forgotten after.
 *
 * Reconciliation: each mailbox is looked at every `reconcile_s` whatever its server says, and after
 * each new connection.
 */
#ifndef COFFER_PROGRAM_IDLER_H
#define COFFER_PROGRAM_IDLER_H

#include "base/log.h"
#include "crypto/tls_stream.h"
#include "keeper/client.h"
#include "store/db.h"

typedef struct idler idler_t;

/* All borrowed until idler_stop, but for ca_pem. */
typedef struct {
    db_t *db;
    keeper_t *keeper;
    const log_t *log;
    const clk_t *clk;
    bytes_t ca_pem; /* trust these alone; none: the system's */
    int64_t reconcile_s;
} idler_options_t;

err_t *idler_start(const idler_options_t *options, idler_t **ret_idler) WARN_UNUSED;
void idler_wake(
    idler_t *idler); /* the list of mailboxes may have changed; any thread; takes NULL */
void idler_stop(idler_t *idler); /* takes NULL */

#endif
