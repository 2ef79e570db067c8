/*
 * Certificate profiles from coffer.conf: see its header and decision 0013. Main thread, at
 * start.
 */
#include "keeper/cert_profile_conf.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/cert_profile_purpose.h"

typedef struct {
    const char *name;
    const char *value;
} word_t;

static const word_t eku_words[] = {
    {"serverAuth", OID_EKU_SERVER_AUTH},           {"clientAuth", OID_EKU_CLIENT_AUTH},
    {"codeSigning", OID_EKU_CODE_SIGNING},         {"ocspSigning", OID_EKU_OCSP_SIGNING},
    {"emailProtection", OID_EKU_EMAIL_PROTECTION},
};

static const struct {
    const char *name;
    unsigned bit;
} usage_words[] = {
    {"digitalSignature", KEY_USAGE_DIGITAL_SIGNATURE},
    {"nonRepudiation", KEY_USAGE_NON_REPUDIATION},
    {"keyEncipherment", KEY_USAGE_KEY_ENCIPHERMENT},
    {"dataEncipherment", KEY_USAGE_DATA_ENCIPHERMENT},
    {"keyAgreement", KEY_USAGE_KEY_AGREEMENT},
};

static const struct {
    const char *name;
    san_kind_t kind;
} name_words[] = {
    {"email", SAN_EMAIL}, {"dns", SAN_DNS}, {"uri", SAN_URI}, {"upn", SAN_UPN}, {"ip", SAN_IP},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { VALIDITY_MIN_S = 60 * 60, YEAR_S = 365 * 24 * 60 * 60, VALIDITY_MAX_YEARS = 30 };

/* ---- from the configuration ---- */

static err_t *bad_word(const char *section, const char *key, bytes_t item, const char *right) {
    return err_new(ERR_INVALID, "[%s] %s: \"%.*s\" is none of %s", section, key, (int)item.n,
                   (const char *)item.p, right);
}

static err_t *read_rsa(const char *section, bytes_t range, cert_profile_t *profile) {
    size_t dash = bytes_find(range, '-');
    uint64_t min = 0, max = 0;
    err_t *e = text_u64(bytes_slice(range, 0, dash), LIMIT_RSA_BITS_MAX, &min);
    if (!e && dash < range.n) e = text_u64(bytes_from(range, dash + 1), LIMIT_RSA_BITS_MAX, &max);
    else max = min;
    if (e || min < LIMIT_RSA_BITS_MIN || max < min) {
        err_free(e);
        return err_new(ERR_INVALID, "[%s] keys: RSA sizes are written rsa:2048-4096, within %d-%d",
                       section, LIMIT_RSA_BITS_MIN, LIMIT_RSA_BITS_MAX);
    }
    profile->rsa_min = (unsigned)min;
    profile->rsa_max = (unsigned)max;
    return NULL;
}

static err_t *read_keys(conf_t *conf, const char *section, cert_profile_t *profile) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "keys", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "keys", NULL, &list));
    profile->rsa_min = profile->rsa_max = 0;
    profile->p256 = profile->p384 = false;
    while (conf_list_next(&list, &item)) {
        if (bytes_starts(item, BYTES_LIT("rsa:"))) {
            TRY(read_rsa(section, bytes_from(item, 4), profile));
        } else if (bytes_eq_str(item, "p256")) {
            profile->p256 = true;
        } else if (bytes_eq_str(item, "p384")) {
            profile->p384 = true;
        } else {
            return bad_word(section, "keys", item, "rsa:MIN-MAX, p256, p384");
        }
    }
    return NULL;
}

static err_t *read_usage(conf_t *conf, const char *section, cert_profile_t *profile) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "key_usage", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "key_usage", NULL, &list));
    profile->key_usage = 0;
    while (conf_list_next(&list, &item)) {
        size_t k = 0;
        while (k < COUNT(usage_words) && !bytes_eq_str(item, usage_words[k].name)) k++;
        if (k == COUNT(usage_words))
            return bad_word(section, "key_usage", item,
                            "digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, "
                            "keyAgreement");
        profile->key_usage |= usage_words[k].bit;
    }
    return NULL;
}

static bool is_oid(bytes_t text) {
    bool dotted = false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '.') dotted = true;
        else if (text.p[i] < '0' || text.p[i] > '9') return false;
    }
    return dotted && text.n <= CERT_PROFILE_TEXT;
}

