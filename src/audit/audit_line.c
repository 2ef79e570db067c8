/*
 * Pieces of an export's line: see audit_line.h.
 */
#include "audit/audit_line.h"

#include "base/text.h"

err_t *audit_line_literal(bytes_t *line, const char *literal) {
    bytes_t want = bytes_str(literal);
    if (!bytes_starts(*line, want)) return err_new(ERR_INVALID, "expected %s", literal);
    *line = bytes_from(*line, want.n);
    return NULL;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* What stands behind a backslash; the only escapes are those the export writes. */
static err_t *take_escape(bytes_t *line, buf_t *out) {
    if (line->n >= 1 && (line->p[0] == '"' || line->p[0] == '\\')) {
        TRY(buf_add_byte(out, line->p[0]));
        *line = bytes_from(*line, 1);
        return NULL;
    }
    bool control = line->n >= 5 && bytes_starts(*line, BYTES_LIT("u00"));
    int high = control ? hex_digit(line->p[3]) : -1;
    int low = control ? hex_digit(line->p[4]) : -1;
    if (high < 0 || high > 1 || low < 0) return err_new(ERR_INVALID, "foreign escape in a text");
    TRY(buf_add_byte(out, (uint8_t)(high << 4 | low)));
    *line = bytes_from(*line, 5);
    return NULL;
}

err_t *audit_line_text(bytes_t *line, buf_t *out) {
    TRY(audit_line_literal(line, "\""));
    for (;;) {
        size_t n = 0;
        while (n < line->n && line->p[n] >= 0x20 && line->p[n] != '"' && line->p[n] != '\\') n++;
        if (n == line->n) return err_new(ERR_INVALID, "a text does not end");
        if (line->p[n] < 0x20) return err_new(ERR_INVALID, "bare control character in a text");
        TRY(buf_add(out, bytes_slice(*line, 0, n)));
        bool end = line->p[n] == '"';
        *line = bytes_from(*line, n + 1);
        if (end) return NULL;
        TRY(take_escape(line, out));
    }
}

err_t *audit_line_number(bytes_t *line, int64_t *ret_number) {
    size_t n = line->n && line->p[0] == '-' ? 1 : 0;
    size_t first = n;
    while (n < line->n && line->p[n] >= '0' && line->p[n] <= '9') n++;
    if (n == first || (line->p[first] == '0' && (n > first + 1 || first > 0)))
        return err_new(ERR_INVALID, "expected a number");
    TRY(text_i64(bytes_slice(*line, 0, n), ret_number));
    *line = bytes_from(*line, n);
    return NULL;
}

err_t *audit_line_hex(bytes_t *line, uint8_t *out, size_t n) {
    TRY(audit_line_literal(line, "\""));
    if (line->n < 2 * n) return err_new(ERR_INVALID, "hex is cut short");
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(line->p[2 * i]);
        int low = hex_digit(line->p[2 * i + 1]);
        if (high < 0 || low < 0) return err_new(ERR_INVALID, "expected %zu bytes of hex", n);
        out[i] = (uint8_t)(high << 4 | low);
    }
    *line = bytes_from(*line, 2 * n);
    return audit_line_literal(line, "\"");
}

err_t *audit_line_base64(bytes_t *line, buf_t *out) {
    TRY(audit_line_literal(line, "\""));
    size_t n = bytes_find(*line, '"');
    if (n == line->n) return err_new(ERR_INVALID, "a text does not end");
    bytes_t encoded = bytes_slice(*line, 0, n);
    size_t start = out->n;
    TRY(text_unbase64(encoded, out));
    /* There are several ways to write the same bytes; only one of them is ours. */
    CLEANUP(buf_done) buf_t again;
    buf_init(&again, out->max * 2);
    TRY(text_base64(bytes_from(buf_bytes(out), start), &again));
    if (!bytes_eq(encoded, buf_bytes(&again)))
        return err_new(ERR_INVALID, "base64 is not in its plain form");
    *line = bytes_from(*line, n + 1);
    return NULL;
}
