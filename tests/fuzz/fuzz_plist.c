/*
 * Property lists: what parses is written, and what was written parses to the same tree.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "format/plist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    buf_init(&first, LIMIT_PLIST_BYTES);
    buf_init(&second, LIMIT_PLIST_BYTES);
    if (!rewrite(bytes_make(data, size), &first)) return 0;
    if (!rewrite(buf_bytes(&first), &second)) abort();
    if (!bytes_eq(buf_bytes(&first), buf_bytes(&second))) abort();
    return 0;
}
