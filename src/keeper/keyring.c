/*
 * Loading the keys: see keyring.h. Main thread, at start.
 */
#include "keeper/keyring.h"

#include "base/mem.h"

err_t *keyring_load_key(vault_t *vault, const char *name, pkey_t **ret_key, cert_t **ret_cert) {
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

static err_t *load_device_cas(vault_t *vault, keyring_t *keys) {
    device_ca_state_t state;
    TRY(device_ca_state_get(vault, &state));
    for (; keys->device_cas_n < state.count; keys->device_cas_n++)
        TRY(device_ca_load(vault, (unsigned)keys->device_cas_n + 1, &state,
                           &keys->device_cas[keys->device_cas_n]));
    keys->device_ca = &keys->device_cas[state.current - 1];
    return NULL;
}

/* Serving makes them first (mail_ca.h); who only looks at an old vault finds none. */
static err_t *load_late(vault_t *vault, keyring_t *keys) {
    err_t *e = keyring_load_key(vault, KEY_MAIL_CA, &keys->mail_ca_key, &keys->mail_ca);
    if (!e) e = keyring_load_key(vault, KEY_LEASE, &keys->lease_key, NULL);
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    return NULL;
}

static err_t *load_all(vault_t *vault, keyring_t *keys) {
    TRY(keyring_load_key(vault, KEY_ROOT, &keys->root_key, &keys->root));
    TRY(load_device_cas(vault, keys));
    TRY(load_late(vault, keys));
    CLEANUP(pkey_free) pkey_t *profile_key = NULL;
    TRY(keyring_load_key(vault, KEY_PROFILE_SIGNER, &profile_key, &keys->profile_cert));
    cert_list_t chain = {&keys->root, 1};
    TRY(cms_signer_new(keys->profile_cert, profile_key, &chain, &keys->profile_signer));
    TRY(keyring_load_key(vault, KEY_AUDIT, &keys->audit_key, NULL));
    TRY(pkey_spki_sha256(keys->audit_key, keys->audit_key_id));
    return storage_load(vault, &keys->storage);
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
    cms_signer_free(keys->profile_signer);
    cert_free(keys->root);
    pkey_free(keys->root_key);
    for (size_t i = 0; i < keys->device_cas_n; i++) device_ca_done(&keys->device_cas[i]);
    cert_free(keys->mail_ca);
    pkey_free(keys->mail_ca_key);
    cert_free(keys->profile_cert);
    pkey_free(keys->lease_key);
    pkey_free(keys->audit_key);
    storage_free(keys->storage);
    mem_free(keys);
}

const device_ca_t *keyring_device_ca(const keyring_t *keys, bytes_t subject_der) {
    for (size_t i = 0; i < keys->device_cas_n; i++)
        if (bytes_eq(cert_subject_der(keys->device_cas[i].cert), subject_der))
            return &keys->device_cas[i];
    return NULL;
}
