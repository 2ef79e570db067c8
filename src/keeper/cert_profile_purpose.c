/*
 * The purposes of certificate profiles: see its header. At start, main thread.
 */
#include "keeper/cert_profile_purpose.h"

#include "base/mem.h"

enum {
    DAY_S = 24 * 60 * 60,
    YEAR_S = 365 * DAY_S,
    /* SMBR 6.3.2: 825 days with both ends, of which backdating takes the last. */
    MAIL_MAX_DAYS = 824,
    /* The longest that browsers and Apple's systems take from a public CA is a good rule here too.
     */
    SERVER_DAYS = 397,
    ENCRYPT_BITS = 3072, /* what the keeper makes */
};

#define USAGE_SIGN (unsigned)(KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION)
#define USAGE_ENCRYPT                                                                              \
    (unsigned)(KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_DATA_ENCIPHERMENT | KEY_USAGE_KEY_AGREEMENT)

void cert_profile_set_text(char out[CERT_PROFILE_TEXT + 1], const char *text) {
    size_t n = strnlen(text, CERT_PROFILE_TEXT);
    memcpy(out, text, n);
    out[n] = '\0';
}

const char *cert_profile_purpose_name(cert_profile_purpose_t purpose) {
    switch (purpose) {
    case CERT_PROFILE_AUTH: return "auth";
    case CERT_PROFILE_SIGN: return "sign";
    case CERT_PROFILE_ENCRYPT: return "encrypt";
    case CERT_PROFILE_SERVER: return "server";
    }
    return "auth";
}

/* ---- defaults ---- */

static void allow_subject(cert_profile_t *profile, const char *type, bool required) {
    cert_profile_attribute_t *attribute = &profile->subject[profile->subject_n++];
    cert_profile_set_text(attribute->type, type);
    attribute->required = required;
}

static void begin_auth(cert_profile_t *profile) {
    static const char *const subject[] = {"O", "OU", "UID", "serialNumber", "emailAddress",
                                          "C", "L",  "ST"};
    profile->key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT;
    profile->names = 1U << SAN_EMAIL | 1U << SAN_DNS | 1U << SAN_URI | 1U << SAN_UPN;
    cert_profile_set_text(profile->ekus[0], OID_EKU_CLIENT_AUTH);
    allow_subject(profile, "CN", true);
    for (size_t i = 0; i < sizeof subject / sizeof subject[0]; i++)
        allow_subject(profile, subject[i], false);
}

static void begin_server(cert_profile_t *profile) {
    begin_auth(profile);
    profile->ca = CERT_PROFILE_ROOT_CA;
    profile->p256 = profile->p384 = true;
    profile->validity_s = (int64_t)SERVER_DAYS * DAY_S;
    profile->names = 1U << SAN_DNS | 1U << SAN_IP;
    cert_profile_set_text(profile->ekus[0], OID_EKU_SERVER_AUTH);
}

/* As a mailbox-validated certificate may look: SMBR 7.1.4.2.3. */
static void begin_mail(cert_profile_t *profile, unsigned usage) {
    profile->key_usage = usage;
    profile->p256 = profile->p384 = true;
    profile->names = 1U << SAN_EMAIL;
    cert_profile_set_text(profile->ekus[0], OID_EKU_EMAIL_PROTECTION);
    allow_subject(profile, "CN", false);
    allow_subject(profile, "emailAddress", false);
    allow_subject(profile, "serialNumber", false);
    cert_profile_set_rules(profile, CERT_LINT_SMIME_STRICT);
}

void cert_profile_begin(cert_profile_purpose_t purpose, const char *name,
                        cert_profile_t *ret_profile) {
    cert_profile_t profile = {
        .ca = CERT_PROFILE_DEVICE_CA,
        .purpose = purpose,
        .rules = CERT_LINT_RFC5280,
        .rsa_min = 2048,
        .rsa_max = 4096,
        .validity_s = YEAR_S,
        .ekus_n = 1,
    };
    cert_profile_set_text(profile.name, name);
    switch (purpose) {
    case CERT_PROFILE_AUTH: begin_auth(&profile); break;
    case CERT_PROFILE_SIGN: begin_mail(&profile, KEY_USAGE_DIGITAL_SIGNATURE); break;
    case CERT_PROFILE_ENCRYPT:
        begin_mail(&profile, KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_KEY_AGREEMENT);
        profile.ca = CERT_PROFILE_MAIL_CA;
        profile.rsa_max = ENCRYPT_BITS;
        break;
    case CERT_PROFILE_SERVER: begin_server(&profile); break;
    }
    *ret_profile = profile;
}

