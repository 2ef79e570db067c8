/*
 * A backup's file, its records, and an officer's request file from strangers: what parses is
 * written again as the very same bytes, and no bytes crash.
 */
#include <stdlib.h>

#include "keeper/backup_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(err_t *e, const buf_t *again, bytes_t expected) {
    if (e || !bytes_eq(buf_bytes(again), expected)) abort();
}

static void head(bytes_t record, buf_t *again) {
    static backup_head_t value;
    err_t *e = backup_head_parse(record, &value);
    buf_clear(again);
    if (!e) same(backup_head_put(&value, again), again, value.message);
    err_free(e);
}

static void secret(bytes_t record, buf_t *again) {
    backup_secret_t value;
    err_t *e = backup_secret_parse(record, &value);
    buf_clear(again);
    if (!e) same(backup_secret_put(&value, again), again, record);
    err_free(e);
}

static void request(bytes_t record, buf_t *again) {
    static backup_request_t value;
    escrow_share_t share;
    err_t *e = backup_request_parse(record, &value);
    buf_clear(again);
    if (!e) same(backup_request_put(&value, again), again, record);
    if (!e) err_ignore(backup_share_find(value.shares, "officer", &share));
    err_free(e);
}

static void index_of(bytes_t record, buf_t *again) {
    wire_reader_t r;
    uint32_t count = 0;
    err_t *e = backup_index_open(record, &r, &count);
    for (uint32_t i = 0; !e && i < count; i++) {
        backup_file_t file;
        bytes_t before = r.rest;
        e = backup_file_get(&r, &file);
        buf_clear(again);
        if (!e)
            same(backup_file_put(&file, again), again, bytes_slice(before, 0, before.n - r.rest.n));
    }
    err_free(e);
}

static void manifest(bytes_t file) {
    static backup_manifest_t value;
    err_t *e = backup_manifest_parse(file, &value);
    if (!e) e = backup_manifest_verify(&value);
    for (size_t i = 0; !e && i < value.table.n / BACKUP_ENTRY; i++)
        (void)backup_entry_get(value.table, i);
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t bytes = bytes_make(data, size);
    buf_t again;
    buf_init(&again, LIMIT_BACKUP_HEAD + 2 * size);
    head(bytes, &again);
    secret(bytes, &again);
    request(bytes, &again);
    index_of(bytes, &again);
    manifest(bytes);
    buf_done(&again);
    return 0;
}
