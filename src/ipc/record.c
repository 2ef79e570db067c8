/*
 * Heads, fixed runs and texts of frozen records: see record.h. Pure; any process, any thread.
 */
#include "ipc/record.h"

#include "base/text.h"

err_t *record_put_head(buf_t *out, const char letters[2], uint8_t version) {
    TRY(buf_add_str(out, "coffer"));
    TRY(buf_add(out, bytes_make(letters, 2)));
    return buf_add_byte(out, version);
}

bool record_is(bytes_t record, const char letters[2]) {
    return record.n >= RECORD_HEAD && bytes_starts(record, BYTES_LIT("coffer")) &&
           memcmp(record.p + 6, letters, 2) == 0;
}

err_t *record_get_head(wire_reader_t *r, const char letters[2], uint8_t version) {
    bytes_t head;
    TRY(wire_get_raw(r, RECORD_HEAD, &head));
    if (!record_is(head, letters))
        return err_new(ERR_INVALID, "not a record of the kind coffer%.2s", letters);
    if (head.p[RECORD_HEAD - 1] != version)
        return err_new(ERR_VERIFY, "coffer%.2s: version %u is not known here", letters,
                       head.p[RECORD_HEAD - 1]);
    return NULL;
}

err_t *record_put_raw(buf_t *out, const uint8_t *p, size_t n) {
    return buf_add(out, bytes_make(p, n));
}

err_t *record_get_raw(wire_reader_t *r, size_t n, uint8_t *out) {
    bytes_t raw;
    TRY(wire_get_raw(r, n, &raw));
    if (n) memcpy(out, raw.p, n); /* none may come as NULL */
    return NULL;
}

static err_t *check_text(bytes_t text, size_t max, bool may_be_empty, const char *what) {
    if (text.n > max) return err_new(ERR_LIMIT, "%s has more than %zu bytes", what, max);
    if ((text.n == 0 && !may_be_empty) || !text_printable(text))
        return err_new(ERR_INVALID, "%s is empty or not printable", what);
    return NULL;
}

err_t *record_get_text(wire_reader_t *r, size_t max, bool may_be_empty, const char *what,
                       char *text) {
    bytes_t value;
    TRY_WRAP(wire_get_bytes(r, max, &value), "%s", what);
    TRY(check_text(value, max, may_be_empty, what));
    bytes_put(text, value);
    text[value.n] = '\0';
    return NULL;
}

err_t *record_put_text(buf_t *out, size_t max, bool may_be_empty, const char *what,
                       const char *text) {
    TRY(check_text(bytes_str(text), max, may_be_empty, what));
    return wire_put_str(out, text);
}
