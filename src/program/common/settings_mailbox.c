/*
 * Reads [mailbox]: see settings_mailbox.h.
 */
#include "program/common/settings_mailbox.h"

/* Less than the 29 minutes after which servers may end an IDLE (RFC 2177). */
enum { RECONCILE_MIN = 10, RECONCILE_MAX = 28 * 60, RECONCILE = 15 * 60 };

const char *const SETTINGS_MAILBOX_KEYS[] = {"imap_ca", "reconcile",   "app",
                                             "lease",   "lease_hours", NULL};

err_t *settings_load_mailbox(conf_t *c, settings_mailbox_t *ret_mailbox) {
    settings_mailbox_t m = {0};
    TRY(conf_get_string(c, "mailbox", "imap_ca", "", &m.imap_ca));
    TRY(conf_get_duration(c, "mailbox", "reconcile", RECONCILE_MIN, RECONCILE_MAX, RECONCILE,
                          &m.reconcile_s));
    TRY(conf_get_string(c, "mailbox", "app", "", &m.app.identifier));
    TRY(conf_get_bool(c, "mailbox", "lease", true, &m.app.lease));
    TRY(conf_get_int(c, "mailbox", "lease_hours", 1, MAIL_APP_HOURS_MAX, MAIL_APP_HOURS,
                     &m.app.hours));
    *ret_mailbox = m;
    return NULL;
}
