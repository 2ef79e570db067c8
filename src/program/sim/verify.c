/*
 * What a strict device verifies about profiles: see verify.h. Pure; main thread.
 */
#include "program/sim/verify.h"

#include "base/limits.h"
#include "crypto/p12.h"

enum { TEXT_MAX = 2048, UUID_MAX = 64 };

err_t *verify_recode(err_t *e) {
    if (!e) return NULL;
    switch (err_code(e)) {
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_NOT_FOUND:
    case ERR_USAGE: return err_recode(e, ERR_VERIFY);
    case ERR_VERIFY:
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_DENIED:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: return e;
    }
    return e;
}

#define CHECK(expression) TRY(verify_recode(expression))

void verified_profile_done(verified_profile_t *profile) {
    plist_free(profile->doc);
    cms_signed_free(profile->message);
    *profile = (verified_profile_t){0};
}

void enrolment_terms_done(enrolment_terms_t *terms) {
    for (size_t i = 0; i < terms->mail_keys_n; i++) {
        pkey_free(terms->mail_keys[i]);
        cert_free(terms->mail_certs[i]);
    }
    cert_list_done(&terms->authorities);
    *terms = (enrolment_terms_t){0};
}

/* A signer that may sign profiles is not just any certificate of that CA. */
static err_t *check_signer(const cert_t *cert) {
    if (cert_is_ca(cert))
        return err_new(ERR_VERIFY, "the profile is signed by a CA certificate (%s)",
                       cert_subject(cert));
    if (!(cert_key_usage(cert) & KEY_USAGE_DIGITAL_SIGNATURE))
        return err_new(ERR_VERIFY, "the profile's signer (%s) may not sign: no digitalSignature",
                       cert_subject(cert));
    if (!cert_has_eku(cert, OID_EKU_CODE_SIGNING) && !cert_has_eku(cert, OID_EKU_EMAIL_PROTECTION))
        return err_new(ERR_VERIFY,
                       "the profile's signer (%s) is no profile signer: neither codeSigning nor "
                       "emailProtection",
                       cert_subject(cert));
    return NULL;
}

err_t *verify_profile(bytes_t message, const cert_list_t *roots, int64_t at,
                      verified_profile_t *ret_profile) {
    CLEANUP(verified_profile_done) verified_profile_t p = {0};
    err_t *e = cms_verify(message, NULL, NULL, &p.message);
    if (e) return verify_recode(err_wrap(e, "the profile's signature"));
    cert_chain_t chain = {.intermediates = cms_signed_certs(p.message), .roots = roots, .at = at};
    e = cert_verify_chain(cms_signed_cert(p.message), &chain);
    if (e) return verify_recode(err_wrap(e, "the profile's signer"));
    TRY(check_signer(cms_signed_cert(p.message)));
    e = plist_parse_dict(cms_signed_content(p.message), &p.doc, &p.dict);
    if (e) return verify_recode(err_wrap(e, "the profile"));
    *ret_profile = p;
    p = (verified_profile_t){0};
    return NULL;
}

static err_t *get_text(const plist_t *dict, const char *key, bool required, const char **ret_text) {
    bytes_t text = BYTES_NONE;
    CHECK(plist_get_string(dict, key, TEXT_MAX, required, &text));
    if (!text.p) return NULL;
    if (bytes_has_nul(text) || (required && text.n == 0))
        return err_new(ERR_VERIFY, "%s is empty or has a NUL in it", key);
    *ret_text = (const char *)text.p;
    return NULL;
}

static err_t *get_https(const plist_t *dict, const char *key, bool required, bool plain_too,
                        const char **ret_url) {
    const char *url = NULL;
    TRY(get_text(dict, key, required, &url));
    if (!url) return NULL;
    bool https = strncmp(url, "https://", 8) == 0;
    if (!https && !(plain_too && strncmp(url, "http://", 7) == 0))
        return err_new(ERR_VERIFY, "%s is no https URL: %.200s", key, url);
    *ret_url = url;
    return NULL;
}

