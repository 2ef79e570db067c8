/*
 * The linter's rules for a certificate's fields (RFC 5280 section 4.1): version, serial number,
 * signature algorithm, validity, public key. Pure; any thread.
 */
#include "crypto/cert_lint_internal.h"
#include "crypto/name_der_internal.h"

enum { SERIAL_MAX = 20 }; /* octets */

static void lint_serial(lint_t *x) {
    bytes_t s = x->serial;
    if (s.p[0] & 0x80 || (s.n == 1 && s.p[0] == 0)) lint_say(x, LINT_rfc5280_serial_positive, NULL);
    if (s.n > SERIAL_MAX) lint_say(x, LINT_rfc5280_serial_length, "%zu octets", s.n);
}

/* ---- signature algorithm ---- */

typedef enum { PARAMETERS_NULL, PARAMETERS_ABSENT, PARAMETERS_ANY } parameters_t;

#define PKCS1(n)                                                                                   \
    { (const uint8_t *)("\x2a\x86\x48\x86\xf7\x0d\x01\x01" n), 9 }
#define ECDSA(n)                                                                                   \
    { (const uint8_t *)("\x2a\x86\x48\xce\x3d\x04\x03" n), 8 }

static const struct {
    bytes_t oid; /* content octets */
    parameters_t parameters;
    bool weak;
} algorithms[] = {
    {PKCS1("\x0b"), PARAMETERS_NULL, false},   /* sha256WithRSAEncryption */
    {PKCS1("\x0c"), PARAMETERS_NULL, false},   /* SHA-384 */
    {PKCS1("\x0d"), PARAMETERS_NULL, false},   /* SHA-512 */
    {ECDSA("\x02"), PARAMETERS_ABSENT, false}, /* ecdsa-with-SHA256 */
    {ECDSA("\x03"), PARAMETERS_ABSENT, false},
    {ECDSA("\x04"), PARAMETERS_ABSENT, false},
    {{(const uint8_t *)"\x2b\x65\x70", 3}, PARAMETERS_ABSENT, false}, /* Ed25519 */
    {{(const uint8_t *)"\x2b\x65\x71", 3}, PARAMETERS_ABSENT, false}, /* Ed448 */
    {PKCS1("\x0a"), PARAMETERS_ANY, false},                           /* RSASSA-PSS */
    {PKCS1("\x0e"), PARAMETERS_NULL, false},                          /* SHA-224 */
    {PKCS1("\x02"), PARAMETERS_NULL, true},                           /* MD2 */
    {PKCS1("\x04"), PARAMETERS_NULL, true},                           /* MD5 */
    {PKCS1("\x05"), PARAMETERS_NULL, true},                           /* SHA-1 */
    {{(const uint8_t *)"\x2a\x86\x48\xce\x3d\x04\x01", 7}, PARAMETERS_ABSENT, true}, /* ECDSA */
};

static void lint_signature(lint_t *x) {
    bytes_t whole = x->algorithm, fields, oid;
    if (x->outer_algorithm.n && !bytes_eq(x->outer_algorithm, x->algorithm))
        lint_say(x, LINT_rfc5280_signature_match, NULL);
    if (!der_take(&whole, DER_SEQUENCE, &fields) || !der_take(&fields, DER_OID, &oid)) {
        lint_say(x, LINT_rfc5280_structure, "signature");
        return;
    }
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (!bytes_eq(oid, algorithms[i].oid)) continue;
        bool null = bytes_eq(fields, BYTES_LIT("\x05\x00"));
        if ((algorithms[i].parameters == PARAMETERS_NULL && !null) ||
            (algorithms[i].parameters == PARAMETERS_ABSENT && fields.n))
            lint_say(x, LINT_rfc5280_signature_parameters, NULL);
        if (algorithms[i].weak) lint_say(x, LINT_rfc5280_signature_weak, NULL);
        return;
    }
}

/* ---- validity ---- */

static bool lint_time(lint_t *x, bytes_t *validity, const char *name, int64_t *ret_seconds) {
    bytes_t peek = *validity;
    der_t element;
    if (!der_next(&peek, &element) ||
        (element.tag != DER_UTC_TIME && element.tag != DER_GENERALIZED_TIME)) {
        lint_say(x, LINT_rfc5280_structure, "%s", name);
        return false;
    }
    bytes_t one = element.whole, text = element.content;
    *validity = peek;
    err_t *e = time_der_take(&one, ret_seconds);
    if (e) {
        err_free(e);
        lint_say(x, LINT_rfc5280_time_form, "%s", name);
        return false;
    }
    /* The form was checked: four digits of a year. */
    if (element.tag == DER_GENERALIZED_TIME && memcmp(text.p, "2050", 4) < 0)
        lint_say(x, LINT_rfc5280_time_choice, "%s", name);
    return true;
}

static void lint_validity(lint_t *x) {
    bytes_t validity = x->validity;
    bool from = lint_time(x, &validity, "notBefore", &x->not_before);
    bool to = lint_time(x, &validity, "notAfter", &x->not_after);
    x->dates_known = from && to;
    if (x->dates_known && validity.n) lint_say(x, LINT_rfc5280_structure, "validity");
    if (x->dates_known && x->not_after < x->not_before)
        lint_say(x, LINT_rfc5280_validity_order, NULL);
}

/* ---- public key ---- */

static unsigned bits_of(bytes_t number) {
    unsigned bits = (unsigned)(8 * number.n);
    for (unsigned top = number.p[0]; bits && !(top & 0x80); top <<= 1) bits--;
    return bits;
}

