/*
 * Values of header fields: parameters, encoded words, address lists.
 */
#include "base/limits.h"
#include "format/mime_address.h"
#include "format/mime_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    arena_t *arena = NULL;
    mime_type_t type;
    mime_addresses_t list;
    mime_fields_t fields;
    buf_t text;
    bytes_t value = bytes_make(data, size);
    if (size > 16 * 1024) return 0;
    buf_init(&text, LIMIT_MIME_HEADER * 4);
    err_free(arena_new(1 << 24, &arena));
    if (arena) {
        err_free(mime_type_read(arena, value, &type));
        err_free(mime_addresses_read(arena, value, &list));
        err_free(mime_fields_read(arena, value, &fields));
        err_free(mime_words_decode(value, &text));
    }
    arena_free(arena);
    buf_done(&text);
    return 0;
}