static bool is_uuid(const char *text) {
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;
    for (; text[i] && shape[i]; i++) {
        char c = text[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (shape[i] == 'x' ? !hex : c != '-') return false;
    }
    return !text[i] && !shape[i];
}

err_t *verify_payload_head(const plist_t *payload, const char *type) {
    const char *found = NULL;
    const char *text = NULL;
    int64_t version = 0;
    TRY(get_text(payload, "PayloadType", true, &found));
    if (type && strcmp(found, type) != 0)
        return err_new(ERR_VERIFY, "PayloadType is %.100s, not %s", found, type);
    CHECK(plist_get_int(payload, "PayloadVersion", 1, 1, true, &version));
    TRY(get_text(payload, "PayloadIdentifier", true, &text));
    TRY(get_text(payload, "PayloadUUID", true, &text));
    if (!is_uuid(text)) return err_new(ERR_VERIFY, "PayloadUUID is no UUID: %.64s", text);
    return NULL;
}

/* ---- phase 1 ---- */

err_t *verify_offer(const plist_t *profile, profile_offer_t *ret_offer) {
    profile_offer_t offer = {0};
    plist_t *content = NULL;
    plist_t *attributes = NULL;
    TRY_WRAP(verify_payload_head(profile, "Profile Service"), "phase 1");
    CHECK(plist_get_dict(profile, "PayloadContent", true, &content));
    TRY(get_https(content, "URL", true, false, &offer.url));
    CHECK(plist_get_array(content, "DeviceAttributes", true, &attributes));
    if (plist_count(attributes) == 0 || plist_count(attributes) > OFFER_ATTRIBUTES)
        return err_new(ERR_VERIFY, "DeviceAttributes asks for %zu attributes",
                       plist_count(attributes));
    bool udid = false;
    for (size_t i = 0; i < plist_count(attributes); i++) {
        bytes_t name;
        CHECK(plist_string(plist_at(attributes, i), UUID_MAX, &name));
        udid = udid || bytes_eq_str(name, "UDID");
    }
    if (!udid) return err_new(ERR_VERIFY, "DeviceAttributes does not ask for UDID");
    offer.attributes = attributes;
    const plist_t *challenge = plist_get(content, "Challenge");
    if (challenge) {
        offer.challenge_is_data = plist_type(challenge) == PLIST_DATA;
        if (offer.challenge_is_data) CHECK(plist_data(challenge, TEXT_MAX, &offer.challenge));
        else CHECK(plist_string(challenge, TEXT_MAX, &offer.challenge));
    }
    *ret_offer = offer;
    return NULL;
}

/* ---- SCEP payload ---- */

/* [[["O", "Example"]], [["CN", "x"]]]: an array of RDNs, each an array of [type, value]. */
static err_t *read_subject(const plist_t *content, scep_terms_t *terms) {
    plist_t *rdns = NULL;
    CHECK(plist_get_array(content, "Subject", true, &rdns));
    for (size_t i = 0; i < plist_count(rdns); i++) {
        const plist_t *rdn = plist_at(rdns, i);
        if (plist_type(rdn) != PLIST_ARRAY || plist_count(rdn) != 1 ||
            plist_count(plist_at(rdn, 0)) != 2 || terms->subject_n == TERMS_SUBJECT)
            return err_new(ERR_VERIFY, "Subject is no array of [[type, value]] arrays");
        bytes_t type, value;
        CHECK(plist_string(plist_at(plist_at(rdn, 0), 0), UUID_MAX, &type));
        CHECK(plist_string(plist_at(plist_at(rdn, 0), 1), TEXT_MAX, &value));
        if (bytes_has_nul(type) || bytes_has_nul(value) || !type.n || !value.n)
            return err_new(ERR_VERIFY, "Subject has an empty entry");
        terms->subject[terms->subject_n++] =
            (name_entry_t){(const char *)type.p, (const char *)value.p};
    }
    if (terms->subject_n == 0) return err_new(ERR_VERIFY, "Subject is empty");
    return NULL;
}

static err_t *add_san(const plist_t *node, san_kind_t kind, scep_terms_t *terms) {
    bytes_t text;
    CHECK(plist_string(node, TEXT_MAX, &text));
    if (bytes_has_nul(text) || !text.n || terms->sans_n == TERMS_SANS)
        return err_new(ERR_VERIFY, "SubjectAltName has an empty name or too many");
    terms->sans[terms->sans_n++] = (san_entry_t){kind, (const char *)text.p};
    return NULL;
}

static err_t *read_sans(const plist_t *content, scep_terms_t *terms) {
    static const struct {
        const char *key;
        san_kind_t kind;
    } kinds[] = {{"rfc822Name", SAN_EMAIL},
                 {"dNSName", SAN_DNS},
                 {"uniformResourceIdentifier", SAN_URI},
                 {"ntPrincipalName", SAN_UPN}};
    plist_t *names = NULL;
    CHECK(plist_get_dict(content, "SubjectAltName", false, &names));
    for (size_t i = 0; names && i < sizeof kinds / sizeof kinds[0]; i++) {
        const plist_t *value = plist_get(names, kinds[i].key);
        if (!value) continue;
        if (plist_type(value) != PLIST_ARRAY) {
            TRY(add_san(value, kinds[i].kind, terms));
            continue;
        }
        for (size_t k = 0; k < plist_count(value); k++)
            TRY(add_san(plist_at(value, k), kinds[i].kind, terms));
    }
    return NULL;
}

static err_t *read_key_terms(const plist_t *content, scep_terms_t *terms) {
    const char *type = "RSA";
    int64_t bits = 1024, usage = 0;
    TRY(get_text(content, "Key Type", false, &type));
    if (strcmp(type, "RSA") != 0)
        return err_new(ERR_VERIFY, "Key Type is %.20s: only RSA exists", type);
    CHECK(plist_get_int(content, "Keysize", 0, LIMIT_RSA_BITS_MAX, false, &bits));
    if (bits < LIMIT_RSA_BITS_MIN)
        return err_new(ERR_VERIFY, "Keysize is %lld (1024 if absent): too short", (long long)bits);
    CHECK(plist_get_int(content, "Key Usage", 0, 5, false, &usage));
    if (usage != 0 && usage != 1 && usage != 4 && usage != 5)
        return err_new(ERR_VERIFY, "Key Usage is %lld: 1, 4 or 5", (long long)usage);
    if (usage & 1) terms->key_usage |= KEY_USAGE_DIGITAL_SIGNATURE;
    if (usage & 4) terms->key_usage |= KEY_USAGE_KEY_ENCIPHERMENT;
    terms->bits = (unsigned)bits;
    return NULL;
}

err_t *verify_scep_payload(const plist_t *payload, scep_terms_t *ret_terms) {
    scep_terms_t terms = {0};
    plist_t *content = NULL;
    TRY_WRAP(verify_payload_head(payload, "com.apple.security.scep"), "SCEP payload");
    TRY(get_text(payload, "PayloadUUID", true, &terms.uuid));
    CHECK(plist_get_dict(payload, "PayloadContent", true, &content));
    TRY_WRAP(get_https(content, "URL", true, true, &terms.url), "SCEP payload");
    TRY_WRAP(read_subject(content, &terms), "SCEP payload");
    TRY_WRAP(read_sans(content, &terms), "SCEP payload");
    TRY_WRAP(read_key_terms(content, &terms), "SCEP payload");
    terms.name = "";
    TRY(get_text(content, "Name", false, &terms.name));
    CHECK(plist_get_string(content, "Challenge", LIMIT_SCEP_CHALLENGE, false, &terms.challenge));
    CHECK(plist_get_data(content, "CAFingerprint", UUID_MAX, false, &terms.ca_fingerprint));
    *ret_terms = terms;
    return NULL;
}

err_t *verify_scep_profile(const plist_t *profile, scep_terms_t *ret_terms) {
    plist_t *content = NULL;
    TRY_WRAP(verify_payload_head(profile, "Configuration"), "phase 2's reply");
    if (plist_get(profile, "EncryptedPayloadContent"))
        return err_new(ERR_VERIFY, "phase 2's reply is encrypted: to whom?");
    CHECK(plist_get_array(profile, "PayloadContent", true, &content));
    if (plist_count(content) != 1)
        return err_new(ERR_VERIFY, "phase 2's reply has %zu payloads, not one",
                       plist_count(content));
    return verify_scep_payload(plist_at(content, 0), ret_terms);
}

/* ---- phase 3 ---- */

err_t *verify_decrypt_payloads(const plist_t *profile, const cert_t *cert, const pkey_t *key,
                               plist_doc_t **ret_payloads, cms_cipher_t *ret_cipher) {
    bytes_t sealed = BYTES_NONE;
    bool encrypted = true;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, LIMIT_PLIST_BYTES);
    TRY_WRAP(verify_payload_head(profile, "Configuration"), "phase 3's reply");
    if (plist_get(profile, "PayloadContent"))
        return err_new(ERR_VERIFY, "phase 3's reply has payloads in clear");
    CHECK(plist_get_data(profile, "EncryptedPayloadContent", LIMIT_CMS_BYTES, true, &sealed));
    CHECK(plist_get_bool(profile, "IsEncrypted", false, &encrypted));
    if (!encrypted) return err_new(ERR_VERIFY, "IsEncrypted is false, yet the content is sealed");
    cms_decrypt_options_t options = {.allow_des3 = true};
    err_t *e = cms_decrypt(sealed, cert, key, &options, &plain, ret_cipher);
    if (e) return verify_recode(err_wrap(e, "EncryptedPayloadContent is not for this identity"));
    e = plist_parse(buf_bytes(&plain), &doc);
    if (e) return verify_recode(err_wrap(e, "EncryptedPayloadContent"));
    if (plist_type(plist_root(doc)) != PLIST_ARRAY || plist_count(plist_root(doc)) == 0)
        return err_new(ERR_VERIFY, "EncryptedPayloadContent holds no array of payloads");
    *ret_payloads = STEAL(doc);
    return NULL;
}

