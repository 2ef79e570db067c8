/*
 * The linter's rules for names: distinguished names (RFC 5280 sections 4.1.2.4, 4.1.2.6, appendix
 * A.1) and alternative names (section 4.2.1.6). Pure; any thread.
 */
#include "base/text.h"
#include "crypto/cert_lint_internal.h"

typedef enum { STRING_DIRECTORY, STRING_PRINTABLE, STRING_IA5, STRING_ANY } string_t;

enum { DNS_MAX = 253, LABEL_MAX = 63, LOCAL_MAX = 64, IPV4 = 4, IPV6 = 16 };

#define AT(n)                                                                                      \
    { (const uint8_t *)("\x55\x04" n), 3 }

/* Upper bounds in characters: RFC 5280 appendix A.1, X.520 annex C, RFC 4519; 0: none. */
static const struct {
    lint_attribute_t kind;
    bytes_t oid; /* content octets */
    const char *name;
    string_t string;
    size_t max;
} attributes[] = {
    {LINT_CN, AT("\x03"), "commonName", STRING_DIRECTORY, 64},
    {LINT_O, AT("\x0a"), "organizationName", STRING_DIRECTORY, 64},
    {LINT_OU, AT("\x0b"), "organizationalUnitName", STRING_DIRECTORY, 64},
    {LINT_C, AT("\x06"), "countryName", STRING_PRINTABLE, 0},
    {LINT_SURNAME, AT("\x04"), "surname", STRING_DIRECTORY, 32768},
    {LINT_SERIAL_NUMBER, AT("\x05"), "serialNumber", STRING_PRINTABLE, 64},
    {LINT_L, AT("\x07"), "localityName", STRING_DIRECTORY, 128},
    {LINT_ST, AT("\x08"), "stateOrProvinceName", STRING_DIRECTORY, 128},
    {LINT_STREET, AT("\x09"), "streetAddress", STRING_DIRECTORY, 128},
    {LINT_TITLE, AT("\x0c"), "title", STRING_DIRECTORY, 64},
    {LINT_POSTAL_CODE, AT("\x11"), "postalCode", STRING_DIRECTORY, 40},
    {LINT_NAME, AT("\x29"), "name", STRING_DIRECTORY, 32768},
    {LINT_GIVEN_NAME, AT("\x2a"), "givenName", STRING_DIRECTORY, 32768},
    {LINT_INITIALS, AT("\x2b"), "initials", STRING_DIRECTORY, 32768},
    {LINT_GENERATION, AT("\x2c"), "generationQualifier", STRING_DIRECTORY, 32768},
    {LINT_DN_QUALIFIER, AT("\x2e"), "dnQualifier", STRING_PRINTABLE, 0},
    {LINT_PSEUDONYM, AT("\x41"), "pseudonym", STRING_DIRECTORY, 128},
    {LINT_ORGANIZATION_ID, AT("\x61"), "organizationIdentifier", STRING_DIRECTORY, 0},
    {LINT_EMAIL,
     {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 9},
     "emailAddress",
     STRING_IA5,
     255},
    {LINT_DC,
     {(const uint8_t *)"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", 10},
     "domainComponent",
     STRING_IA5,
     0},
    {LINT_UID,
     {(const uint8_t *)"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", 10},
     "userId",
     STRING_DIRECTORY,
     256},
    {LINT_OTHER, {NULL, 0}, "another attribute", STRING_ANY, 0},
};

enum { OTHER = sizeof attributes / sizeof attributes[0] - 1 };

const char *lint_attribute_name(lint_attribute_t kind) {
    size_t i = 0;
    while (i < OTHER && attributes[i].kind != kind) i++;
    return attributes[i].name;
}

static size_t find_attribute(bytes_t oid) {
    size_t i = 0;
    while (i < OTHER && !bytes_eq(attributes[i].oid, oid)) i++;
    return i;
}

bool lint_entry_next(bytes_t *name, bytes_t *set, lint_entry_t *ret_entry) {
    bytes_t pair;
    der_t value;
    if (!set->n && !der_take(name, DER_SET, set)) return false;
    if (!der_take(set, DER_SEQUENCE, &pair) || !der_take(&pair, DER_OID, &ret_entry->oid) ||
        !der_next(&pair, &value) || pair.n)
        return false;
    ret_entry->kind = attributes[find_attribute(ret_entry->oid)].kind;
    ret_entry->tag = value.tag;
    ret_entry->value = value.content;
    return true;
}

/* ---- strings ---- */

static bool is_alnum(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_ascii(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] & 0x80) return false;
    return true;
}

/* X.680 section 41.4 */
static bool is_printable_string(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (!is_alnum(text.p[i]) && (!text.p[i] || !strchr(" '()+,-./:=?", text.p[i])))
            return false;
    return true;
}

static bool has_its_characters(uint8_t tag, bytes_t text) {
    if (tag == DER_PRINTABLE) return is_printable_string(text);
    if (tag == DER_UTF8) return text_utf8_valid(text);
    if (tag == DER_IA5) return is_ascii(text);
    return true;
}

