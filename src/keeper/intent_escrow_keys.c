/*
 * Key pairs into escrow: S/MIME encryption keys made here (RFC 8551), and those that users bring in
 * PKCS#12 files. Signing keys never. Worker threads; making an RSA key takes tenths of a second.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/p12.h"
#include "keeper/intent_escrow.h"

enum { COMMON_NAME_MAX = 64 /* characters, RFC 5280 A.1 */, HOUR_MS = 3600 * 1000, SUBJECT = 3 };
#define ATTEMPT_IMPORT "import" /* in the vault's table of attempts */

/* ---- what both do ---- */

/* The key as PKCS#8 under the object with its public key's hash. */
static err_t *archive_key(const keeper_core_t *core, escrow_object_t *object, keeper_wrap_t wrap,
                          const pkey_t *key, const cert_t *cert, intent_answer_t *answer) {
    CLEANUP(secret_free) secret_t *der = NULL;
    if (!pkey_same_public(cert_key(cert), key))
        return err_new(ERR_VERIFY, "the certificate is not for this key");
    TRY(pkey_spki_sha256(key, object->spki));
    object->has_spki = true;
    TRY(pkey_private_der(key, &der));
    return escrow_make(core, object, wrap, secret_bytes(der), cert_der(cert), answer);
}

static err_t *get_object(wire_reader_t *r, escrow_object_t *object, keeper_wrap_t *wrap) {
    TRY(escrow_object_get(r, object));
    TRY(escrow_get_wrap(r, wrap));
    if (strcmp(object->kind, ESCROW_KIND_SMIME) != 0)
        return err_new(ERR_DENIED, "a key pair is archived as " ESCROW_KIND_SMIME);
    if (object->version != 1 || object->has_spki)
        return err_new(ERR_INVALID, "every key pair is an object of its own, of version 1");
    if (object->owner[0] == '\0') return err_new(ERR_INVALID, "an S/MIME key has an owner");
    return NULL;
}

/* ---- made here ---- */

static err_t *find_profile(const keeper_core_t *core, const char *name,
                           const cert_profile_t **ret_profile) {
    const cert_profile_t *profile = cert_profiles_find(core->profiles, name);
    if (!profile) return err_new(ERR_DENIED, "there is no certificate profile %s", name);
    if (profile->ca != CERT_PROFILE_MAIL_CA)
        return err_new(ERR_DENIED, "profile %s, rule ca: not of the mail CA", name);
    if (profile->key_usage & (KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION))
        return err_new(ERR_DENIED, "profile %s, rule key_usage: signing keys are not archived",
                       name);
    *ret_profile = profile;
    return NULL;
}

static err_t *generate(const cert_profile_t *profile, pkey_t **ret_key) {
    if (profile->rsa_max) return pkey_generate(PKEY_RSA, profile->rsa_max, ret_key);
    if (profile->p256) return pkey_generate(PKEY_P256, 0, ret_key);
    if (profile->p384) return pkey_generate(PKEY_P384, 0, ret_key);
    return err_new(ERR_DENIED, "profile %s, rule keys: none that can be made", profile->name);
}

static err_t *certify(const keeper_core_t *core, const cert_profile_t *profile, const pkey_t *key,
                      const char *email, const char *name, cert_t **ret_cert) {
    const char *organisation = cert_subject_get(core->keys->root, "O");
    name_entry_t subject[SUBJECT];
    size_t n = 0;
    san_entry_t mailbox = {SAN_EMAIL, email};
    if (profile->rules != CERT_LINT_RFC5280) { /* mailbox-validated: SMBR 7.1.4.2.3 */
        name_entry_t only = {strlen(email) <= COMMON_NAME_MAX ? "CN" : "emailAddress", email};
        return intent_issue_cert(core, profile, key, &only, 1, &mailbox, 1, ret_cert);
    }
    if (organisation) subject[n++] = (name_entry_t){"O", organisation};
    subject[n++] = (name_entry_t){"CN", name[0] ? name : email};
    return intent_issue_cert(core, profile, key, subject, n, &mailbox, 1, ret_cert);
}

