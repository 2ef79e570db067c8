/*
 * The linter's rules of the S/MIME Baseline Requirements (CA/Browser Forum, version 1.0.16) for
 * subscribers' certificates, but for the subject. Pure; any thread.
 */
#include "base/text.h"
#include "crypto/cert_lint_internal.h"

enum {
    DAY_S = 86400,
    DAYS = 825,
    DAYS_LEGACY = 1185,
    SERIAL_MIN = 8, /* octets: 64 bits */
};
/* 2025-07-15 and 2027-07-01, 00:00 UTC */
static const int64_t legacy_ended = 1752537600, only_client_auth = 1814400000;

#define HEX(literal)                                                                               \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* ---- which rules ---- */

/* 2.23.140.1.5.TYPE.GENERATION */
static lint_type_t reserved(bytes_t oid, unsigned *ret_generation) {
    static const bytes_t arc = HEX("\x67\x81\x0c\x01\x05");
    if (oid.n != arc.n + 2 || !bytes_starts(oid, arc)) return LINT_TYPE_NONE;
    uint8_t type = oid.p[arc.n], generation = oid.p[arc.n + 1];
    if (type < LINT_MAILBOX || type > LINT_INDIVIDUAL || generation < 1 || generation > 3)
        return LINT_TYPE_NONE;
    *ret_generation = generation;
    return (lint_type_t)type;
}

lint_type_t lint_reserved_policy(const lint_t *x, unsigned *ret_generation, size_t *ret_count) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_POLICIES);
    bytes_t value = ext && !ext->broken ? ext->value : BYTES_NONE, list, policy, oid;
    lint_type_t type = LINT_TYPE_NONE;
    *ret_generation = 0;
    *ret_count = 0;
    if (!value.n || !der_take(&value, DER_SEQUENCE, &list)) return type;
    while (der_take(&list, DER_SEQUENCE, &policy) && der_take(&policy, DER_OID, &oid)) {
        unsigned generation = 0;
        lint_type_t found = reserved(oid, &generation);
        if (!found) continue;
        if ((*ret_count)++ > 0) continue;
        type = found;
        *ret_generation = generation;
    }
    return type;
}

static bool next_eku(bytes_t *list, bytes_t *ret_oid) {
    return list->n && der_take(list, DER_OID, ret_oid);
}

static bytes_t ekus(const lint_t *x) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_EKU);
    bytes_t value = ext && !ext->broken ? ext->value : BYTES_NONE, list = BYTES_NONE;
    return value.n && der_take(&value, DER_SEQUENCE, &list) ? list : BYTES_NONE;
}

static bool for_mail(const lint_t *x) {
    bytes_t list = ekus(x), oid;
    while (next_eku(&list, &oid))
        if (LINT_IS(oid, LINT_EKU("\x04"))) return true;
    return false;
}

/* How many mailboxes subjectAltName has, and whether it has other things (for this generation). */
static size_t count_mailboxes(const lint_t *x, bool *ret_others) {
    bytes_t names = lint_san(x), oid;
    der_t name, value;
    size_t n = 0;
    *ret_others = false;
    while (names.n && der_next(&names, &name)) {
        bool other = name.tag == (DER_CONTEXT_CONSTRUCTED | 0);
        bool utf8 =
            other && lint_other_name(name.content, &oid, &value) && LINT_IS(oid, LINT_OID_UTF8MB);
        if (name.tag == (DER_CONTEXT | 1) || utf8) n++;
        else if (name.tag != (DER_CONTEXT_CONSTRUCTED | 4) &&
                 !(other && x->rules != CERT_LINT_SMIME_STRICT))
            *ret_others = true;
    }
    return n;
}

static bool is_ca(const lint_t *x) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_BASIC);
    bytes_t value = ext && !ext->broken ? ext->value : BYTES_NONE, content, flag;
    return value.n && der_take(&value, DER_SEQUENCE, &content) &&
           der_take(&content, DER_BOOLEAN, &flag) && flag.p[0];
}

static cert_lint_rules_t rules_of(unsigned generation) {
    return generation == 1   ? CERT_LINT_SMIME_LEGACY
           : generation == 2 ? CERT_LINT_SMIME_MULTIPURPOSE
                             : CERT_LINT_SMIME_STRICT;
}

cert_lint_rules_t lint_choose(const lint_t *x) {
    unsigned generation = 0;
    size_t count = 0;
    bool others = false;
    if (is_ca(x)) return CERT_LINT_RFC5280;
    if (lint_reserved_policy(x, &generation, &count)) return rules_of(generation);
    bool smime = for_mail(x) && count_mailboxes(x, &others) > 0;
    return smime ? CERT_LINT_SMIME_MULTIPURPOSE : CERT_LINT_RFC5280;
}

