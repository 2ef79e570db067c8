/*
 * For ldap_conn.c, ldap_search.c and ldap_change.c only: what is behind an ldapconn_t.
 */
#ifndef COFFER_DIRECTORY_LDAP_INTERNAL_H
#define COFFER_DIRECTORY_LDAP_INTERNAL_H

#include <ldap.h>
#include <openldap.h>

#include "directory/ldap_conn.h"
#include "directory/ldap_text.h"

struct ldapconn {
    ldapconn_options_t o;
    ldapconn_gate_t *gate;
    LDAP *ld;
    int fd; /* ld's, once there is one */
    size_t slot;
    char url[300];
};

/* The error for a result code, with the server's own words. */
err_t *ldapconn_error(ldapconn_t *conn, int rc, const char *doing) WARN_UNUSED;
/* Waits for the next message of an operation until deadline_ms (monotonic). */
err_t *ldapconn_wait(ldapconn_t *conn, int id, int64_t deadline_ms, const char *doing,
                     LDAPMessage **ret_message) WARN_UNUSED;
/* Waits for the result of an operation that has but one message. */
err_t *ldapconn_result(ldapconn_t *conn, int id, const char *doing, int *ret_code) WARN_UNUSED;

static inline void ldapconn_message_free_p(LDAPMessage **message) {
    if (*message) (void)ldap_msgfree(*message);
}

#endif
