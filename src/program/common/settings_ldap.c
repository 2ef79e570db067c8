/*
 * Reads [ldap]: see settings_ldap.h. What the directory's own library checks is not checked here.
 */
#include "program/common/settings_ldap.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

static const char LDAP[] = "ldap";

const char *const SETTINGS_LDAP_KEYS[] = {"url",
                                          "starttls",
                                          "insecure",
                                          "ca",
                                          "bind_dn",
                                          "bind_password_file",
                                          "base",
                                          "user_base",
                                          "group_base",
                                          "schema",
                                          "user_filter",
                                          "group_filter",
                                          "id_attribute",
                                          "mail_attribute",
                                          "name_attribute",
                                          "login_attribute",
                                          "login_names",
                                          "groups",
                                          "nested_groups",
                                          "admin_groups",
                                          "member_groups",
                                          "page_size",
                                          "timeout",
                                          "sync_interval",
                                          "brake",
                                          "publish",
                                          "certificate_attributes",
                                          NULL};

const char *const SETTINGS_LDAP_GROUP_KEYS[] = {"dn", "role", NULL};

/* What a schema means for the rest. */
typedef struct {
    const char *user_filter, *group_filter, *id, *mail, *name, *login, *login_names, *certificates;
    size_t memberof;
} preset_t;

static const preset_t presets[] = {
    {"(&(objectClass=inetOrgPerson)(mail=*))",
     "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
     "entryUUID", "mail", "cn", "uid", "mail", "userCertificate;binary, userSMIMECertificate", 0},
    {"(&(objectClass=user)(!(objectClass=computer))(mail=*))", "(objectClass=group)", "objectGUID",
     "mail", "displayName", "sAMAccountName", "mail, userPrincipalName",
     "userCertificate, userSMIMECertificate", 1},
};

static err_t *load_connection(conf_t *c, settings_ldap_t *l) {
    enum { TIMEOUT_S = 10, TIMEOUT_MAX_S = 60, PAGE = 500, PAGE_MAX = 1000 };
    TRY(conf_get_list(c, LDAP, "url", NULL, &l->urls));
    TRY(conf_get_bool(c, LDAP, "starttls", false, &l->starttls));
    TRY(conf_get_bool(c, LDAP, "insecure", false, &l->insecure));
    TRY(conf_get_string(c, LDAP, "ca", "", &l->ca));
    TRY(conf_get_string(c, LDAP, "bind_dn", "", &l->bind_dn));
    TRY(conf_get_string(c, LDAP, "bind_password_file", "", &l->bind_password_file));
    TRY(conf_get_int(c, LDAP, "page_size", 1, PAGE_MAX, PAGE, &l->page_size));
    TRY(conf_get_duration(c, LDAP, "timeout", 1, TIMEOUT_MAX_S, TIMEOUT_S, &l->timeout_s));
    if (settings_has_ldap(l) && !l->bind_dn[0] != !l->bind_password_file[0])
        return err_new(ERR_INVALID,
                       "coffer.conf: [ldap] bind_dn and bind_password_file go together");
    return NULL;
}

static err_t *add_group(buf_t *list, const char *dn) {
    if (list->n) TRY(buf_add_byte(list, ';'));
    return buf_add_str(list, dn);
}

/* Those of [ldap] and those with a section of their own: a line of coffer.conf is short. */
static err_t *load_role_groups(conf_t *c, settings_ldap_t *l) {
    static const char *const roles[] = {"admin", "member", NULL};
    CLEANUP(buf_done) buf_t admins, members;
    const char *dn = NULL, *section = NULL, *name = NULL;
    size_t cursor = 0, role = 0;
    buf_init(&admins, LIMIT_CONFIG_BYTES);
    buf_init(&members, LIMIT_CONFIG_BYTES);
    TRY(conf_get_string(c, LDAP, "admin_groups", "", &dn));
    TRY(add_group(&admins, dn));
    TRY(conf_get_string(c, LDAP, "member_groups", "", &dn));
    TRY(add_group(&members, dn));
    while (conf_next_named(c, "ldap-group", &cursor, &section, &name)) {
        TRY(conf_need_string(c, section, "dn", &dn));
        TRY(conf_get_choice(c, section, "role", roles, 1, &role));
        TRY(add_group(role == 0 ? &admins : &members, dn));
    }
    TRY(buf_steal_str(&admins, &l->admin_groups));
    return buf_steal_str(&members, &l->member_groups);
}

