/*
 * Lists of folders: see folder.h. Pure; any process, any thread.
 */
#include "sync/folder.h"

enum { NS = 1000 * 1000 * 1000, MODE_MAX = 07777, COUNT_AT = RECORD_HEAD };

bool sync_name_valid(bytes_t name) {
    if (name.n == 0 || name.n > LIMIT_SYNC_FILE_NAME) return false;
    if (bytes_find(name, '/') != name.n || bytes_has_nul(name)) return false;
    return !bytes_eq_str(name, ".") && !bytes_eq_str(name, "..");
}

int sync_name_compare(bytes_t a, bytes_t b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order) return order;
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

/* Fields that the kind has not are empty: an entry has one form. */
static bool fields_fit(const sync_entry_t *e) {
    bool file = e->kind == SYNC_ENTRY_FILE, link = e->kind == SYNC_ENTRY_LINK;
    bool page = e->kind == SYNC_ENTRY_PAGE;
    if (page && (e->mode || e->mtime || e->mtime_ns || e->fold.n)) return false;
    if (!file && (e->size || e->packed)) return false;
    if (!e->packed && e->index) return false;
    return link == (e->target.n != 0);
}

static err_t *check(const sync_entry_t *e, bytes_t last) {
    if (!sync_name_valid(e->name)) return err_new(ERR_INVALID, "a name that no file can have");
    if (last.n && sync_name_compare(last, e->name) >= 0)
        return err_new(ERR_INVALID, "names are not ascending");
    if (e->mode > MODE_MAX || e->mtime_ns >= NS || e->fold.n > LIMIT_SYNC_FOLD ||
        e->target.n > LIMIT_SYNC_LINK_TARGET || bytes_has_nul(e->target) ||
        e->index >= LIMIT_SYNC_PACKED || !fields_fit(e))
        return err_new(ERR_INVALID, "a folder's entry out of range");
    return NULL;
}

err_t *sync_folder_begin(buf_t *out, sync_folder_writer_t *ret_writer) {
    size_t at = out->n;
    TRY(record_put_head(out, "YN", SYNC_VERSION));
    TRY(wire_put_u32(out, 0));
    *ret_writer = (sync_folder_writer_t){.out = out, .at = at};
    return NULL;
}

static err_t *put(const sync_entry_t *e, buf_t *out) {
    TRY(wire_put_u8(out, (uint8_t)e->kind));
    TRY(wire_put_bytes(out, e->name));
    TRY(wire_put_bytes(out, e->fold));
    TRY(record_put_raw(out, e->node, SYNC_NODE));
    TRY(wire_put_u32(out, e->mode));
    TRY(wire_put_i64(out, e->mtime));
    TRY(wire_put_u32(out, e->mtime_ns));
    if (e->kind == SYNC_ENTRY_LINK) return wire_put_bytes(out, e->target);
    TRY(record_put_raw(out, e->version, SYNC_NODE));
    TRY(record_put_raw(out, e->package, SYNC_HASH));
    if (e->kind != SYNC_ENTRY_FILE) return NULL;
    TRY(wire_put_u64(out, e->size));
    TRY(wire_put_bool(out, e->packed));
    return e->packed ? wire_put_u32(out, e->index) : NULL;
}

err_t *sync_folder_add(sync_folder_writer_t *writer, const sync_entry_t *entry) {
    buf_t *out = writer->out;
    size_t before = out->n;
    if (writer->count >= LIMIT_SYNC_ENTRIES)
        return err_new(ERR_LIMIT, "a folder's list has at most %d entries", LIMIT_SYNC_ENTRIES);
    TRY(check(entry, bytes_make(writer->last, writer->last_n)));
    err_t *e = put(entry, out);
    if (!e && out->n - writer->at > LIMIT_SYNC_FOLDER)
        e = err_new(ERR_LIMIT, "a folder's list has at most %d bytes", LIMIT_SYNC_FOLDER);
    if (e) {
        out->n = before;
        return e;
    }
    bytes_put(writer->last, entry->name);
    writer->last_n = entry->name.n;
    writer->count++;
    return NULL;
}

err_t *sync_folder_end(sync_folder_writer_t *writer) {
    uint8_t *count = writer->out->p + writer->at + COUNT_AT;
    for (unsigned i = 0; i < 4; i++) count[i] = (uint8_t)(writer->count >> (8 * (3 - i)));
    return NULL;
}

err_t *sync_folder_open(bytes_t record, sync_folder_reader_t *ret_reader) {
    sync_folder_reader_t reader = {.r = wire_reader(record)};
    if (record.n > LIMIT_SYNC_FOLDER) return err_new(ERR_LIMIT, "a folder's list is too long");
    TRY(record_get_head(&reader.r, "YN", SYNC_VERSION));
    TRY(wire_get_u32(&reader.r, &reader.left));
    if (reader.left > LIMIT_SYNC_ENTRIES)
        return err_new(ERR_LIMIT, "a folder's list of %u entries", reader.left);
    *ret_reader = reader;
    return NULL;
}

static err_t *get_kind(wire_reader_t *r, sync_entry_kind_t *ret_kind) {
    uint8_t kind = 0;
    TRY(wire_get_u8(r, &kind));
    if (kind < SYNC_ENTRY_FOLDER || kind > SYNC_ENTRY_PAGE)
        return err_new(ERR_VERIFY, "an entry of kind %u, which nobody knows here", kind);
    *ret_kind = (sync_entry_kind_t)kind;
    return NULL;
}

static err_t *get(wire_reader_t *r, sync_entry_t *e) {
    TRY(get_kind(r, &e->kind));
    TRY(wire_get_bytes(r, LIMIT_SYNC_FILE_NAME, &e->name));
    TRY(wire_get_bytes(r, LIMIT_SYNC_FOLD, &e->fold));
    TRY(record_get_raw(r, SYNC_NODE, e->node));
    TRY(wire_get_u32(r, &e->mode));
    TRY(wire_get_i64(r, &e->mtime));
    TRY(wire_get_u32(r, &e->mtime_ns));
    if (e->kind == SYNC_ENTRY_LINK) return wire_get_bytes(r, LIMIT_SYNC_LINK_TARGET, &e->target);
    TRY(record_get_raw(r, SYNC_NODE, e->version));
    TRY(record_get_raw(r, SYNC_HASH, e->package));
    if (e->kind != SYNC_ENTRY_FILE) return NULL;
    TRY(wire_get_u64(r, &e->size));
    TRY(wire_get_bool(r, &e->packed));
    return e->packed ? wire_get_u32(r, &e->index) : NULL;
}

err_t *sync_folder_next(sync_folder_reader_t *reader, bool *ret_found, sync_entry_t *ret_entry) {
    sync_entry_t entry = {0};
    if (reader->left == 0) {
        TRY(wire_done(&reader->r));
        *ret_found = false;
        return NULL;
    }
    TRY(get(&reader->r, &entry));
    TRY(check(&entry, reader->last));
    reader->last = entry.name;
    reader->left--;
    *ret_entry = entry;
    *ret_found = true;
    return NULL;
}
