/*
 * [mail_account] of coffer.conf: the mail account that enrolled devices get.
 */
#ifndef COFFER_PROGRAM_SETTINGS_MAIL_ACCOUNT_H
#define COFFER_PROGRAM_SETTINGS_MAIL_ACCOUNT_H

#include "device/mail_account.h"
#include "format/conf.h"

extern const char *const SETTINGS_MAIL_ACCOUNT_KEYS[];

/* Strings are borrowed from the configuration. */
err_t *settings_load_mail_account(conf_t *conf, mail_account_t *ret_account) WARN_UNUSED;

#endif
