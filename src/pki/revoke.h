/*
 * Revocation: certificates are revoked by people and by policy, and the world is told by lists
 * (RFC 5280 section 5) and by OCSP (RFC 6960, RFC 5019). A revoked identity is refused by this
 * server in the moment of the commit; lists and signed statuses follow in the background.
 * Safe from many threads at once, but for revoker_work, which has one.
 */
#ifndef COFFER_PKI_REVOKE_H
#define COFFER_PKI_REVOKE_H

#include "crypto/crl.h"
#include "keeper/client_revocation.h"
#include "pki/pki.h"
#include "store/ocsp_rows.h"
#include "store/revocations.h"

typedef struct revoker revoker_t;

/* Why a policy revokes. */
typedef enum {
    REVOKE_ON_CHECKOUT, /* a device left management */
    REVOKE_ON_ERASE,    /* a device acknowledged that it erases itself */
    REVOKE_ON_LOST,     /* an admin says that a device is lost */
    REVOKE_ON_LEAVE,    /* an admin says that a person left */
} revoke_event_t;
enum { REVOKE_EVENTS = 4 };

typedef struct {
    bool revoke;
    crl_reason_t reason;
} revoke_policy_t;

typedef struct {
    db_t *db; /* borrowed, as all of these */
    keeper_t *keeper;
    const pki_t *pki;
    const audit_t *audit;
    const clk_t *clk;
    const char *crl_dir; /* where lists lie; made if it is not there */
    int64_t crl_lifetime_s, crl_every_s, delta_every_s;
    int64_t ocsp_lifetime_s; /* signed again at half of it */
    revoke_policy_t policy[REVOKE_EVENTS];
} revoker_options_t;

err_t *revoker_new(const revoker_options_t *options, revoker_t **ret_revoker) WARN_UNUSED;
void revoker_free(revoker_t *revoker); /* takes NULL */

/* ---- revoking (revoke.c) ---- */

/*
 * Revokes inside the caller's db_write, audited. Again with another reason replaces the reason and
 * keeps the time. CRL_REMOVE ends a hold; ERR_DENIED for one that is not on hold, and for reasons
 * that are not a device's (cACompromise).
 */
err_t *revoke_certificate(revoker_t *revoker, db_conn_t *conn, const db_cert_brief_t *cert,
                          crl_reason_t reason, const char *actor, const char *why) WARN_UNUSED;
/* By policy, everything not yet revoked that a device (by its pinned identity) or a person has. */
err_t *revoke_device(revoker_t *revoker, db_conn_t *conn, arena_t *arena, bytes_t identity,
                     revoke_event_t event, const char *actor, size_t *ret_count) WARN_UNUSED;
err_t *revoke_person(revoker_t *revoker, db_conn_t *conn, arena_t *arena, const char *person_id,
                     revoke_event_t event, const char *actor, size_t *ret_count) WARN_UNUSED;
/* By serial number or SHA-256 fingerprint in hex. ERR_NOT_FOUND; ERR_INVALID if ambiguous. */
err_t *revoke_find(db_conn_t *conn, arena_t *arena, const char *text,
                   db_cert_brief_t *ret_cert) WARN_UNUSED;

/* ---- lists (crl.c) ---- */

/* Issues a list now, whatever its age. ERR_UNAVAILABLE, and the old list stays, once *stop. */
err_t *crl_issue(revoker_t *revoker, const char *issuer, const char *profile, bool delta,
                 const _Atomic bool *stop) WARN_UNUSED;
/* Issues what is due; the same. */
err_t *crl_issue_due(revoker_t *revoker, const _Atomic bool *stop) WARN_UNUSED;
/* The newest list's row and file (mem_free); ERR_NOT_FOUND. */
err_t *crl_find(revoker_t *revoker, arena_t *arena, const char *issuer, const char *profile,
                bool delta, db_crl_t *ret_row, char **ret_path) WARN_UNUSED;

/* ---- OCSP (ocsp.c) ---- */

typedef struct {
    buf_t der;           /* an OCSPResponse, always */
    bool cacheable;      /* RFC 5019 section 6 */
    int64_t this_update; /* seconds, when cacheable */
    int64_t next_update;
    uint8_t tag[8]; /* for ETag */
} ocsp_answer_t;

void ocsp_answer_init(ocsp_answer_t *answer);
void ocsp_answer_done(ocsp_answer_t *answer);
/* Answers a request of whomever, in DER; an error is our own failure (then say
 * OCSP_INTERNAL_ERROR). */
err_t *ocsp_answer(revoker_t *revoker, bytes_t der, ocsp_answer_t *ret_answer) WARN_UNUSED;
/* Signs ahead what is due, all certificates being looked at; stops early when *stop. */
err_t *ocsp_sign_due(revoker_t *revoker, const _Atomic bool *stop, size_t *ret_count) WARN_UNUSED;
/* Forgets statuses and responders that ended long ago. */
err_t *ocsp_purge(revoker_t *revoker) WARN_UNUSED;

DEFINE_CLEANUP(revoker_t, revoker_free)
DEFINE_CLEANUP_VALUE(ocsp_answer_t, ocsp_answer_done)

#endif
