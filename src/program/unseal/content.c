/*
 * Versions from a dump, opened as streams of 1 MiB: package, blob, content. Single-threaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "program/unseal/unseal.h"

err_t *unseal_package(unseal_t *u, const uint8_t id[SYNC_HASH], buf_t *record,
                      sync_package_t *ret_package) {
    char name[UNSEAL_NAME_MAX];
    uint8_t found[SYNC_HASH];
    sync_package_t package;
    unseal_name("packages", id, name);
    buf_clear(record);
    CLEANUP(fd_close) int fd = openat(u->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "%s", name);
    TRY_WRAP(file_read_fd(fd, record), "%s", name);
    TRY_WRAP(sync_package_parse(buf_bytes(record), &package), "%s", name);
    TRY(sync_package_id(&package, found));
    if (memcmp(found, id, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "%s is another package", name);
    TRY_WRAP(sync_package_check(&package, u->chain), "%s", name);
    *ret_package = package;
    return NULL;
}

/* A blob that is read from its front to its end. */
typedef struct {
    char name[UNSEAL_NAME_MAX];
    int fd;
    sync_scan_t *scan;
    uint64_t left; /* bytes */
    bytes_t head;  /* of the header's record */
    uint8_t header_bytes[SYNC_HEADER];
    sync_header_t header;
} blob_t;

static void blob_done(blob_t *blob) {
    fd_close(blob->fd);
    sync_scan_free(blob->scan);
}
DEFINE_CLEANUP_VALUE(blob_t, blob_done)

