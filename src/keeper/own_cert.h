/*
 * Certificates that the keeper makes for itself: root, device CAs, registration authority, profile
 * signer, TLS. By init and rollover, when no server runs; one thread.
 */
#ifndef COFFER_KEEPER_OWN_CERT_H
#define COFFER_KEEPER_OWN_CERT_H

#include "base/clk.h"
#include "base/rnd.h"
#include "crypto/cert.h"
#include "keeper/vault.h"

/* Who issues, and for whom. All borrowed. */
typedef struct {
    const char *organisation;
    const cert_t *issuer; /* NULL: self-signed by issuer_key or rest->key */
    const pkey_t *issuer_key;
    const clk_t *clk;
    const rnd_t *rnd;
} own_issuer_t;

/*
 * Fills in subject ("O=Organisation, CN=Organisation Role"), serial and dates (never beyond the
 * issuer's), and issues.
 */
err_t *own_cert_issue(const own_issuer_t *by, const char *role, int64_t validity_s,
                      const cert_spec_t *rest, cert_t **ret_cert) WARN_UNUSED;
/* Puts a key with its certificate (may be NULL) into the vault. */
err_t *own_cert_keep(vault_t *vault, const char *name, const pkey_t *key,
                     const cert_t *cert) WARN_UNUSED;

#endif
