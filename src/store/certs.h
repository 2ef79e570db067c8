/*
 * Rows of `certificate` and `scep_transaction`: what was issued, to whom, and by which request.
 */
#ifndef COFFER_STORE_CERTS_H
#define COFFER_STORE_CERTS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    bytes_t fingerprint; /* SHA-256 of the DER */
    const char *issuer;
    const char *serial;
    const char *profile;
    const char *subject;
    const char *enrolment_id;
    const char *person_id;
    bytes_t spki_sha256;
    int64_t not_before; /* seconds */
    int64_t not_after;  /* seconds */
    int64_t revoked_ms; /* 0: not */
    bytes_t der;
    int64_t created_ms;
} db_certificate_t;

err_t *db_certificates_add(db_conn_t *conn, const db_certificate_t *row) WARN_UNUSED;
err_t *db_certificates_by_fingerprint(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                                      db_certificate_t *ret_row, bool *ret_found) WARN_UNUSED;
/* The newest of an enrolment. */
err_t *db_certificates_by_enrolment(db_conn_t *conn, arena_t *arena, const char *enrolment_id,
                                    db_certificate_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Revokes: it is no identity any more. Done before: stays as it was. */
err_t *db_certificates_retire(db_conn_t *conn, bytes_t fingerprint, int64_t now_ms) WARN_UNUSED;
err_t *db_certificates_count(db_conn_t *conn, int64_t *ret_count) WARN_UNUSED;

/*
 * Which certificate a transaction got. spki_sha256 is who asked: the SHA-256 of the key, or, for
 * a request signed by a certificate of ours, of that certificate. An older one is replaced.
 */
err_t *db_scep_transactions_add(db_conn_t *conn, bytes_t transaction_id, bytes_t spki_sha256,
                                bytes_t fingerprint, int64_t now_ms) WARN_UNUSED;
/* The fingerprint of the certificate that this transaction of this key got; in the arena. */
err_t *db_scep_transactions_get(db_conn_t *conn, arena_t *arena, bytes_t transaction_id,
                                bytes_t spki_sha256, bytes_t *ret_fingerprint,
                                bool *ret_found) WARN_UNUSED;

#endif
