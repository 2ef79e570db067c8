/*
 * CMS taken apart while it streams: the same rest and content however the bytes are cut.
 */
#include <stdlib.h>

#include "crypto/cms_signers.h"
#include "crypto/cms_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static err_t *on_head(void *arg, cms_type_t type, bytes_t head) {
    unsigned digests;
    if (type == CMS_SIGNED_DATA) err_free(cms_announced(head, &digests));
    return buf_add(arg, head);
}
static err_t *on_content(void *arg, bytes_t octets) { return buf_add(arg, octets); }

static err_t *play(bytes_t message, size_t step, buf_t *log) {
    const cms_split_handler_t handler = {on_head, on_content, log};
    cms_split_t *split CLEANUP(cms_split_free) = NULL;
    TRY(cms_split_new(&handler, &split));
    for (bytes_t rest = message; rest.n; rest = bytes_from(rest, step))
        TRY(cms_split_feed(split, bytes_slice(rest, 0, step)));
    TRY(cms_split_finish(split));
    return buf_add(log, cms_split_rest(split));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf_t whole, cut;
    if (size < 2 || size > 64 * 1024) return 0;
    bytes_t message = bytes_make(data + 1, size - 1);
    buf_init(&whole, 1 << 22);
    buf_init(&cut, 1 << 22);
    err_t *a = play(message, message.n, &whole);
    err_t *b = play(message, 1 + data[0] % 16, &cut);
    if (!a != !b || (!a && !bytes_eq(buf_bytes(&whole), buf_bytes(&cut)))) abort();
    err_free(a);
    err_free(b);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
