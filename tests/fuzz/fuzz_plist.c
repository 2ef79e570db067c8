/*
 * Property lists: what parses is written, and what was written parses to the same tree. The lean
 * reader and expat agree about everything.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "format/plist_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_lines(const plist_t *a, const plist_t *b) {
    if (plist_line(a) != plist_line(b) || plist_count(a) != plist_count(b)) return false;
    for (size_t i = 0; i < plist_count(a); i++)
        if (!same_lines(plist_at(a, i), plist_at(b, i))) return false;
    return true;
}

static void write_out(const plist_doc_t *doc, buf_t *out) {
    err_t *e CLEANUP(err_free) = plist_write(plist_root(doc), out);
    if (e && err_code(e) != ERR_LIMIT) abort();
}

/* If the lean reader says yes, so does expat, to the same tree. */
static void compare(bytes_t xml) {
    plist_doc_t *lean CLEANUP(plist_free) = NULL, *other CLEANUP(plist_free) = NULL;
    buf_t first CLEANUP(buf_done), second CLEANUP(buf_done);
    buf_init(&first, LIMIT_PLIST_BYTES);
    buf_init(&second, LIMIT_PLIST_BYTES);
    bool done = false;
    if (plist_doc_new(&lean) || plist_parse_lean(xml, lean, &done)) abort();
    if (!done) return;
    if (plist_parse_expat(xml, &other)) abort();
    if (!same_lines(plist_root(lean), plist_root(other))) abort();
    write_out(lean, &first);
    write_out(other, &second);
    if (!bytes_eq(buf_bytes(&first), buf_bytes(&second))) abort();
}

/* False if there is nothing to compare: refused, or grown past the limit by its indentation. */
static bool rewrite(bytes_t xml, buf_t *out) {
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    err_t *e CLEANUP(err_free) = plist_parse(xml, &doc);
    if (e) return false;
    e = plist_write(plist_root(doc), out);
    if (e && err_code(e) != ERR_LIMIT) abort();
    return !e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf_t first CLEANUP(buf_done), second CLEANUP(buf_done);
    bytes_t element;
    buf_init(&first, LIMIT_PLIST_BYTES);
    buf_init(&second, LIMIT_PLIST_BYTES);
    if (size && size <= LIMIT_PLIST_BYTES) compare(bytes_make(data, size));
    if (!rewrite(bytes_make(data, size), &first)) return 0;
    if (!plist_written_element(buf_bytes(&first), &element)) abort();
    if (!rewrite(buf_bytes(&first), &second)) abort();
    if (!bytes_eq(buf_bytes(&first), buf_bytes(&second))) abort();
    return 0;
}
