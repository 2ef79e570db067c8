/*
 * make_dump DIRECTORY DUMP KEYFILE [PASSPHRASE]: seals a directory as a client would and writes a
 * dump of it, with a phone's key file; for tests of coffer-unseal and of other readers. Two roots
 * in two epochs: a tablet comes and goes in between. Small files go into packs, long folders into
 * pages.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sync/chain_write.h"
#include "sync/folder.h"
#include "sync/name.h"
#include "sync/pack.h"
#include "sync/package.h"
#include "sync/root.h"

enum { NAMES = 5000, SMALL = 4096, PAGE = 200, FILE_MAX = 64 << 20, NOW = 1700000000 };

typedef struct {
    char dump[4096];
    sync_device_key_t laptop, phone, tablet;
    sync_chain_t *chain;
    secret_t *key;
    sync_root_seen_t seen;
    buf_t entries, deliveries, roots;
} maker_t;

static void must(err_t *e) {
    char text[1024];
    if (!e) return;
    (void)fprintf(stderr, "make_dump: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

static void random_bytes(uint8_t *out, size_t n) { must(rnd_fill(rnd_real(), out, n)); }

static void add_run(buf_t *out, const buf_t *record) {
    must(wire_put_bytes(out, buf_bytes(record)));
}

static void save(const maker_t *m, const char *folder, const uint8_t id[SYNC_HASH], bytes_t data) {
    char path[4400], hex[2 * SYNC_HASH + 1];
    for (size_t i = 0; i < SYNC_HASH; i++) (void)snprintf(hex + 2 * i, 3, "%02x", id[i]);
    (void)snprintf(path, sizeof path, "%s/%s", m->dump, folder);
    must(file_mkdir(path, 0700));
    (void)snprintf(path, sizeof path, "%s/%s/%.2s", m->dump, folder, hex);
    must(file_mkdir(path, 0700));
    (void)snprintf(path, sizeof path, "%s/%s/%.2s/%s", m->dump, folder, hex, hex);
    must(file_write(path, data, 0600));
}

/* ---- versions ---- */

