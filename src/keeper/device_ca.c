/*
 * See device_ca.h. Main thread, at init, rollover and start.
 */
#include "keeper/device_ca.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "keeper/keyring.h"

#define STATE_KEY "device-ca-state"

enum {
    YEAR_S = 365 * 24 * 60 * 60,
    DEVICE_CA_YEARS = 10,
    ROLE_MAX = 48,
    KEY_NAME_MAX = 64,
    STATE_MAX = 16, /* bytes */
};

void device_ca_done(device_ca_t *ca) {
    cms_signer_free(ca->scep_signer);
    cert_free(ca->recipient);
    pkey_free(ca->recipient_key);
    cert_free(ca->cert);
    pkey_free(ca->key);
    *ca = (device_ca_t){0};
}

DEFINE_CLEANUP_VALUE(device_ca_t, device_ca_done)

void device_ca_name(unsigned generation, char ret_name[DEVICE_CA_NAME]) {
    if (generation == 1) (void)snprintf(ret_name, DEVICE_CA_NAME, KEY_DEVICE_CA);
    else (void)snprintf(ret_name, DEVICE_CA_NAME, KEY_DEVICE_CA "-%u", generation);
}

/* ---- which there are ---- */

err_t *device_ca_state_get(vault_t *vault, device_ca_state_t *ret_state) {
    CLEANUP(secret_free) secret_t *bytes = NULL;
    err_t *e = vault_key_get(vault, STATE_KEY, VAULT_KEY_STATE, &bytes, NULL);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        *ret_state = (device_ca_state_t){1, 1};
        return NULL;
    }
    if (e) return e;
    wire_reader_t r = wire_reader(secret_bytes(bytes));
    uint32_t count = 0, current = 0;
    TRY(wire_get_u32(&r, &count));
    TRY(wire_get_u32(&r, &current));
    TRY(wire_done(&r));
    if (current == 0 || count > LIMIT_DEVICE_CAS || (count != current && count != current + 1))
        return err_new(ERR_VERIFY, "the vault's account of device CAs is damaged");
    *ret_state = (device_ca_state_t){count, current};
    return NULL;
}

err_t *device_ca_state_set(vault_t *vault, const device_ca_state_t *state) {
    CLEANUP(buf_done) buf_t bytes;
    buf_init(&bytes, STATE_MAX);
    TRY(wire_put_u32(&bytes, state->count));
    TRY(wire_put_u32(&bytes, state->current));
    return vault_key_replace(vault, &(vault_key_t){.name = STATE_KEY,
                                                   .kind = VAULT_KEY_STATE,
                                                   .private_key = buf_bytes(&bytes)});
}

/* ---- loading ---- */

/* The RA's keys; a generation without them is in CA mode. */
static err_t *load_ra(vault_t *vault, device_ca_t *ca) {
    char name[KEY_NAME_MAX];
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    (void)snprintf(name, sizeof name, "%s-ra-sign", ca->name);
    err_t *e = keyring_load_key(vault, name, &key, &cert);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        ca->recipient = cert_share(ca->cert);
        ca->recipient_key = pkey_share(ca->key);
        return cms_signer_new(ca->cert, ca->key, NULL, &ca->scep_signer);
    }
    if (e) return e;
    ca->ra = true;
    TRY(cms_signer_new(cert, key, NULL, &ca->scep_signer));
    (void)snprintf(name, sizeof name, "%s-ra-encrypt", ca->name);
    return keyring_load_key(vault, name, &ca->recipient_key, &ca->recipient);
}

err_t *device_ca_load(vault_t *vault, unsigned generation, const device_ca_state_t *state,
                      device_ca_t *ret_ca) {
    CLEANUP(device_ca_done) device_ca_t ca = {.generation = generation};
    ca.state = generation < state->current    ? KEEPER_CA_FORMER
               : generation == state->current ? KEEPER_CA_CURRENT
                                              : KEEPER_CA_NEXT;
    device_ca_name(generation, ca.name);
    TRY(keyring_load_key(vault, ca.name, &ca.key, &ca.cert));
    TRY(load_ra(vault, &ca));
    *ret_ca = ca;
    ca = (device_ca_t){0};
    return NULL;
}

/* ---- making one ---- */

