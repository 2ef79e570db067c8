/*
 * JSON: what parses is written, and what was written parses to the same bytes again.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "format/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool rewrite(bytes_t text, buf_t *out) {
    json_t *json CLEANUP(jso_free) = NULL;
    err_t *e CLEANUP(err_free) = jso_parse(text, &json);
    if (e) return false;
    e = jso_write(json, false, out);
    if (e && err_code(e) != ERR_LIMIT) abort();
    return !e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf_t first CLEANUP(buf_done), second CLEANUP(buf_done);
    buf_init(&first, LIMIT_JSON_BYTES);
    buf_init(&second, LIMIT_JSON_BYTES);
    if (!rewrite(bytes_make(data, size), &first)) return 0;
    if (!rewrite(buf_bytes(&first), &second)) abort();
    if (!bytes_eq(buf_bytes(&first), buf_bytes(&second))) abort();
    return 0;
}
