/*
 * For ldap_people.c, ldap_roles.c and ldap_certs.c only.
 */
#ifndef COFFER_DIRECTORY_LDAP_PEOPLE_INTERNAL_H
#define COFFER_DIRECTORY_LDAP_PEOPLE_INTERNAL_H

#include "directory/ldap_people.h"
#include "directory/ldap_text.h"

enum { LDAPPEOPLE_ARENA = 64 * 1024, LDAPPEOPLE_ATTRS = 16 };

struct ldappeople {
    ldappeople_options_t o;
    ldapconn_gate_t gate;
};

/* Connects and binds as the service. */
err_t *ldappeople_open(ldappeople_t *people, ldapconn_t **ret_conn) WARN_UNUSED;
/* The filter for people who have one of `attributes` (a list) equal to the value. */
err_t *ldappeople_filter(const ldappeople_t *people, bytes_t attributes, bytes_t value,
                         buf_t *out) WARN_UNUSED;
/* The filter for the one with this external id. */
err_t *ldappeople_filter_id(const ldappeople_t *people, const char *external_id,
                            buf_t *out) WARN_UNUSED;
/* Checks everything the server says; ERR_INVALID with what is odd. Without a role. */
err_t *ldappeople_read(const ldappeople_t *people, const ldapconn_entry_t *entry, arena_t *arena,
                       directory_entry_t *ret_entry) WARN_UNUSED;
/* Attributes that ldappeople_read wants; ends with NULL. */
void ldappeople_attrs(const ldappeople_t *people, const char *ret_attrs[LDAPPEOPLE_ATTRS]);

/* ---- ldap_roles.c ---- */

/* Asks about one person. */
err_t *ldappeople_role(ldappeople_t *people, ldapconn_t *conn, const directory_entry_t *entry,
                       directory_role_t *ret_role) WARN_UNUSED;

/* Who is in the groups, for asking about everybody. */
typedef struct {
    arena_t *arena;
    const char **names; /* ids, folded DNs and log-in names, told apart by a letter */
    size_t n, room;
} ldappeople_set_t;

typedef struct {
    ldappeople_set_t admins, members;
} ldappeople_roles_t;

err_t *ldappeople_roles_load(ldappeople_t *people, ldapconn_t *conn,
                             ldappeople_roles_t *roles) WARN_UNUSED;
err_t *ldappeople_roles_of(const ldappeople_t *people, const ldappeople_roles_t *roles,
                           const directory_entry_t *entry, directory_role_t *ret_role) WARN_UNUSED;
void ldappeople_roles_done(ldappeople_roles_t *roles);
DEFINE_CLEANUP_VALUE(ldappeople_roles_t, ldappeople_roles_done)

/* Takes the next DN off a ";" separated list; false at its end. */
bool ldappeople_next_dn(bytes_t *list, bytes_t *ret_dn);

#endif
