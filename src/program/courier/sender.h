/*
 * Sends notices: mail jobs to the mail server, webhook jobs to their URLs, each kind on a thread
 * of its own. Reads its secrets before the sandbox closes.
 */
#ifndef COFFER_PROGRAM_SENDER_H
#define COFFER_PROGRAM_SENDER_H

#include "audit/audit.h"
#include "program/common/notify_conf.h"
#include "program/common/worker.h"

typedef struct sender sender_t;

/* Reads passwords, secrets and CAs; everything is borrowed until sender_free. */
err_t *sender_new(const settings_t *settings, const notify_conf_t *conf,
                  sender_t **ret_sender) WARN_UNUSED;
/* Inside the sandbox: starts the threads. */
err_t *sender_start(sender_t *sender, db_t *db, const audit_t *audit, const log_t *log,
                    const clk_t *clk) WARN_UNUSED;
void sender_wake(sender_t *sender); /* from any thread; takes NULL */
void sender_free(sender_t *sender); /* waits for what is being sent; takes NULL */

DEFINE_CLEANUP(sender_t, sender_free)

#endif
