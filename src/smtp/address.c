/*
 * Paths, mailboxes, xtext: see address.h.
 */
#include "smtp/address.h"

#include "base/limits.h"
#include "base/text.h"

static bool is_alnum(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool smtp_is_ascii(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 0x80) return false;
    return true;
}

/* Position of '>' that ends the path at the front of `t`, or t.n; '>' may be quoted. */
static size_t path_end(bytes_t t) {
    bool quoted = false;
    for (size_t i = 1; i < t.n; i++) {
        if (t.p[i] == '\\' && quoted) i++;
        else if (t.p[i] == '"') quoted = !quoted;
        else if (t.p[i] == '>' && !quoted) return i;
    }
    return t.n;
}

err_t *smtp_path_take(bytes_t *rest, bytes_t *ret_address) {
    bytes_t t = *rest;
    while (t.n && t.p[0] == ' ') t = bytes_from(t, 1);
    if (t.n == 0 || t.p[0] != '<') return err_new(ERR_INVALID, "an address stands in < >");
    size_t end = path_end(t);
    if (end == t.n) return err_new(ERR_INVALID, "an address stands in < >");
    bytes_t address = bytes_slice(t, 1, end - 1);
    if (address.n && address.p[0] == '@') { /* a source route: RFC 5321 appendix C */
        size_t colon = bytes_find(address, ':');
        if (colon == address.n) return err_new(ERR_INVALID, "malformed source route");
        address = bytes_from(address, colon + 1);
    }
    if (address.n > LIMIT_SMTP_ADDRESS) return err_new(ERR_LIMIT, "the address is too long");
    *ret_address = address;
    *rest = bytes_from(t, end + 1);
    return NULL;
}

static bool local_valid(bytes_t local) {
    if (local.n == 0) return false;
    if (local.p[0] == '"') {
        if (local.n < 2 || local.p[local.n - 1] != '"') return false;
        for (size_t i = 1; i + 1 < local.n; i++) {
            if (local.p[i] == '"') return false;
            if (local.p[i] == '\\' && ++i + 1 >= local.n) return false;
        }
        return true;
    }
    for (size_t i = 0; i < local.n; i++) {
        uint8_t c = local.p[i];
        if (!is_alnum(c) && c < 0x80 && !memchr("!#$%&'*+-/=?^_`{|}~.", c, 20)) return false;
    }
    return true;
}

static bool domain_valid(bytes_t domain) {
    if (domain.n == 0 || domain.n > 255) return false;
    if (domain.p[0] == '[') {
        for (size_t i = 1; i + 1 < domain.n; i++)
            if (!is_alnum(domain.p[i]) && domain.p[i] != '.' && domain.p[i] != ':' &&
                domain.p[i] != '-')
                return false;
        return domain.n > 2 && domain.p[domain.n - 1] == ']';
    }
    if (domain.p[0] == '.' || domain.p[0] == '-' || domain.p[domain.n - 1] == '.') return false;
    for (size_t i = 0; i < domain.n; i++) {
        uint8_t c = domain.p[i];
        if (!is_alnum(c) && c != '-' && c != '.' && c != '_' && c < 0x80) return false;
        if (c == '.' && domain.p[i - 1] == '.') return false;
    }
    return true;
}

static size_t last_at(bytes_t address) {
    for (size_t i = address.n; i-- > 0;)
        if (address.p[i] == '@') return i;
    return address.n;
}

bytes_t smtp_domain(bytes_t address) { return bytes_from(address, last_at(address) + 1); }

bool smtp_mailbox_valid(bytes_t address) {
    size_t at = last_at(address);
    if (at == address.n || address.n > LIMIT_SMTP_ADDRESS || !text_printable(address)) return false;
    return local_valid(bytes_slice(address, 0, at)) && domain_valid(bytes_from(address, at + 1));
}

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

err_t *smtp_xtext_decode(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '+') {
            int high = i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_value(text.p[i + 2]) : -1;
            if (high < 0 || low < 0) return err_new(ERR_INVALID, "malformed xtext");
            TRY(buf_add_byte(out, (uint8_t)(high << 4 | low)));
            i += 2;
        } else if (c < '!' || c == '=' || c == 0x7f) {
            return err_new(ERR_INVALID, "malformed xtext");
        } else {
            TRY(buf_add_byte(out, c));
        }
    }
    return NULL;
}

bool smtp_xtext_valid(bytes_t text) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c < '!' || c == '=' || c > '~') return false;
        if (c != '+') continue;
        if (i + 2 >= text.n || hex_value(text.p[i + 1]) < 0 || hex_value(text.p[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

err_t *smtp_xtext_encode(bytes_t data, buf_t *out) {
    for (size_t i = 0; i < data.n; i++) {
        uint8_t c = data.p[i];
        if (c < '!' || c > '~' || c == '+' || c == '=') TRY(buf_printf(out, "+%02X", c));
        else TRY(buf_add_byte(out, c));
    }
    return NULL;
}