void cert_profile_set_rules(cert_profile_t *profile, cert_lint_rules_t rules) {
    profile->rules = rules;
    profile->policies_n = rules != CERT_LINT_RFC5280;
    cert_profile_set_text(profile->policies[0], rules == CERT_LINT_SMIME_STRICT
                                                    ? "2.23.140.1.5.1.3"
                                                    : "2.23.140.1.5.1.2");
}

/*
 * What the keeper archives, with the organisation and the person's name in the subject. They keep
 * RFC 5280's rules alone: the S/MIME ones, which an organisation may ask for, want revocation lists
 * by plain HTTP and, for a mailbox-validated certificate, nothing but the mailbox.
 */
static void begin_archived(const char *name, bool p256, cert_profile_t *profile) {
    cert_profile_begin(CERT_PROFILE_ENCRYPT, name, profile);
    cert_profile_set_rules(profile, CERT_LINT_RFC5280);
    allow_subject(profile, "O", false);
    profile->validity_s = (int64_t)2 * YEAR_S;
    profile->rsa_min = profile->rsa_max = p256 ? 0 : ENCRYPT_BITS;
    profile->p256 = p256;
    profile->p384 = false;
    profile->key_usage = p256 ? KEY_USAGE_KEY_AGREEMENT : KEY_USAGE_KEY_ENCIPHERMENT;
}

err_t *cert_profiles_builtin(cert_profiles_t *ret_profiles) {
    cert_profiles_t profiles = {mem_array(CERT_PROFILE_COUNT, sizeof(cert_profile_t)), 6};
    if (!profiles.items) return err_nomem();
    cert_profile_begin(CERT_PROFILE_AUTH, "device-identity", &profiles.items[0]);
    cert_profile_begin(CERT_PROFILE_AUTH, "scep-client", &profiles.items[1]);
    profiles.items[1].p256 = true;
    cert_profile_begin(CERT_PROFILE_SERVER, "tls-server", &profiles.items[2]);
    cert_profile_begin(CERT_PROFILE_SIGN, "mail-signing", &profiles.items[3]);
    begin_archived("mail-encrypt", false, &profiles.items[4]);
    begin_archived("mail-encrypt-p256", true, &profiles.items[5]);
    *ret_profiles = profiles;
    return NULL;
}

/* ---- what is refused ---- */

static bool has_eku(const cert_profile_t *profile, const char *oid) {
    for (size_t i = 0; i < profile->ekus_n; i++)
        if (strcmp(profile->ekus[i], oid) == 0) return true;
    return false;
}

static bool is_smime(const cert_profile_t *profile) {
    return profile->rules == CERT_LINT_SMIME_STRICT ||
           profile->rules == CERT_LINT_SMIME_MULTIPURPOSE;
}

static err_t *check_mail_ekus(const cert_profile_t *profile) {
    static const char *const never[] = {OID_EKU_SERVER_AUTH, OID_EKU_CODE_SIGNING,
                                        OID_EKU_OCSP_SIGNING, "1.3.6.1.5.5.7.3.8", "2.5.29.37.0"};
    if (!has_eku(profile, OID_EKU_EMAIL_PROTECTION))
        return err_new(ERR_INVALID, "eku: a profile for mail has emailProtection (SMBR 7.1.2.3 f)");
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (has_eku(profile, never[i]))
            return err_new(ERR_INVALID, "eku: %s does not go with mail (SMBR 7.1.2.3 f)", never[i]);
    if (profile->rules == CERT_LINT_SMIME_STRICT && profile->ekus_n > 1)
        return err_new(ERR_INVALID, "eku: besides emailProtection nothing goes with rules = "
                                    "smime-strict; smime-multipurpose allows clientAuth");
    return NULL;
}

