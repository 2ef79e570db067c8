/*
 * Configuration profiles: signed so that a device shows who made them, and sealed to a device
 * that the keeper's own record knows. Worker threads.
 */
#include "base/limits.h"
#include "base/text.h"
#include "keeper/intent.h"

static bool contains(bytes_t text, bytes_t needle) {
    for (size_t i = 0; i + needle.n <= text.n; i++)
        if (memcmp(text.p + i, needle.p, needle.n) == 0) return true;
    return false;
}

/* Only what is an XML property list gets the profile signer's signature. */
static bool looks_like_plist(bytes_t text) {
    bytes_t start = text_trim(text);
    return bytes_starts(start, BYTES_LIT("<plist")) ||
           (bytes_starts(start, BYTES_LIT("<?xml")) && contains(start, BYTES_LIT("<plist")));
}

err_t *intent_sign_profile(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    bytes_t profile;
    TRY(wire_get_bytes(&r, LIMIT_PROFILE_BYTES, &profile));
    TRY(wire_done(&r));
    intent_about(answer, "profile of %zu bytes", profile.n);
    if (!looks_like_plist(profile))
        return err_new(ERR_DENIED, "only configuration profiles (XML property lists) are signed");
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, LIMIT_FRAME_BYTES);
    TRY(cms_sign(core->keys->profile_signer, profile, NULL, &message));
    return wire_put_bytes(&answer->body, buf_bytes(&message));
}

/*
 * Found by fingerprint and then checked against the CA's key: a row that somebody slipped into
 * the database must not make the keeper encrypt to a stranger.
 */
err_t *intent_find_issued(const keeper_core_t *core, bytes_t fingerprint, cert_t **ret_cert) {
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    bool found = false;
    TRY(vault_issued_find(core->vault, fingerprint, &found, &der));
    if (!found) return err_new(ERR_NOT_FOUND, "we issued no certificate of this fingerprint");
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY_WRAP(cert_parse_der(buf_bytes(&der), &cert), "certificate in the vault");
    if (!bytes_eq(bytes_make(cert_sha256(cert), CERT_SHA256_SIZE), fingerprint))
        return err_new(ERR_VERIFY, "the certificate in the vault was changed");
    const device_ca_t *ca = keyring_device_ca(core->keys, cert_issuer_der(cert));
    if (!ca) return err_new(ERR_VERIFY, "the certificate in the vault is of no device CA");
    TRY_WRAP(cert_verify_signed_by_key(cert, ca->key), "certificate in the vault");
    *ret_cert = STEAL(cert);
    return NULL;
}

err_t *intent_seal_profile(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    bytes_t fingerprint, payloads;
    cms_encrypt_options_t options = {0};
    TRY(wire_get_raw(&r, CERT_SHA256_SIZE, &fingerprint));
    TRY(intent_get_cipher(&r, &options.cipher));
    TRY(wire_get_bytes(&r, LIMIT_PROFILE_BYTES, &payloads));
    TRY(wire_done(&r));
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(intent_find_issued(core, fingerprint, &cert));
    intent_about(answer, "serial=%s, %zu bytes", cert_serial_hex(cert), payloads.n);
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, LIMIT_FRAME_BYTES);
    TRY(cms_encrypt_to(payloads, cert, &options, &message));
    return wire_put_bytes(&answer->body, buf_bytes(&message));
}
