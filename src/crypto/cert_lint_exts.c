/*
 * The linter's rules for extensions (RFC 5280 section 4.2), but for alternative names. Pure; any
 * thread.
 */
#include "crypto/cert_lint_internal.h"

typedef enum { CRITICAL_MUST, CRITICAL_MUST_NOT, CRITICAL_EITHER } critical_t;

enum { KEY_USAGE_BITS = 9, POLICIES_MAX = 32, EKUS_MAX = LIMIT_EKUS };

#define PE(n)                                                                                      \
    { (const uint8_t *)("\x2b\x06\x01\x05\x05\x07\x01" n), 8 }
#define CE(n)                                                                                      \
    { (const uint8_t *)("\x55\x1d" n), 3 }
#define NSE(n)                                                                                     \
    { (const uint8_t *)("\x60\x86\x48\x01\x86\xf8\x42\x01" n), 9 }

/* What relying parties know; "must" as RFC 5280 tells CAs, each in its own section. */
static const struct {
    bytes_t oid; /* content octets */
    const char *name;
    critical_t critical;
} known[] = {
    {CE("\x0e"), "subjectKeyIdentifier", CRITICAL_MUST_NOT},
    {CE("\x0f"), "keyUsage", CRITICAL_EITHER},
    {CE("\x11"), "subjectAltName", CRITICAL_EITHER},
    {CE("\x13"), "basicConstraints", CRITICAL_EITHER},
    {CE("\x1f"), "cRLDistributionPoints", CRITICAL_EITHER},
    {CE("\x20"), "certificatePolicies", CRITICAL_EITHER},
    {CE("\x23"), "authorityKeyIdentifier", CRITICAL_MUST_NOT},
    {CE("\x25"), "extKeyUsage", CRITICAL_EITHER},
    {PE("\x01"), "authorityInfoAccess", CRITICAL_MUST_NOT},
    {CE("\x09"), "subjectDirectoryAttributes", CRITICAL_MUST_NOT},
    {CE("\x12"), "issuerAltName", CRITICAL_EITHER},
    {CE("\x1e"), "nameConstraints", CRITICAL_MUST},
    {CE("\x21"), "policyMappings", CRITICAL_EITHER},
    {CE("\x24"), "policyConstraints", CRITICAL_MUST},
    {CE("\x2e"), "freshestCRL", CRITICAL_MUST_NOT},
    {CE("\x36"), "inhibitAnyPolicy", CRITICAL_MUST},
    {PE("\x0b"), "subjectInfoAccess", CRITICAL_MUST_NOT},
    {PE("\x03"), "qcStatements", CRITICAL_EITHER},
    {PE("\x18"), "TLS feature", CRITICAL_EITHER},
    {NSE("\x01"), "Netscape certificate type", CRITICAL_EITHER},
};

static void lint_form(lint_t *x, const lint_ext_t *ext) {
    char text[LINT_OID_TEXT];
    size_t i = 0, n = sizeof known / sizeof known[0];
    while (i < n && !bytes_eq(known[i].oid, ext->oid)) i++;
    const char *name = i < n ? known[i].name : lint_oid(ext->oid, text);
    if (ext->broken && i < n) lint_say(x, LINT_rfc5280_extension_malformed, "%s", name);
    if (i == n) {
        if (ext->critical) lint_say(x, LINT_rfc5280_extension_unknown, "%s", name);
    } else if (known[i].critical == CRITICAL_MUST && !ext->critical) {
        lint_say(x, LINT_rfc5280_extension_not_critical, "%s", name);
    } else if (known[i].critical == CRITICAL_MUST_NOT && ext->critical) {
        lint_say(x, LINT_rfc5280_extension_critical, "%s", name);
    }
}

static void malformed(lint_t *x, const char *what) {
    lint_say(x, LINT_rfc5280_extension_malformed, "%s", what);
}

