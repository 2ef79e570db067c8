/*
 * Asking the keeper on behalf of the mail gateway. coffer-web says what the gateway may do for whom
 * (keeper_mail_allow), and alone can; coffer-mailgate does it, and can't say so itself. See
 * client.h for what is common.
 */
#ifndef COFFER_KEEPER_CLIENT_MAIL_H
#define COFFER_KEEPER_CLIENT_MAIL_H

#include "crypto/cms_unwrap.h"
#include "keeper/client_escrow.h"

#define KEEPER_MAIL_PROFILE "mail-gateway" /* of the certificates, in records */

typedef struct {
    const char *email;  /* lower case */
    const char *person; /* owner of the archived keys and of the certificate */
    const char *name;   /* commonName, or "" */
    bool sign;          /* the gateway signs for him, with a key that the keeper makes */
    bool decrypt;       /* the gateway decrypts with his archived keys */
    bool renew;         /* a new signing key even if there is one */
} keeper_mail_allow_t;

/*
 * Records it, over what was recorded for the address. Without `sign` a signing key is destroyed.
 * Another person than before: nothing of the former stays. *ret_made: a signing key was made, and
 * ret_certificate (DER) is new; else it is what there was, or empty.
 */
err_t *keeper_mail_allow(keeper_t *keeper, const keeper_mail_allow_t *allow, buf_t *ret_certificate,
                         bool *ret_made) WARN_UNUSED;

/*
 * A detached SignedData (DER) over content of this SHA-256, by the person's key, with its
 * certificate and the mail CA's. The time and everything else in it are the keeper's. For the
 * gateway alone. ERR_DENIED: not allowed for this person. Idempotent.
 */
err_t *keeper_mail_sign(keeper_t *keeper, const char *email, const uint8_t sha256[32],
                        buf_t *ret_cms) WARN_UNUSED;

typedef struct {
    const char *email;
    escrow_object_t object; /* the archived key, as the store has it */
    bytes_t blob, wrap;
    const cms_wrapped_t *wrapped;
    const char *message; /* a name of the message for the log, or "" */
} keeper_mail_open_t;

/*
 * The content key (n bytes) of one message, out of what is wrapped for an archived key of the
 * person. For the gateway alone. ERR_DENIED: not allowed for this person, another person's key, or
 * one that only officers open. ERR_BUSY at LIMIT_KEEPER_MAIL_OPENS an hour and person. ERR_VERIFY.
 */
err_t *keeper_mail_open(keeper_t *keeper, const keeper_mail_open_t *open, uint8_t *ret_key,
                        size_t n) WARN_UNUSED;

#endif