static err_t *read_ekus(conf_t *conf, const char *section, cert_profile_t *profile) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "eku", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "eku", NULL, &list));
    profile->ekus_n = 0;
    while (conf_list_next(&list, &item)) {
        if (profile->ekus_n == CERT_PROFILE_ITEMS)
            return err_new(ERR_LIMIT, "[%s] eku: more than %d", section, CERT_PROFILE_ITEMS);
        char *out = profile->ekus[profile->ekus_n++];
        size_t k = 0;
        while (k < COUNT(eku_words) && !bytes_eq_str(item, eku_words[k].name)) k++;
        if (k < COUNT(eku_words)) {
            cert_profile_set_text(out, eku_words[k].value);
        } else if (is_oid(item)) {
            bytes_put(out, item);
            out[item.n] = '\0';
        } else {
            return bad_word(section, "eku", item,
                            "serverAuth, clientAuth, codeSigning, emailProtection, ocspSigning, "
                            "a dotted OID");
        }
    }
    return NULL;
}

static err_t *read_names(conf_t *conf, const char *section, cert_profile_t *profile) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "names", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "names", NULL, &list));
    profile->names = 0;
    while (conf_list_next(&list, &item)) {
        if (bytes_eq_str(item, "none")) continue;
        size_t k = 0;
        while (k < COUNT(name_words) && !bytes_eq_str(item, name_words[k].name)) k++;
        if (k == COUNT(name_words))
            return bad_word(section, "names", item, "email, dns, uri, upn, ip, none");
        profile->names |= 1U << name_words[k].kind;
    }
    return NULL;
}

static cert_profile_attribute_t *find_attribute(cert_profile_t *profile, bytes_t type) {
    for (size_t i = 0; i < profile->subject_n; i++)
        if (bytes_eq_str(type, profile->subject[i].type)) return &profile->subject[i];
    return NULL;
}

static err_t *read_allowed(conf_t *conf, const char *section, cert_profile_t *profile) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "subject", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "subject", NULL, &list));
    profile->subject_n = 0;
    while (conf_list_next(&list, &item)) {
        if (profile->subject_n == CERT_PROFILE_ITEMS || item.n > CERT_PROFILE_TEXT)
            return err_new(ERR_LIMIT, "[%s] subject: too many or too long", section);
        cert_profile_attribute_t *attribute = &profile->subject[profile->subject_n++];
        bytes_put(attribute->type, item);
        attribute->type[item.n] = '\0';
        attribute->required = false;
    }
    return NULL;
}

static err_t *read_subject(conf_t *conf, const char *section, cert_profile_t *profile) {
    TRY(read_allowed(conf, section, profile));
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "subject_required", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "subject_required", NULL, &list));
    for (size_t i = 0; i < profile->subject_n; i++) profile->subject[i].required = false;
    while (conf_list_next(&list, &item)) {
        cert_profile_attribute_t *attribute = find_attribute(profile, item);
        if (!attribute)
            return err_new(ERR_INVALID, "[%s] subject_required: %.*s is not in subject", section,
                           (int)item.n, (const char *)item.p);
        attribute->required = true;
    }
    return NULL;
}

/* coffer-web's part: whether a person approves, and old clients. Known here so as to be no error.
 */
static err_t *read_web_keys(conf_t *conf, const char *section) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "approval", NULL, &text));
    return conf_get_string(conf, section, "old_ciphers", NULL, &text);
}

/* Another purpose than the one it had begins anew with that purpose's defaults. */
static err_t *read_purpose(conf_t *conf, const char *section, cert_profile_t *profile) {
    static const char *const purposes[] = {"auth", "sign", "encrypt", "server", NULL};
    char name[CERT_PROFILE_TEXT + 1];
    size_t purpose = 0;
    TRY(conf_get_choice(conf, section, "purpose", purposes, (size_t)profile->purpose, &purpose));
    if (purpose == (size_t)profile->purpose) return NULL;
    memcpy(name, profile->name, sizeof name);
    cert_profile_begin((cert_profile_purpose_t)purpose, name, profile);
    return NULL;
}

static err_t *read_rules(conf_t *conf, const char *section, cert_profile_t *profile) {
    static const char *const names[] = {"rfc5280", "smime-strict", "smime-multipurpose", NULL};
    static const cert_lint_rules_t values[] = {CERT_LINT_RFC5280, CERT_LINT_SMIME_STRICT,
                                               CERT_LINT_SMIME_MULTIPURPOSE};
    size_t i = 0, was = 0;
    while (values[was] != profile->rules) was++;
    TRY(conf_get_choice(conf, section, "rules", names, was, &i));
    if (i != was) cert_profile_set_rules(profile, values[i]);
    return NULL;
}