/* An extension to look into: NULL if there is none or its form was complained of already. */
static const lint_ext_t *take(const lint_t *x, uint8_t id_ce, bytes_t *ret_value) {
    const lint_ext_t *ext = lint_ext(x, id_ce);
    if (!ext || ext->broken) return NULL;
    *ret_value = ext->value;
    return ext;
}

/* The content of an extension that is a SEQUENCE with something in it. */
static const lint_ext_t *take_list(lint_t *x, uint8_t id_ce, const char *name,
                                   bytes_t *ret_content) {
    bytes_t value;
    const lint_ext_t *ext = take(x, id_ce, &value);
    if (!ext) return NULL;
    if (der_take(&value, DER_SEQUENCE, ret_content) && ret_content->n) return ext;
    malformed(x, name);
    return NULL;
}

/* ---- basic constraints, key usage ---- */

static void lint_basic(lint_t *x) {
    bytes_t value, content, flag, length = BYTES_NONE;
    const lint_ext_t *ext = take(x, LINT_CE_BASIC, &value);
    if (!ext) return;
    bool good = der_take(&value, DER_SEQUENCE, &content);
    if (good && der_at(content, DER_BOOLEAN)) {
        good = der_take(&content, DER_BOOLEAN, &flag);
        x->ca = good && flag.p[0];
        if (good && !x->ca) lint_say(x, LINT_rfc5280_der_default, "cA");
    }
    if (good && der_at(content, DER_INTEGER)) {
        good = der_take(&content, DER_INTEGER, &length);
        x->has_path_length = good;
    }
    if (!good || content.n) malformed(x, "basicConstraints");
    if (x->ca && !ext->critical)
        lint_say(x, LINT_rfc5280_extension_not_critical, "basicConstraints of a CA");
    if (x->has_path_length && (length.p[0] & 0x80))
        lint_say(x, LINT_rfc5280_path_length, "negative");
}

/* Bit n of the BIT STRING is 1 << n here. */
static void read_usage(lint_t *x, bytes_t bits) {
    for (unsigned n = 0; n < KEY_USAGE_BITS; n++) {
        size_t octet = 1 + n / 8;
        if (octet < bits.n && bits.p[octet] & 0x80 >> n % 8) x->key_usage |= 1U << n;
    }
    if (bits.n > 1 && !(bits.p[bits.n - 1] >> bits.p[0] & 1))
        lint_say(x, LINT_rfc5280_key_usage_der, NULL);
    if (!x->key_usage) lint_say(x, LINT_rfc5280_key_usage_empty, NULL);
}

/* What a key of this kind may be used for. */
static unsigned possible_usage(lint_key_t key) {
    const unsigned sign = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION |
                          KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN;
    const unsigned agree =
        KEY_USAGE_KEY_AGREEMENT | KEY_USAGE_ENCIPHER_ONLY | KEY_USAGE_DECIPHER_ONLY;
    switch (key) {
    case LINT_KEY_RSA: return sign | KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_DATA_ENCIPHERMENT;
    case LINT_KEY_EC: return sign | agree;
    case LINT_KEY_PSS:
    case LINT_KEY_EDWARDS:
    case LINT_KEY_ML_DSA: return sign;
    case LINT_KEY_MONTGOMERY: return agree;
    case LINT_KEY_ML_KEM: return KEY_USAGE_KEY_ENCIPHERMENT;
    case LINT_KEY_OTHER: return ~0U;
    }
    return ~0U;
}