static void lint_rsa(lint_t *x, bytes_t key) {
    bytes_t numbers, n, e, whole = key;
    if (!der_check(key) || !der_take(&whole, DER_SEQUENCE, &numbers) ||
        !der_take_unsigned(&numbers, &n) || !der_take_unsigned(&numbers, &e) || numbers.n ||
        n.p[0] == 0) {
        lint_say(x, LINT_rfc5280_key_malformed, NULL);
        return;
    }
    unsigned bits = bits_of(n);
    if (bits < LIMIT_RSA_BITS_MIN) lint_say(x, LINT_rfc5280_key_weak, "%u bits", bits);
    if (!(e.p[e.n - 1] & 1) || (e.n == 1 && e.p[0] < 3))
        lint_say(x, LINT_rfc5280_key_exponent, NULL);
    if (x->rules == CERT_LINT_RFC5280) return;
    if (bits < LIMIT_RSA_BITS_MIN || bits % 8) lint_say(x, LINT_smbr_key_size, "%u bits", bits);
    if (bits_of(e) < 17 || bits_of(e) > 256) lint_say(x, LINT_smbr_key_exponent, NULL);
}

/* SEC 1 section 2.3.3: a point in one of its three forms, of a field of 32, 48 or 66 octets. */
static void lint_point(lint_t *x, bytes_t parameters, bytes_t point) {
    static const struct {
        bytes_t curve; /* whole */
        size_t field;  /* octets */
    } curves[] = {
        {{(const uint8_t *)"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10}, 32},
        {{(const uint8_t *)"\x06\x05\x2b\x81\x04\x00\x22", 7}, 48},
        {{(const uint8_t *)"\x06\x05\x2b\x81\x04\x00\x23", 7}, 66},
    };
    if (!der_at(parameters, DER_OID)) {
        lint_say(x, LINT_rfc5280_key_parameters, "no named curve");
        return;
    }
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (!bytes_eq(parameters, curves[i].curve)) continue;
        size_t field = curves[i].field;
        bool plain = point.n == 2 * field + 1 && point.p[0] == 4;
        bool compressed = point.n == field + 1 && (point.p[0] == 2 || point.p[0] == 3);
        if (!plain && !compressed) lint_say(x, LINT_rfc5280_key_malformed, NULL);
        return;
    }
    lint_say(x, LINT_rfc5280_key_unknown, "curve");
}

static const struct {
    bytes_t oid; /* content octets */
    lint_key_t kind;
    size_t size; /* octets of the key; 0: looked at elsewhere */
} keys[] = {
    {PKCS1("\x01"), LINT_KEY_RSA, 0},
    {{(const uint8_t *)"\x2a\x86\x48\xce\x3d\x02\x01", 7}, LINT_KEY_EC, 0},
    {PKCS1("\x0a"), LINT_KEY_PSS, 0},
    {{(const uint8_t *)"\x2b\x65\x70", 3}, LINT_KEY_EDWARDS, 32},
    {{(const uint8_t *)"\x2b\x65\x71", 3}, LINT_KEY_EDWARDS, 57},
    {{(const uint8_t *)"\x2b\x65\x6e", 3}, LINT_KEY_MONTGOMERY, 32},
    {{(const uint8_t *)"\x2b\x65\x6f", 3}, LINT_KEY_MONTGOMERY, 56},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x03\x11", 9}, LINT_KEY_ML_DSA, 1312},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x03\x12", 9}, LINT_KEY_ML_DSA, 1952},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x03\x13", 9}, LINT_KEY_ML_DSA, 2592},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x04\x01", 9}, LINT_KEY_ML_KEM, 800},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x04\x02", 9}, LINT_KEY_ML_KEM, 1184},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x04\x03", 9}, LINT_KEY_ML_KEM, 1568},
};

static void lint_key(lint_t *x) {
    bytes_t spki = x->spki, algorithm, oid, key;
    x->key = LINT_KEY_OTHER;
    if (!der_take(&spki, DER_SEQUENCE, &algorithm) || !der_take(&algorithm, DER_OID, &oid) ||
        !der_take_octets(&spki, &key) || spki.n) {
        lint_say(x, LINT_rfc5280_key_malformed, NULL);
        return;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!bytes_eq(oid, keys[i].oid)) continue;
        x->key = keys[i].kind;
        if (x->key == LINT_KEY_RSA && !bytes_eq(algorithm, BYTES_LIT("\x05\x00")))
            lint_say(x, LINT_rfc5280_key_parameters, "not NULL");
        if (keys[i].size && algorithm.n) lint_say(x, LINT_rfc5280_key_parameters, "there are some");
        if (keys[i].size && key.n != keys[i].size) lint_say(x, LINT_rfc5280_key_malformed, NULL);
        if (x->key == LINT_KEY_RSA || x->key == LINT_KEY_PSS) lint_rsa(x, key);
        if (x->key == LINT_KEY_EC) lint_point(x, algorithm, key);
        return;
    }
    lint_say(x, LINT_rfc5280_key_unknown, NULL);
}

void lint_fields(lint_t *x) {
    if (x->default_version) lint_say(x, LINT_rfc5280_der_default, "version");
    if (x->extensions_there && x->version != 3)
        lint_say(x, LINT_rfc5280_version, "version %u", x->version);
    if (x->unique_id) lint_say(x, LINT_rfc5280_unique_id, NULL);
    lint_serial(x);
    lint_signature(x);
    lint_validity(x);
    lint_key(x);
}
