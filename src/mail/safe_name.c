/*
 * Safe file names: see safe_name.h.
 */
#include "mail/safe_name.h"
#include "base/text.h"

enum { STEM = 120 };

static const char *ending(bytes_t type) {
    static const struct {
        const char *type, *ending;
    } known[] = {
        {"text/plain", ".txt"},          {"text/html", ".html"},
        {"text/calendar", ".ics"},       {"image/png", ".png"},
        {"image/jpeg", ".jpg"},          {"image/gif", ".gif"},
        {"application/pdf", ".pdf"},     {"application/zip", ".zip"},
        {"application/ms-tnef", ".dat"}, {"application/pkcs7-mime", ".p7m"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bytes_eq_str(type, known[i].type)) return known[i].ending;
    return ".bin";
}

static bool allowed(uint8_t c) {
    return c >= 0x80 || (c > ' ' && c < 127 && !strchr("/\\:*?\"<>|'`$&;(){}[]!#~%", c)) ||
           c == ' ';
}

/* What stands behind the last separator of either kind, made harmless. */
static err_t *clean(bytes_t name, buf_t *out) {
    size_t start = out->n;
    for (size_t i = name.n; i-- > 0;)
        if (name.p[i] == '/' || name.p[i] == '\\') {
            name = bytes_from(name, i + 1);
            break;
        }
    if (!text_printable(name)) name = BYTES_NONE;   /* control, direction, or no UTF-8 */
    size_t cut = name.n > STEM ? name.n - STEM : 0; /* the ending matters most: the front goes */
    while (cut && cut < name.n && (name.p[cut] & 0xc0) == 0x80) cut++;
    name = bytes_from(name, cut);
    while (name.n && (name.p[0] == '.' || name.p[0] == ' ' || name.p[0] == '-'))
        name = bytes_from(name, 1);
    while (name.n && (name.p[name.n - 1] == '.' || name.p[name.n - 1] == ' ')) name.n--;
    for (size_t i = 0; i < name.n; i++)
        TRY(buf_add_byte(out, allowed(name.p[i]) ? name.p[i] : '_'));
    return out->n > start ? NULL : buf_add_str(out, "part");
}

err_t *safe_name(const mail_part_t *part, buf_t *out) {
    TRY(text_hex(bytes_make(part->sha256, 8), out));
    TRY(buf_add_byte(out, '-'));
    for (const char *p = part->path; *p; p++) TRY(buf_add_byte(out, *p == '/' ? '_' : (uint8_t)*p));
    TRY(buf_add_byte(out, '-'));
    size_t start = out->n;
    TRY(clean(part->name, out));
    bool unnamed = out->n - start == 4 && memcmp(out->p + start, "part", 4) == 0;
    return unnamed ? buf_add_str(out, ending(part->type)) : NULL;
}