static void lint_usage(lint_t *x) {
    bytes_t value, bits;
    const lint_ext_t *ext = take(x, LINT_CE_KEY_USAGE, &value);
    if (!ext) {
        if (x->ca && !lint_ext(x, LINT_CE_KEY_USAGE))
            lint_say(x, LINT_rfc5280_key_usage_missing, NULL);
        return;
    }
    if (!der_take(&value, DER_BIT_STRING, &bits)) {
        malformed(x, "keyUsage");
        return;
    }
    x->has_key_usage = true;
    read_usage(x, bits);
    unsigned u = x->key_usage, only = KEY_USAGE_ENCIPHER_ONLY | KEY_USAGE_DECIPHER_ONLY;
    if (!ext->critical) lint_say(x, LINT_rfc5280_key_usage_critical, NULL);
    if ((u & KEY_USAGE_CERT_SIGN) && !x->ca) lint_say(x, LINT_rfc5280_key_usage_ca, NULL);
    if (u & ~possible_usage(x->key)) lint_say(x, LINT_rfc5280_key_usage_key, NULL);
    if ((u & only) && !(u & KEY_USAGE_KEY_AGREEMENT))
        lint_say(x, LINT_rfc5280_key_usage_only, NULL);
}

/* ---- key identifiers ---- */

static void lint_key_ids(lint_t *x) {
    bytes_t value, content, id;
    const lint_ext_t *aki = take(x, LINT_CE_AKI, &value);
    bool there = aki && der_take(&value, DER_SEQUENCE, &content) &&
                 der_take(&content, DER_CONTEXT | 0, &id) && id.n;
    /* A self-signed certificate may leave it out. */
    bool broken = lint_ext(x, LINT_CE_AKI) && !aki;
    if (!there && !broken && (aki || !bytes_eq(x->issuer, x->subject)))
        lint_say(x, LINT_rfc5280_aki_missing, NULL);
    const lint_ext_t *ski = take(x, LINT_CE_SKI, &value);
    if (ski && !der_take(&value, DER_OCTET_STRING, &id)) malformed(x, "subjectKeyIdentifier");
    if (!lint_ext(x, LINT_CE_SKI))
        lint_say(x, x->ca ? LINT_rfc5280_ski_missing_ca : LINT_rfc5280_ski_missing, NULL);
}

/* ---- extended key usage ---- */

/* Section 4.2.1.12: which bits of keyUsage go with a purpose; ~0 for those not told. */
static unsigned usage_for(bytes_t purpose) {
    const unsigned sign = KEY_USAGE_DIGITAL_SIGNATURE, non = KEY_USAGE_NON_REPUDIATION,
                   enc = KEY_USAGE_KEY_ENCIPHERMENT, agree = KEY_USAGE_KEY_AGREEMENT;
    if (LINT_IS(purpose, LINT_EKU("\x01"))) return sign | enc | agree; /* serverAuth */
    if (LINT_IS(purpose, LINT_EKU("\x02"))) return sign | agree;       /* clientAuth */
    if (LINT_IS(purpose, LINT_EKU("\x03"))) return sign;               /* codeSigning */
    if (LINT_IS(purpose, LINT_EKU("\x04"))) return sign | non | enc | agree;
    if (LINT_IS(purpose, LINT_EKU("\x08"))) return sign | non; /* timeStamping */
    if (LINT_IS(purpose, LINT_EKU("\x09"))) return sign | non; /* OCSPSigning */
    return ~0U;
}

static void lint_eku(lint_t *x) {
    bytes_t content, seen[EKUS_MAX];
    const lint_ext_t *ext = take_list(x, LINT_CE_EKU, "extKeyUsage", &content);
    if (!ext) return;
    unsigned fits = 0;
    for (size_t n = 0; content.n && n < EKUS_MAX; n++) {
        if (!der_take(&content, DER_OID, &seen[n])) {
            malformed(x, "extKeyUsage");
            return;
        }
        for (size_t i = 0; i < n; i++)
            if (bytes_eq(seen[i], seen[n])) lint_say(x, LINT_rfc5280_eku_twice, NULL);
        if (LINT_IS(seen[n], LINT_OID_ANY) && ext->critical)
            lint_say(x, LINT_rfc5280_eku_any_critical, NULL);
        fits |= usage_for(seen[n]);
    }
    if (x->has_key_usage && x->key_usage && !(fits & x->key_usage))
        lint_say(x, LINT_rfc5280_eku_key_usage, NULL);
}

/* ---- policies and constraints ---- */

