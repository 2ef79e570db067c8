/*
 * [ldap] of coffer.conf: the directory that people come from.
 */
#ifndef COFFER_PROGRAM_SETTINGS_LDAP_H
#define COFFER_PROGRAM_SETTINGS_LDAP_H

#include "format/conf.h"

/* Strings are borrowed from the configuration. */
typedef struct {
    bytes_t urls; /* list; none: no directory */
    bool starttls, insecure;
    const char *ca; /* PEM file, relative to the instance; "": the system's */
    const char *bind_dn, *bind_password_file;
    const char *user_base, *group_base, *user_filter, *group_filter;
    bool active_directory; /* schema = ad */
    const char *id_attribute, *mail_attribute, *name_attribute, *login_attribute;
    bytes_t login_names; /* list */
    bool memberof, nested_groups;
    char *admin_groups, *member_groups; /* owned: DNs separated by ";" */
    int64_t page_size;
    int64_t timeout_s;
    int64_t sync_every_s;           /* 0: only when asked */
    int64_t brake;                  /* percent of people that may vanish by one sync */
    bytes_t publish;                /* list of certificate profiles */
    bytes_t certificate_attributes; /* list */
} settings_ldap_t;

extern const char *const SETTINGS_LDAP_KEYS[], *const SETTINGS_LDAP_GROUP_KEYS[];

err_t *settings_load_ldap(conf_t *conf, settings_ldap_t *ret_ldap) WARN_UNUSED;
void settings_ldap_done(settings_ldap_t *ldap);
/* Whether there is a directory at all. */
static inline bool settings_has_ldap(const settings_ldap_t *ldap) { return ldap->urls.n != 0; }

DEFINE_CLEANUP_VALUE(settings_ldap_t, settings_ldap_done)

#endif
