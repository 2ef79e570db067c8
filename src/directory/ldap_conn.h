/*
 * A connection to an LDAP server (RFC 4511): the only file that knows libldap. TLS with the
 * server's name checked, bounded waits, bounded answers, no referrals. A connection belongs to one
 * thread; ldapconn_gate_t may be shut from another, which ends all waiting at once.
 */
#ifndef COFFER_DIRECTORY_LDAP_CONN_H
#define COFFER_DIRECTORY_LDAP_CONN_H

#include <pthread.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"

enum { LDAPCONN_OPEN = 16 };

/* The sockets that are open, so that a program that ends need not wait for a server. */
typedef struct {
    pthread_mutex_t lock;
    int fds[LDAPCONN_OPEN]; /* -1: free */
    bool shut;
} ldapconn_gate_t;

void ldapconn_gate_init(ldapconn_gate_t *gate);
void ldapconn_gate_done(ldapconn_gate_t *gate);
/* From any thread, for good: what waits fails with ERR_UNAVAILABLE, nothing is opened any more. */
void ldapconn_gate_shut(ldapconn_gate_t *gate);

/* All borrowed. */
typedef struct {
    bytes_t urls;        /* list, tried in order (conf_list_next) */
    bool starttls;       /* for ldap:// URLs */
    bool insecure;       /* ldap:// without TLS, to loopback addresses alone */
    const char *ca_file; /* PEM; "": the system's */
    int64_t timeout_ms;  /* for connecting, and for each answer */
    int64_t page_size;   /* entries asked for at once (RFC 2696) */
} ldapconn_options_t;

typedef struct ldapconn ldapconn_t;

/* Has libldap ignore ldap.conf, .ldaprc and the environment. Once, before other threads. */
err_t *ldapconn_init(void) WARN_UNUSED;

/*
 * Connects, with TLS, to the first server that answers. ERR_UNAVAILABLE or ERR_TIMEOUT when none
 * does; ERR_VERIFY for a certificate that is wrong or for another name.
 */
err_t *ldapconn_open(const ldapconn_options_t *options, ldapconn_gate_t *gate,
                     ldapconn_t **ret_conn) WARN_UNUSED;
void ldapconn_free(ldapconn_t *conn);            /* takes NULL */
const char *ldapconn_server(const ldapconn_t *); /* its URL */

/*
 * Simple bind (RFC 4513 section 5.1). *ret_good false: the name and password are not good, which
 * includes locked and expired accounts. An empty name or password is ERR_USAGE: by section 5.1.2
 * a server would let anybody in.
 */
err_t *ldapconn_bind(ldapconn_t *conn, const char *dn, bytes_t password,
                     bool *ret_good) WARN_UNUSED;

typedef struct {
    const char *name; /* as the server wrote it */
    const bytes_t *values;
    size_t n;
} ldapconn_attr_t;

typedef struct {
    const char *dn;
    const ldapconn_attr_t *attrs;
    size_t n;
} ldapconn_entry_t;

/* By name, in any case, with or without ";binary"; NULL if absent. */
const ldapconn_attr_t *ldapconn_attr(const ldapconn_entry_t *entry, const char *name);

typedef enum { LDAPCONN_BASE, LDAPCONN_SUBTREE } ldapconn_scope_t;

typedef struct {
    const char *base;
    ldapconn_scope_t scope;
    const char *filter;
    const char *const *attrs; /* ends with NULL */
    size_t max;               /* entries; more are ERR_LIMIT */
    int64_t total_ms;         /* for all of it; 0: twice the timeout */
} ldapconn_search_t;

/* What is given is borrowed until it returns. An error ends the search. */
typedef err_t *ldapconn_each_t(void *ctx, const ldapconn_entry_t *entry);
/*
 * Searches, page by page. ERR_NOT_FOUND: there is no such base. ERR_DENIED: the server forbids it.
 * ERR_UNAVAILABLE: a referral, or an answer that is not complete. Continuation references are
 * passed over.
 */
err_t *ldapconn_search(ldapconn_t *conn, const ldapconn_search_t *search, ldapconn_each_t *each,
                       void *ctx) WARN_UNUSED;

/*
 * Adds or removes one value of an attribute and touches no other. *ret_changed false: it was so
 * already. An attribute without an equality rule is replaced as a whole, with the other values as
 * they were and on condition that the entry is still the one that was read (RFC 4528).
 * ERR_NOT_FOUND: no such entry; ERR_DENIED; ERR_BUSY: somebody else changes it.
 */
err_t *ldapconn_change(ldapconn_t *conn, const char *dn, const char *attr, bytes_t value, bool add,
                       bool *ret_changed) WARN_UNUSED;

DEFINE_CLEANUP(ldapconn_t, ldapconn_free)

#endif