static void lint_policies(lint_t *x) {
    bytes_t content, policy, oid, seen[POLICIES_MAX];
    if (!take_list(x, LINT_CE_POLICIES, "certificatePolicies", &content)) return;
    for (size_t n = 0; content.n && n < POLICIES_MAX; n++) {
        if (!der_take(&content, DER_SEQUENCE, &policy) || !der_take(&policy, DER_OID, &oid)) {
            malformed(x, "certificatePolicies");
            return;
        }
        seen[n] = oid;
        for (size_t i = 0; i < n; i++)
            if (bytes_eq(seen[i], oid)) lint_say(x, LINT_rfc5280_policy_twice, NULL);
    }
}

static void lint_constraints(lint_t *x) {
    bytes_t value, content;
    if (take(x, LINT_CE_NAME_CONSTRAINTS, &value) &&
        (!x->ca || !der_take(&value, DER_SEQUENCE, &content) || !content.n))
        lint_say(x, LINT_rfc5280_name_constraints, NULL);
    if (take(x, LINT_CE_POLICY_CONSTRAINTS, &value) &&
        (!der_take(&value, DER_SEQUENCE, &content) || !content.n))
        lint_say(x, LINT_rfc5280_policy_constraints, NULL);
    if (x->has_path_length && !(x->ca && (x->key_usage & KEY_USAGE_CERT_SIGN)))
        lint_say(x, LINT_rfc5280_path_length, NULL);
}

/* ---- where to ask ---- */

bool lint_crl_point(bytes_t *points, bytes_t *ret_names, bool *ret_good) {
    bytes_t point, place = BYTES_NONE, names = BYTES_NONE, other;
    if (!points->n) return false;
    bool good = der_take(points, DER_SEQUENCE, &point);
    bool has_place = good && der_at(point, DER_CONTEXT_CONSTRUCTED | 0);
    if (has_place) {
        good = der_take(&point, DER_CONTEXT_CONSTRUCTED | 0, &place);
        if (good && der_at(place, DER_CONTEXT_CONSTRUCTED | 0))
            good = der_take(&place, DER_CONTEXT_CONSTRUCTED | 0, &names) && names.n;
    }
    if (good && der_at(point, DER_CONTEXT | 1)) good = der_take(&point, DER_CONTEXT | 1, &other);
    bool has_issuer = good && der_at(point, DER_CONTEXT_CONSTRUCTED | 2);
    *ret_good = good && (has_place || has_issuer);
    *ret_names = names;
    if (!good) *points = BYTES_NONE;
    return true;
}

static void lint_crl_points(lint_t *x) {
    bytes_t content, names;
    bool good = true;
    const lint_ext_t *ext = take_list(x, LINT_CE_CRL_POINTS, "cRLDistributionPoints", &content);
    if (!ext) return;
    while (lint_crl_point(&content, &names, &good))
        if (!good) lint_say(x, LINT_rfc5280_crl_point, NULL);
    if (ext->critical) lint_say(x, LINT_rfc5280_crl_critical, NULL);
}

static void lint_access(lint_t *x) {
    const lint_ext_t *ext = lint_ext_oid(x, BYTES_LIT(LINT_OID_AIA));
    if (!ext || ext->broken) return;
    bytes_t value = ext->value, content, entry, method;
    der_t place;
    bool good = der_take(&value, DER_SEQUENCE, &content) && content.n;
    while (good && content.n)
        good = der_take(&content, DER_SEQUENCE, &entry) && der_take(&entry, DER_OID, &method) &&
               der_next(&entry, &place) && !entry.n;
    if (!good) malformed(x, "authorityInfoAccess");
}

void lint_extensions(lint_t *x) {
    for (size_t i = 0; i < x->exts_n; i++) lint_form(x, &x->exts[i]);
    lint_basic(x);
    lint_usage(x);
    lint_key_ids(x);
    lint_eku(x);
    lint_policies(x);
    lint_constraints(x);
    lint_crl_points(x);
    lint_access(x);
}
