/*
 * winmail.dat as a stream: whole and in pieces it gives the same bytes.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "format/tnef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    size_t bytes, names, events;
} seen_t;

static err_t *on_begin(void *arg) {
    ((seen_t *)arg)->events++;
    return NULL;
}
static err_t *on_data(void *arg, bytes_t data) {
    ((seen_t *)arg)->bytes += data.n;
    return NULL;
}
static err_t *on_end(void *arg, bytes_t name) {
    ((seen_t *)arg)->names += name.n;
    return NULL;
}

static seen_t read_all(bytes_t data, size_t step) {
    seen_t seen = {0};
    const tnef_handler_t handler = {on_begin, on_data, on_end, &seen};
    tnef_reader_t *reader = NULL;
    err_t *e = tnef_reader_new(&handler, &reader);
    for (; !e && data.n; data = bytes_from(data, step))
        e = tnef_feed(reader, bytes_slice(data, 0, step));
    if (!e) e = tnef_finish(reader);
    err_free(e);
    tnef_reader_free(reader);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t all = bytes_make(data, size);
    seen_t whole = read_all(all, size + 1), pieces = read_all(all, 7);
    if (whole.bytes != pieces.bytes || whole.bytes > size || whole.names != pieces.names) abort();
    return 0;
}
