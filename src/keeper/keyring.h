/*
 * The keys in use: taken out of the vault once at start, parsed, matched with their certificates,
 * then immutable and shared by all worker threads. Never re-read while serving.
 */
#ifndef COFFER_KEEPER_KEYRING_H
#define COFFER_KEEPER_KEYRING_H

#include "crypto/cert.h"
#include "crypto/cms.h"
#include "crypto/pkey.h"
#include "crypto/secret.h"
#include "keeper/device_ca.h"
#include "keeper/mail_ca.h"
#include "keeper/storage.h"
#include "keeper/vault.h"

/* Names of the rows in the vault. */
#define KEY_ROOT           "root"
#define KEY_DEVICE_CA      "device-ca"
#define KEY_PROFILE_SIGNER "profile-signer"
#define KEY_AUDIT          "audit"
#define KEY_STORAGE        "storage"
#define KEY_LEASE          "lease"

typedef struct {
    cert_t *root;
    pkey_t *root_key;
    device_ca_t device_cas[LIMIT_DEVICE_CAS]; /* by generation, the oldest first */
    size_t device_cas_n;
    const device_ca_t *device_ca; /* the current one */
    cert_t *mail_ca;              /* NULL in a vault from before there was one, until it serves */
    pkey_t *mail_ca_key;
    cert_t *profile_cert;
    cms_signer_t *profile_signer; /* carries the root along */
    pkey_t *lease_key;            /* X25519: what leases are sealed to; NULL as mail_ca */
    pkey_t *audit_key;
    uint8_t audit_key_id[32]; /* SHA-256 of its SubjectPublicKeyInfo */
    storage_t *storage;       /* AES-256 keys for secrets in the store; can grow while serving */
} keyring_t;

err_t *keyring_load(vault_t *vault, keyring_t **ret_keys) WARN_UNUSED;
void keyring_free(keyring_t *keys); /* takes NULL */

/* A private key, and its certificate unless ret_cert is NULL, by its name in the vault. */
err_t *keyring_load_key(vault_t *vault, const char *name, pkey_t **ret_key,
                        cert_t **ret_cert) WARN_UNUSED;
/* The generation of this subject, or NULL. */
const device_ca_t *keyring_device_ca(const keyring_t *keys, bytes_t subject_der);

DEFINE_CLEANUP(keyring_t, keyring_free)

#endif
