/*
 * Making links: see link_make.h. Main thread; blocking.
 */
#include "program/coffer/link_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "sync/pack.h"

enum { URL_BYTES = 256, ANSWER_MAX = 64 * 1024, PACK_MAX = LIMIT_SYNC_PACK + 1024 * 1024 };

void link_make_init(link_make_t *make, sync_view_t *view) {
    *make = (link_make_t){.view = view};
    buf_init_secret(&make->pack, PACK_MAX);
}

void link_make_done(link_make_t *make) {
    for (size_t i = 0; i < make->n; i++) mem_free((void *)(uintptr_t)make->files[i].path.p);
    if (make->files) mem_wipe(make->files, make->room * sizeof *make->files);
    mem_free(make->files);
    buf_done(&make->pack);
}

/* ---- files of their own ---- */

static err_t *add_file(link_make_t *make, bytes_t path, const sync_link_file_t *file) {
    if (make->n == LIMIT_SYNC_LINK_FILES)
        return err_new(ERR_LIMIT,
                       "a link has up to %d files: share a folder with fewer, or pack them",
                       LIMIT_SYNC_LINK_FILES);
    if (make->n == make->room) {
        size_t room = make->room ? make->room * 2 : 16;
        sync_link_file_t *files = mem_array(room, sizeof *files);
        if (!files) return err_nomem();
        if (make->n) memcpy(files, make->files, make->n * sizeof *files);
        if (make->files) mem_wipe(make->files, make->n * sizeof *files);
        mem_free(make->files);
        make->files = files;
        make->room = room;
    }
    path = bytes_from(path, make->prefix);
    char *copy = mem_strndup((const char *)path.p, path.n);
    if (!copy) return err_nomem();
    make->files[make->n] = *file;
    make->files[make->n++].path = bytes_make(copy, path.n);
    return NULL;
}

static err_t *take_whole(link_make_t *make, bytes_t path, const sync_entry_t *entry) {
    CLEANUP(buf_done) buf_t record;
    CLEANUP(secret_free) secret_t *key = NULL;
    sync_package_t package;
    sync_header_t header;
    sync_link_file_t file = {.size = entry->size, .mtime = entry->mtime};
    buf_init(&record, 0);
    TRY(sync_view_package(make->view, entry->package, &record, &package));
    if (memcmp(package.node, entry->node, SYNC_NODE) != 0 ||
        memcmp(package.version, entry->version, SYNC_NODE) != 0)
        return sync_refuse();
    TRY(sync_view_file_key(make->view, &package, &header, &key));
    memcpy(file.package, entry->package, SYNC_HASH);
    memcpy(file.root, package.root, SYNC_HASH);
    file.package_size = package.size;
    memcpy(file.file_key, secret_bytes(key).p, SYNC_KEY);
    err_t *e = add_file(make, path, &file);
    mem_wipe(&file, sizeof file);
    return e;
}

/* ---- files out of packs ---- */

