/*
 * The mail gateway's policy: [mail_policy] and its named sections in coffer.conf, and the rules
 * that admins put into the store, which override them. For coffer-web and coffer-mailgate. The
 * configuration is read at start; rules of the store count at once. Safe from many threads.
 */
#ifndef COFFER_PROGRAM_COMMON_MAIL_POLICY_H
#define COFFER_PROGRAM_COMMON_MAIL_POLICY_H

#include "base/limits.h"
#include "mail/gate_services.h"
#include "program/common/settings.h"
#include "store/db.h"

enum { MAIL_POLICY_NAME = LIMIT_EMAIL + 4 }; /* bytes and NUL */

typedef struct {
    char name[MAIL_POLICY_NAME];
    gate_rule_t rule;
} mail_policy_rule_t;

/* Borrowed from the settings but for what is in the struct. */
typedef struct {
    mail_policy_rule_t *rules; /* owned; of coffer.conf */
    size_t rules_n;
    char (*domains)[256]; /* owned; ours, lower case */
    size_t domains_n;
    const char *authserv_id;    /* or "": the gateway's host name */
    const char *report_address; /* or "" */
    const char *report_mailbox; /* the same */
    const char *tag_encrypt;    /* or "" */
    const char *tag_plain;      /* the same */
    const char *organisation;   /* PEM file of a certificate, or "" */
} mail_policy_conf_t;

err_t *mail_policy_conf_load(const settings_t *settings, mail_policy_conf_t *ret_conf) WARN_UNUSED;
void mail_policy_conf_done(mail_policy_conf_t *conf);
DEFINE_CLEANUP_VALUE(mail_policy_conf_t, mail_policy_conf_done)

/* "*", a domain, an address, each also with "to:" before it; copied in lower case. ERR_INVALID. */
err_t *mail_policy_name(bytes_t text, char out[MAIL_POLICY_NAME]) WARN_UNUSED;

/* What holds for an address, all levels applied onto *rule: gate_services_t.policy. */
err_t *mail_policy_find(const mail_policy_conf_t *conf, db_t *db, gate_scope_t scope,
                        bytes_t address, gate_rule_t *rule) WARN_UNUSED;

#endif
