/*
 * People, their roles and their certificates in an LDAP directory or Active Directory. Every call
 * opens a connection of its own, so calls may come from several threads at once; each may take as
 * long as the directory does, within its limits. Runs in coffer-courier.
 */
#ifndef COFFER_DIRECTORY_LDAP_PEOPLE_H
#define COFFER_DIRECTORY_LDAP_PEOPLE_H

#include "base/arena.h"
#include "base/rnd.h"
#include "crypto/cert.h"
#include "directory/entry.h"
#include "directory/ldap_conn.h"

typedef struct ldappeople ldappeople_t;

/* All borrowed. */
typedef struct {
    ldapconn_options_t conn;
    const rnd_t *rnd;
    const char *bind_dn;   /* "": searches without one */
    bytes_t bind_password; /* secret */
    const char *user_base, *group_base;
    const char *user_filter, *group_filter; /* one pair of parentheses around each */
    const char *id_attribute;
    bool id_is_guid; /* 16 bytes, as objectGUID */
    const char *mail_attribute, *name_attribute, *login_attribute;
    bytes_t login_names;                      /* list: attributes that a person may log in with */
    bool memberof;                            /* entries say which groups they are in */
    bool nested;                              /* groups in groups, by Active Directory's rule */
    const char *admin_groups, *member_groups; /* DNs separated by ";"; no member_groups: everyone */
    bytes_t certificate_attributes;           /* list: where certificates are published and found */
} ldappeople_options_t;

/* ERR_INVALID for settings that can't be. No connection yet. */
err_t *ldappeople_new(const ldappeople_options_t *options, ldappeople_t **ret_people) WARN_UNUSED;
void ldappeople_free(ldappeople_t *people); /* takes NULL */
/* From any thread, for good: calls that wait for the directory end with ERR_UNAVAILABLE. */
void ldappeople_stop(ldappeople_t *people);

/*
 * Log-in: finds the one person of this name, then binds as them. *ret_good false: nobody or
 * several, wrong password, locked, or in no group that has a role; the directory is asked to check
 * the password in every case, so that they take the same time. An error: the directory can't say.
 */
err_t *ldappeople_log_in(ldappeople_t *people, arena_t *arena, bytes_t name, bytes_t password,
                         bool *ret_good, directory_entry_t *ret_entry) WARN_UNUSED;

/* By address, log-in name or external id. `groups` (may be NULL) gets names, at most
 * LIMIT_LDAP_GROUPS. */
typedef err_t *ldappeople_group_t(void *ctx, bytes_t dn);
err_t *ldappeople_find(ldappeople_t *people, arena_t *arena, bytes_t name,
                       ldappeople_group_t *groups, void *ctx, bool *ret_found,
                       directory_entry_t *ret_entry) WARN_UNUSED;

typedef struct {
    char server[300];
    bool tls;
    size_t people, skipped; /* skipped: entries that can't be people here, see `why` */
    size_t admins, members, disabled;
    char why[300]; /* of the first that was skipped */
} ldappeople_report_t;

/*
 * All people, with their roles. ERR_LIMIT past LIMIT_LDAP_PEOPLE; ERR_INVALID if two entries have
 * one id. `each` may be NULL.
 */
typedef err_t *ldappeople_each_t(void *ctx, const directory_entry_t *entry);
err_t *ldappeople_list(ldappeople_t *people, ldappeople_each_t *each, void *ctx,
                       ldappeople_report_t *ret_report) WARN_UNUSED;

/* ---- certificates (ldap_certs.c) ---- */

/*
 * What other people's mail programs find under an address: every certificate in the entries that
 * have it, parsed and without doubles, unverified. At most LIMIT_LDAP_CERTIFICATES.
 */
err_t *ldappeople_certificates(ldappeople_t *people, bytes_t mail, cert_list_t *list) WARN_UNUSED;

/*
 * Puts a certificate into a person's entry or takes it out: userCertificate has its DER (RFC
 * 4523), userSMIMECertificate the CMS `bundle` (RFC 2798 section 2.8). Nobody else's values are
 * touched. *ret_changed false: it was so already. ERR_NOT_FOUND: no such person.
 */
err_t *ldappeople_publish(ldappeople_t *people, const char *external_id, bytes_t der,
                          bytes_t bundle, bool add, bool *ret_changed) WARN_UNUSED;

DEFINE_CLEANUP(ldappeople_t, ldappeople_free)

#endif