static err_t *keep(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

static err_t *upload(sync_view_t *view, const uint8_t root[SYNC_HASH], bytes_t data) {
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(buf_done) buf_t answer;
    uint64_t offset = 0, size = 0;
    buf_init(&answer, 0);
    TRY(text_hex_new(bytes_make(root, SYNC_HASH), &hex));
    for (uint32_t part = 0; sync_part(data.n, part, &offset, &size); part++) {
        char path[URL_BYTES];
        (void)snprintf(path, sizeof path, "/data/%s/%u?size=%zu", hex, (unsigned)part, data.n);
        TRY(sync_view_call(view, "PUT", path, bytes_slice(data, (size_t)offset, (size_t)size),
                           ANSWER_MAX, &answer));
    }
    return NULL;
}

typedef struct {
    buf_t data;
    sync_header_t header;
    secret_t *key;
    uint8_t root[SYNC_HASH];
    uint64_t size;
} sealed_t;

static void sealed_done(sealed_t *s) {
    buf_done(&s->data);
    secret_free(s->key);
}
DEFINE_CLEANUP_VALUE(sealed_t, sealed_done)

/* A new version of the file's node, which no tree will name. */
static err_t *seal(const link_make_t *make, const sync_entry_t *entry, bytes_t content,
                   sealed_t *s) {
    const sync_view_t *view = make->view;
    CLEANUP(secret_free) secret_t *epoch = NULL;
    CLEANUP(secret_free) secret_t *folder = NULL;
    CLEANUP(sync_writer_free) sync_writer_t *writer = NULL;
    sync_sink_t sink = {&s->data, keep};
    sync_data_id_t id = {.suite = view->head.suite, .epoch = view->head.epoch};
    memcpy(id.region, view->region, SYNC_HASH);
    memcpy(id.node, entry->node, SYNC_NODE);
    memcpy(id.folder, entry->node, SYNC_NODE);
    TRY(rnd_fill(view->cli->rnd, id.version, SYNC_NODE));
    TRY(sync_view_key(view, id.epoch, &epoch));
    TRY(sync_folder_key(view->region, epoch, id.epoch, id.folder, &folder));
    TRY(sync_writer_new(&id, folder, view->cli->rnd, content.n, &sink, &writer));
    TRY(sync_writer_add(writer, content));
    TRY(sync_writer_end(writer, s->root, &s->size));
    s->header = *sync_writer_header(writer);
    return secret_copy(secret_bytes(sync_writer_file_key(writer)), &s->key);
}

/* The signature package of it, so that whoever looks later knows who made it. */
static err_t *sign(link_make_t *make, const sync_entry_t *entry, const sealed_t *s,
                   uint8_t ret_id[SYNC_HASH]) {
    const sync_view_t *view = make->view;
    CLEANUP(buf_done) buf_t meta, record, answer;
    sync_package_t package = {
        .suite = view->head.suite, .epoch = view->head.epoch, .size = s->size};
    sync_meta_t m = {.kind = SYNC_META_FILE, .size = entry->size, .mtime = entry->mtime};
    m.mtime_ns = entry->mtime_ns;
    m.mode = entry->mode;
    m.name = entry->name;
    buf_init(&meta, LIMIT_SYNC_META);
    buf_init(&record, SYNC_PACKAGE_MAX);
    buf_init(&answer, 0);
    memcpy(package.region, view->region, SYNC_HASH);
    memcpy(package.node, s->header.id.node, SYNC_NODE);
    memcpy(package.version, s->header.id.version, SYNC_NODE);
    memcpy(package.root, s->root, SYNC_HASH);
    TRY(sync_meta_seal(&m, &s->header, s->key, view->cli->rnd, &meta));
    package.meta = buf_bytes(&meta);
    TRY(sync_package_sign(&package, view->chain, &view->device));
    TRY(sync_package_put(&package, &record));
    TRY(sync_package_id(&package, ret_id));
    return sync_view_call(make->view, "POST", "/packages", buf_bytes(&record), ANSWER_MAX, &answer);
}

/* Fetches the pack unless it is the one of the file before. */
static err_t *open_pack(link_make_t *make, const uint8_t id[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t record;
    sync_package_t package;
    buf_init(&record, 0);
    if (make->pack.n && memcmp(make->pack_id, id, SYNC_HASH) == 0) return NULL;
    buf_clear(&make->pack);
    TRY(sync_view_package(make->view, id, &record, &package));
    TRY(sync_view_content(make->view, &package, PACK_MAX, &make->pack));
    memcpy(make->pack_id, id, SYNC_HASH);
    return NULL;
}

static err_t *take_packed(link_make_t *make, bytes_t path, const sync_entry_t *entry) {
    sync_pack_t pack;
    sync_packed_t packed;
    uint64_t offset = 0;
    CLEANUP(sealed_done) sealed_t s = {0};
    sync_link_file_t file = {.size = entry->size, .mtime = entry->mtime};
    buf_init(&s.data, (size_t)PACK_MAX * 2);
    TRY(open_pack(make, entry->package));
    TRY(sync_pack_open(buf_bytes(&make->pack), &pack));
    TRY(sync_pack_file(&pack, entry->index, &packed, &offset));
    bytes_t content = bytes_slice(buf_bytes(&make->pack), (size_t)offset, packed.size);
    if (memcmp(packed.node, entry->node, SYNC_NODE) != 0 || packed.size != entry->size ||
        content.n != packed.size)
        return sync_refuse();
    TRY(seal(make, entry, content, &s));
    TRY(upload(make->view, s.root, buf_bytes(&s.data)));
    TRY(sign(make, entry, &s, file.package));
    memcpy(file.root, s.root, SYNC_HASH);
    file.package_size = s.size;
    memcpy(file.file_key, secret_bytes(s.key).p, SYNC_KEY);
    err_t *e = add_file(make, path, &file);
    mem_wipe(&file, sizeof file);
    return e;
}

/* ---- the link ---- */

static err_t *take(void *arg, bytes_t path, const sync_entry_t *entry) {
    return entry->packed ? take_packed(arg, path, entry) : take_whole(arg, path, entry);
}

static int by_path(const void *a, const void *b) {
    return sync_name_compare(((const sync_link_file_t *)a)->path,
                             ((const sync_link_file_t *)b)->path);
}

err_t *link_make_collect(link_make_t *make, bytes_t path) {
    while (path.n && path.p[path.n - 1] == '/') path.n--;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '/') make->prefix = i + 1;
    TRY(sync_view_walk(make->view, path, take, make));
    if (make->n == 0) return err_new(ERR_NOT_FOUND, "there are no files to share");
    qsort(make->files, make->n, sizeof *make->files, by_path);
    return NULL;
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, SYNC_HASH); }

