/*
 * For SCEP's files in src/pki only: one request on its way through.
 */
#ifndef COFFER_PKI_SCEP_INTERNAL_H
#define COFFER_PKI_SCEP_INTERNAL_H

#include "base/limits.h"
#include "pki/pki_internal.h"
#include "pki/scep_request.h"
#include "store/enrolments.h"
#include "store/people.h"
#include "store/scep.h"

/* What a device does next, as far as its kind is known to; for the trace. */
#define NEXT_INSTALL "installs the certificate"
#define NEXT_USE     "goes on with the answer"
#define NEXT_POLL    "asks again with CertPoll until a person decides: coffer cert approve"
#define NEXT_PROFILE "gives up; needs a new profile with a new challenge"
#define NEXT_STOP    "gives up; the request itself has to change"
#define NEXT_LATER   "keeps its certificate and asks again later"
#define NEXT_CLOCK   "gives up until its clock is right"
#define NEXT_RETRY   "tries again"

/* What a request may have, by challenge, renewal or approval. Strings in the arena or static. */
typedef struct {
    const char *profile;
    const char *names; /* "email:a dns:b" */
    const char *owner;
    const char *enrolment_id;
    const char *person_id;
    const char *email; /* the person's; "" without one */
    const char *udid;
    bytes_t challenge_hash; /* none: already used, or a renewal */
    bytes_t renewed_from;   /* none: no renewal */
} scep_grant_t;

typedef struct {
    pki_t *pki;
    const char *peer;
    scep_request_t request;
    keeper_scep_reply_t reply;
    arena_t *arena;
    const cert_t *signer;  /* of the message; borrowed */
    const keeper_ca_t *ca; /* the generation that the message was made for */
    bool signer_ours;      /* a device CA of ours signed the signer's certificate */
    /*
     * Who asks. For a certificate of ours its fingerprint, else the key's hash: a renewal that
     * keeps its key, and so maybe its transactionID, is no replay of the first request.
     */
    uint8_t requester[PKI_HASH];
    csr_t *csr;
    uint8_t spki[PKI_HASH];
    uint8_t hash[PKI_HASH]; /* of the challenge */
    scep_grant_t grant;
    bytes_t earlier; /* fingerprint of what an equal transaction got; none */
    db_scep_pending_t pending;
    bool pending_found;
    cert_t *issued;
    bool old_algorithms; /* 3DES, DES or SHA-1 */
    const char *cipher;  /* of the envelope, static */
    /* for the reply and the trace */
    int fail; /* scep_fail_info_t, or -1: as the error's code says */
    const char *outcome;
    const char *next;
    char problem[LIMIT_SCEP_TRACE_TEXT];
    bool traced;
} scep_exchange_t;

/* Refuses with this failInfo; the trace will say what the device does next. */
#define SCEP_NO(x, info, what_next, ...)                                                           \
    ((x)->fail = (int)(info), (x)->next = (what_next), err_new(ERR_DENIED, __VA_ARGS__))

/* ---- scep_check.c ---- */

/* Which generation of the device CA the envelope is for, the current one if that can't be said. */
const keeper_ca_t *scep_find_ca(const pki_t *pki, bytes_t envelope);
/* Whether requests to that generation are opened. ERR_DENIED. */
err_t *scep_check_ca(scep_exchange_t *x) WARN_UNUSED;
/* Algorithms and times of the message, before anything is opened. ERR_DENIED. */
err_t *scep_check_algorithms(scep_exchange_t *x) WARN_UNUSED;
err_t *scep_check_times(scep_exchange_t *x) WARN_UNUSED;
/* Whether the profile takes the message's algorithms. ERR_DENIED. */
err_t *scep_check_profile_algorithms(scep_exchange_t *x, const char *profile) WARN_UNUSED;
/* Whether a mail certificate's mailboxes are this person's (the grant's). ERR_DENIED. */
err_t *scep_check_mailboxes(scep_exchange_t *x, const char *email) WARN_UNUSED;
/* Seconds since 1970 of a signingTime (UTCTime or GeneralizedTime, RFC 5652 section 11.3). */
err_t *scep_parse_time(int tag, bytes_t text, int64_t *ret_unix) WARN_UNUSED;

/* ---- scep_renew.c ---- */

/*
 * Whether the message's signer may have its certificate renewed (RFC 8894 section 2.3, appendix
 * D); fills in the grant. The request must have been verified.
 */
err_t *scep_renew_check(scep_exchange_t *x) WARN_UNUSED;

/* ---- scep_issue.c ---- */

/* PKCSReq and RenewalReq. */
err_t *scep_issue_request(scep_exchange_t *x, buf_t *out) WARN_UNUSED;
/* What an earlier request of this transaction led to, if there was one. Inside db_read. */
err_t *scep_find_earlier(db_conn_t *conn, void *arg) WARN_UNUSED;
/* Answers as the pending row says; issues if it was approved. */
err_t *scep_issue_pending(scep_exchange_t *x, buf_t *out) WARN_UNUSED;
err_t *scep_repeat(scep_exchange_t *x, buf_t *out) WARN_UNUSED;

/* ---- scep_id.c ---- */

err_t *scep_cert_poll(scep_exchange_t *x, buf_t *out) WARN_UNUSED;
err_t *scep_get_cert(scep_exchange_t *x, buf_t *out) WARN_UNUSED;
err_t *scep_get_crl(scep_exchange_t *x, buf_t *out) WARN_UNUSED;

/* ---- scep_trace.c ---- */

const char *scep_message_name(scep_message_type_t type);
const char *scep_fail_name(int info);
/* Adds the exchange to the trace, once, inside a db_write. */
err_t *scep_trace_add(db_conn_t *conn, scep_exchange_t *x) WARN_UNUSED;
/* The same with a db_write of its own; what goes wrong there spoils no answer. */
void scep_trace_save(scep_exchange_t *x);
/* A message that is no SCEP request. */
void scep_trace_malformed(pki_t *pki, const char *peer, const err_t *why);

#endif