static err_t *load_groups(conf_t *c, settings_ldap_t *l, const preset_t *preset) {
    static const char *const styles[] = {"member", "memberof", NULL};
    size_t style = 0;
    TRY(conf_get_choice(c, LDAP, "groups", styles, preset->memberof, &style));
    l->memberof = style == 1;
    TRY(conf_get_bool(c, LDAP, "nested_groups", false, &l->nested_groups));
    TRY(load_role_groups(c, l));
    if (l->nested_groups && !l->memberof)
        return err_new(ERR_INVALID, "coffer.conf: [ldap] nested_groups needs groups = memberof, "
                                    "which Active Directory has");
    return NULL;
}

static err_t *load_people(conf_t *c, settings_ldap_t *l) {
    static const char *const schemas[] = {"rfc2307", "ad", NULL};
    const char *base = "";
    size_t schema = 0;
    TRY(conf_get_choice(c, LDAP, "schema", schemas, 0, &schema));
    const preset_t *preset = &presets[schema];
    l->active_directory = schema == 1;
    TRY(conf_get_string(c, LDAP, "base", "", &base));
    TRY(conf_get_string(c, LDAP, "user_base", base, &l->user_base));
    TRY(conf_get_string(c, LDAP, "group_base", base, &l->group_base));
    if (settings_has_ldap(l) && !l->user_base[0])
        return err_new(ERR_INVALID, "coffer.conf: [ldap] base is missing");
    TRY(conf_get_string(c, LDAP, "user_filter", preset->user_filter, &l->user_filter));
    TRY(conf_get_string(c, LDAP, "group_filter", preset->group_filter, &l->group_filter));
    TRY(conf_get_string(c, LDAP, "id_attribute", preset->id, &l->id_attribute));
    TRY(conf_get_string(c, LDAP, "mail_attribute", preset->mail, &l->mail_attribute));
    TRY(conf_get_string(c, LDAP, "name_attribute", preset->name, &l->name_attribute));
    TRY(conf_get_string(c, LDAP, "login_attribute", preset->login, &l->login_attribute));
    TRY(conf_get_list(c, LDAP, "login_names", preset->login_names, &l->login_names));
    TRY(conf_get_list(c, LDAP, "certificate_attributes", preset->certificates,
                      &l->certificate_attributes));
    return load_groups(c, l, preset);
}

err_t *settings_load_ldap(conf_t *conf, settings_ldap_t *ret_ldap) {
    enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, BRAKE = 20 };
    CLEANUP(settings_ldap_done) settings_ldap_t ldap = {0};
    TRY(load_connection(conf, &ldap));
    TRY(load_people(conf, &ldap));
    TRY(conf_get_duration(conf, LDAP, "sync_interval", 0, (int64_t)30 * DAY_S, HOUR_S,
                          &ldap.sync_every_s));
    TRY(conf_get_int(conf, LDAP, "brake", 0, 100, BRAKE, &ldap.brake));
    TRY(conf_get_list(conf, LDAP, "publish", NULL, &ldap.publish));
    if (ldap.sync_every_s && ldap.sync_every_s < MINUTE_S)
        return err_new(ERR_INVALID, "coffer.conf: [ldap] sync_interval is 0 or at least 1m");
    *ret_ldap = ldap;
    ldap = (settings_ldap_t){0};
    return NULL;
}

void settings_ldap_done(settings_ldap_t *ldap) {
    mem_free(ldap->admin_groups);
    mem_free(ldap->member_groups);
}