/* Roots ascending, each once. */
static err_t *put_roots(const link_make_t *make, buf_t *out) {
    CLEANUP(mem_free) uint8_t(*roots)[SYNC_HASH] = mem_array(make->n, sizeof *roots);
    if (!roots) return err_nomem();
    for (size_t i = 0; i < make->n; i++) memcpy(roots[i], make->files[i].root, SYNC_HASH);
    qsort(roots, make->n, sizeof *roots, by_bytes);
    for (size_t i = 0; i < make->n; i++)
        if (!i || memcmp(roots[i - 1], roots[i], SYNC_HASH) != 0)
            TRY(record_put_raw(out, roots[i], SYNC_HASH));
    return NULL;
}

static err_t *seal_list(const link_make_t *make, const sync_link_t *link, buf_t *out) {
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, LIMIT_SYNC_LINK_BYTES);
    TRY(sync_link_list_put(make->files, make->n, &plain));
    return sync_link_seal(link, make->view->cli->rnd, buf_bytes(&plain), out);
}

static err_t *send(link_make_t *make, const sync_link_t *link, sync_link_terms_t *terms,
                   bytes_t label) {
    CLEANUP(mem_free) char *id = NULL;
    CLEANUP(buf_done) buf_t sealed, roots, list, record, answer;
    sync_view_t *view = make->view;
    char path[URL_BYTES];
    buf_init(&sealed, 1024);
    buf_init(&roots, (size_t)LIMIT_SYNC_LINK_FILES * SYNC_HASH);
    buf_init(&list, LIMIT_SYNC_LINK_BYTES + 1024);
    buf_init(&record, LIMIT_SYNC_LINK_TERMS);
    buf_init(&answer, 0);
    TRY(sync_link_label_seal(view->region, view->key, view->epoch, link->id, label, view->cli->rnd,
                             &sealed));
    TRY(put_roots(make, &roots));
    TRY(seal_list(make, link, &list));
    terms->label = buf_bytes(&sealed);
    terms->roots = buf_bytes(&roots);
    terms->list = buf_bytes(&list);
    TRY(sync_link_terms_put(terms, &record));
    TRY(text_hex_new(BYTES_ARRAY(link->id), &id));
    (void)snprintf(path, sizeof path, "/links/%s", id);
    return sync_view_call(view, "PUT", path, buf_bytes(&record), ANSWER_MAX, &answer);
}

err_t *link_make_put(link_make_t *make, const link_wish_t *wish, bytes_t label, buf_t *ret_url) {
    CLEANUP(secret_free) secret_t *secret = NULL;
    CLEANUP(sync_link_done) sync_link_t link = {0};
    sync_link_terms_t terms = {
        .expires = wish->expires, .count = wish->count, .password = wish->password.n != 0};
    if (!make->view->key) return err_new(ERR_DENIED, "this device was not given the region's key");
    TRY(secret_new(SYNC_KEY, &secret));
    TRY(rnd_fill(make->view->cli->rnd, secret_data(secret), SYNC_KEY));
    TRY(sync_link_derive(secret, wish->password, &PASSWORD_COST, &link));
    memcpy(terms.id, link.id, SYNC_NODE);
    TRY(sync_link_token_hash(link.token, terms.token_hash));
    TRY(send(make, &link, &terms, label));
    return sync_link_url_put(make->view->origin, &link, secret, terms.password, ret_url);
}