/* Exactly n bytes, which the scan takes too. */
static err_t *blob_read(blob_t *blob, size_t n, uint8_t *out) {
    for (size_t done = 0; done < n;) {
        ssize_t got = read(blob->fd, out + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(errno, "%s", blob->name);
        if (got == 0) return err_new(ERR_VERIFY, "%s is cut off", blob->name);
        done += (size_t)got;
    }
    blob->left -= n;
    return sync_scan_add(blob->scan, bytes_make(out, n));
}

static err_t *blob_open(unseal_t *u, const sync_package_t *package, blob_t *blob) {
    struct stat state;
    unseal_name("blobs", package->root, blob->name);
    blob->fd = openat(u->fd, blob->name, O_RDONLY | O_CLOEXEC);
    if (blob->fd < 0 || fstat(blob->fd, &state) != 0) return err_errno(errno, "%s", blob->name);
    if ((uint64_t)state.st_size != package->size)
        return err_new(ERR_VERIFY, "%s has %llu bytes, %llu were signed", blob->name,
                       (unsigned long long)state.st_size, (unsigned long long)package->size);
    blob->left = package->size;
    TRY(sync_scan_new(package->size, &blob->scan));
    TRY(blob_read(blob, SYNC_HEADER, blob->header_bytes));
    TRY_WRAP(sync_scan_header(blob->scan, &blob->header), "%s", blob->name);
    TRY_WRAP(sync_package_match(package, &blob->header), "%s", blob->name);
    return NULL;
}

/* Whether all that was read is what the package signed. */
static err_t *blob_end(blob_t *blob, const sync_package_t *package) {
    uint8_t root[SYNC_HASH];
    TRY(sync_scan_end(blob->scan, root));
    if (memcmp(root, package->root, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "%s is not what was signed", blob->name);
    return NULL;
}

err_t *unseal_scan(unseal_t *u, const sync_package_t *package, sync_header_t *ret_header) {
    CLEANUP(blob_done) blob_t blob = {.fd = -1};
    TRY(blob_open(u, package, &blob));
    TRY(buf_reserve(&u->sealed, SYNC_SEALED_CHUNK - u->sealed.n));
    while (blob.left) {
        size_t n = blob.left < SYNC_SEALED_CHUNK ? (size_t)blob.left : (size_t)SYNC_SEALED_CHUNK;
        TRY(blob_read(&blob, n, u->sealed.p));
    }
    TRY(blob_end(&blob, package));
    *ret_header = blob.header;
    return NULL;
}

static err_t *file_key_of(const unseal_t *u, const sync_header_t *header, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *folder_key = NULL;
    const sync_data_id_t *id = &header->id;
    if (id->epoch == 0 || id->epoch > u->keys_n)
        return err_new(ERR_DENIED, "this device has no key of epoch %llu",
                       (unsigned long long)id->epoch);
    TRY(sync_folder_key(id->region, u->keys[id->epoch - 1], id->epoch, id->folder, &folder_key));
    return sync_file_key_open(header, folder_key, ret_key);
}

static err_t *read_meta(const sync_package_t *package, const sync_header_t *header,
                        const secret_t *file_key, sync_meta_kind_t kind, uint64_t *ret_size) {
    CLEANUP(buf_done) buf_t storage;
    sync_meta_t meta;
    buf_init_secret(&storage, LIMIT_SYNC_META);
    TRY(sync_meta_open(package->meta, header, file_key, &storage, &meta));
    if (meta.kind != kind) return err_new(ERR_VERIFY, "a version of another kind");
    *ret_size = meta.size;
    return NULL;
}

err_t *unseal_content(unseal_t *u, const sync_package_t *package, sync_meta_kind_t kind,
                      const sync_sink_t *sink, uint64_t *ret_size) {
    CLEANUP(blob_done) blob_t blob = {.fd = -1};
    CLEANUP(secret_free) secret_t *file_key = NULL;
    CLEANUP(sync_reader_free) sync_reader_t *reader = NULL;
    uint64_t size = 0;
    TRY(blob_open(u, package, &blob));
    TRY_WRAP(file_key_of(u, &blob.header, &file_key), "%s", blob.name);
    TRY_WRAP(read_meta(package, &blob.header, file_key, kind, &size), "its metadata");
    TRY_WRAP(
        sync_reader_new(BYTES_ARRAY(blob.header_bytes), file_key, package->size, size, &reader),
        "%s", blob.name);
    TRY(buf_reserve(&u->sealed, SYNC_SEALED_CHUNK - u->sealed.n));
    for (uint32_t i = 0; i < sync_reader_chunks(reader); i++) {
        size_t n = sync_reader_chunk_size(reader, i);
        TRY(blob_read(&blob, n, u->sealed.p));
        buf_clear(&u->plain);
        TRY_WRAP(sync_reader_chunk(reader, i, bytes_make(u->sealed.p, n), &u->plain),
                 "%s, chunk %u", blob.name, i);
        if (u->plain.n) TRY(sink->write(sink->ctx, buf_bytes(&u->plain)));
    }
    TRY(blob_end(&blob, package));
    *ret_size = size;
    return NULL;
}

static err_t *append(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

err_t *unseal_folder(unseal_t *u, const uint8_t id[SYNC_HASH], const uint8_t *node,
                     const uint8_t *version, buf_t *out) {
    CLEANUP(buf_done) buf_t record;
    sync_package_t package;
    uint64_t size = 0;
    sync_sink_t sink = {.ctx = out, .write = append};
    buf_init(&record, SYNC_PACKAGE_MAX);
    TRY(unseal_package(u, id, &record, &package));
    if ((node && memcmp(package.node, node, SYNC_NODE) != 0) ||
        (version && memcmp(package.version, version, SYNC_NODE) != 0))
        return err_new(ERR_VERIFY, "the list of another folder, or another version of it");
    return unseal_content(u, &package, SYNC_META_FOLDER, &sink, &size);
}

/* The pack from memory, or in the place of the one longest not used. */
static err_t *find_pack(unseal_t *u, const uint8_t id[SYNC_HASH], unseal_pack_t **ret_pack) {
    CLEANUP(buf_done) buf_t record;
    unseal_pack_t *pack = &u->packs[0];
    sync_package_t package;
    uint64_t size = 0;
    buf_init(&record, SYNC_PACKAGE_MAX);
    for (size_t i = 0; i < UNSEAL_PACKS; i++) {
        if (u->packs[i].used && memcmp(u->packs[i].package, id, SYNC_HASH) == 0) {
            *ret_pack = &u->packs[i];
            return NULL;
        }
        if (u->packs[i].used < pack->used) pack = &u->packs[i];
    }
    pack->used = 0;
    buf_clear(&pack->plain);
    sync_sink_t sink = {.ctx = &pack->plain, .write = append};
    TRY(unseal_package(u, id, &record, &package));
    TRY(unseal_content(u, &package, SYNC_META_PACK, &sink, &size));
    memcpy(pack->package, id, SYNC_HASH);
    *ret_pack = pack;
    return NULL;
}

err_t *unseal_packed(unseal_t *u, const sync_entry_t *entry, bytes_t *ret_content) {
    unseal_pack_t *kept = NULL;
    sync_pack_t pack;
    sync_packed_t file;
    uint64_t offset = 0;
    TRY_WRAP(find_pack(u, entry->package, &kept), "its pack");
    kept->used = ++u->clock;
    TRY_WRAP(sync_pack_open(buf_bytes(&kept->plain), &pack), "its pack");
    if (sync_pack_size(&pack) != kept->plain.n)
        return err_new(ERR_VERIFY, "its pack is not as long as its list says");
    TRY(sync_pack_file(&pack, entry->index, &file, &offset));
    if (memcmp(file.node, entry->node, SYNC_NODE) != 0 ||
        memcmp(file.version, entry->version, SYNC_NODE) != 0 || file.size != entry->size)
        return err_new(ERR_VERIFY, "another file of the pack, or another version");
    *ret_content = bytes_slice(buf_bytes(&kept->plain), (size_t)offset, file.size);
    return NULL;
}
