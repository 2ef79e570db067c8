/*
 * The mail CA: certifies people's S/MIME keys (RFC 8551), P-256, under the root. Made with a new
 * instance, or when a keeper first starts on a vault from before there was one.
 */
#ifndef COFFER_KEEPER_MAIL_CA_H
#define COFFER_KEEPER_MAIL_CA_H

#include "keeper/own_cert.h"

#define KEY_MAIL_CA "mail-ca" /* in the vault, in records, in addresses */

/* Makes key and certificate and puts them into the vault. */
err_t *mail_ca_make(vault_t *vault, const own_issuer_t *root, cert_t **ret_cert) WARN_UNUSED;
/*
 * Makes one if the vault has none, and writes DIR/public/mail-ca.pem if that is not there.
 * *ret_made is the new certificate, or untouched. Before the sandbox and before the keyring is
 * loaded.
 */
err_t *mail_ca_ensure(vault_t *vault, const char *dir, const clk_t *clk, const rnd_t *rnd,
                      cert_t **ret_made) WARN_UNUSED;
/* The lease key, in a new vault or in one from before leases. */
err_t *lease_key_ensure(vault_t *vault) WARN_UNUSED;
/* An entry of the log and the record of issued certificates for what mail_ca_ensure made. */
err_t *mail_ca_record(vault_t *vault, const cert_t *cert) WARN_UNUSED;

#endif