err_t *intent_escrow_smime(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_object_t object;
    keeper_wrap_t wrap;
    CLEANUP(mem_free) char *profile_name = NULL, *email = NULL, *name = NULL;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    const cert_profile_t *profile = NULL;
    TRY(get_object(&r, &object, &wrap));
    escrow_about(answer, &object);
    TRY(intent_get_name(&r, CERT_PROFILE_TEXT, "certificate profile", &profile_name));
    TRY(intent_get_name(&r, LIMIT_EMAIL, "mailbox", &email));
    TRY(wire_get_str(&r, LIMIT_NAME, &name));
    TRY(wire_done(&r));
    TRY(find_profile(core, profile_name, &profile));
    TRY(generate(profile, &key));
    TRY(certify(core, profile, key, email, name, &cert));
    TRY(archive_key(core, &object, wrap, key, cert, answer));
    TRY(intent_record_cert(core->keys, answer, profile, object.owner, cert));
    escrow_about(answer, &object);
    return NULL;
}

/* ---- brought along ---- */

/*
 * keyUsage decides (RFC 5280 section 4.2.1.3): a key that may sign is its owner's alone. Without
 * the extension the certificate allows everything, so signing too.
 */
static err_t *check_usage(const cert_t *cert) {
    const unsigned signs = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION |
                           KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN;
    const unsigned encrypts =
        KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_KEY_AGREEMENT | KEY_USAGE_DATA_ENCIPHERMENT;
    unsigned usage = cert_key_usage(cert);
    if (cert_is_ca(cert) || usage & signs || !(usage & encrypts))
        return err_new(ERR_DENIED, "signing keys are not archived: the certificate's key usage "
                                   "must be encryption alone");
    return NULL;
}

static err_t *check_key(const pkey_t *key) {
    switch (pkey_kind(key)) {
    case PKEY_RSA:
        if (pkey_bits(key) >= LIMIT_RSA_BITS_MIN) return NULL;
        return err_new(ERR_DENIED, "an RSA key below %d bits is not archived", LIMIT_RSA_BITS_MIN);
    case PKEY_P256:
    case PKEY_P384: return NULL;
    case PKEY_ED25519:
    case PKEY_X25519:
    case PKEY_OTHER: break;
    }
    return err_new(ERR_DENIED, "a %s key is none for S/MIME", pkey_kind_name(pkey_kind(key)));
}

/* A wrong password counts, over a restart too. */
static err_t *open_file(const keeper_core_t *core, const char *owner, bytes_t p12, bytes_t password,
                        intent_answer_t *answer, pkey_t **ret_key, cert_t **ret_cert) {
    int64_t tries = 0;
    TRY(vault_attempts(core->vault, ATTEMPT_IMPORT, owner, clk_unix_ms(core->clk) - HOUR_MS,
                       &tries));
    if (tries >= LIMIT_ESCROW_IMPORT_TRIES)
        return err_new(ERR_BUSY, "%lld wrong passwords within an hour: try again later",
                       (long long)tries);
    err_t *e = p12_read(p12, password, ret_key, ret_cert, NULL);
    if (!e || err_code(e) != ERR_VERIFY) return e;
    err_t *kept = vault_attempt_put(answer->op, ATTEMPT_IMPORT, owner);
    answer->keep_rows = kept == NULL;
    err_free(kept);
    return e;
}

err_t *intent_escrow_import(const keeper_core_t *core, const intent_call_t *call,
                            intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_object_t object;
    keeper_wrap_t wrap;
    bytes_t p12, password;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(get_object(&r, &object, &wrap));
    escrow_about(answer, &object);
    TRY(wire_get_bytes(&r, P12_BYTES_MAX, &p12));
    TRY(wire_get_bytes(&r, P12_PASSWORD_MAX, &password));
    TRY(wire_done(&r));
    TRY(open_file(core, object.owner, p12, password, answer, &key, &cert));
    TRY(check_usage(cert));
    TRY(check_key(key));
    return archive_key(core, &object, wrap, key, cert, answer);
}