static size_t characters(uint8_t tag, bytes_t text) {
    size_t n = 0;
    if (tag == DER_BMP) return text.n / 2;
    if (tag == DER_UNIVERSAL) return text.n / 4;
    if (tag != DER_UTF8) return text.n;
    for (size_t i = 0; i < text.n; i++) n += (text.p[i] & 0xc0) != 0x80;
    return n;
}

static void lint_string(lint_t *x, const char *whose, size_t i, uint8_t tag) {
    const char *what = attributes[i].name;
    switch (attributes[i].string) {
    case STRING_DIRECTORY:
        if (tag == DER_PRINTABLE || tag == DER_UTF8) return;
        if (tag == DER_T61 || tag == DER_BMP || tag == DER_UNIVERSAL)
            lint_say(x, LINT_rfc5280_name_string, "%s, %s", whose, what);
        else lint_say(x, LINT_rfc5280_name_type, "%s, %s", whose, what);
        return;
    case STRING_PRINTABLE:
        if (tag != DER_PRINTABLE) lint_say(x, LINT_rfc5280_name_type, "%s, %s", whose, what);
        return;
    case STRING_IA5:
        if (tag != DER_IA5) lint_say(x, LINT_rfc5280_name_type, "%s, %s", whose, what);
        return;
    case STRING_ANY: return;
    }
}

static void lint_entry(lint_t *x, const char *whose, const lint_entry_t *entry) {
    size_t i = find_attribute(entry->oid), n = characters(entry->tag, entry->value);
    const char *what = attributes[i].name;
    lint_string(x, whose, i, entry->tag);
    if (!has_its_characters(entry->tag, entry->value))
        lint_say(x, LINT_rfc5280_name_characters, "%s, %s", whose, what);
    if (n == 0 && i != OTHER) lint_say(x, LINT_rfc5280_name_empty, "%s, %s", whose, what);
    if (attributes[i].max && n > attributes[i].max)
        lint_say(x, LINT_rfc5280_name_length, "%s, %s: %zu characters, at most %zu", whose, what, n,
                 attributes[i].max);
    if (attributes[i].kind == LINT_C && n != 2)
        lint_say(x, LINT_rfc5280_country_length, "%s", whose);
}

/* X.690 section 11.6, of each RelativeDistinguishedName with several members. */
static bool sets_in_order(bytes_t name) {
    bytes_t set, last = BYTES_NONE;
    der_t member;
    while (der_take(&name, DER_SET, &set)) {
        for (last = BYTES_NONE; set.n && der_next(&set, &member); last = member.whole)
            if (last.n && der_compare(last, member.whole) > 0) return false;
    }
    return true;
}

static void lint_name(lint_t *x, const char *whose, bytes_t name) {
    bytes_t set = BYTES_NONE, rest = name;
    lint_entry_t entry;
    if (!sets_in_order(name)) lint_say(x, LINT_rfc5280_der_set_order, "%s", whose);
    while (rest.n || set.n) {
        if (!lint_entry_next(&rest, &set, &entry)) {
            lint_say(x, LINT_rfc5280_structure, "%s", whose);
            return;
        }
        lint_entry(x, whose, &entry);
    }
}

/* ---- alternative names ---- */

/* Labels of letters, digits and hyphens (RFC 1034 section 3.5, RFC 1123 section 2.1). */
static bool is_domain(bytes_t text, bool wildcard) {
    bytes_t rest = text, label;
    if (!text.n || text.n > DNS_MAX || text.p[text.n - 1] == '.') return false;
    for (bool first = true; text_split(&rest, '.', &label); first = false) {
        if (first && wildcard && bytes_eq_str(label, "*") && rest.n) continue;
        if (!label.n || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!is_alnum(label.p[i]) && label.p[i] != '-') return false;
    }
    return true;
}

/* Dot-string, or something in quotes. */
static bool is_local_part(bytes_t local, bool ascii) {
    if (!local.n || local.n > LOCAL_MAX) return false;
    bool quoted = local.n > 2 && local.p[0] == '"' && local.p[local.n - 1] == '"';
    if (quoted) return true;
    for (size_t i = 0; i < local.n; i++) {
        uint8_t c = local.p[i];
        bool dot = c == '.' && i > 0 && i + 1 < local.n && local.p[i - 1] != '.';
        if (c & 0x80 ? ascii : !dot && !is_alnum(c) && (!c || !strchr("!#$%&'*+-/=?^_`{|}~", c)))
            return false;
    }
    return true;
}

static size_t last_at(bytes_t text) {
    size_t at = text.n;
    for (size_t i = text.n; i-- > 0 && at == text.n;)
        if (text.p[i] == '@') at = i;
    return at;
}

bool lint_is_mailbox(bytes_t text) {
    size_t at = last_at(text);
    return at < text.n && is_local_part(bytes_slice(text, 0, at), true) &&
           is_domain(bytes_from(text, at + 1), false);
}

