/*
 * Legacy display: see protect.h. RFC 9788 section 5.2.2 (text/plain) and 5.2.3 (text/html). Any
 * thread.
 */
#include "base/limits.h"
#include "base/text.h"
#include "format/transfer.h"
#include "mail/protect.h"

bool protect_is_html(const mime_part_t *part) {
    return bytes_eq_str(part->type.value, "text/html");
}

static bool is_attachment(const mime_part_t *part) {
    const mime_field_t *f = mime_field_find(&part->fields, "Content-Disposition", NULL);
    return f && text_eq_fold(bytes_slice(text_trim(f->value), 0, 10), BYTES_LIT("attachment"));
}

bool protect_is_main(const mime_part_t *part) {
    if (!bytes_eq_str(part->type.value, "text/plain") && !protect_is_html(part)) return false;
    if (is_attachment(part) || part->encoding == MIME_ENCODING_UNKNOWN) return false;
    for (const mime_part_t *p = part; p->parent; p = p->parent) {
        bytes_t type = p->parent->type.value;
        if (bytes_eq_str(type, "multipart/alternative")) continue;
        if (!bytes_eq_str(type, "multipart/mixed") && !bytes_eq_str(type, "multipart/related"))
            return false;
        if (p->index != 1) return false;
    }
    return true;
}

size_t protect_html_place(bytes_t html) {
    for (size_t at = 0; at + 6 < html.n; at++) {
        if (!text_eq_fold(bytes_slice(html, at, 5), BYTES_LIT("<body"))) continue;
        uint8_t next = html.p[at + 5];
        if (next != '>' && next != ' ' && next != '\t' && next != '\r' && next != '\n') continue;
        size_t end = at + bytes_find(bytes_from(html, at), '>');
        return end < html.n ? end + 1 : 0;
    }
    return 0;
}

/* What isn't ASCII as one "?" a character. */
static err_t *to_ascii(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 128) TRY(buf_add_byte(out, text.p[i]));
        else if (text.p[i] >= 0xc0) TRY(buf_add_byte(out, '?'));
    }
    return NULL;
}

static err_t *make_text(bytes_t fields, bool html, buf_t *out) {
    if (!html) {
        TRY(buf_add(out, fields));
        return buf_add_str(out, "\r\n");
    }
    while (fields.n && (fields.p[fields.n - 1] == '\n' || fields.p[fields.n - 1] == '\r'))
        fields.n--;
    TRY(buf_add_str(out, "\r\n<div class=\"header-protection-legacy-display\">\r\n<pre>"));
    TRY(buf_add_xml(out, fields));
    return buf_add_str(out, "</pre>\r\n</div>\r\n");
}

err_t *protect_display(bytes_t fields, bool html, bool utf8, mime_encoding_t encoding, buf_t *out) {
    CLEANUP(buf_done) buf_t text, ascii;
    transfer_encoder_t base64 = {0};
    buf_init(&text, (size_t)LIMIT_MIME_HEADER * 8);
    buf_init(&ascii, (size_t)LIMIT_MIME_HEADER * 8);
    TRY(make_text(fields, html, &text));
    if (!utf8) TRY(to_ascii(buf_bytes(&text), &ascii));
    buf_t *chosen = utf8 ? &text : &ascii;
    switch (encoding) {
    case MIME_ENCODING_QUOTED: return transfer_quoted(buf_bytes(chosen), out);
    case MIME_ENCODING_BASE64:
        /* Without padding, so that the part's own groups go on behind it. Blank lines at its end
         * don't show. */
        while (chosen->n % 3) TRY(buf_add_byte(chosen, '\n'));
        TRY(transfer_base64(&base64, buf_bytes(chosen), out));
        return transfer_base64_end(&base64, out);
    case MIME_ENCODING_IDENTITY:
    case MIME_ENCODING_UNKNOWN: break;
    }
    return buf_add(out, buf_bytes(chosen));
}
