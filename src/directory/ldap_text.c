/*
 * Text of LDAP: see ldap_text.h (RFC 4514, RFC 4515). Pure; any thread.
 */
#include "directory/ldap_text.h"

#include <ctype.h>

#include "base/limits.h"

static err_t *put_escaped(uint8_t byte, buf_t *out) {
    static const char digits[] = "0123456789abcdef";
    TRY(buf_add_byte(out, '\\'));
    TRY(buf_add_byte(out, (uint8_t)digits[byte >> 4]));
    return buf_add_byte(out, (uint8_t)digits[byte & 15]);
}

/* ---- filters ---- */

err_t *ldaptext_filter_value(bytes_t value, buf_t *out) {
    bool utf8 = text_utf8_valid(value);
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        bool escape = c == '*' || c == '(' || c == ')' || c == '\\' || c < 0x20 || c == 0x7f ||
                      (c >= 0x80 && !utf8);
        TRY(escape ? put_escaped(c, out) : buf_add_byte(out, c));
    }
    return NULL;
}

err_t *ldaptext_filter_binary(bytes_t value, buf_t *out) {
    for (size_t i = 0; i < value.n; i++) TRY(put_escaped(value.p[i], out));
    return NULL;
}

bool ldaptext_filter_whole(bytes_t filter) {
    size_t depth = 0;
    for (size_t i = 0; i < filter.n; i++) {
        if (filter.p[i] == 0) return false;
        if (filter.p[i] == '(' && ++depth > LIMIT_LDAP_FILTER_DEPTH) return false;
        if (depth == 0) return false; /* something outside of the one pair */
        if (filter.p[i] == ')' && --depth == 0) return i + 1 == filter.n;
    }
    return false;
}

/* ---- names ---- */

err_t *ldaptext_dn_value(bytes_t value, buf_t *out) {
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        bool edge = (i == 0 && (c == ' ' || c == '#')) || (i + 1 == value.n && c == ' ');
        if (c < 0x20 || c >= 0x7f) TRY(put_escaped(c, out));
        else {
            if (edge || strchr("\"+,;<>\\=", c)) TRY(buf_add_byte(out, '\\'));
            TRY(buf_add_byte(out, c));
        }
    }
    return NULL;
}

typedef struct {
    bytes_t text;
    size_t at;
} cursor_t;

static int peek(const cursor_t *c) { return c->at < c->text.n ? c->text.p[c->at] : -1; }

static void skip_spaces(cursor_t *c) {
    while (peek(c) == ' ') c->at++;
}

static err_t *malformed(const cursor_t *c) {
    return err_new(ERR_INVALID, "not a distinguished name: wrong at byte %zu (RFC 4514)", c->at);
}

/* A type: a keyword or dotted numbers. */
static err_t *fold_type(cursor_t *c, buf_t *out) {
    size_t start = c->at;
    for (int b = peek(c); b >= 0 && (isalnum(b) || b == '-' || b == '.'); b = peek(c)) {
        TRY(buf_add_byte(out, (uint8_t)tolower(b)));
        c->at++;
    }
    return c->at == start ? malformed(c) : NULL;
}

static int hex_digit(int b) {
    if (b >= '0' && b <= '9') return b - '0';
    if (b >= 'a' && b <= 'f') return b - 'a' + 10;
    if (b >= 'A' && b <= 'F') return b - 'A' + 10;
    return -1;
}

/* One byte of a value, unescaped; false at the value's end. */
static err_t *next_byte(cursor_t *c, uint8_t *ret_byte, bool *ret_more) {
    int b = peek(c);
    *ret_more = b >= 0 && b != ',' && b != '+';
    if (!*ret_more) return NULL;
    if (b == 0 || b == '"' || b == ';' || b == '<' || b == '>') return malformed(c);
    c->at++;
    if (b != '\\') {
        *ret_byte = (uint8_t)b;
        return NULL;
    }
    b = peek(c);
    int high = hex_digit(b);
    if (high < 0) {
        if (b < 0 || !strchr(" \"#+,;<=>\\", b) || b == 0) return malformed(c);
        c->at++;
        *ret_byte = (uint8_t)b;
        return NULL;
    }
    c->at++;
    int low = hex_digit(peek(c));
    if (low < 0) return malformed(c);
    c->at++;
    *ret_byte = (uint8_t)(high << 4 | low);
    return NULL;
}