static err_t *keep(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

/* Seals content as a version of `node`; gives its number and package id. */
static void seal(maker_t *m, const uint8_t *node, const uint8_t *folder, const sync_meta_t *meta,
                 bytes_t content, uint8_t ret_version[SYNC_NODE], uint8_t ret_id[SYNC_HASH]) {
    sync_chain_head_t head;
    sync_data_id_t id = {.suite = SYNC_SUITE_1};
    sync_package_t package = {.suite = SYNC_SUITE_1};
    secret_t *folder_key = NULL;
    sync_writer_t *writer = NULL;
    buf_t blob, sealed, record;
    buf_init(&blob, (size_t)FILE_MAX * 2);
    buf_init(&sealed, LIMIT_SYNC_META);
    buf_init(&record, SYNC_PACKAGE_MAX);
    sync_sink_t sink = {.ctx = &blob, .write = keep};
    must(sync_chain_head(m->chain, &head));
    memcpy(id.region, head.region, SYNC_HASH);
    memcpy(id.node, node, SYNC_NODE);
    memcpy(id.folder, folder, SYNC_NODE);
    random_bytes(id.version, SYNC_NODE);
    id.epoch = head.epoch;
    must(sync_folder_key(id.region, m->key, id.epoch, id.folder, &folder_key));
    must(sync_writer_new(&id, folder_key, rnd_real(), content.n, &sink, &writer));
    must(sync_writer_add(writer, content));
    must(sync_writer_end(writer, package.root, &package.size));
    memcpy(package.region, id.region, SYNC_HASH);
    memcpy(package.node, id.node, SYNC_NODE);
    memcpy(package.version, id.version, SYNC_NODE);
    package.epoch = id.epoch;
    must(sync_meta_seal(meta, sync_writer_header(writer), sync_writer_file_key(writer), rnd_real(),
                        &sealed));
    package.meta = buf_bytes(&sealed);
    must(sync_package_sign(&package, m->chain, &m->laptop));
    must(sync_package_put(&package, &record));
    must(sync_package_id(&package, ret_id));
    memcpy(ret_version, id.version, SYNC_NODE);
    save(m, "packages", ret_id, buf_bytes(&record));
    save(m, "blobs", package.root, buf_bytes(&blob));
    sync_writer_free(writer);
    secret_free(folder_key);
    buf_done(&blob);
    buf_done(&sealed);
    buf_done(&record);
}

/* ---- folders ---- */

typedef struct {
    char *name;
    struct stat state;
    sync_entry_t entry;
    buf_t fold, target;
} item_t;

static int by_name(const void *a, const void *b) {
    const item_t *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static size_t read_names(int fd, item_t *items) {
    size_t n = 0;
    DIR *dir = fdopendir(dup(fd));
    if (!dir) must(err_errno(errno, "a directory"));
    rewinddir(dir);
    for (const struct dirent *d; (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        if (n == NAMES) must(err_new(ERR_LIMIT, "too many names"));
        item_t *item = &items[n++];
        *item = (item_t){.name = mem_strdup(d->d_name)};
        if (fstatat(fd, item->name, &item->state, AT_SYMLINK_NOFOLLOW) != 0)
            must(err_errno(errno, "%s", item->name));
    }
    (void)closedir(dir);
    qsort(items, n, sizeof *items, by_name);
    return n;
}

static void read_content(int fd, const char *name, buf_t *out) {
    int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) must(err_errno(errno, "%s", name));
    must(file_read_fd(file, out));
    fd_close(file);
}

static void fill(int fd, item_t *item) {
    sync_entry_t *e = &item->entry;
    char target[LIMIT_SYNC_LINK_TARGET + 1];
    buf_init(&item->fold, LIMIT_SYNC_FOLD);
    buf_init(&item->target, LIMIT_SYNC_LINK_TARGET);
    e->kind = S_ISDIR(item->state.st_mode)   ? SYNC_ENTRY_FOLDER
              : S_ISLNK(item->state.st_mode) ? SYNC_ENTRY_LINK
                                             : SYNC_ENTRY_FILE;
    e->name = bytes_str(item->name);
    e->mode = item->state.st_mode & 07777;
    e->mtime = item->state.st_mtim.tv_sec;
    e->mtime_ns = (uint32_t)item->state.st_mtim.tv_nsec;
    random_bytes(e->node, SYNC_NODE);
    must(sync_name_fold(e->name, &item->fold));
    e->fold = buf_bytes(&item->fold);
    if (e->kind == SYNC_ENTRY_FILE) e->size = (uint64_t)item->state.st_size;
    if (e->kind != SYNC_ENTRY_LINK) return;
    ssize_t n = readlinkat(fd, item->name, target, sizeof target);
    if (n <= 0) must(err_errno(errno, "%s", item->name));
    must(buf_add(&item->target, bytes_make(target, (size_t)n)));
    e->target = buf_bytes(&item->target);
}

static void seal_pack(maker_t *m, int fd, const uint8_t *folder, item_t **small, size_t n) {
    static sync_packed_t files[LIMIT_SYNC_PACKED];
    uint8_t node[SYNC_NODE], version[SYNC_NODE], id[SYNC_HASH];
    buf_t content;
    if (n == 0) return;
    buf_init(&content, FILE_MAX);
    for (size_t i = 0; i < n; i++) {
        memcpy(files[i].node, small[i]->entry.node, SYNC_NODE);
        random_bytes(files[i].version, SYNC_NODE);
        files[i].size = (uint32_t)small[i]->entry.size;
    }
    must(sync_pack_put(files, n, &content));
    for (size_t i = 0; i < n; i++) read_content(fd, small[i]->name, &content);
    sync_meta_t meta = {.kind = SYNC_META_PACK, .size = content.n, .mtime = NOW};
    random_bytes(node, SYNC_NODE);
    seal(m, node, folder, &meta, buf_bytes(&content), version, id);
    for (size_t i = 0; i < n; i++) {
        sync_entry_t *e = &small[i]->entry;
        e->packed = true;
        e->index = (uint32_t)i;
        memcpy(e->version, files[i].version, SYNC_NODE);
        memcpy(e->package, id, SYNC_HASH);
    }
    buf_done(&content);
}

static void seal_list(maker_t *m, const uint8_t *node, const uint8_t *folder, const item_t *items,
                      size_t n, uint8_t *ret_version, uint8_t *ret_id) {
    sync_folder_writer_t w;
    buf_t list;
    buf_init(&list, LIMIT_SYNC_FOLDER);
    must(sync_folder_begin(&list, &w));
    for (size_t i = 0; i < n; i++) must(sync_folder_add(&w, &items[i].entry));
    must(sync_folder_end(&w));
    sync_meta_t meta = {.kind = SYNC_META_FOLDER, .size = list.n, .mtime = NOW};
    seal(m, node, folder, &meta, buf_bytes(&list), ret_version, ret_id);
    buf_done(&list);
}

static void seal_folder(maker_t *m, int fd, const uint8_t *node, uint8_t *ret_version,
                        uint8_t *ret_id);

static void seal_item(maker_t *m, int fd, const uint8_t *folder, item_t *item) {
    sync_entry_t *e = &item->entry;
    buf_t content;
    if (e->kind == SYNC_ENTRY_FOLDER) {
        int inner = openat(fd, item->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (inner < 0) must(err_errno(errno, "%s", item->name));
        seal_folder(m, inner, e->node, e->version, e->package);
        fd_close(inner);
    }
    if (e->kind != SYNC_ENTRY_FILE || e->packed) return;
    buf_init(&content, FILE_MAX);
    read_content(fd, item->name, &content);
    sync_meta_t meta = {.kind = SYNC_META_FILE, .size = content.n, .mtime = e->mtime};
    meta.mode = e->mode;
    meta.name = e->name;
    seal(m, e->node, folder, &meta, buf_bytes(&content), e->version, e->package);
    buf_done(&content);
}

static void seal_pages(maker_t *m, const uint8_t *node, const item_t *items, size_t n,
                       uint8_t *ret_version, uint8_t *ret_id) {
    static item_t pages[NAMES / PAGE + 1];
    size_t count = 0;
    for (size_t at = 0; at < n; at += PAGE) {
        sync_entry_t *e = &pages[count++].entry;
        *e = (sync_entry_t){.kind = SYNC_ENTRY_PAGE, .name = items[at].entry.name};
        random_bytes(e->node, SYNC_NODE);
        seal_list(m, e->node, node, items + at, n - at < PAGE ? n - at : PAGE, e->version,
                  e->package);
    }
    seal_list(m, node, node, pages, count, ret_version, ret_id);
}

static void seal_folder(maker_t *m, int fd, const uint8_t *node, uint8_t *ret_version,
                        uint8_t *ret_id) {
    item_t *items = mem_array(NAMES, sizeof *items), **small = mem_array(NAMES, sizeof *small);
    size_t n = read_names(fd, items), smalls = 0;
    for (size_t i = 0; i < n; i++) {
        fill(fd, &items[i]);
        bool file = items[i].entry.kind == SYNC_ENTRY_FILE;
        if (file && items[i].entry.size < SMALL && smalls < LIMIT_SYNC_PACKED / 4)
            small[smalls++] = &items[i];
    }
    seal_pack(m, fd, node, small, smalls);
    for (size_t i = 0; i < n; i++) seal_item(m, fd, node, &items[i]);
    if (n <= PAGE) seal_list(m, node, node, items, n, ret_version, ret_id);
    else seal_pages(m, node, items, n, ret_version, ret_id);
    for (size_t i = 0; i < n; i++) {
        mem_free(items[i].name);
        buf_done(&items[i].fold);
        buf_done(&items[i].target);
    }
    mem_free(items);
    mem_free(small);
}

/* ---- the region ---- */

static void commit(maker_t *m, int fd) {
    uint8_t node[SYNC_NODE], version[SYNC_NODE];
    sync_root_t root = {.time = NOW};
    buf_t record;
    buf_init(&record, SYNC_ROOT_MAX);
    random_bytes(node, SYNC_NODE);
    seal_folder(m, fd, node, version, root.folder);
    must(sync_root_sign(&root, &m->seen, m->chain, &m->laptop));
    must(sync_root_follow(&root, m->chain, &m->seen));
    must(sync_root_put(&root, &record));
    add_run(&m->roots, &record);
    buf_done(&record);
}

static void admit(maker_t *m, const sync_device_key_t *device, uint8_t roles) {
    sync_chain_writer_t writer = {.rnd = rnd_real(), .author = &m->laptop, .now = NOW};
    buf_t entry;
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    must(sync_chain_add(&writer, m->chain, &device->card, &entry));
    add_run(&m->entries, &entry);
    buf_clear(&entry);
    must(sync_chain_approve(&writer, m->chain, device->id, roles, &entry));
    add_run(&m->entries, &entry);
    buf_done(&entry);
}

static void deliver(maker_t *m) {
    buf_t record;
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    must(sync_delivery_seal(m->chain, &m->laptop, m->phone.id, m->key, &record));
    add_run(&m->deliveries, &record);
    buf_done(&record);
}

static void make_region(maker_t *m, int fd) {
    sync_chain_writer_t writer = {.rnd = rnd_real(), .author = &m->laptop, .now = NOW};
    secret_t *next = NULL;
    buf_t entry;
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    must(sync_device_key_make(rnd_real(), "laptop", "person-1", NOW, &m->laptop));
    must(sync_device_key_make(rnd_real(), "phone", "person-1", NOW, &m->phone));
    must(sync_device_key_make(rnd_real(), "tablet", "person-1", NOW, &m->tablet));
    must(sync_chain_new(&m->chain));
    must(sync_chain_begin(&writer, m->chain, &entry, &m->key));
    add_run(&m->entries, &entry);
    admit(m, &m->phone, SYNC_READ | SYNC_WRITE);
    deliver(m);
    commit(m, fd);
    admit(m, &m->tablet, SYNC_READ);
    buf_clear(&entry);
    must(sync_chain_revoke(&writer, m->chain, m->tablet.id, m->key, &entry, &next));
    add_run(&m->entries, &entry);
    secret_free(m->key);
    m->key = next;
    deliver(m);
    commit(m, fd);
    buf_done(&entry);
}

static void save_runs(const maker_t *m, const char *name, const buf_t *runs) {
    char path[4400];
    (void)snprintf(path, sizeof path, "%s/%s", m->dump, name);
    must(file_write(path, buf_bytes(runs), 0600));
}

int main(int argc, char **argv) {
    maker_t m = {0};
    buf_t file;
    if (argc < 4) return 2;
    must(crypto_init());
    (void)snprintf(m.dump, sizeof m.dump, "%s", argv[2]);
    buf_init(&m.entries, 1 << 20);
    buf_init(&m.deliveries, 1 << 20);
    buf_init(&m.roots, 1 << 20);
    buf_init(&file, LIMIT_SYNC_KEY_FILE);
    must(file_mkdir(m.dump, 0700));
    int fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) must(err_errno(errno, "%s", argv[1]));
    make_region(&m, fd);
    fd_close(fd);
    save_runs(&m, "chain", &m.entries);
    save_runs(&m, "deliveries", &m.deliveries);
    save_runs(&m, "roots", &m.roots);
    must(sync_device_key_write(&m.phone, rnd_real(), bytes_str(argv[4]), &PASSWORD_COST_TEST,
                               &file));
    must(file_write(argv[3], buf_bytes(&file), 0600));
    buf_done(&file);
    buf_done(&m.entries);
    buf_done(&m.deliveries);
    buf_done(&m.roots);
    sync_device_key_done(&m.laptop);
    sync_device_key_done(&m.phone);
    sync_device_key_done(&m.tablet);
    sync_chain_free(m.chain);
    secret_free(m.key);
    return 0;
}