static err_t *read_policies(conf_t *conf, const char *section, cert_profile_t *profile) {
    const char *text = NULL;
    TRY(conf_get_string(conf, section, "policies", NULL, &text));
    if (!text) return NULL;
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "policies", NULL, &list));
    profile->policies_n = 0;
    while (conf_list_next(&list, &item)) {
        if (bytes_eq_str(item, "none")) continue;
        if (profile->policies_n == CERT_PROFILE_POLICIES)
            return err_new(ERR_LIMIT, "[%s] policies: more than %d", section,
                           CERT_PROFILE_POLICIES);
        if (!is_oid(item)) return bad_word(section, "policies", item, "a dotted OID, none");
        char *out = profile->policies[profile->policies_n++];
        bytes_put(out, item);
        out[item.n] = '\0';
    }
    return NULL;
}

static err_t *read_domains(conf_t *conf, const char *section, cert_profile_t *profile) {
    bytes_t list, item;
    TRY(conf_get_list(conf, section, "mail_domains", NULL, &list));
    while (conf_list_next(&list, &item)) {
        if (profile->mail_domains_n == CERT_PROFILE_ITEMS || item.n > CERT_PROFILE_TEXT)
            return err_new(ERR_LIMIT, "[%s] mail_domains: too many or too long", section);
        char *out = profile->mail_domains[profile->mail_domains_n++];
        bytes_put(out, item);
        out[item.n] = '\0';
    }
    return NULL;
}

static err_t *read_profile(conf_t *conf, const char *section, cert_profile_t *profile) {
    /* in the order of cert_profile_ca_t */
    static const char *const cas[] = {"device", "root", "mail", NULL};
    size_t ca = 0;
    TRY(read_purpose(conf, section, profile));
    TRY(conf_get_choice(conf, section, "ca", cas, (size_t)profile->ca, &ca));
    profile->ca = (cert_profile_ca_t)ca;
    TRY(conf_get_duration(conf, section, "validity", VALIDITY_MIN_S,
                          (int64_t)VALIDITY_MAX_YEARS * YEAR_S, profile->validity_s,
                          &profile->validity_s));
    TRY(read_web_keys(conf, section));
    TRY(read_keys(conf, section, profile));
    TRY(read_usage(conf, section, profile));
    TRY(read_ekus(conf, section, profile));
    TRY(read_subject(conf, section, profile));
    TRY(read_names(conf, section, profile));
    TRY(read_rules(conf, section, profile));
    TRY(read_policies(conf, section, profile));
    TRY(read_domains(conf, section, profile));
    TRY_WRAP(cert_profile_purpose_check(profile), "[%s]", section);
    return NULL;
}

static err_t *slot_for(cert_profiles_t *profiles, const char *section, const char *name,
                       cert_profile_t **ret_profile) {
    size_t i = 0;
    while (i < profiles->n && !bytes_eq_str(bytes_str(name), profiles->items[i].name)) i++;
    if (i == profiles->n) {
        if (i == CERT_PROFILE_COUNT)
            return err_new(ERR_LIMIT, "more than %d certificate profiles", CERT_PROFILE_COUNT);
        if (strlen(name) > CERT_PROFILE_TEXT || !text_printable(bytes_str(name)))
            return err_new(ERR_INVALID, "[%s]: the name is too long or not printable", section);
        cert_profile_begin(CERT_PROFILE_AUTH, name, &profiles->items[i]);
        profiles->n++;
    }
    *ret_profile = &profiles->items[i];
    return NULL;
}

err_t *cert_profiles_load(conf_t *conf, cert_profiles_t *ret_profiles) {
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    TRY(cert_profiles_builtin(&profiles));
    size_t cursor = 0;
    const char *section = NULL, *name = NULL;
    while (conf_next_named(conf, "certificate-profile", &cursor, &section, &name)) {
        cert_profile_t *profile = NULL;
        TRY(slot_for(&profiles, section, name, &profile));
        TRY(read_profile(conf, section, profile));
    }
    *ret_profiles = profiles;
    profiles = (cert_profiles_t){0};
    return NULL;
}
