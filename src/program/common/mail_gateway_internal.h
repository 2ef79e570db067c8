/*
 * Inside of mail_gateway*.c.
 */
#ifndef COFFER_PROGRAM_COMMON_MAIL_GATEWAY_INTERNAL_H
#define COFFER_PROGRAM_COMMON_MAIL_GATEWAY_INTERNAL_H

#include "program/common/mail_gateway.h"
#include "program/common/memo.h"

struct mail_gateway {
    mail_gateway_options_t o;
    mail_policy_conf_t conf;
    mailbook_t *book;
    memo_t *rules;   /* gate_rule_t by scope and address */
    memo_t *signers; /* by address: the end of the certificate, or 0 */
    cert_t *root, *mail_ca, *organisation;
    const char **domains; /* owned; texts are conf's */
    gate_options_t options;
    gate_services_t services;
    gate_t *gate;
    db_t *db; /* borrowed, as the keeper */
    keeper_t *keeper;
};

/* gate_services_t's, with keys in the keeper; arg is the mail_gateway_t. */
err_t *mail_gateway_sign(void *arg, bytes_t address, bytes_t sha256, buf_t *out,
                         bool *ret_found) WARN_UNUSED;
err_t *mail_gateway_find_key(void *arg, bytes_t address, const cms_recipient_t *r,
                             cert_t **ret_cert, bool *ret_found) WARN_UNUSED;
err_t *mail_gateway_unwrap(void *arg, bytes_t address, const cert_t *cert,
                           const cms_wrapped_t *wrapped, uint8_t *ret_key, size_t n) WARN_UNUSED;

#endif