err_t *device_ca_spec_parse(const char *key, const char *mode, device_ca_spec_t *ret_spec) {
    static const struct {
        const char *name;
        device_ca_spec_t spec;
    } keys[] = {
        {"rsa2048", {PKEY_RSA, 2048, false}}, {"rsa3072", {PKEY_RSA, 3072, false}},
        {"rsa4096", {PKEY_RSA, 4096, false}}, {"p256", {PKEY_P256, 0, true}},
        {"p384", {PKEY_P384, 0, true}},
    };
    size_t i = 0, n = sizeof keys / sizeof keys[0];
    while (key && i < n && strcmp(key, keys[i].name) != 0) i++;
    if (i == n)
        return err_new(ERR_USAGE, "a device CA's key is one of rsa2048, rsa3072, rsa4096, p256, "
                                  "p384");
    device_ca_spec_t spec = keys[i].spec;
    bool ra = mode && strcmp(mode, "ra") == 0;
    if (mode && !ra && strcmp(mode, "ca") != 0)
        return err_new(ERR_USAGE, "the SCEP mode is ca or ra");
    if (mode && !ra && spec.kind != PKEY_RSA)
        return err_new(ERR_USAGE, "SCEP encrypts to an RSA key: with %s the mode must be ra",
                       keys[i].name);
    spec.ra |= ra;
    *ret_spec = spec;
    return NULL;
}

/* "Device CA", "Device CA 2": each generation has a subject of its own (decision 0018). */
static void role_of(const char *what, unsigned generation, char out[ROLE_MAX]) {
    if (generation == 1) (void)snprintf(out, ROLE_MAX, "%s", what);
    else (void)snprintf(out, ROLE_MAX, "%s %u", what, generation);
}

static err_t *make_ca(vault_t *vault, const own_issuer_t *root, unsigned generation,
                      const device_ca_spec_t *spec, pkey_t **ret_key, cert_t **ret_cert) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    char name[DEVICE_CA_NAME], role[ROLE_MAX];
    device_ca_name(generation, name);
    role_of("Device CA", generation, role);
    TRY(pkey_generate(spec->kind, spec->bits, &key));
    cert_spec_t rest = {
        .is_ca = true,
        .has_path_length = true,
        .path_length = 0,
        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN,
        .key = key,
    };
    /* In CA mode one RSA certificate signs, decrypts and certifies (RFC 8894 section 2.1.2). */
    if (!spec->ra) rest.key_usage |= KEY_USAGE_KEY_ENCIPHERMENT;
    TRY(own_cert_issue(root, role, (int64_t)DEVICE_CA_YEARS * YEAR_S, &rest, &cert));
    TRY(own_cert_keep(vault, name, key, cert));
    *ret_key = STEAL(key);
    *ret_cert = STEAL(cert);
    return NULL;
}

static err_t *make_ra(vault_t *vault, const own_issuer_t *ca, unsigned generation, const char *what,
                      const char *suffix, unsigned usage, cert_list_t *ret_certs) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    char name[DEVICE_CA_NAME], key_name[KEY_NAME_MAX], role[ROLE_MAX];
    device_ca_name(generation, name);
    (void)snprintf(key_name, sizeof key_name, "%s-%s", name, suffix);
    role_of(what, generation, role);
    TRY(pkey_generate(PKEY_RSA, LIMIT_RSA_BITS_MIN, &key));
    cert_spec_t rest = {.key_usage = usage, .key = key};
    TRY(own_cert_issue(ca, role, (int64_t)DEVICE_CA_YEARS * YEAR_S, &rest, &cert));
    TRY(own_cert_keep(vault, key_name, key, cert));
    return cert_list_add(ret_certs, cert);
}

err_t *device_ca_make(vault_t *vault, const own_issuer_t *root, unsigned generation,
                      const device_ca_spec_t *spec, cert_list_t *ret_certs) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(make_ca(vault, root, generation, spec, &key, &cert));
    TRY(cert_list_add(ret_certs, cert));
    if (!spec->ra) return NULL;
    own_issuer_t ca = *root;
    ca.issuer = cert;
    ca.issuer_key = key;
    TRY(make_ra(vault, &ca, generation, "SCEP RA Signing", "ra-sign", KEY_USAGE_DIGITAL_SIGNATURE,
                ret_certs));
    return make_ra(vault, &ca, generation, "SCEP RA Encryption", "ra-encrypt",
                   KEY_USAGE_KEY_ENCIPHERMENT, ret_certs);
}
