/*
 * Loading the keys: see keyring.h. Main thread, at start.
 */
#include "keeper/keyring.h"

#include "base/mem.h"

static err_t *load_key(vault_t *vault, const char *name, pkey_t **ret_key, cert_t **ret_cert) {
    CLEANUP(secret_free) secret_t *der = NULL;
    CLEANUP(buf_done) buf_t cert_bytes;
    buf_init(&cert_bytes, LIMIT_CERTIFICATE_BYTES);
    TRY(vault_key_get(vault, name, VAULT_KEY_PRIVATE, &der, &cert_bytes));
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY_WRAP(pkey_parse_private_der(secret_bytes(der), &key), "key %s", name);
    if (ret_cert) {
        CLEANUP(cert_free) cert_t *cert = NULL;
        TRY_WRAP(cert_parse_der(buf_bytes(&cert_bytes), &cert), "certificate of %s", name);
        if (!pkey_same_public(cert_key(cert), key))
            return err_new(ERR_VERIFY, "the certificate of %s is not for its key", name);
        *ret_cert = STEAL(cert);
    }
    *ret_key = STEAL(key);
    return NULL;
}

static err_t *load_all(vault_t *vault, keyring_t *keys) {
    TRY(load_key(vault, KEY_ROOT, &keys->root_key, &keys->root));
    TRY(load_key(vault, KEY_DEVICE_CA, &keys->device_ca_key, &keys->device_ca));
    TRY(cms_signer_new(keys->device_ca, keys->device_ca_key, NULL, &keys->scep_signer));
    CLEANUP(pkey_free) pkey_t *profile_key = NULL;
    TRY(load_key(vault, KEY_PROFILE_SIGNER, &profile_key, &keys->profile_cert));
    cert_list_t chain = {&keys->root, 1};
    TRY(cms_signer_new(keys->profile_cert, profile_key, &chain, &keys->profile_signer));
    TRY(load_key(vault, KEY_AUDIT, &keys->audit_key, NULL));
    TRY(pkey_spki_sha256(keys->audit_key, keys->audit_key_id));
    return vault_key_get(vault, KEY_STORAGE, VAULT_KEY_SECRET, &keys->storage, NULL);
}

err_t *keyring_load(vault_t *vault, keyring_t **ret_keys) {
    CLEANUP(keyring_free) keyring_t *keys = mem_zalloc(sizeof *keys);
    if (!keys) return err_nomem();
    TRY(load_all(vault, keys));
    *ret_keys = STEAL(keys);
    return NULL;
}

void keyring_free(keyring_t *keys) {
    if (!keys) return;
    cms_signer_free(keys->scep_signer);
    cms_signer_free(keys->profile_signer);
    cert_free(keys->root);
    pkey_free(keys->root_key);
    cert_free(keys->device_ca);
    pkey_free(keys->device_ca_key);
    cert_free(keys->profile_cert);
    pkey_free(keys->audit_key);
    secret_free(keys->storage);
    mem_free(keys);
}
