/*
 * Responses of IMAP servers: no bytes crash, and what is handed out lies within them.
 */
#include <stdlib.h>

#include "box/imap_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(bytes_t part, bytes_t whole) {
    if (part.n && (part.p < whole.p || part.p + part.n > whole.p + whole.n)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t whole = bytes_make(data, size);
    imap_response_t r;
    bool more = true;
    size_t n = 0;
    err_free(imap_parse_literal(whole, &more, &n));
    err_t *e = imap_parse(whole, &r);
    if (!e) {
        bytes_t numbers = r.list, set = r.list, words = r.list, word;
        uint32_t first = 0, last = 0;
        inside(r.tag, whole);
        inside(r.text, whole);
        inside(r.list, whole);
        inside(r.message, whole);
        while (imap_next_word(&words, &word)) inside(word, whole);
        for (more = true; !e && more;) e = imap_next_number(&numbers, &first, &more);
        err_free(e);
        e = NULL;
        for (more = true; !e && more;) {
            e = imap_next_range(&set, &first, &last, &more);
            if (!e && more && (!first || last < first)) abort();
        }
    }
    err_free(e);
    return 0;
}
