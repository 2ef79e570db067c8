/*
 * What may be learned from a message: the certificates and capabilities of signers who proved to be
 * whom the message is from. Only signatures over the whole message that hold, whose certificate has
 * the one From address as a subjectAltName (never by CN), and whose chain is trusted or left to an
 * admin to trust (RFC 8551 section 2.5.2, RFC 8550 section 3). Pure.
 */
#ifndef COFFER_MAIL_HARVEST_H
#define COFFER_MAIL_HARVEST_H

#include "crypto/cms_capable.h"
#include "mail/verdict.h"

/* All borrowed from the verdict. */
typedef struct {
    bytes_t address;           /* the From address */
    const cert_t *cert;        /* an encryption certificate of theirs, or the signer's own */
    const cert_list_t *others; /* what came along: further certificates to build chains with */
    mail_trust_t trust;        /* of the signer, at the time of signing */
    bool signer;               /* the certificate is the one that signed */
    bool has_capable;          /* capabilities came with the signature */
    cms_capable_t capable;
    bytes_t capabilities; /* as they came, DER */
    int64_t time; /* of signing: what the signer says, never later than `now`; now if they don't */
} mail_harvest_t;

/*
 * Calls `each` for what a verdict lets us learn: the signer's certificate (also if it is only for
 * signing: it may still carry capabilities), and every other certificate in the signature that is
 * for encrypting to the same address and of the same issuer (people with two keys send both along).
 * Nothing is no error. `now` in seconds.
 */
err_t *mail_harvest(const mail_verdict_t *verdict, int64_t now,
                    err_t *(*each)(void *arg, const mail_harvest_t *found), void *arg) WARN_UNUSED;

#endif
