/*
 * Names of a request to come: expected subject alternative names, written "email:a@example.org
 * dns:b uri:c upn:d ip:192.0.2.1", and the expected subject, RFC 4514 text. Pure; any thread.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"

const char *pki_san_kind_name(san_kind_t kind) {
    switch (kind) {
    case SAN_EMAIL: return "email";
    case SAN_DNS: return "dns";
    case SAN_URI: return "uri";
    case SAN_UPN: return "upn";
    case SAN_IP: return "ip";
    case SAN_OTHER: return "other";
    }
    return "other";
}

static bool expected_has(const char *expected, const san_entry_t *san) {
    bytes_t rest = bytes_str(expected), field;
    bytes_t kind = bytes_str(pki_san_kind_name(san->kind)), value = bytes_str(san->value);
    while (text_split(&rest, ' ', &field)) {
        size_t colon = bytes_find(field, ':');
        if (bytes_eq(bytes_make(field.p, colon), kind) &&
            bytes_eq(bytes_from(field, colon + 1), value))
            return true;
    }
    return false;
}

err_t *pki_names_check(const csr_t *csr, const char *expected) {
    size_t n = 0;
    const san_entry_t *sans = csr_sans(csr, &n);
    for (size_t i = 0; i < n; i++)
        if (!expected_has(expected, &sans[i]))
            return err_new(
                ERR_DENIED,
                "the request asks for the name %s:%s, which the challenge does not allow",
                pki_san_kind_name(sans[i].kind), sans[i].value);
    return NULL;
}

/* ---- before a challenge is made ---- */

static bool is_alnum(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5280 section 4.2.1.6: labels of letters, digits and hyphens; a wildcard alone in front. */
static bool is_dns(bytes_t value) {
    bytes_t rest = value, label;
    bool first = true;
    if (value.n > 253) return false;
    while (text_split(&rest, '.', &label)) {
        bool wildcard = first && bytes_eq_str(label, "*") && rest.n > 0;
        if (!wildcard && (label.n == 0 || label.n > 63 || label.p[0] == '-')) return false;
        for (size_t i = 0; !wildcard && i < label.n; i++)
            if (!is_alnum(label.p[i]) && label.p[i] != '-') return false;
        first = false;
    }
    return value.p[value.n - 1] != '.';
}

static bool has_at(bytes_t value) {
    size_t at = bytes_find(value, '@');
    return at > 0 && at + 1 < value.n &&
           bytes_find(bytes_from(value, at + 1), '@') == value.n - at - 1;
}

/* RFC 3986 section 3.1: a scheme, and something behind it. */
static bool is_uri(bytes_t value) {
    size_t colon = bytes_find(value, ':');
    if (colon == 0 || colon + 1 >= value.n) return false;
    for (size_t i = 0; i < colon; i++)
        if (!is_alnum(value.p[i]) && !strchr("+-.", value.p[i])) return false;
    return true;
}

static bool is_ip(bytes_t value) {
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];
    if (value.n >= sizeof text) return false;
    bytes_put(text, value);
    text[value.n] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static bool name_is_good(bytes_t kind, bytes_t value) {
    if (value.n == 0 || !text_printable(value)) return false;
    if (bytes_eq_str(kind, "dns")) return is_dns(value);
    if (bytes_eq_str(kind, "email") || bytes_eq_str(kind, "upn")) return has_at(value);
    if (bytes_eq_str(kind, "uri")) return is_uri(value);
    return bytes_eq_str(kind, "ip") && is_ip(value);
}

err_t *pki_names_validate(bytes_t text) {
    bytes_t rest = text, field;
    size_t n = 0;
    if (!text_printable(text)) return err_new(ERR_INVALID, "names are not printable");
    while (text_split(&rest, ' ', &field)) {
        if (field.n == 0) continue;
        size_t colon = bytes_find(field, ':');
        if (colon == field.n ||
            !name_is_good(bytes_slice(field, 0, colon), bytes_from(field, colon + 1)))
            return err_new(ERR_INVALID,
                           "\"%.*s\" is no name: names are written like \"dns:router1.example.org "
                           "email:a@example.org\", of the kinds email, dns, uri, upn, ip",
                           (int)(field.n < 80 ? field.n : 80), (const char *)field.p);
        if (++n > LIMIT_SAN_ENTRIES)
            return err_new(ERR_LIMIT, "more than %d names", LIMIT_SAN_ENTRIES);
    }
    return NULL;
}

/* RFC 4514 section 2.3: a short name or a dotted number. */
static bool type_is_good(bytes_t type) {
    bool number = type.n > 0 && type.p[0] >= '0' && type.p[0] <= '9';
    if (type.n == 0 || (type.p[0] == '-')) return false;
    for (size_t i = 0; i < type.n; i++) {
        uint8_t c = type.p[i];
        bool digit = c >= '0' && c <= '9';
        if (number ? !digit && c != '.' : !is_alnum(c) && c != '-') return false;
    }
    return !number || bytes_find(type, '.') < type.n;
}

/* RFC 4514 section 2.4, from the '=' on: how long the value is, or SIZE_MAX if it is malformed. */
static size_t value_length(bytes_t text) {
    size_t i = 0;
    while (i < text.n && text.p[i] != ',' && text.p[i] != '+') {
        uint8_t c = text.p[i];
        if (strchr("\"<>;", c)) return SIZE_MAX;
        if (c == '\\' && ++i == text.n) return SIZE_MAX;
        i++;
    }
    bool blank =
        i > 0 && (text.p[0] == ' ' || (text.p[i - 1] == ' ' && (i < 2 || text.p[i - 2] != '\\')));
    return i == 0 || blank ? SIZE_MAX : i;
}

err_t *pki_subject_validate(bytes_t text) {
    bytes_t rest = text;
    size_t n = 0;
    if (!text_printable(text)) return err_new(ERR_INVALID, "the subject is not printable");
    for (bool more = text.n > 0; more;) {
        size_t equals = bytes_find(rest, '=');
        size_t length = equals == rest.n ? SIZE_MAX : value_length(bytes_from(rest, equals + 1));
        if (length == SIZE_MAX || !type_is_good(bytes_slice(rest, 0, equals)))
            return err_new(ERR_INVALID,
                           "\"%.*s\" is no subject: it is written like CN=router1,O=Example "
                           "(RFC 4514), without blanks around commas",
                           (int)(text.n < 80 ? text.n : 80), (const char *)text.p);
        if (++n > LIMIT_SUBJECT_ENTRIES)
            return err_new(ERR_LIMIT, "a subject has at most %d entries", LIMIT_SUBJECT_ENTRIES);
        rest = bytes_from(rest, equals + 1 + length);
        more = rest.n > 0;
        if (more) rest = bytes_from(rest, 1); /* the separator; nothing behind it is an error */
    }
    return NULL;
}