static bool is_plain(uint8_t b) {
    return (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || strchr(".-_@'/:", b) || b >= 0x80;
}

/* Lower case, white space squeezed and trimmed; what is not plain as \XX. */
static err_t *fold_value(cursor_t *c, buf_t *out) {
    size_t start = out->n;
    bool space = false, more = false;
    for (;;) {
        uint8_t b = 0;
        TRY(next_byte(c, &b, &more));
        if (!more) return NULL;
        if (b == ' ') {
            space = out->n != start;
            continue;
        }
        if (space) TRY(buf_add_byte(out, ' '));
        space = false;
        if (b >= 'A' && b <= 'Z') b = (uint8_t)(b + 32);
        TRY(b && is_plain(b) ? buf_add_byte(out, b) : put_escaped(b, out));
    }
}

/* #0401...: the value's BER in hex. */
static err_t *fold_hex(cursor_t *c, buf_t *out) {
    TRY(buf_add_byte(out, '#'));
    c->at++;
    size_t digits = 0;
    for (int d = hex_digit(peek(c)); d >= 0; d = hex_digit(peek(c))) {
        TRY(buf_add_byte(out, (uint8_t) "0123456789abcdef"[d]));
        c->at++;
        digits++;
    }
    skip_spaces(c);
    bool end = peek(c) < 0 || peek(c) == ',' || peek(c) == '+';
    return digits == 0 || digits % 2 || !end ? malformed(c) : NULL;
}

enum { AVAS_MAX = 8 };

static int compare(bytes_t a, bytes_t b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* Appends pieces of `text` in order, joined by plus signs. */
static err_t *join_sorted(bytes_t text, const size_t *ends, size_t n, buf_t *out) {
    bytes_t sorted[AVAS_MAX];
    for (size_t i = 0, from = 0; i < n; from = ends[i++]) {
        bytes_t piece = bytes_slice(text, from, ends[i] - from);
        size_t at = i;
        for (; at && compare(piece, sorted[at - 1]) < 0; at--) sorted[at] = sorted[at - 1];
        sorted[at] = piece;
    }
    for (size_t i = 0; i < n; i++) {
        if (i) TRY(buf_add_byte(out, '+'));
        TRY(buf_add(out, sorted[i]));
    }
    return NULL;
}

static err_t *fold_rdn(cursor_t *c, buf_t *out) {
    CLEANUP(buf_done) buf_t avas;
    size_t ends[AVAS_MAX], n = 0;
    buf_init(&avas, 4 * LIMIT_LDAP_DN);
    for (;;) {
        if (n == AVAS_MAX) return err_new(ERR_LIMIT, "a name's part has over %d values", AVAS_MAX);
        skip_spaces(c);
        TRY(fold_type(c, &avas));
        skip_spaces(c);
        if (peek(c) != '=') return malformed(c);
        c->at++;
        TRY(buf_add_byte(&avas, '='));
        skip_spaces(c);
        TRY(peek(c) == '#' ? fold_hex(c, &avas) : fold_value(c, &avas));
        ends[n++] = avas.n;
        if (peek(c) != '+') return join_sorted(buf_bytes(&avas), ends, n, out);
        c->at++;
    }
}

err_t *ldaptext_dn_fold(bytes_t dn, buf_t *out) {
    cursor_t c = {.text = dn};
    if (dn.n > LIMIT_LDAP_DN)
        return err_new(ERR_LIMIT, "a distinguished name has over %d bytes", LIMIT_LDAP_DN);
    if (!text_utf8_valid(dn)) return err_new(ERR_INVALID, "a distinguished name is not UTF-8");
    if (dn.n == 0) return NULL;
    for (size_t rdns = 1;; rdns++) {
        if (rdns > LIMIT_LDAP_RDNS)
            return err_new(ERR_LIMIT, "a distinguished name has over %d parts", LIMIT_LDAP_RDNS);
        TRY(fold_rdn(&c, out));
        if (peek(&c) < 0) return NULL;
        if (peek(&c) != ',') return malformed(&c);
        c.at++;
        TRY(buf_add_byte(out, ','));
    }
}

err_t *ldaptext_dn_under(bytes_t dn, bytes_t base, bool *ret_under) {
    CLEANUP(buf_done) buf_t name;
    CLEANUP(buf_done) buf_t end;
    buf_init(&name, 8 * LIMIT_LDAP_DN);
    buf_init(&end, 8 * LIMIT_LDAP_DN);
    TRY(ldaptext_dn_fold(dn, &name));
    TRY(ldaptext_dn_fold(base, &end));
    bytes_t tail = bytes_from(buf_bytes(&name), name.n - (end.n < name.n ? end.n : name.n));
    bool whole =
        end.n == 0 || end.n == name.n || (end.n < name.n && name.p[name.n - end.n - 1] == ',');
    /* A comma inside of a value stands there as \2c. */
    *ret_under = whole && (end.n == 0 || bytes_eq(tail, buf_bytes(&end)));
    return NULL;
}

/* ---- GUIDs ---- */

static const uint8_t GUID_ORDER[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

err_t *ldaptext_guid(bytes_t guid, char ret_text[TEXT_UUID_SIZE]) {
    uint8_t ordered[16];
    char text[TEXT_UUID_SIZE];
    size_t n = 0;
    if (guid.n != sizeof ordered)
        return err_new(ERR_INVALID, "an objectGUID has 16 bytes, not %zu", guid.n);
    for (size_t i = 0; i < sizeof ordered; i++) ordered[i] = guid.p[GUID_ORDER[i]];
    for (size_t i = 0; i < sizeof ordered; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text[n++] = '-';
        text[n++] = "0123456789abcdef"[ordered[i] >> 4];
        text[n++] = "0123456789abcdef"[ordered[i] & 15];
    }
    text[n] = '\0';
    memcpy(ret_text, text, sizeof text);
    return NULL;
}

err_t *ldaptext_unguid(bytes_t text, uint8_t ret_guid[16]) {
    uint8_t guid[16];
    size_t digits = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '-') continue;
        int d = hex_digit(text.p[i]);
        if (d < 0 || digits == 32) return err_new(ERR_INVALID, "not a GUID");
        uint8_t *byte = &guid[GUID_ORDER[digits / 2]];
        *byte = (uint8_t)(digits % 2 ? *byte << 4 | d : d);
        digits++;
    }
    if (digits != 32) return err_new(ERR_INVALID, "not a GUID");
    memcpy(ret_guid, guid, sizeof guid);
    return NULL;
}

/* ---- URLs ---- */

err_t *ldaptext_url(bytes_t url, ldaptext_url_t *ret_url) {
    static const char wanted[] = "a directory's URL is written ldaps://host:port, not %.*s";
    ldaptext_url_t u = {.port = 389};
    const int shown = (int)(url.n < 100 ? url.n : 100);
    bytes_t rest = url, host;
    if (bytes_starts(url, BYTES_LIT("ldaps://"))) {
        u.tls = true;
        u.port = 636;
        rest = bytes_from(url, 8);
    } else if (bytes_starts(url, BYTES_LIT("ldap://"))) rest = bytes_from(url, 7);
    else return err_new(ERR_INVALID, wanted, shown, (const char *)url.p);
    if (rest.n && rest.p[rest.n - 1] == '/') rest.n--;
    size_t end = bytes_find(rest, ':');
    if (rest.n && rest.p[0] == '[') {
        size_t bracket = bytes_find(rest, ']');
        host = bytes_slice(rest, 1, bracket ? bracket - 1 : 0);
        end = bracket + 1;
        if (bracket == rest.n) host = BYTES_NONE;
    } else host = bytes_slice(rest, 0, end);
    bool odd = host.n == 0 || host.n >= sizeof u.host;
    for (size_t i = 0; i < host.n; i++)
        odd = odd || !(isalnum(host.p[i]) || strchr(".-:_%", host.p[i])) || host.p[i] == 0;
    if (odd || (end < rest.n && rest.p[end] != ':'))
        return err_new(ERR_INVALID, wanted, shown, (const char *)url.p);
    if (end < rest.n) {
        uint64_t port = 0;
        TRY_WRAP(text_u64(bytes_from(rest, end + 1), 65535, &port), "port of the directory's URL");
        u.port = (uint16_t)port;
    }
    bytes_put(u.host, host);
    *ret_url = u;
    return NULL;
}

bool ldaptext_is_loopback(const ldaptext_url_t *url) {
    const char *h = url->host;
    if (strcmp(h, "localhost") == 0 || strcmp(h, "::1") == 0) return true;
    if (strncmp(h, "127.", 4) != 0) return false;
    for (const char *c = h; *c; c++) /* not the name 127.example.org */
        if (*c != '.' && !isdigit((unsigned char)*c)) return false;
    return true;
}
