/*
 * Which certificates stand in the directory: jobs for coffer-courier, one a certificate, which
 * bring its entry to what this database says. Runs in coffer-web (asking) and coffer-courier
 * (deciding).
 */
#ifndef COFFER_DIRECTORY_PUBLISH_H
#define COFFER_DIRECTORY_PUBLISH_H

#include "base/arena.h"
#include "crypto/cert.h"
#include "store/certs.h"
#include "store/db.h"
#include "store/directory_certs.h"

#define DIRECTORY_JOB "directory"

/* Has the courier look at a certificate, inside the caller's db_write. */
err_t *directory_publish_ask(db_conn_t *conn, bytes_t fingerprint, int64_t now_ms) WARN_UNUSED;
/* Asks for all that are published and should not be, or the other way round, of these profiles
 * (a list, see conf_list_next). */
err_t *directory_publish_sweep(db_t *db, bytes_t profiles, int64_t now_ms) WARN_UNUSED;

typedef enum { PUBLISH_NOTHING, PUBLISH_ADD, PUBLISH_REMOVE } directory_publish_t;

typedef struct {
    directory_publish_t what;
    db_certificate_t cert;
    db_directory_cert_t row; /* of PUBLISH_REMOVE: what was put there; else to be filled in */
} directory_publish_plan_t;

/* What has to be done about the certificate of a job; in a db_read. */
err_t *directory_publish_plan(db_conn_t *conn, arena_t *arena, const char *job_name,
                              bytes_t profiles, int64_t now_ms,
                              directory_publish_plan_t *ret_plan) WARN_UNUSED;
/* The value of userSMIMECertificate: certs-only CMS of the certificate and its issuer. */
err_t *directory_publish_bundle(bytes_t der, const cert_t *issuer, buf_t *out) WARN_UNUSED;

#endif
