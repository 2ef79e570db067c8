/*
 * Records of backups: see backup_format.h. Pure; any process, any thread.
 */
#include "keeper/backup_format.h"

#include "keeper/escrow_codec.h"

/* ---- head ---- */

err_t *backup_head_put(const backup_head_t *head, buf_t *out) {
    TRY(escrow_put_head(out, "BK"));
    TRY(record_put_raw(out, head->id, ESCROW_ID));
    TRY(record_put_raw(out, head->generation, ESCROW_ID));
    TRY(wire_put_i64(out, head->created));
    TRY(record_put_text(out, LIMIT_BACKUP_LABEL, true, "label", head->label));
    TRY(wire_put_bytes(out, head->set));
    TRY(wire_put_bytes(out, head->blob));
    TRY(wire_put_bytes(out, head->shares));
    TRY(wire_put_u32(out, head->vault_chunks));
    TRY(wire_put_u32(out, head->file_chunks));
    TRY(record_put_raw(out, head->table_hash, ESCROW_HASH));
    TRY(wire_put_u64(out, head->index_size));
    TRY(record_put_raw(out, head->index_hash, ESCROW_HASH));
    return wire_put_bytes(out, head->audit_key);
}

static err_t *get_counts(wire_reader_t *r, backup_head_t *head) {
    TRY(wire_get_u32(r, &head->vault_chunks));
    TRY(wire_get_u32(r, &head->file_chunks));
    TRY(record_get_raw(r, ESCROW_HASH, head->table_hash));
    TRY(wire_get_u64(r, &head->index_size));
    TRY(record_get_raw(r, ESCROW_HASH, head->index_hash));
    if (head->vault_chunks > LIMIT_BACKUP_CHUNKS ||
        head->file_chunks > LIMIT_BACKUP_CHUNKS - head->vault_chunks)
        return err_new(ERR_LIMIT, "a backup of more than %d chunks", LIMIT_BACKUP_CHUNKS);
    if (head->index_size > LIMIT_BACKUP_INDEX)
        return err_new(ERR_LIMIT, "a backup's list of files has more than %d bytes",
                       LIMIT_BACKUP_INDEX);
    return NULL;
}

err_t *backup_head_parse(bytes_t record, backup_head_t *ret_head) {
    wire_reader_t r = wire_reader(record);
    backup_head_t head = {0};
    TRY(escrow_get_head(&r, "BK"));
    TRY(record_get_raw(&r, ESCROW_ID, head.id));
    TRY(record_get_raw(&r, ESCROW_ID, head.generation));
    TRY(wire_get_i64(&r, &head.created));
    if (head.created < 0) return err_new(ERR_INVALID, "a backup of before 1970");
    TRY(record_get_text(&r, LIMIT_BACKUP_LABEL, true, "label", head.label));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &head.set));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &head.blob));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &head.shares));
    TRY(get_counts(&r, &head));
    TRY(wire_get_bytes(&r, LIMIT_KEY_BYTES, &head.audit_key));
    head.message = bytes_make(record.p, record.n - r.rest.n);
    TRY(record_get_raw(&r, ESCROW_SIGNATURE, head.signature));
    TRY(wire_done(&r));
    *ret_head = head;
    return NULL;
}

void backup_object(const uint8_t id[ESCROW_ID], escrow_object_t *ret_object) {
    *ret_object = (escrow_object_t){.kind = ESCROW_KIND_BACKUP, .version = 1};
    memcpy(ret_object->id, id, ESCROW_ID);
}

/* ---- the whole file ---- */

err_t *backup_manifest_parse(bytes_t file, backup_manifest_t *ret_manifest) {
    wire_reader_t r = wire_reader(file);
    backup_manifest_t manifest;
    bytes_t head;
    TRY(wire_get_bytes(&r, LIMIT_BACKUP_HEAD, &head));
    TRY(backup_head_parse(head, &manifest.head));
    size_t chunks = (size_t)manifest.head.vault_chunks + manifest.head.file_chunks;
    TRY_WRAP(wire_get_raw(&r, chunks * BACKUP_ENTRY, &manifest.table), "list of chunks");
    TRY_WRAP(wire_get_raw(&r, (size_t)manifest.head.index_size, &manifest.index), "list of files");
    TRY(wire_done(&r));
    *ret_manifest = manifest;
    return NULL;
}

err_t *backup_entry_put(const backup_entry_t *entry, buf_t *out) {
    TRY(record_put_raw(out, entry->id, ESCROW_HASH));
    TRY(record_put_raw(out, entry->sha256, ESCROW_HASH));
    return wire_put_u32(out, entry->size);
}

backup_entry_t backup_entry_get(bytes_t table, size_t i) {
    const uint8_t *p = table.p + i * BACKUP_ENTRY;
    backup_entry_t entry;
    memcpy(entry.id, p, ESCROW_HASH);
    memcpy(entry.sha256, p + ESCROW_HASH, ESCROW_HASH);
    p += 2 * ESCROW_HASH;
    entry.size = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return entry;
}

/* ---- the list of files ---- */

uint64_t backup_chunks_of(uint64_t size) {
    return size / BACKUP_CHUNK + (size % BACKUP_CHUNK != 0);
}

