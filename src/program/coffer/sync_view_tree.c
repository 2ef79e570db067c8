/*
 * The tree of a region: see sync_view.h. Main thread; blocking.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/sync_view.h"
#include "sync/root.h"

enum {
    PATH_BYTES = 16 * 1024,
    URL_BYTES = 256,
    ROOT_ANSWER = 2 * LIMIT_SYNC_CHANGES * SYNC_HASH + 4096,
    PART_MAX = 9 * 1024 * 1024,
};

/* "/KIND/HEX" */
static err_t *hex_path(const char *kind, const uint8_t id[SYNC_HASH], char out[URL_BYTES]) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(bytes_make(id, SYNC_HASH), &hex));
    (void)snprintf(out, URL_BYTES, "/%s/%s", kind, hex);
    return NULL;
}

err_t *sync_view_root(sync_view_t *view, uint8_t ret_package[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t answer;
    sync_root_t root;
    bytes_t record;
    buf_init(&answer, 0);
    TRY(sync_view_call(view, "GET", "/root", BYTES_NONE, ROOT_ANSWER, &answer));
    wire_reader_t r = wire_reader(buf_bytes(&answer));
    TRY(wire_get_bytes(&r, SYNC_ROOT_MAX, &record));
    TRY(sync_root_parse(record, &root));
    TRY_WRAP(sync_root_check(&root, view->chain), "the server's root");
    memcpy(ret_package, root.folder, SYNC_HASH);
    return NULL;
}

err_t *sync_view_package(sync_view_t *view, const uint8_t id[SYNC_HASH], buf_t *record,
                         sync_package_t *ret_package) {
    char path[URL_BYTES];
    uint8_t own[SYNC_HASH];
    sync_package_t package;
    TRY(hex_path("packages", id, path));
    TRY(sync_view_call(view, "GET", path, BYTES_NONE, SYNC_PACKAGE_MAX, record));
    TRY(sync_package_parse(buf_bytes(record), &package));
    TRY(sync_package_id(&package, own));
    if (memcmp(own, id, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the server sent another package");
    TRY(sync_package_check(&package, view->chain));
    *ret_package = package;
    return NULL;
}

/* ---- data ---- */

/* One part, whole. */
static err_t *get_part(sync_view_t *view, const sync_package_t *package, uint32_t part,
                       buf_t *out) {
    char path[URL_BYTES], range[URL_BYTES];
    uint64_t offset = 0, size = 0;
    if (!sync_part(package->size, part, &offset, &size)) return sync_refuse();
    TRY(hex_path("data", package->root, path));
    (void)snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-%" PRIu64, offset,
                   offset + size - 1);
    char whole[URL_BYTES * 2];
    (void)snprintf(whole, sizeof whole, "/sync/r/%s%s", view->hex, path);
    TRY(remote_range(view->cli, whole, range, PART_MAX, out));
    return out->n == size ? NULL : err_new(ERR_VERIFY, "the server sent another part");
}

static err_t *open_header(sync_view_t *view, const sync_package_t *package, bytes_t first,
                          sync_header_t *ret_header, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *epoch = NULL;
    CLEANUP(secret_free) secret_t *folder = NULL;
    TRY(sync_header_parse(bytes_slice(first, 0, SYNC_HEADER), ret_header));
    TRY(sync_package_match(package, ret_header));
    TRY(sync_view_key(view, package->epoch, &epoch));
    TRY(sync_folder_key(view->region, epoch, package->epoch, ret_header->id.folder, &folder));
    return sync_file_key_open(ret_header, folder, ret_key);
}

err_t *sync_view_file_key(sync_view_t *view, const sync_package_t *package,
                          sync_header_t *ret_header, secret_t **ret_key) {
    CLEANUP(buf_done) buf_t first;
    char path[URL_BYTES], range[64], whole[URL_BYTES * 2];
    buf_init(&first, 0);
    TRY(hex_path("data", package->root, path));
    (void)snprintf(range, sizeof range, "Range: bytes=0-%d", SYNC_HEADER - 1);
    (void)snprintf(whole, sizeof whole, "/sync/r/%s%s", view->hex, path);
    TRY(remote_range(view->cli, whole, range, PART_MAX, &first));
    return open_header(view, package, buf_bytes(&first), ret_header, ret_key);
}

/* Opens all chunks of a part that begins with chunk `index`. */
static err_t *open_chunks(const sync_reader_t *reader, bytes_t chunks, uint32_t *index,
                          buf_t *out) {
    while (chunks.n) {
        size_t size = sync_reader_chunk_size(reader, *index);
        if (size == 0 || size > chunks.n) return sync_refuse();
        TRY(sync_reader_chunk(reader, (*index)++, bytes_slice(chunks, 0, size), out));
        chunks = bytes_from(chunks, size);
    }
    return NULL;
}

static err_t *begin_reader(sync_view_t *view, const sync_package_t *package, bytes_t first,
                           size_t max, sync_reader_t **ret_reader) {
    CLEANUP(secret_free) secret_t *key = NULL;
    CLEANUP(buf_done) buf_t plain;
    sync_header_t header;
    sync_meta_t meta;
    buf_init_secret(&plain, LIMIT_SYNC_META);
    TRY(open_header(view, package, first, &header, &key));
    TRY(sync_meta_open(package->meta, &header, key, &plain, &meta));
    if (meta.size > max) return err_new(ERR_LIMIT, "more than %zu bytes", max);
    return sync_reader_new(bytes_slice(first, 0, SYNC_HEADER), key, package->size, meta.size,
                           ret_reader);
}

err_t *sync_view_content(sync_view_t *view, const sync_package_t *package, size_t max, buf_t *out) {
    CLEANUP(sync_reader_free) sync_reader_t *reader = NULL;
    CLEANUP(sync_scan_free) sync_scan_t *scan = NULL;
    CLEANUP(buf_done) buf_t part;
    uint8_t root[SYNC_HASH];
    uint32_t index = 0, parts = sync_parts(package->size);
    buf_init(&part, 0);
    if (parts == 0 || package->size / 2 > max + SYNC_CHUNK) return sync_refuse();
    TRY(sync_scan_new(package->size, &scan));
    for (uint32_t i = 0; i < parts; i++) {
        TRY(get_part(view, package, i, &part));
        bytes_t data = buf_bytes(&part);
        TRY(sync_scan_add(scan, data));
        if (!reader) TRY(begin_reader(view, package, data, max, &reader));
        TRY(open_chunks(reader, i ? data : bytes_from(data, SYNC_HEADER), &index, out));
    }
    TRY(sync_scan_end(scan, root));
    return memcmp(root, package->root, SYNC_HASH) == 0 ? NULL : sync_refuse();
}

/* ---- walking ---- */

typedef struct {
    sync_view_t *view;
    bytes_t wanted; /* what is still to be gone down; empty: all below */
    sync_view_each_fn each;
    void *arg;
    buf_t path;
    unsigned depth;
    bool found;
} walk_t;

static err_t *walk_folder(walk_t *w, const uint8_t id[SYNC_HASH], const uint8_t *node);

static err_t *step_in(walk_t *w, const sync_entry_t *entry, bytes_t rest) {
    size_t n = w->path.n;
    bytes_t before = w->wanted;
    if (w->depth >= LIMIT_SYNC_DEPTH + LIMIT_SYNC_PAGES) return sync_refuse();
    if (entry->kind != SYNC_ENTRY_PAGE) {
        if (n) TRY(buf_add_byte(&w->path, '/'));
        TRY(buf_add(&w->path, entry->name));
        w->wanted = rest;
    }
    w->depth++;
    if (entry->kind == SYNC_ENTRY_FILE) {
        w->found = true;
        TRY(w->each(w->arg, buf_bytes(&w->path), entry));
    } else {
        if (entry->kind == SYNC_ENTRY_FOLDER && !rest.n) w->found = true;
        TRY(walk_folder(w, entry->package, entry->node));
    }
    w->depth--;
    w->wanted = before;
    w->path.n = n;
    return NULL;
}

static err_t *walk_entry(walk_t *w, const sync_entry_t *entry) {
    bytes_t rest = w->wanted, name = BYTES_NONE;
    if (entry->kind == SYNC_ENTRY_LINK) return NULL;
    if (entry->kind == SYNC_ENTRY_PAGE || !rest.n) return step_in(w, entry, rest);
    size_t n = bytes_find(rest, '/');
    name = bytes_slice(rest, 0, n);
    rest = bytes_from(rest, n + 1);
    if (!bytes_eq(name, entry->name)) return NULL;
    if (rest.n && entry->kind != SYNC_ENTRY_FOLDER) return NULL;
    return step_in(w, entry, rest);
}

/* Version and node are those that the entry names: see check in sync_package_match. */
static err_t *walk_folder(walk_t *w, const uint8_t id[SYNC_HASH], const uint8_t *node) {
    CLEANUP(buf_done) buf_t record;
    CLEANUP(buf_done) buf_t plain;
    sync_package_t package;
    sync_folder_reader_t reader;
    sync_entry_t entry;
    bool found = true;
    buf_init(&record, 0);
    buf_init_secret(&plain, LIMIT_SYNC_FOLDER);
    TRY(sync_view_package(w->view, id, &record, &package));
    if (node && memcmp(package.node, node, SYNC_NODE) != 0) return sync_refuse();
    TRY(sync_view_content(w->view, &package, LIMIT_SYNC_FOLDER, &plain));
    TRY(sync_folder_open(buf_bytes(&plain), &reader));
    for (;;) {
        TRY(sync_folder_next(&reader, &found, &entry));
        if (!found) return NULL;
        TRY(walk_entry(w, &entry));
    }
}

err_t *sync_view_walk(sync_view_t *view, bytes_t path, sync_view_each_fn each, void *arg) {
    uint8_t root[SYNC_HASH];
    while (path.n && path.p[path.n - 1] == '/') path.n--;
    walk_t w = {.view = view, .wanted = path, .each = each, .arg = arg, .found = path.n == 0};
    buf_init(&w.path, PATH_BYTES);
    err_t *e = sync_view_root(view, root);
    if (!e) e = walk_folder(&w, root, NULL);
    buf_done(&w.path);
    if (e || w.found) return e;
    return err_new(ERR_NOT_FOUND, "%.*s is not in the region", (int)path.n, (const char *)path.p);
}
