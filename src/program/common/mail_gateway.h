/*
 * What mail/gate.h needs, made of an instance: policy of coffer.conf and the store, the mail book,
 * the keeper. For coffer-mailgate. The gate and its services are safe from many threads.
 */
#ifndef COFFER_PROGRAM_COMMON_MAIL_GATEWAY_H
#define COFFER_PROGRAM_COMMON_MAIL_GATEWAY_H

#include "keeper/client.h"
#include "mail/gate.h"
#include "program/common/mail_policy.h"
#include "program/common/mailbook.h"

typedef struct mail_gateway mail_gateway_t;

typedef struct {
    const settings_t *settings; /* borrowed, as all of these */
    const char *hostname;       /* authserv-id, unless [mail_policy] says another */
    uint64_t max_message;       /* bytes */
    uint64_t room;              /* bytes of all files; 0: no limit */
    const clk_t *clk;
    spool_files_t files; /* of gate_services_t */
} mail_gateway_options_t;

/* Reads the files that coffer.conf names: before the sandbox. */
err_t *mail_gateway_new(const mail_gateway_options_t *options,
                        mail_gateway_t **ret_gateway) WARN_UNUSED;
void mail_gateway_free(mail_gateway_t *gateway); /* takes NULL */
/* The directory of revocation lists, for the sandbox; or NULL. Borrowed. */
const char *mail_gateway_lists(const mail_gateway_t *gateway);
/* Before the first message. */
err_t *mail_gateway_open(mail_gateway_t *gateway, db_t *db, const audit_t *audit,
                         keeper_t *keeper) WARN_UNUSED;
const gate_t *mail_gateway_gate(const mail_gateway_t *gateway); /* borrowed */

DEFINE_CLEANUP(mail_gateway_t, mail_gateway_free)

#endif
