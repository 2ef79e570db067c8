/*
 * A data package and its sealed metadata as somebody changed them on the way: what still opens is
 * what was sealed, and the Merkle root tells of every change. Input: bytes of content (u16), then
 * changes: offset u16, xor u8; the last odd byte cuts so many bytes off the end.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "sync/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONTENT_MAX = 4096, PACKAGE_MAX = 8192, SEALED_MAX = PACKAGE_MAX + LIMIT_SYNC_META };

static err_t *fill(const rnd_t *rnd, void *p, size_t n) {
    (void)rnd;
    memset(p, 0x5a, n);
    return NULL;
}

static err_t *keep(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

typedef struct {
    buf_t package, meta;
    uint8_t root[SYNC_HASH];
    secret_t *key;
    sync_header_t header;
    size_t content;
} sealed_t;

static err_t *seal(size_t content, sealed_t *s) {
    static const rnd_t rnd = {.fill = fill};
    static const uint8_t zeros[CONTENT_MAX];
    CLEANUP(secret_free) secret_t *folder_key = NULL;
    CLEANUP(sync_writer_free) sync_writer_t *writer = NULL;
    sync_data_id_t id = {.suite = SYNC_SUITE_1, .epoch = 1};
    sync_sink_t sink = {.ctx = &s->package, .write = keep};
    sync_meta_t meta = {.kind = SYNC_META_FILE, .size = content, .name = BYTES_LIT("name")};
    uint64_t package_size = 0;
    s->content = content;
    TRY(secret_random(&rnd, SYNC_KEY, &folder_key));
    TRY(sync_writer_new(&id, folder_key, &rnd, content, &sink, &writer));
    TRY(sync_writer_add(writer, bytes_make(zeros, content)));
    TRY(sync_writer_end(writer, s->root, &package_size));
    s->header = *sync_writer_header(writer);
    TRY(secret_copy(secret_bytes(sync_writer_file_key(writer)), &s->key));
    return sync_meta_seal(&meta, &s->header, s->key, &rnd, &s->meta);
}

/* Applies the changes; whether there is any. */
static bool change(buf_t *bytes, bytes_t changes) {
    CLEANUP(buf_done) buf_t before;
    buf_init(&before, SEALED_MAX);
    if (buf_add(&before, buf_bytes(bytes))) abort();
    for (; changes.n >= 3; changes = bytes_from(changes, 3)) {
        size_t at = (size_t)(changes.p[0] << 8 | changes.p[1]);
        if (at < bytes->n) bytes->p[at] ^= changes.p[2];
    }
    if (changes.n) bytes->n -= changes.p[0] < bytes->n ? changes.p[0] : 0;
    return !bytes_eq(buf_bytes(&before), buf_bytes(bytes));
}

static bool opens(const sealed_t *s, buf_t *out) {
    sync_reader_t *reader = NULL;
    bytes_t all = buf_bytes(&s->package);
    err_t *e =
        sync_reader_new(bytes_slice(all, 0, SYNC_HEADER), s->key, all.n, s->content, &reader);
    if (!e) e = sync_reader_chunk(reader, 0, bytes_from(all, SYNC_HEADER), out);
    bool good = e == NULL;
    err_free(e);
    sync_reader_free(reader);
    return good;
}

/* The root of whatever it is, in two pieces; false: there is none. */
static bool scan(bytes_t all, uint8_t ret_root[SYNC_HASH]) {
    sync_scan_t *s = NULL;
    err_t *e = sync_scan_new(all.n, &s);
    if (!e) e = sync_scan_add(s, bytes_slice(all, 0, all.n / 3));
    if (!e) e = sync_scan_add(s, bytes_from(all, all.n / 3));
    if (!e) e = sync_scan_end(s, ret_root);
    bool good = e == NULL;
    err_free(e);
    sync_scan_free(s);
    return good;
}

static void judge(sealed_t *s, bytes_t changes) {
    CLEANUP(buf_done) buf_t out, storage;
    uint8_t root[SYNC_HASH];
    sync_meta_t meta;
    buf_init(&out, PACKAGE_MAX);
    buf_init(&storage, LIMIT_SYNC_META);
    bool changed = change(&s->package, changes);
    if (opens(s, &out) == changed || (!changed && out.n != s->content)) abort();
    bool same = scan(buf_bytes(&s->package), root) && memcmp(root, s->root, SYNC_HASH) == 0;
    if (same == changed) abort();
    changed = change(&s->meta, changes);
    err_t *e = sync_meta_open(buf_bytes(&s->meta), &s->header, s->key, &storage, &meta);
    if ((e != NULL) != changed) abort();
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t input = bytes_make(data, size);
    sealed_t s = {0};
    if (size < 2) return 0;
    buf_init(&s.package, PACKAGE_MAX);
    buf_init(&s.meta, LIMIT_SYNC_META);
    if (crypto_init() || seal((size_t)(data[0] << 8 | data[1]) % CONTENT_MAX, &s)) abort();
    judge(&s, bytes_from(input, 2));
    buf_done(&s.package);
    buf_done(&s.meta);
    secret_free(s.key);
    return 0;
}
