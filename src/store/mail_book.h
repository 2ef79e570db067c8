/*
 * Rows of `mail_certificate`, `mail_peer`, `mail_trust` and `mail_group`: what is known of people's
 * encryption certificates besides our own.
 */
#ifndef COFFER_STORE_MAIL_BOOK_H
#define COFFER_STORE_MAIL_BOOK_H

#include "base/arena.h"
#include "store/db.h"

/* ---- learned from mail ---- */

typedef struct {
    const char *address; /* lower case */
    bytes_t fingerprint;
    bytes_t der;
    bytes_t chain;
    bool trusted;
    int64_t not_after; /* seconds */
    int64_t message_s;
    int64_t first_seen_ms;
    int64_t last_seen_ms;
} db_mail_cert_t;

/*
 * Adds, or notes that it was seen again: the later of both message times, trusted as said now.
 * *ret_new: it wasn't there.
 */
err_t *db_mail_certs_put(db_conn_t *conn, const db_mail_cert_t *row, bool *ret_new) WARN_UNUSED;
/* Of one address, the newest message first. */
err_t *db_mail_certs_of(db_conn_t *conn, arena_t *arena, const char *address, size_t limit,
                        db_mail_cert_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* In order of address and fingerprint, those after. */
err_t *db_mail_certs_list(db_conn_t *conn, arena_t *arena, const char *after_address,
                          bytes_t after_fingerprint, size_t limit, db_mail_cert_t **ret_rows,
                          size_t *ret_count) WARN_UNUSED;
err_t *db_mail_certs_remove(db_conn_t *conn, bytes_t fingerprint, bool *ret_found) WARN_UNUSED;
/* Forgets the untrusted ones seen longest ago beyond the newest `keep`, and of one address beyond
 * its newest `keep_each`. */
err_t *db_mail_certs_trim(db_conn_t *conn, const char *address, int64_t keep,
                          int64_t keep_each) WARN_UNUSED;

/* Keeps the capabilities unless those of a later message are there. */
err_t *db_mail_peers_put(db_conn_t *conn, const char *address, bytes_t capabilities,
                         int64_t message_s, int64_t now_ms) WARN_UNUSED;
err_t *db_mail_peers_get(db_conn_t *conn, arena_t *arena, const char *address,
                         bytes_t *ret_capabilities, bool *ret_found) WARN_UNUSED;

/* ---- trusted ---- */

typedef struct {
    bytes_t fingerprint;
    const char *kind; /* ca, certificate */
    const char *domain;
    bytes_t der;
    const char *why;
    const char *created_by;
    int64_t created_ms;
} db_mail_trust_t;

/* Replaces what was said of the same certificate. */
err_t *db_mail_trust_put(db_conn_t *conn, const db_mail_trust_t *row) WARN_UNUSED;
err_t *db_mail_trust_list(db_conn_t *conn, arena_t *arena, size_t limit, db_mail_trust_t **ret_rows,
                          size_t *ret_count) WARN_UNUSED;
err_t *db_mail_trust_remove(db_conn_t *conn, bytes_t fingerprint, bool *ret_found) WARN_UNUSED;

/* ---- groups ---- */

typedef struct {
    const char *address;
    const char *member;
    const char *created_by;
    int64_t created_ms;
} db_mail_member_t;

err_t *db_mail_groups_add(db_conn_t *conn, const db_mail_member_t *row) WARN_UNUSED;
/* Takes all members away. */
err_t *db_mail_groups_remove(db_conn_t *conn, const char *address, bool *ret_found) WARN_UNUSED;
err_t *db_mail_groups_of(db_conn_t *conn, arena_t *arena, const char *address, size_t limit,
                         db_mail_member_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Members of all groups, in order of group and member, those after. */
err_t *db_mail_groups_list(db_conn_t *conn, arena_t *arena, const char *after_address,
                           const char *after_member, size_t limit, db_mail_member_t **ret_rows,
                           size_t *ret_count) WARN_UNUSED;

/* ---- our own ---- */

/*
 * Every certificate that a person with this address has of our CAs, then those of their archived
 * keys (some brought along, of foreign CAs), the newest first: DER, several of a key one after
 * another.
 */
typedef struct {
    bytes_t der;
    bool archived;
} db_mail_own_t;
err_t *db_mail_own_of(db_conn_t *conn, arena_t *arena, const char *address, size_t limit,
                      db_mail_own_t **ret_rows, size_t *ret_count) WARN_UNUSED;

#endif
