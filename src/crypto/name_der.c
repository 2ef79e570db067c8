/*
 * Names from DER: see name_der_internal.h. RFC 5280 section 4.1.2.4, RFC 4514 text (as OpenSSL
 * writes RFC 2253), X.680 string types. Any process, any thread; pure.
 */
#include <openssl/objects.h>
#include <time.h>

#include "base/text.h"
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

enum { NAME_TEXT_MAX = 4 * LIMIT_CERTIFICATE_BYTES, UTC_SIZE = 13, GENERALIZED_SIZE = 15 };

static err_t *put_utf8(buf_t *out, uint32_t c) {
    uint8_t raw[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return err_new(ERR_INVALID, "a string holds no Unicode character");
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) raw[i] = (uint8_t)(0x80 | (c & 0x3f));
    raw[0] = (uint8_t)(lead[n] | c);
    return buf_add(out, bytes_make(raw, n));
}

/* Characters of `width` octets, big endian. */
static err_t *put_wide(bytes_t content, size_t width, buf_t *out) {
    for (size_t i = 0; i + width <= content.n; i += width) {
        uint32_t c = 0;
        for (size_t j = 0; j < width; j++) c = c << 8 | content.p[i + j];
        TRY(put_utf8(out, c));
    }
    return NULL;
}

err_t *text_der_read(uint8_t tag, bytes_t content, buf_t *out) {
    switch (tag) {
    case DER_UTF8:
        if (!text_utf8_valid(content)) return err_new(ERR_INVALID, "a string is not UTF-8");
        return buf_add(out, content);
    case DER_NUMERIC:
    case DER_PRINTABLE:
    case DER_T61: /* read as Latin-1, as everyone does */
    case DER_IA5: return put_wide(content, 1, out);
    case DER_BMP: return put_wide(content, 2, out);
    case DER_UNIVERSAL: return put_wide(content, 4, out);
    default: return err_new(ERR_INVALID, "not a character string");
    }
}

/* Whether the content octets are the text itself. */
static bool is_plain(uint8_t tag, bytes_t content) {
    if (tag == DER_UTF8) return true;
    if (tag != DER_NUMERIC && tag != DER_PRINTABLE && tag != DER_IA5 && tag != DER_T61)
        return false;
    for (size_t i = 0; i < content.n; i++)
        if (content.p[i] & 0x80) return false;
    return true;
}

