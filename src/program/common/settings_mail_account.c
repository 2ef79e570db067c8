/*
 * Reads [mail_account]: see settings_mail_account.h.
 */
#include "program/common/settings_mail_account.h"

#include <string.h>

enum { PORT_IMAPS = 993, PORT_SUBMISSION = 587, PORT_MAX = 65535 };

#define SECTION "mail_account"

const char *const SETTINGS_MAIL_ACCOUNT_KEYS[] = {"imap_host", "imap_port",   "smtp_host",
                                                  "smtp_port", "tls",         "username",
                                                  "encrypt",   "description", NULL};

err_t *settings_load_mail_account(conf_t *conf, mail_account_t *ret_account) {
    static const char *const names[] = {"address", "local-part", NULL};
    static const char *const modes[] = {"offer", "default", "always", NULL};
    static const mail_encrypt_t values[] = {MAIL_ENCRYPT_OFFER, MAIL_ENCRYPT_DEFAULT,
                                            MAIL_ENCRYPT_ALWAYS};
    mail_account_t a = {0};
    size_t name = 0, mode = 0;
    TRY(conf_get_string(conf, SECTION, "imap_host", "", &a.imap_host));
    TRY(conf_get_string(conf, SECTION, "smtp_host", "", &a.smtp_host));
    TRY(conf_get_int(conf, SECTION, "imap_port", 1, PORT_MAX, PORT_IMAPS, &a.imap_port));
    TRY(conf_get_int(conf, SECTION, "smtp_port", 1, PORT_MAX, PORT_SUBMISSION, &a.smtp_port));
    TRY(conf_get_bool(conf, SECTION, "tls", true, &a.tls));
    TRY(conf_get_choice(conf, SECTION, "username", names, 0, &name));
    TRY(conf_get_choice(conf, SECTION, "encrypt", modes, 1, &mode));
    TRY(conf_get_string(conf, SECTION, "description", "", &a.description));
    if ((a.imap_host[0] == '\0') != (a.smtp_host[0] == '\0'))
        return err_new(ERR_USAGE, "[mail_account] takes imap_host and smtp_host, or neither");
    if (strstr(a.imap_host, "{{") || strstr(a.smtp_host, "{{") || strstr(a.description, "{{"))
        return err_new(ERR_USAGE, "[mail_account] has \"{{\" in a text");
    a.local_part = name == 1;
    a.encrypt = values[mode];
    *ret_account = a;
    return NULL;
}
