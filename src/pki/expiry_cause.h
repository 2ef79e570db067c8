/*
 * Why a certificate that should have been renewed was not: the one fact of the records that tells
 * a person what to do. Pure.
 */
#ifndef COFFER_PKI_EXPIRY_CAUSE_H
#define COFFER_PKI_EXPIRY_CAUSE_H

#include "store/watch.h"

enum { EXPIRY_CAUSE_TEXT = 500 };

typedef struct {
    /* own, foreign, pending-approval, denied, device-removed, device-away, push-fails, refused,
     * challenge-expired, not-asked */
    const char *code;
    char text[EXPIRY_CAUSE_TEXT]; /* a sentence, printable */
} expiry_cause_t;

void expiry_cause(const db_expiring_t *cert, const db_expiry_facts_t *facts, int64_t now_ms,
                  expiry_cause_t *ret_cause);

/* How Coffer names its own certificates that are not in the table of issued ones. */
#define EXPIRY_OWN_PREFIX         "coffer:"
#define EXPIRY_OWN_ROOT           EXPIRY_OWN_PREFIX "root"
#define EXPIRY_OWN_DEVICE_CA      EXPIRY_OWN_PREFIX "device-ca"
#define EXPIRY_OWN_MAIL_CA        EXPIRY_OWN_PREFIX "mail-ca"
#define EXPIRY_OWN_PROFILE_SIGNER EXPIRY_OWN_PREFIX "profile-signer"
#define EXPIRY_OWN_TLS            EXPIRY_OWN_PREFIX "tls"
#define EXPIRY_OWN_PUSH           EXPIRY_OWN_PREFIX "push"
#define EXPIRY_OWN_OCSP           EXPIRY_OWN_PREFIX "ocsp"

#endif