static err_t *read_mdm(const plist_t *payload, mdm_terms_t *mdm) {
    TRY(get_text(payload, "PayloadIdentifier", true, &mdm->identifier));
    TRY(get_text(payload, "IdentityCertificateUUID", true, &mdm->identity_uuid));
    TRY(get_text(payload, "Topic", true, &mdm->topic));
    if (strncmp(mdm->topic, "com.apple.mgmt.", 15) != 0)
        return err_new(ERR_VERIFY, "Topic is %.100s: it begins with com.apple.mgmt.", mdm->topic);
    TRY(get_https(payload, "ServerURL", true, false, &mdm->server_url));
    mdm->checkin_url = mdm->server_url;
    TRY(get_https(payload, "CheckInURL", false, false, &mdm->checkin_url));
    mdm->access_rights = 0;
    CHECK(plist_get_int(payload, "AccessRights", 1, 8191, true, &mdm->access_rights));
    if ((mdm->access_rights & 2) && !(mdm->access_rights & 1))
        return err_new(ERR_VERIFY, "AccessRights has 2 without 1");
    if ((mdm->access_rights & 128) && !(mdm->access_rights & 64))
        return err_new(ERR_VERIFY, "AccessRights has 128 without 64");
    CHECK(plist_get_bool(payload, "SignMessage", false, &mdm->sign_message));
    CHECK(plist_get_bool(payload, "CheckOutWhenRemoved", false, &mdm->check_out_when_removed));
    return NULL;
}