/* ---- fields ---- */

static const bytes_t signatures[] = {
    HEX("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"), /* RSA, SHA-256 */
    HEX("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00"),
    HEX("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00"),
    HEX("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), /* ECDSA, SHA-256 */
    HEX("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
    HEX("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"),
    HEX("\x30\x05\x06\x03\x2b\x65\x70"), /* Ed25519 */
    HEX("\x30\x05\x06\x03\x2b\x65\x71"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11"), /* ML-DSA */
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13"),
    /* RSASSA-PSS with SHA-256, -384, -512 and a salt as long as the digest */
    HEX("\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60"
        "\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d"
        "\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01"
        "\x20"),
    HEX("\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60"
        "\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d"
        "\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa2\x03\x02\x01"
        "\x30"),
    HEX("\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60"
        "\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d"
        "\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\xa2\x03\x02\x01"
        "\x40"),
};

static const bytes_t key_algorithms[] = {
    HEX("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"), /* RSA */
    HEX("\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
    HEX("\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"),
    HEX("\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23"),
    HEX("\x30\x05\x06\x03\x2b\x65\x70"),
    HEX("\x30\x05\x06\x03\x2b\x65\x71"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x01"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x02"),
    HEX("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x03"),
};

static bool is_one_of(bytes_t value, const bytes_t *list, size_t n) {
    while (n-- > 0)
        if (bytes_eq(value, list[n])) return true;
    return false;
}

static void lint_smime_fields(lint_t *x) {
    bytes_t spki = x->spki, algorithm = BYTES_NONE;
    bool legacy = x->rules == CERT_LINT_SMIME_LEGACY;
    if (x->version != 3) lint_say(x, LINT_smbr_version, NULL);
    if (x->serial.n < SERIAL_MIN) lint_say(x, LINT_smbr_serial, "%zu octets", x->serial.n);
    if (!is_one_of(x->algorithm, signatures, sizeof signatures / sizeof signatures[0]))
        lint_say(x, LINT_smbr_signature, NULL);
    if (!der_take_whole(&spki, DER_SEQUENCE, &algorithm) ||
        !is_one_of(algorithm, key_algorithms, sizeof key_algorithms / sizeof key_algorithms[0]))
        lint_say(x, LINT_smbr_key_algorithm, NULL);
    if (!x->dates_known) return;
    /* Both ends count (RFC 5280 section 4.1.2.5), and a begun day is a day. */
    int64_t days = (x->not_after - x->not_before + DAY_S) / DAY_S;
    int64_t most = legacy ? DAYS_LEGACY : DAYS;
    if (days > most)
        lint_say(x, LINT_smbr_validity, "%lld days, at most %lld", (long long)days,
                 (long long)most);
    if (legacy && x->not_before >= legacy_ended) lint_say(x, LINT_smbr_legacy, NULL);
}

/* ---- policies ---- */

static bool is_http(bytes_t text, bool tls) {
    return (text.n > 7 && text_eq_fold(bytes_slice(text, 0, 7), BYTES_LIT("http://"))) ||
           (tls && text.n > 8 && text_eq_fold(bytes_slice(text, 0, 8), BYTES_LIT("https://")));
}

/* PolicyQualifierInfo ::= SEQUENCE { policyQualifierId, qualifier ANY } */
static void lint_qualifier(lint_t *x, bytes_t info) {
    bytes_t oid, inside;
    der_t q;
    if (!der_take(&info, DER_OID, &oid) || !der_next(&info, &q)) return;
    if (LINT_IS(oid, "\x2b\x06\x01\x05\x05\x07\x02\x01")) { /* id-qt-cps */
        if (q.tag != DER_IA5 || !is_http(q.content, true)) lint_say(x, LINT_smbr_policy_cps, NULL);
    } else if (LINT_IS(oid, "\x2b\x06\x01\x05\x05\x07\x02\x02")) { /* id-qt-unotice */
        inside = q.content;
        if (q.tag != DER_SEQUENCE || !inside.n || der_at(inside, DER_SEQUENCE))
            lint_say(x, LINT_smbr_policy_notice, NULL);
    }
}

static void lint_qualifiers(lint_t *x, bytes_t value) {
    bytes_t list, policy, oid, qualifiers, info;
    if (!der_take(&value, DER_SEQUENCE, &list)) return;
    while (der_take(&list, DER_SEQUENCE, &policy)) {
        if (!der_take(&policy, DER_OID, &oid) || !der_take(&policy, DER_SEQUENCE, &qualifiers))
            continue;
        while (der_take(&qualifiers, DER_SEQUENCE, &info)) lint_qualifier(x, info);
    }
}

static lint_type_t lint_policy(lint_t *x) {
    unsigned generation = 0;
    size_t count = 0;
    const lint_ext_t *ext = lint_ext(x, LINT_CE_POLICIES);
    lint_type_t type = lint_reserved_policy(x, &generation, &count);
    if (!count) lint_say(x, LINT_smbr_policy_missing, NULL);
    if (count > 1) lint_say(x, LINT_smbr_policy_many, "%zu", count);
    if (count && rules_of(generation) != x->rules)
        lint_say(x, LINT_smbr_policy_generation, "%s", cert_lint_rules_name(rules_of(generation)));
    if (ext && ext->critical) lint_say(x, LINT_smbr_policy_critical, NULL);
    if (ext && !ext->broken) lint_qualifiers(x, ext->value);
    return type;
}

/* ---- where to ask ---- */

static void lint_places(lint_t *x) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_CRL_POINTS);
    bytes_t value = ext && !ext->broken ? ext->value : BYTES_NONE, points = BYTES_NONE, names;
    size_t http = 0, others = 0;
    bool good = true;
    der_t name;
    if (value.n && !der_take(&value, DER_SEQUENCE, &points)) points = BYTES_NONE;
    while (lint_crl_point(&points, &names, &good))
        while (names.n && der_next(&names, &name)) {
            if (name.tag != (DER_CONTEXT | 6)) continue;
            if (is_http(name.content, false)) http++;
            else others++;
        }
    if (!http && !others) lint_say(x, LINT_smbr_crl_missing, NULL);
    else if (x->rules == CERT_LINT_SMIME_LEGACY ? !http : others > 0)
        lint_say(x, LINT_smbr_crl_scheme, NULL);
}

static void lint_aia(lint_t *x) {
    const lint_ext_t *ext = lint_ext_oid(x, BYTES_LIT(LINT_OID_AIA));
    bytes_t value = ext && !ext->broken ? ext->value : BYTES_NONE, list = BYTES_NONE, entry, oid;
    size_t http[2] = {0}, all[2] = {0}; /* OCSP, caIssuers */
    der_t place;
    if (value.n && !der_take(&value, DER_SEQUENCE, &list)) list = BYTES_NONE;
    while (der_take(&list, DER_SEQUENCE, &entry)) {
        if (!der_take(&entry, DER_OID, &oid) || !der_next(&entry, &place)) continue;
        bool ocsp = LINT_IS(oid, "\x2b\x06\x01\x05\x05\x07\x30\x01");
        if (!ocsp && !LINT_IS(oid, "\x2b\x06\x01\x05\x05\x07\x30\x02")) continue;
        all[!ocsp]++;
        http[!ocsp] += place.tag == (DER_CONTEXT | 6) && is_http(place.content, false);
    }
    for (size_t i = 0; i < 2; i++)
        if (x->rules == CERT_LINT_SMIME_LEGACY ? all[i] && !http[i] : http[i] != all[i])
            lint_say(x, LINT_smbr_aia_scheme, "%s", i ? "caIssuers" : "OCSP");
    if (!all[1]) lint_say(x, LINT_smbr_aia_missing, NULL);
}

/* ---- usage ---- */

static bool usage_good(const lint_t *x) {
    unsigned u = x->key_usage, sign = KEY_USAGE_DIGITAL_SIGNATURE, manage = 0, may = 0;
    switch (x->key) {
    case LINT_KEY_RSA:
    case LINT_KEY_PSS:
        manage = KEY_USAGE_KEY_ENCIPHERMENT;
        if (x->rules != CERT_LINT_SMIME_STRICT) may = KEY_USAGE_DATA_ENCIPHERMENT;
        break;
    case LINT_KEY_EC:
        manage = KEY_USAGE_KEY_AGREEMENT;
        may = KEY_USAGE_ENCIPHER_ONLY | KEY_USAGE_DECIPHER_ONLY;
        break;
    case LINT_KEY_ML_KEM: return u == KEY_USAGE_KEY_ENCIPHERMENT;
    case LINT_KEY_EDWARDS:
    case LINT_KEY_ML_DSA: break;
    case LINT_KEY_MONTGOMERY:
    case LINT_KEY_OTHER: return true; /* the algorithm is refused already */
    }
    unsigned allowed = 0;
    if (u & sign) allowed |= sign | KEY_USAGE_NON_REPUDIATION;
    if (manage && (u & manage)) allowed |= manage | may;
    return allowed && !(u & ~allowed);
}

static void lint_purposes(lint_t *x) {
    bytes_t list = ekus(x), oid;
    bool mail = for_mail(x);
    bool client_only = x->dates_known && x->not_before >= only_client_auth;
    if (!x->has_key_usage) lint_say(x, LINT_smbr_key_usage_missing, NULL);
    else if (!usage_good(x)) lint_say(x, LINT_smbr_key_usage, NULL);
    if (!mail) lint_say(x, LINT_smbr_eku_missing, NULL);
    while (next_eku(&list, &oid)) {
        char text[LINT_OID_TEXT];
        if (LINT_IS(oid, LINT_EKU("\x04"))) continue;
        if (LINT_IS(oid, LINT_EKU("\x01")) || LINT_IS(oid, LINT_EKU("\x03")) ||
            LINT_IS(oid, LINT_EKU("\x08")) || LINT_IS(oid, LINT_OID_ANY))
            lint_say(x, LINT_smbr_eku_forbidden, "%s", lint_oid(oid, text));
        else if (x->rules == CERT_LINT_SMIME_STRICT ||
                 (client_only && !LINT_IS(oid, LINT_EKU("\x02"))))
            lint_say(x, LINT_smbr_eku_other, "%s", lint_oid(oid, text));
    }
}

/* ---- other extensions ---- */

static void lint_aki(lint_t *x) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_AKI);
    bytes_t value = ext && !ext->broken ? ext->value : BYTES_NONE, content, id;
    if (!value.n || !der_take(&value, DER_SEQUENCE, &content)) return;
    if (der_at(content, DER_CONTEXT | 0) && !der_take(&content, DER_CONTEXT | 0, &id)) return;
    if (content.n) lint_say(x, LINT_smbr_aki_issuer, NULL);
}