/* Section 4.2.1.6: a scheme and something behind it, ASCII, no blanks. */
static bool is_uri(bytes_t text) {
    size_t colon = bytes_find(text, ':');
    if (colon == 0 || colon + 1 >= text.n || !is_alnum(text.p[0])) return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f) return false;
    for (size_t i = 0; i < colon; i++)
        if (!is_alnum(text.p[i]) && !strchr("+-.", text.p[i])) return false;
    return true;
}

bool lint_other_name(bytes_t content, bytes_t *ret_oid, der_t *ret_value) {
    bytes_t value;
    return der_take(&content, DER_OID, ret_oid) &&
           der_take(&content, DER_CONTEXT_CONSTRUCTED | 0, &value) && !content.n &&
           der_next(&value, ret_value) && !value.n;
}

static void lint_other(lint_t *x, bytes_t content) {
    bytes_t oid;
    der_t value;
    if (!lint_other_name(content, &oid, &value)) {
        lint_say(x, LINT_rfc5280_san_name, "otherName");
        return;
    }
    if (!LINT_IS(oid, LINT_OID_UTF8MB)) return;
    size_t at = last_at(value.content);
    bytes_t local = bytes_slice(value.content, 0, at);
    if (value.tag != DER_UTF8 || !text_utf8_valid(value.content) || at >= value.content.n ||
        !is_local_part(local, false) || is_ascii(local))
        lint_say(x, LINT_smbr_utf8_mailbox, NULL);
}

static void lint_general_name(lint_t *x, const der_t *name) {
    bytes_t content = name->content, inside;
    const char *bad = NULL;
    switch (name->tag) {
    case DER_CONTEXT_CONSTRUCTED | 0: lint_other(x, content); break;
    case DER_CONTEXT | 1: bad = lint_is_mailbox(content) ? NULL : "rfc822Name"; break;
    case DER_CONTEXT | 2: bad = is_domain(content, true) ? NULL : "dNSName"; break;
    case DER_CONTEXT_CONSTRUCTED | 4:
        if (!der_take(&content, DER_SEQUENCE, &inside) || content.n) bad = "directoryName";
        else lint_name(x, "alternative name", inside);
        break;
    case DER_CONTEXT | 6: bad = is_uri(content) ? NULL : "uniformResourceIdentifier"; break;
    case DER_CONTEXT | 7: bad = content.n == IPV4 || content.n == IPV6 ? NULL : "iPAddress"; break;
    case DER_CONTEXT | 8: bad = der_is_oid(content) ? NULL : "registeredID"; break;
    case DER_CONTEXT_CONSTRUCTED | 3: /* x400Address and ediPartyName: nobody uses them */
    case DER_CONTEXT_CONSTRUCTED | 5: break;
    default: bad = "unknown kind"; break;
    }
    if (bad) lint_say(x, LINT_rfc5280_san_name, "%s", bad);
}

bytes_t lint_san(const lint_t *x) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_SAN);
    bytes_t names = BYTES_NONE, value = ext ? ext->value : BYTES_NONE;
    if (!ext || ext->broken || !der_take(&value, DER_SEQUENCE, &names)) return BYTES_NONE;
    return names;
}

/* Quadratic, and bounded by LIMIT_CERTIFICATE_BYTES: so it looks at so many only. */
static void lint_repeats(lint_t *x, bytes_t names) {
    der_t seen[LIMIT_SAN_ENTRIES];
    for (size_t n = 0; n < LIMIT_SAN_ENTRIES && der_next(&names, &seen[n]); n++)
        for (size_t i = 0; i < n; i++)
            if (bytes_eq(seen[i].whole, seen[n].whole)) {
                lint_say(x, LINT_rfc5280_san_twice, NULL);
                return;
            }
}

static void lint_alternatives(lint_t *x) {
    const lint_ext_t *ext = lint_ext(x, LINT_CE_SAN);
    if (!ext || ext->broken) return;
    bytes_t value = ext->value, names, rest;
    der_t name;
    if (!der_take(&value, DER_SEQUENCE, &names)) {
        lint_say(x, LINT_rfc5280_extension_malformed, "subjectAltName");
        return;
    }
    if (!names.n) lint_say(x, LINT_rfc5280_san_empty, NULL);
    for (rest = names; rest.n && der_next(&rest, &name);) lint_general_name(x, &name);
    lint_repeats(x, names);
    if (ext->critical && x->subject.n) lint_say(x, LINT_rfc5280_san_critical, NULL);
}

void lint_names(lint_t *x) {
    if (!x->issuer.n) lint_say(x, LINT_rfc5280_issuer_empty, NULL);
    lint_name(x, "issuer", x->issuer);
    lint_name(x, "subject", x->subject);
    if (!x->subject.n) {
        const lint_ext_t *ext = lint_ext(x, LINT_CE_SAN);
        if (x->ca) lint_say(x, LINT_rfc5280_subject_empty_ca, NULL);
        else if (!ext || !ext->critical) lint_say(x, LINT_rfc5280_subject_empty, NULL);
    }
    lint_alternatives(x);
}
