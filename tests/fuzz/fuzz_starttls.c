/* What a server says before TLS begins, and watch targets: the first byte tells which. */
#include <stdlib.h>
#include <string.h>

#include "pki/starttls.h"
#include "pki/watch_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf_t out;
    starttls_t s;
    bool ready = false;
    if (size == 0) return 0;
    if (data[0] % 4 == 0) {
        char text[LIMIT_WATCH_TARGET + 8];
        watch_target_t target;
        size_t n = size - 1 < sizeof text - 1 ? size - 1 : sizeof text - 1;
        memcpy(text, data + 1, n);
        text[n] = '\0';
        err_ignore(watch_target_parse(text, &target));
        return 0;
    }
    buf_init(&out, 4096);
    starttls_init(&s, (starttls_kind_t)(data[0] % 4));
    bytes_t in = bytes_make(data + 1, size - 1);
    /* in two pieces, cut where the first byte says */
    size_t cut = in.n ? data[0] % in.n : 0;
    err_t *e = starttls_step(&s, bytes_slice(in, 0, cut), &out, &ready);
    if (!e && !ready) e = starttls_step(&s, bytes_from(in, cut), &out, &ready);
    if (s.line_n > sizeof s.line) abort();
    err_free(e);
    buf_done(&out);
    return 0;
}
