/*
 * Reads [mailbox]: see settings_mailbox.h.
 */
#include "program/common/settings_mailbox.h"

/* Less than the 29 minutes after which servers may end an IDLE (RFC 2177). */
enum { RECONCILE_MIN = 10, RECONCILE_MAX = 28 * 60, RECONCILE = 15 * 60 };

const char *const SETTINGS_MAILBOX_KEYS[] = {"imap_ca",  "reconcile",   "app",
                                             "lease",    "lease_hours", "push_certificate",
                                             "push_key", "digest",      NULL};

err_t *settings_load_mailbox(conf_t *c, settings_mailbox_t *ret_mailbox) {
    settings_mailbox_t m = {0};
    TRY(conf_get_string(c, "mailbox", "imap_ca", "", &m.imap_ca));
    TRY(conf_get_duration(c, "mailbox", "reconcile", RECONCILE_MIN, RECONCILE_MAX, RECONCILE,
                          &m.reconcile_s));
    TRY(conf_get_string(c, "mailbox", "app", "", &m.app.identifier));
    TRY(conf_get_bool(c, "mailbox", "digest", true, &m.digest));
    TRY(conf_get_bool(c, "mailbox", "lease", true, &m.app.lease));
    TRY(conf_get_int(c, "mailbox", "lease_hours", 1, MAIL_APP_HOURS_MAX, MAIL_APP_HOURS,
                     &m.app.hours));
    TRY(conf_get_string(c, "mailbox", "push_certificate", "", &m.push_certificate));
    TRY(conf_get_string(c, "mailbox", "push_key", "", &m.push_key));
    if (m.app.identifier[0] && !mail_app_is_identifier(m.app.identifier))
        return err_new(ERR_INVALID, "coffer.conf: [mailbox] app is a bundle identifier, such as "
                                    "org.example.mail");
    if (!m.push_certificate[0] != !m.push_key[0])
        return err_new(ERR_INVALID,
                       "coffer.conf: [mailbox] push_certificate and push_key belong together");
    if (m.push_certificate[0] && !m.app.identifier[0])
        return err_new(ERR_INVALID, "coffer.conf: [mailbox] push_certificate needs app, the "
                                    "program that it is for");
    *ret_mailbox = m;
    return NULL;
}
