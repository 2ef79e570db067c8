/*
 * Hashes of signed content: see content_hash.h.
 */
#include "mail/content_hash.h"
#include "format/scan.h"

err_t *content_hash_init(content_hash_t *h, unsigned digests, bool canonicalise) {
    *h = (content_hash_t){.canonicalise = canonicalise};
    return cms_hashes_new(digests, &h->plain);
}

void content_hash_done(content_hash_t *h) {
    cms_hashes_free(h->plain);
    cms_hashes_free(h->canonical);
    *h = (content_hash_t){0};
}

static err_t *add_canonical(content_hash_t *h, bytes_t data) {
    uint8_t last = h->last;
    while (data.n) {
        size_t at = scan_bare_lf(data, last);
        TRY(cms_hashes_add(h->canonical, bytes_make(data.p, at)));
        if (at == data.n) return NULL;
        TRY(cms_hashes_add(h->canonical, BYTES_LIT("\r\n")));
        last = '\n';
        data = bytes_from(data, at + 1);
    }
    return NULL;
}

err_t *content_hash_add(content_hash_t *h, bytes_t data) {
    if (!data.n) return NULL;
    if (h->canonicalise && !h->canonical) {
        size_t at = scan_bare_lf(data, h->last);
        TRY(cms_hashes_add(h->plain, bytes_make(data.p, at)));
        if (at) h->last = data.p[at - 1];
        data = bytes_from(data, at);
        if (!data.n) return NULL;
        TRY(cms_hashes_clone(h->plain, &h->canonical));
    }
    if (h->canonical) TRY(add_canonical(h, data));
    h->last = data.p[data.n - 1];
    return cms_hashes_add(h->plain, data);
}

err_t *content_hash_end(content_hash_t *h) {
    TRY(cms_hashes_end(h->plain));
    return h->canonical ? cms_hashes_end(h->canonical) : NULL;
}
