/*
 * [mailbox] of coffer.conf: how mailboxes at IMAP servers are watched, and what mail programs are
 * told by device management.
 */
#ifndef COFFER_PROGRAM_SETTINGS_MAILBOX_H
#define COFFER_PROGRAM_SETTINGS_MAILBOX_H

#include "device/mail_app.h"
#include "format/conf.h"

typedef struct {
    const char *imap_ca; /* PEM file, or "": the system's */
    int64_t reconcile_s; /* each mailbox is looked at so often, whatever its server says */
    bool digest;         /* people are told by mail how often their mailboxes were opened */
    mail_app_t app;      /* what new devices' mail program is told */
    const char *push_certificate, *push_key; /* PEM files for pushes to it, or "" */
} settings_mailbox_t;

extern const char *const SETTINGS_MAILBOX_KEYS[];

/* Strings are borrowed from the configuration. */
err_t *settings_load_mailbox(conf_t *conf, settings_mailbox_t *ret_mailbox) WARN_UNUSED;

#endif
