/*
 * See device_secret.h. Main thread.
 */
#include "program/sim/device_secret.h"

#include "base/limits.h"
#include "crypto/cms.h"

enum { KEY_GROUPS = 6, KEY_GROUP = 4, KEY_TEXT = 30, CODE_TEXT = 32, MESSAGE_MAX = 16 * 1024 };

static const char symbols[] = "0123456789ACDEFGHJKLMNPQRTUVWXYZ";

/* Random symbols with a dash before each of these places. */
static err_t *random_groups(const rnd_t *rnd, size_t n, const unsigned *dashes, char *out) {
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t byte = 0;
        TRY(rnd_fill(rnd, &byte, 1));
        for (const unsigned *dash = dashes; *dash; dash++)
            if (*dash == i) out[at++] = '-';
        out[at++] = symbols[byte % (sizeof symbols - 1)];
    }
    out[at] = '\0';
    return NULL;
}

static err_t *new_recovery_key(const rnd_t *rnd, plist_t *state) {
    static const unsigned dashes[] = {4, 8, 12, 16, 20, 0};
    char key[KEY_TEXT];
    TRY(random_groups(rnd, (size_t)KEY_GROUPS * KEY_GROUP, dashes, key));
    return plist_set_string(state, "FileVaultKey", key);
}

err_t *secret_birth(bool supervised, const char *product, const rnd_t *rnd, plist_t *state) {
    static const unsigned dashes[] = {5, 10, 14, 18, 22, 0};
    char code[CODE_TEXT];
    if (bytes_starts(bytes_str(product), BYTES_LIT("Mac"))) TRY(new_recovery_key(rnd, state));
    if (!supervised) return NULL;
    TRY(random_groups(rnd, 26, dashes, code));
    TRY(plist_set_bool(state, "Supervised", true));
    return plist_set_string(state, "BypassCode", code);
}

/* ---- FileVault ---- */

static const plist_t *payload_by(const plist_t *profile, const char *key, bytes_t value) {
    const plist_t *content = plist_get(profile, "PayloadContent");
    for (size_t i = 0; content && i < plist_count(content); i++) {
        bytes_t text = BYTES_NONE;
        err_free(plist_get_string(plist_at(content, i), key, LIMIT_DEVICE_ATTRIBUTE, false, &text));
        if (bytes_eq(text, value)) return plist_at(content, i);
    }
    return NULL;
}

err_t *secret_learn_profile(sim_device_t *device, const plist_t *profile) {
    bytes_t uuid = BYTES_NONE, der = BYTES_NONE, type = BYTES_NONE;
    CLEANUP(cert_free) cert_t *cert = NULL;
    const plist_t *content = plist_get(profile, "PayloadContent");
    if (!content || plist_type(content) != PLIST_ARRAY) return NULL;
    const plist_t *escrow =
        payload_by(profile, "PayloadType", BYTES_LIT("com.apple.security.FDERecoveryKeyEscrow"));
    if (!escrow) return NULL;
    TRY(plist_get_string(escrow, "EncryptCertPayloadUUID", LIMIT_DEVICE_ATTRIBUTE, true, &uuid));
    const plist_t *named = payload_by(profile, "PayloadUUID", uuid);
    if (!named) return err_new(ERR_INVALID, "EncryptCertPayloadUUID names no payload");
    TRY(plist_get_string(named, "PayloadType", LIMIT_DEVICE_ATTRIBUTE, true, &type));
    if (!bytes_eq_str(type, "com.apple.security.pkcs1"))
        return err_new(ERR_INVALID, "EncryptCertPayloadUUID names no com.apple.security.pkcs1");
    TRY(plist_get_data(named, "PayloadContent", LIMIT_CERTIFICATE_BYTES, true, &der));
    TRY_WRAP(cert_parse_der(der, &cert), "certificate of the recovery key");
    return plist_set_data(device->state, "FileVaultCertificate", der);
}

static err_t *encrypt_key(const sim_device_t *device, bytes_t certificate, buf_t *out) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(cert_parse_der(certificate, &cert));
    return cms_encrypt_to(bytes_str(device_text(device, "FileVaultKey")), cert, NULL, out);
}

err_t *secret_tell_filevault(const sim_device_t *device, plist_t *info) {
    CLEANUP(buf_done) buf_t message;
    bytes_t certificate = device_data(device, "FileVaultCertificate");
    buf_init(&message, MESSAGE_MAX);
    if (!device_text(device, "FileVaultKey")[0]) return NULL;
    TRY(plist_set_bool(info, "FDE_Enabled", true));
    TRY(plist_set_bool(info, "FDE_HasPersonalRecoveryKey", true));
    TRY(plist_set_bool(info, "FDE_HasInstitutionalRecoveryKey", false));
    if (!certificate.n) return NULL;
    TRY(encrypt_key(device, certificate, &message));
    return plist_set_data(info, "FDE_PersonalRecoveryKeyCMS", buf_bytes(&message));
}

err_t *secret_rotate_filevault(sim_device_t *device, const plist_t *command, const rnd_t *rnd,
                               plist_t *result, const char **ret_problem) {
    CLEANUP(buf_done) buf_t message;
    bytes_t key = BYTES_NONE, certificate = BYTES_NONE, kind = BYTES_NONE;
    plist_t *unlock = NULL, *out = NULL;
    buf_init(&message, MESSAGE_MAX);
    err_free(plist_get_dict(command, "FileVaultUnlock", false, &unlock));
    err_free(plist_get_string(command, "KeyType", LIMIT_DEVICE_ATTRIBUTE, false, &kind));
    if (unlock) err_free(plist_get_string(unlock, "Password", LIMIT_DEVICE_ATTRIBUTE, false, &key));
    err_free(plist_get_data(command, "ReplyEncryptionCertificate", LIMIT_CERTIFICATE_BYTES, false,
                            &certificate));
    *ret_problem = NULL;
    if (!device_text(device, "FileVaultKey")[0]) *ret_problem = "FileVault is off.";
    else if (!bytes_eq_str(kind, "personal") || !certificate.n)
        *ret_problem = "A personal key needs KeyType and ReplyEncryptionCertificate.";
    else if (!bytes_eq_str(key, device_text(device, "FileVaultKey")))
        *ret_problem = "The password does not unlock FileVault.";
    if (*ret_problem) return NULL;
    TRY(new_recovery_key(rnd, device->state));
    TRY(encrypt_key(device, certificate, &message));
    TRY(plist_set_dict(result, "RotateResult", &out));
    return plist_set_data(out, "EncryptedNewRecoveryKey", buf_bytes(&message));
}