static err_t *check_mail(const cert_profile_t *profile) {
    if (!is_smime(profile) && profile->purpose == CERT_PROFILE_SIGN)
        return err_new(ERR_INVALID, "rules: a profile for signing keeps smime-strict or "
                                    "smime-multipurpose");
    if (profile->ca == CERT_PROFILE_ROOT_CA)
        return err_new(ERR_INVALID, "ca: the root signs no mail certificates");
    TRY(check_mail_ekus(profile));
    if (!(profile->names & 1U << SAN_EMAIL))
        return err_new(ERR_INVALID, "names: a profile for mail needs email (SMBR 7.1.4.2.1)");
    if (profile->names & ~(1U << SAN_EMAIL | 1U << SAN_UPN) ||
        (profile->rules == CERT_LINT_SMIME_STRICT && profile->names & 1U << SAN_UPN))
        return err_new(ERR_INVALID, "names: beside email only upn goes with mail, and not with "
                                    "smime-strict (SMBR 7.1.4.2.1)");
    if (profile->validity_s > (int64_t)MAIL_MAX_DAYS * DAY_S)
        return err_new(ERR_INVALID, "validity: at most %dd for mail (SMBR 6.3.2)", MAIL_MAX_DAYS);
    return NULL;
}

static err_t *check_sign(const cert_profile_t *profile) {
    if (profile->ca == CERT_PROFILE_MAIL_CA)
        return err_new(ERR_INVALID, "ca: signing certificates are got by SCEP, so from the device "
                                    "CA; the mail CA is for keys that the keeper makes");
    if (!(profile->key_usage & KEY_USAGE_DIGITAL_SIGNATURE) || profile->key_usage & ~USAGE_SIGN)
        return err_new(ERR_INVALID,
                       "key_usage: purpose = sign has digitalSignature and may have "
                       "nonRepudiation; encrypting is for a profile of its own, whose key may be "
                       "archived while a signing key must not be");
    return check_mail(profile);
}

static err_t *check_encrypt(const cert_profile_t *profile) {
    unsigned needed = KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_KEY_AGREEMENT;
    if (!(profile->key_usage & needed) || profile->key_usage & ~USAGE_ENCRYPT)
        return err_new(ERR_INVALID,
                       "key_usage: purpose = encrypt has keyEncipherment (RSA) or keyAgreement "
                       "(EC), and no signatures: a key that is archived proves nobody's will");
    if (profile->rules == CERT_LINT_SMIME_STRICT &&
        profile->key_usage & KEY_USAGE_DATA_ENCIPHERMENT)
        return err_new(ERR_INVALID, "key_usage: dataEncipherment needs rules = "
                                    "smime-multipurpose (SMBR 7.1.2.3 e)");
    return check_mail(profile);
}

/* Identities and servers. */
static err_t *check_plain(const cert_profile_t *profile) {
    if (is_smime(profile))
        return err_new(ERR_INVALID, "rules: the S/MIME rules are for purpose = sign or encrypt");
    if (has_eku(profile, OID_EKU_EMAIL_PROTECTION))
        return err_new(ERR_INVALID, "eku: emailProtection is for purpose = sign or encrypt");
    if (profile->key_usage & KEY_USAGE_NON_REPUDIATION && profile->key_usage & USAGE_ENCRYPT)
        return err_new(ERR_INVALID, "key_usage: nonRepudiation does not go with encryption");
    if (profile->purpose == CERT_PROFILE_SERVER && !has_eku(profile, OID_EKU_SERVER_AUTH))
        return err_new(ERR_INVALID, "eku: purpose = server has serverAuth");
    return NULL;
}

err_t *cert_profile_purpose_check(const cert_profile_t *profile) {
    err_t *e = NULL;
    switch (profile->purpose) {
    case CERT_PROFILE_AUTH:
    case CERT_PROFILE_SERVER: e = check_plain(profile); break;
    case CERT_PROFILE_SIGN: e = check_sign(profile); break;
    case CERT_PROFILE_ENCRYPT: e = check_encrypt(profile); break;
    }
    return e ? err_wrap(e, "purpose = %s", cert_profile_purpose_name(profile->purpose)) : NULL;
}