static bool is_root(const cert_t *cert, const cert_list_t *roots) {
    for (size_t i = 0; i < roots->n; i++)
        if (cert_same(cert, roots->certs[i])) return true;
    return false;
}

static err_t *read_authority(const plist_t *payload, bool root, const cert_list_t *roots,
                             int64_t at, cert_list_t *list) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    bytes_t der = BYTES_NONE;
    CHECK(plist_get_data(payload, "PayloadContent", LIMIT_CERTIFICATE_BYTES, true, &der));
    CHECK(cert_parse_der(der, &cert));
    if (!cert_is_ca(cert))
        return err_new(ERR_VERIFY, "%s is installed as a CA and is none", cert_subject(cert));
    if (root && !is_root(cert, roots))
        return err_new(ERR_VERIFY, "the root to be installed (%s) is not the one that is trusted",
                       cert_subject(cert));
    cert_chain_t chain = {.intermediates = list, .roots = roots, .at = at};
    CHECK(cert_verify_chain(cert, &chain));
    return cert_list_add(list, cert);
}

typedef struct {
    const cert_list_t *roots;
    int64_t at;
    size_t mdm;
    enrolment_terms_t *terms;
} survey_t;

/* An identity that a person's mail is encrypted to: opens with the password beside it. */
static err_t *read_pkcs12(const plist_t *payload, enrolment_terms_t *terms) {
    bytes_t file = BYTES_NONE;
    const char *password = NULL;
    if (terms->mail_keys_n == TERMS_KEYS)
        return err_new(ERR_VERIFY, "more than %d PKCS#12 payloads", TERMS_KEYS);
    CHECK(plist_get_data(payload, "PayloadContent", P12_BYTES_MAX, true, &file));
    TRY(get_text(payload, "Password", true, &password));
    CHECK(p12_read(file, bytes_str(password), &terms->mail_keys[terms->mail_keys_n],
                   &terms->mail_certs[terms->mail_keys_n], NULL));
    terms->mail_keys_n++;
    return NULL;
}

