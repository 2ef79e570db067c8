/*
 * Messages: the reader must say the same however the bytes are cut. The first byte says how.
 */
#include <stdlib.h>

#include "format/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    *ret_raw = part->index == 1;
    return buf_printf(arg, "[%s %.*s|", part->path, (int)part->type.value.n,
                      (const char *)part->type.value.p);
}
static err_t *on_body(void *arg, mime_part_t *part, bytes_t d) {
    (void)part;
    return buf_add(arg, d);
}
static err_t *on_end(void *arg, mime_part_t *part) {
    return buf_printf(arg, "|%llu %llu %llu %x]", (unsigned long long)part->offset,
                      (unsigned long long)part->body, (unsigned long long)part->end, part->odd);
}

static err_t *play(bytes_t message, size_t step, buf_t *log) {
    const mime_handler_t handler = {on_begin, on_body, NULL, on_end, log};
    mime_reader_t *reader CLEANUP(mime_reader_free) = NULL;
    TRY(mime_reader_new(&handler, &reader));
    for (bytes_t rest = message; rest.n; rest = bytes_from(rest, step))
        TRY(mime_feed(reader, bytes_slice(rest, 0, step)));
    return mime_finish(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf_t whole, cut;
    if (size < 2 || size > 64 * 1024) return 0;
    bytes_t message = bytes_make(data + 1, size - 1);
    buf_init(&whole, 1 << 24);
    buf_init(&cut, 1 << 24);
    err_t *a = play(message, message.n, &whole);
    err_t *b = play(message, 1 + data[0] % 64, &cut);
    if (!a != !b || (!a && !bytes_eq(buf_bytes(&whole), buf_bytes(&cut)))) abort();
    err_free(a);
    err_free(b);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