/* Items i to m. */
static void lint_others(lint_t *x, lint_type_t type) {
    static const struct {
        bytes_t oid; /* content octets */
        const char *name;
        bool not_strict, legacy_only, not_people, sponsor_only;
    } table[] = {
        {HEX("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0f"), "smimeCapabilities", 0, 0, 0, 0},
        {HEX("\x55\x1d\x09"), "subjectDirectoryAttributes", 0, true, 0, 0},
        {HEX("\x2b\x06\x01\x05\x05\x07\x01\x03"), "qcStatements", 0, 0, 0, 0},
        {HEX("\x2b\x06\x01\x04\x01\x83\x98\x2a\x01"), "LEI", 0, 0, true, 0},
        {HEX("\x2b\x06\x01\x04\x01\x83\x98\x2a\x02"), "LEI role", 0, 0, true, true},
        {HEX("\x2a\x86\x48\x86\xf7\x2f\x01\x01\x09\x01"), "Adobe time-stamp", true, 0, 0, 0},
        {HEX("\x2a\x86\x48\x86\xf7\x2f\x01\x01\x09\x02"), "Adobe ArchiveRevInfo", true, 0, 0, 0},
    };
    bool strict = x->rules == CERT_LINT_SMIME_STRICT, legacy = x->rules == CERT_LINT_SMIME_LEGACY;
    bool people = type == LINT_MAILBOX || type == LINT_INDIVIDUAL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const lint_ext_t *ext = lint_ext_oid(x, table[i].oid);
        if (!ext) continue;
        if (ext->critical) lint_say(x, LINT_smbr_extension_critical, "%s", table[i].name);
        if ((table[i].not_strict && strict) || (table[i].legacy_only && !legacy) ||
            (table[i].not_people && people) || (table[i].sponsor_only && type == LINT_ORGANIZATION))
            lint_say(x, LINT_smbr_extension_prohibited, "%s", table[i].name);
    }
}

void lint_smime(lint_t *x) {
    bool others = false;
    if (x->ca) {
        lint_say(x, LINT_smbr_subscriber, NULL);
        return;
    }
    if (x->has_path_length) lint_say(x, LINT_smbr_path_length, NULL);
    lint_smime_fields(x);
    lint_type_t type = lint_policy(x);
    lint_places(x);
    lint_aia(x);
    lint_purposes(x);
    lint_aki(x);
    lint_others(x, type);
    if (!lint_ext(x, LINT_CE_SAN)) lint_say(x, LINT_smbr_san_missing, NULL);
    else if (!count_mailboxes(x, &others)) lint_say(x, LINT_smbr_san_mailbox, NULL);
    if (others) lint_say(x, LINT_smbr_san_kind, NULL);
    lint_smime_subject(x, type);
}
