/*
 * What the mail gateway may do for whom, and the keys that it signs with, in the vault. A row is
 * sealed by AES-256-GCM under the vault's key with all that it says as associated data, so that it
 * can be neither changed nor put in another's place.
 */
#ifndef COFFER_KEEPER_VAULT_MAIL_H
#define COFFER_KEEPER_VAULT_MAIL_H

#include "crypto/cert.h"
#include "keeper/vault.h"

typedef struct {
    char email[LIMIT_EMAIL + 1];
    char person[LIMIT_KEEPER_OWNER + 1];
    bool sign, decrypt;
    pkey_t *key;  /* owned; NULL unless sign */
    cert_t *cert; /* the same */
} vault_mail_t;

void vault_mail_done(vault_mail_t *mail);
DEFINE_CLEANUP_VALUE(vault_mail_t, vault_mail_done)

/* For an operation: the row, over what was there. Seals at once. */
err_t *vault_mail_put(vault_t *vault, vault_op_t *op, const vault_mail_t *mail) WARN_UNUSED;
/* For an operation: one more message opened; refused (ERR_BUSY) past LIMIT_KEEPER_MAIL_OPENS an
 * hour. */
err_t *vault_mail_count(vault_op_t *op, const char *email) WARN_UNUSED;
/* Any thread. ERR_VERIFY if the row was changed. */
err_t *vault_mail_find(vault_t *vault, const char *email, bool *ret_found,
                       vault_mail_t *ret_mail) WARN_UNUSED;

#endif