err_t *text_der_printable(uint8_t tag, bytes_t content, const char *what, arena_t *arena,
                          const char **ret_text) {
    buf_t other CLEANUP(buf_done);
    buf_init(&other, NAME_TEXT_MAX);
    if (!is_plain(tag, content)) {
        TRY_WRAP(text_der_read(tag, content, &other), "%s", what);
        content = buf_bytes(&other);
    }
    if (!text_printable(content))
        return err_new(ERR_INVALID, "%s contains control characters or is not text", what);
    bytes_t copy;
    TRY(arena_copy(arena, content, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

static void ASN1_OBJECT_done_p(ASN1_OBJECT **p) { ASN1_OBJECT_free(*p); }

err_t *oid_der_dotted(bytes_t oid, arena_t *arena, const char **ret_text) {
    const unsigned char *p = oid.p;
    ASN1_OBJECT *object CLEANUP(ASN1_OBJECT_done) = d2i_ASN1_OBJECT(NULL, &p, (long)oid.n);
    if (!object) return err_openssl(ERR_INVALID, "object identifier is malformed");
    return name_dotted(object, arena, ret_text);
}

/* The short name of a known type, else dotted; *ret_known which of them. */
static err_t *type_read(bytes_t oid, arena_t *arena, const char **ret_type, bool *ret_known) {
    const unsigned char *p = oid.p;
    ASN1_OBJECT *object CLEANUP(ASN1_OBJECT_done) = d2i_ASN1_OBJECT(NULL, &p, (long)oid.n);
    if (!object) return err_openssl(ERR_INVALID, "object identifier is malformed");
    *ret_known = OBJ_obj2nid(object) != NID_undef;
    return name_of_object(object, arena, ret_type);
}

/* An entry on its way into text. */
typedef struct {
    der_t value;
    size_t set; /* which RelativeDistinguishedName */
    bool known;
} entry_t;

static err_t *put_escaped(buf_t *out, bytes_t text) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        bool first = i == 0 && text.n > 1, last = i + 1 == text.n;
        bool escape = c == '\\' || c == '"' || c == ',' || c == '+' || c == '<' || c == '>' ||
                      c == ';' || (c == ' ' && (first || last)) || (c == '#' && first);
        if (escape) TRY(buf_add_byte(out, '\\'));
        TRY(buf_add_byte(out, c));
    }
    return NULL;
}

static err_t *put_entry(buf_t *out, const entry_t *entry, const name_entry_t *values) {
    TRY(buf_add_str(out, values->type));
    TRY(buf_add_byte(out, '='));
    if (entry->known) return put_escaped(out, bytes_str(values->value));
    TRY(buf_add_byte(out, '#')); /* RFC 4514 section 2.4: a type without a name shows its DER */
    for (size_t i = 0; i < entry->value.whole.n; i++)
        TRY(buf_printf(out, "%02X", entry->value.whole.p[i]));
    return NULL;
}

static err_t *put_text(const entry_t *entries, const name_values_t *values, arena_t *arena,
                       const char **ret_text) {
    buf_t out CLEANUP(buf_done);
    buf_init(&out, NAME_TEXT_MAX);
    TRY(buf_reserve(&out, 128));
    for (size_t i = values->n; i-- > 0;) {
        if (i + 1 < values->n)
            TRY(buf_add_byte(&out, entries[i].set == entries[i + 1].set ? '+' : ','));
        TRY(put_entry(&out, &entries[i], &values->entries[i]));
    }
    bytes_t copy;
    TRY(arena_copy(arena, buf_bytes(&out), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

/* AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY } */
static err_t *entry_read(bytes_t *set, arena_t *arena, entry_t *entry, name_entry_t *value) {
    bytes_t pair, oid;
    if (!der_take(set, DER_SEQUENCE, &pair) || !der_take_whole(&pair, DER_OID, &oid) ||
        !der_next(&pair, &entry->value) || pair.n)
        return err_new(ERR_INVALID, "name entry is malformed");
    TRY(type_read(oid, arena, &value->type, &entry->known));
    return text_der_printable(entry->value.tag, entry->value.content, value->type, arena,
                              &value->value);
}

err_t *name_der_read(bytes_t name, arena_t *arena, name_values_t *ret_values) {
    entry_t entries[LIMIT_SUBJECT_ENTRIES];
    name_entry_t found[LIMIT_SUBJECT_ENTRIES];
    bytes_t sets, set;
    size_t n = 0, sets_n = 0;
    if (!der_take(&name, DER_SEQUENCE, &sets) || name.n)
        return err_new(ERR_INVALID, "name is malformed");
    for (; sets.n; sets_n++) {
        if (!der_take(&sets, DER_SET, &set) || set.n == 0)
            return err_new(ERR_INVALID, "name is malformed");
        for (; set.n; n++) {
            if (n == LIMIT_SUBJECT_ENTRIES)
                return err_new(ERR_LIMIT, "name with more than %d entries", LIMIT_SUBJECT_ENTRIES);
            entries[n].set = sets_n;
            TRY(entry_read(&set, arena, &entries[n], &found[n]));
        }
    }
    name_values_t values = {.n = n};
    name_entry_t *kept = NULL;
    if (n) {
        TRY(arena_alloc(arena, n * sizeof *kept, &kept));
        memcpy(kept, found, n * sizeof *kept);
    }
    values.entries = kept;
    TRY(put_text(entries, &values, arena, &values.text));
    *ret_values = values;
    return NULL;
}

/* Two digits, at most `max`; -1 if they are none. */
static int two_digits(const uint8_t *p, int max) {
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return -1;
    int value = 10 * (p[0] - '0') + (p[1] - '0');
    return value <= max ? value : -1;
}

static int month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* MMDDHHMMSSZ behind the year. */
static bool time_read(int year, const uint8_t *p, int64_t *ret_seconds) {
    int month = two_digits(p, 12), day = two_digits(p + 2, 31), hour = two_digits(p + 4, 23),
        minute = two_digits(p + 6, 59), second = two_digits(p + 8, 59);
    if (year < 0 || month < 1 || day < 1 || day > month_days(year, month) || hour < 0 ||
        minute < 0 || second < 0 || p[10] != 'Z')
        return false;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *ret_seconds = (int64_t)timegm(&tm);
    return true;
}

err_t *time_der_take(bytes_t *rest, int64_t *ret_seconds) {
    der_t e;
    bool good = false;
    if (!der_next(rest, &e)) return err_new(ERR_INVALID, "time is missing");
    const uint8_t *p = e.content.p;
    if (e.tag == DER_UTC_TIME && e.content.n == UTC_SIZE) {
        int year = two_digits(p, 99);
        if (year >= 0) good = time_read(year + (year < 50 ? 2000 : 1900), p + 2, ret_seconds);
    } else if (e.tag == DER_GENERALIZED_TIME && e.content.n == GENERALIZED_SIZE) {
        int century = two_digits(p, 99), year = two_digits(p + 2, 99);
        if (century >= 0 && year >= 0) good = time_read(100 * century + year, p + 4, ret_seconds);
    }
    return good ? NULL : err_new(ERR_INVALID, "time is malformed");
}

bool algorithm_der_take(bytes_t *rest, bytes_t *ret_whole) {
    bytes_t after = *rest, whole, content, oid;
    der_t parameters;
    if (!der_take_whole(&after, DER_SEQUENCE, &whole)) return false;
    bytes_t inside = whole;
    if (!der_take(&inside, DER_SEQUENCE, &content) || !der_take(&content, DER_OID, &oid))
        return false;
    if (content.n && (!der_next(&content, &parameters) || content.n)) return false;
    *ret_whole = whole;
    *rest = after;
    return true;
}