static err_t *survey_payload(survey_t *s, const plist_t *payload) {
    const char *type = NULL;
    TRY(verify_payload_head(payload, NULL));
    TRY(get_text(payload, "PayloadType", true, &type));
    if (strcmp(type, "com.apple.mdm") == 0) {
        s->mdm++;
        TRY_WRAP(read_mdm(payload, &s->terms->mdm), "MDM payload");
    } else if (strcmp(type, "com.apple.security.scep") == 0) {
        if (s->terms->more_n == TERMS_SCEP)
            return err_new(ERR_VERIFY, "more than %d SCEP payloads", TERMS_SCEP);
        TRY(verify_scep_payload(payload, &s->terms->more[s->terms->more_n++]));
    } else if (strcmp(type, "com.apple.security.root") == 0) {
        TRY_WRAP(read_authority(payload, true, s->roots, s->at, &s->terms->authorities),
                 "root certificate payload");
    } else if (strcmp(type, "com.apple.security.pkcs1") == 0) {
        TRY_WRAP(read_authority(payload, false, s->roots, s->at, &s->terms->authorities),
                 "certificate payload");
    } else if (strcmp(type, "com.apple.security.pkcs12") == 0) {
        TRY_WRAP(read_pkcs12(payload, s->terms), "PKCS#12 payload");
    } else {
        s->terms->others++;
    }
    return NULL;
}

static err_t *check_unique(const plist_t *payloads) {
    for (size_t i = 0; i < plist_count(payloads); i++) {
        for (size_t k = 0; k < i; k++) {
            const char *a = NULL, *b = NULL;
            TRY(get_text(plist_at(payloads, i), "PayloadUUID", true, &a));
            TRY(get_text(plist_at(payloads, k), "PayloadUUID", true, &b));
            if (strcmp(a, b) == 0) return err_new(ERR_VERIFY, "two payloads have the UUID %s", a);
        }
    }
    return NULL;
}

/* The SCEP payload that the MDM payload names is the identity; the others are further ones. */
static err_t *find_identity(enrolment_terms_t *terms) {
    size_t i = 0;
    while (i < terms->more_n && strcmp(terms->mdm.identity_uuid, terms->more[i].uuid) != 0) i++;
    if (i == terms->more_n)
        return err_new(ERR_VERIFY, "IdentityCertificateUUID %s names no SCEP payload",
                       terms->mdm.identity_uuid);
    terms->scep = terms->more[i];
    terms->more_n--;
    memmove(&terms->more[i], &terms->more[i + 1], (terms->more_n - i) * sizeof terms->more[0]);
    return NULL;
}

static err_t *survey_all(survey_t *survey, const plist_t *payloads) {
    if (plist_count(payloads) > LIMIT_PEM_LIST)
        return err_new(ERR_VERIFY, "the profile has %zu payloads", plist_count(payloads));
    for (size_t i = 0; i < plist_count(payloads); i++)
        TRY_WRAP(survey_payload(survey, plist_at(payloads, i)), "payload %zu", i + 1);
    return check_unique(payloads);
}

err_t *verify_payloads(const plist_t *payloads, const cert_list_t *roots, int64_t at,
                       enrolment_terms_t *ret_terms) {
    CLEANUP(enrolment_terms_done) enrolment_terms_t terms = {0};
    survey_t survey = {.roots = roots, .at = at, .terms = &terms};
    TRY(survey_all(&survey, payloads));
    if (survey.mdm) return err_new(ERR_VERIFY, "a profile brings management by a command");
    *ret_terms = terms;
    terms = (enrolment_terms_t){0};
    return NULL;
}

err_t *verify_enrolment(const plist_t *payloads, const cert_list_t *roots, int64_t at,
                        enrolment_terms_t *ret_terms) {
    CLEANUP(enrolment_terms_done) enrolment_terms_t terms = {0};
    survey_t survey = {.roots = roots, .at = at, .terms = &terms};
    TRY(survey_all(&survey, payloads));
    if (survey.mdm != 1)
        return err_new(ERR_VERIFY, "the profile has %zu MDM payloads, not one", survey.mdm);
    TRY(find_identity(&terms));
    *ret_terms = terms;
    terms = (enrolment_terms_t){0};
    return NULL;
}
