/* Mailbox files: the same events however the bytes are cut, and all bytes come out again. */
#include <stdlib.h>

#include "base/buf.h"
#include "mail/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    buf_t bytes;
    uint64_t places; /* a hash of where messages begin */
    size_t n;
} seen_t;

static err_t *on_begin(void *arg, bytes_t line) {
    seen_t *seen = arg;
    if (!bytes_starts(line, BYTES_LIT("From "))) abort();
    seen->n++;
    seen->places = seen->places * 31 + seen->bytes.n;
    return buf_add(&seen->bytes, line);
}

static err_t *on_data(void *arg, bytes_t data) {
    seen_t *seen = arg;
    if (!seen->n || !data.n) abort();
    return buf_add(&seen->bytes, data);
}

static err_t *split(bytes_t data, size_t step, seen_t *seen) {
    const mbox_handler_t handler = {on_begin, on_data, seen};
    mbox_t *mbox CLEANUP(mbox_free) = NULL;
    TRY(mbox_new(&handler, &mbox));
    for (; data.n; data = bytes_from(data, step)) TRY(mbox_feed(mbox, bytes_slice(data, 0, step)));
    return mbox_finish(mbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    seen_t whole = {0}, pieces = {0};
    buf_init(&whole.bytes, size);
    buf_init(&pieces.bytes, size);
    err_t *a = split(bytes_make(data, size), size ? size : 1, &whole);
    err_t *b = split(bytes_make(data, size), size ? 1 + data[size - 1] % 7 : 1, &pieces);
    if (!a != !b || whole.n != pieces.n || whole.places != pieces.places) abort();
    if (!a && !bytes_eq(buf_bytes(&whole.bytes), bytes_make(data, size))) abort();
    if (!a && !bytes_eq(buf_bytes(&pieces.bytes), bytes_make(data, size))) abort();
    err_free(a);
    err_free(b);
    buf_done(&whole.bytes);
    buf_done(&pieces.bytes);
    return 0;
}
