/*
 * Reads [mail]: see settings_mail.h.
 */
#include "program/common/settings_mail.h"

static const char MAIL[] = "mail";

const char *const SETTINGS_MAIL_KEYS[] = {
    "trust_anchors", "revocation_lists", "demand_revocation", "gcm", "oaep", NULL};

err_t *settings_load_mail(conf_t *c, settings_mail_t *ret_mail) {
    settings_mail_t m = {0};
    TRY(conf_get_list(c, MAIL, "trust_anchors", NULL, &m.trust_anchors));
    TRY(conf_get_string(c, MAIL, "revocation_lists", "", &m.revocation_lists));
    TRY(conf_get_bool(c, MAIL, "demand_revocation", false, &m.demand_revocation));
    TRY(conf_get_bool(c, MAIL, "gcm", true, &m.gcm));
    TRY(conf_get_bool(c, MAIL, "oaep", true, &m.oaep));
    *ret_mail = m;
    return NULL;
}
