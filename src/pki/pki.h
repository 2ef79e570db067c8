/*
 * The public key infrastructure as coffer-web sees it: CA certificates, one-time challenges,
 * SCEP, and who a certificate of ours belongs to. Private keys are in the keeper.
 * Safe from many threads at once.
 */
#ifndef COFFER_PKI_PKI_H
#define COFFER_PKI_PKI_H

#include "audit/audit.h"
#include "base/arena.h"
#include "base/rnd.h"
#include "crypto/cert.h"
#include "crypto/cert_cache.h"
#include "crypto/csr.h"
#include "keeper/client.h"
#include "keeper/client_ca.h"
#include "store/certs.h"
#include "store/challenges.h"
#include "store/db.h"
#include "store/devices.h"

typedef struct pki pki_t;

typedef struct {
    db_t *db; /* borrowed, as all of these */
    keeper_t *keeper;
    const audit_t *audit;
    const clk_t *clk;
    const rnd_t *rnd;
    int64_t challenge_ttl_s;     /* default LIMIT_CHALLENGE_TTL_S */
    int64_t pending_ttl_s;       /* how long a request waits for approval; default a week */
    int64_t renewal_window_s;    /* renewal before expiry, not sooner; 0: at any time */
    int64_t renewal_grace_s;     /* and so long after it */
    int64_t clock_skew_s;        /* of clients' clocks; default a day */
    bool allow_des3;             /* old SCEP clients */
    bool allow_des;              /* very old ones */
    bool allow_sha1;             /* SHA-1 as digest of a SCEP request (GetCACaps says SHA-1 too) */
    const char *manual_profiles; /* certificate profiles that need approval, one a line; or NULL */
    bytes_t publish_profiles;    /* list (conf_list_next): those that go into the directory */
    const char *modern_profiles; /* those that take no DES, 3DES or SHA-1 all the same; or NULL */
    const char *mail_profiles;   /* those whose mailboxes must be the person's own; or NULL */
} pki_options_t;

/* Asks the keeper for the CA certificates. */
err_t *pki_new(const pki_options_t *options, pki_t **ret_pki) WARN_UNUSED;
void pki_free(pki_t *pki);

const cert_t *pki_root(const pki_t *pki);
const cert_t *pki_mail_ca(const pki_t *pki);
const cert_t *pki_device_ca(const pki_t *pki); /* the current one */
const cert_t *pki_profile_signer(const pki_t *pki);

/* All generations of the device CA, by age; borrowed. */
const keeper_cas_t *pki_device_cas(const pki_t *pki);
/* The generation with this subject, or of this name ("device-ca-2"); NULL: none. */
const keeper_ca_t *pki_device_ca_by_subject(const pki_t *pki, bytes_t subject_der);
const keeper_ca_t *pki_device_ca_by_name(const pki_t *pki, bytes_t name);

/* Where GetCRL finds lists; before the first request. Borrowed; NULL: it finds none. */
typedef struct revoker revoker_t;
void pki_use_revoker(pki_t *pki, revoker_t *revoker);

/* Certificates that came before, parsed: for cms_verify of what devices send. */
cert_cache_t *pki_certs(const pki_t *pki);

/* What a challenge is good for. All borrowed. */
typedef struct {
    const char *profile; /* certificate profile, e.g. "device-identity" */
    const char *subject; /* expected subject (RFC 2253 text as csr_subject gives), or "" for any */
    const char *names;   /* subjectAltNames to certify: "email:a@example.org dns:b", or "" */
    const char *enrolment_id; /* or "" */
    const char *device_udid;  /* or "" */
    const char *created_by;   /* actor */
    int64_t ttl_s;            /* 0: the default */
} pki_challenge_t;

/* A new one-time challenge (about 160 bits of base64url) inside the caller's db_write. */
err_t *pki_challenge_add(pki_t *pki, db_conn_t *conn, const pki_challenge_t *spec,
                         buf_t *ret_challenge) WARN_UNUSED;
/*
 * The same with a db_write of its own, audited. ERR_INVALID for a subject or names that no request
 * could meet (pki_subject_validate, pki_names_validate).
 */
err_t *pki_challenge_new(pki_t *pki, const pki_challenge_t *spec, buf_t *ret_challenge) WARN_UNUSED;

/*
 * Whether `cert` is an identity that we issued, is in our records, valid at this time and not
 * revoked: ERR_VERIFY with the reason otherwise. The row lives in the arena. Results may be
 * cached by fingerprint for a short time, never across a revocation in this process.
 */
err_t *pki_identity_check(pki_t *pki, db_conn_t *conn, arena_t *arena, const cert_t *cert,
                          db_certificate_t *ret_row) WARN_UNUSED;

/* The same for a row that was read in this transaction: its serial, dates and revoked_ms. */
err_t *pki_identity_row_check(pki_t *pki, const cert_t *cert,
                              const db_certificate_t *row) WARN_UNUSED;

/*
 * The device that is pinned to this certificate or to one that it was renewed from, at most
 * LIMIT_SCEP_CHAIN renewals ago. Says nothing about the certificate's validity.
 */
err_t *pki_device_of(db_conn_t *conn, arena_t *arena, bytes_t fingerprint, db_device_t *ret_device,
                     bool *ret_found) WARN_UNUSED;

DEFINE_CLEANUP(pki_t, pki_free)

#endif
