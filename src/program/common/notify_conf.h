/*
 * What coffer.conf says of notices: [notify], [smtp], [webhook NAME]. Any program that has
 * something to tell makes a notify_t of it; coffer-courier also reads the secrets it needs to send.
 */
#ifndef COFFER_PROGRAM_NOTIFY_CONF_H
#define COFFER_PROGRAM_NOTIFY_CONF_H

#include "base/limits.h"
#include "http/smtp.h"
#include "notify/notify.h"
#include "program/common/settings.h"

typedef struct {
    const char *name;
    const char *url;
    const char *secret_file; /* as written */
    const char *ca;          /* as written, or "" */
} webhook_conf_t;

typedef struct {
    notify_t notify; /* points into this and into the settings */
    const char *smtp_url, *smtp_from, *smtp_user, *smtp_password_file, *smtp_ca;
    smtp_tls_t smtp_tls;
    webhook_conf_t webhooks[LIMIT_NOTICE_RECIPIENTS];
    const char *webhook_names[LIMIT_NOTICE_RECIPIENTS];
    const char *admins[LIMIT_NOTICE_RECIPIENTS];
    char *admin_text; /* owned: the addresses, each with its NUL */
} notify_conf_t;

/* `settings` is borrowed until notify_conf_done; the struct must not move. */
err_t *notify_conf_load(const settings_t *settings, notify_conf_t *ret_conf) WARN_UNUSED;
void notify_conf_done(notify_conf_t *conf);

DEFINE_CLEANUP_VALUE(notify_conf_t, notify_conf_done)

#endif