static err_t *check_path(bytes_t path) {
    bytes_t rest = path;
    if (path.n == 0 || path.n > LIMIT_BACKUP_PATH || bytes_has_nul(path))
        return err_new(ERR_INVALID, "a file's path is empty, too long or has a NUL");
    while (rest.p) {
        size_t n = bytes_find(rest, '/');
        bytes_t part = bytes_slice(rest, 0, n);
        if (n == 0 || bytes_eq_str(part, ".") || bytes_eq_str(part, ".."))
            return err_new(ERR_INVALID, "a file's path would leave the directory");
        if (n == rest.n) return NULL;
        rest = bytes_from(rest, n + 1);
    }
    return err_new(ERR_INVALID, "a file's path ends with a slash");
}

err_t *backup_index_begin(uint32_t count, buf_t *out) {
    TRY(escrow_put_head(out, "BX"));
    return wire_put_u32(out, count);
}

err_t *backup_file_put(const backup_file_t *file, buf_t *out) {
    TRY(check_path(file->path));
    TRY(wire_put_bytes(out, file->path));
    TRY(wire_put_u32(out, file->mode));
    TRY(wire_put_i64(out, file->modified));
    TRY(wire_put_u64(out, file->size));
    TRY(record_put_raw(out, file->sha256, ESCROW_HASH));
    return buf_add(out, file->hashes);
}

err_t *backup_index_open(bytes_t index, wire_reader_t *ret_reader, uint32_t *ret_count) {
    wire_reader_t r = wire_reader(index);
    uint32_t count = 0;
    TRY(escrow_get_head(&r, "BX"));
    TRY(wire_get_u32(&r, &count));
    if (count > LIMIT_BACKUP_FILES) return err_new(ERR_LIMIT, "a backup of %u files", count);
    *ret_reader = r;
    *ret_count = count;
    return NULL;
}

err_t *backup_file_get(wire_reader_t *r, backup_file_t *ret_file) {
    backup_file_t file;
    TRY(wire_get_bytes(r, LIMIT_BACKUP_PATH, &file.path));
    TRY(check_path(file.path));
    TRY(wire_get_u32(r, &file.mode));
    TRY(wire_get_i64(r, &file.modified));
    TRY(wire_get_u64(r, &file.size));
    TRY(record_get_raw(r, ESCROW_HASH, file.sha256));
    uint64_t chunks = backup_chunks_of(file.size);
    if (chunks > LIMIT_BACKUP_CHUNKS) return err_new(ERR_LIMIT, "a file is too large");
    TRY(wire_get_raw(r, (size_t)chunks * ESCROW_HASH, &file.hashes));
    *ret_file = file;
    return NULL;
}

/* ---- the secret ---- */

err_t *backup_secret_put(const backup_secret_t *secret, buf_t *out) {
    const bytes_t keys[] = {secret->master, secret->vault_key, secret->files_key,
                            secret->index_key};
    TRY(escrow_put_head(out, "BS"));
    for (size_t i = 0; i < 4; i++) {
        if (keys[i].n != ESCROW_KEY) return err_new(ERR_USAGE, "a backup's keys have 32 bytes");
        TRY(buf_add(out, keys[i]));
    }
    TRY(wire_put_u64(out, secret->vault_size));
    return record_put_raw(out, secret->vault_sha256, ESCROW_HASH);
}

err_t *backup_secret_parse(bytes_t record, backup_secret_t *ret_secret) {
    wire_reader_t r = wire_reader(record);
    backup_secret_t secret;
    TRY(escrow_get_head(&r, "BS"));
    TRY(wire_get_raw(&r, ESCROW_KEY, &secret.master));
    TRY(wire_get_raw(&r, ESCROW_KEY, &secret.vault_key));
    TRY(wire_get_raw(&r, ESCROW_KEY, &secret.files_key));
    TRY(wire_get_raw(&r, ESCROW_KEY, &secret.index_key));
    TRY(wire_get_u64(&r, &secret.vault_size));
    TRY(record_get_raw(&r, ESCROW_HASH, secret.vault_sha256));
    TRY(wire_done(&r));
    *ret_secret = secret;
    return NULL;
}

/* ---- for officers ---- */

err_t *backup_request_put(const backup_request_t *request, buf_t *out) {
    TRY(escrow_put_head(out, "BR"));
    TRY(wire_put_bytes(out, request->request));
    TRY(wire_put_bytes(out, request->set));
    TRY(wire_put_bytes(out, request->shares));
    TRY(wire_put_i64(out, request->created));
    return record_put_text(out, LIMIT_BACKUP_LABEL, true, "label", request->label);
}

err_t *backup_request_parse(bytes_t record, backup_request_t *ret_request) {
    wire_reader_t r = wire_reader(record);
    backup_request_t request;
    TRY(escrow_get_head(&r, "BR"));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &request.request));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &request.set));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &request.shares));
    TRY(wire_get_i64(&r, &request.created));
    TRY(record_get_text(&r, LIMIT_BACKUP_LABEL, true, "label", request.label));
    TRY(wire_done(&r));
    *ret_request = request;
    return NULL;
}

err_t *backup_share_find(bytes_t shares, const char *officer, escrow_share_t *ret_share) {
    wire_reader_t r = wire_reader(shares);
    while (r.rest.n) {
        bytes_t record;
        escrow_share_t share;
        TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &record));
        TRY(escrow_share_parse(record, &share));
        if (strcmp(share.officer, officer) != 0) continue;
        *ret_share = share;
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "the backup has no share for officer %s", officer);
}
