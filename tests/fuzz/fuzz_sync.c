/*
 * The records of sync from strangers: what parses is written again as the very same bytes, what is
 * read within a record stays inside it, and no bytes crash.
 */
#include <stdlib.h>

#include "base/text.h"
#include "sync/chain_entry.h"
#include "sync/device_key.h"
#include "sync/epoch.h"
#include "sync/folder.h"
#include "sync/link_terms.h"
#include "sync/name.h"
#include "sync/pack.h"
#include "sync/package.h"
#include "sync/root.h"
#include "sync/share.h"
#include "sync/tlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether writing gave back what was read; a record has one form. */
static void same(err_t *e, const buf_t *again, bytes_t record) {
    if (e || !bytes_eq(buf_bytes(again), record)) abort();
}

#define TRY_RECORD(type, parse, put, wanted)                                                       \
    do {                                                                                           \
        static type value;                                                                         \
        err_t *e = parse(record, &value);                                                          \
        if (!e) {                                                                                  \
            buf_clear(&again);                                                                     \
            same(put(&value, &again), &again, wanted);                                             \
        }                                                                                          \
        err_free(e);                                                                               \
    } while (0)

static void folder(bytes_t record, buf_t *again) {
    sync_folder_reader_t reader;
    sync_folder_writer_t writer;
    sync_entry_t entry;
    bool found = false;
    err_t *e = sync_folder_open(record, &reader);
    buf_clear(again);
    if (!e && sync_folder_begin(again, &writer)) abort();
    while (!e) {
        e = sync_folder_next(&reader, &found, &entry);
        if (e || !found) break;
        if (sync_folder_add(&writer, &entry)) abort();
    }
    if (!e) same(sync_folder_end(&writer), again, record);
    err_free(e);
}

static void pack(bytes_t record) {
    sync_pack_t list;
    sync_packed_t file;
    uint64_t offset = 0;
    err_t *e = sync_pack_open(record, &list);
    if (!e) {
        if (sync_pack_file(&list, list.n - 1, &file, &offset)) abort();
        if (offset + file.size != sync_pack_size(&list)) abort();
    }
    err_free(e);
}

static void link_list(bytes_t record) {
    sync_link_reader_t reader;
    sync_link_file_t file;
    bool found = true;
    err_t *e = sync_link_list_open(record, &reader);
    while (!e && found) e = sync_link_list_next(&reader, &found, &file);
    err_free(e);
}

/* A link that is taken is written again as it stands, but for white space around it. */
static void link_url(bytes_t text, buf_t *again) {
    sync_link_url_t url = {0};
    sync_link_t link = {0};
    err_t *e = sync_link_url_parse(text, &url);
    if (!e) {
        memcpy(link.id, url.id, sizeof link.id);
        buf_clear(again);
        same(sync_link_url_put(url.origin, &link, url.secret, url.password, again), again,
             text_trim(text));
    }
    sync_link_url_done(&url);
    err_free(e);
}

static void key_file(bytes_t record) {
    sync_device_key_t key = {0};
    bool sealed = true;
    err_t *e = sync_device_key_sealed(record, &sealed);
    if (!e && !sealed) e = sync_device_key_open(record, BYTES_NONE, &key);
    sync_device_key_done(&key);
    err_free(e);
}

/* Folding twice gives what folding once gave. */
static void name(bytes_t record, buf_t *again) {
    buf_clear(again);
    if (sync_name_fold(record, again)) abort();
    if (again->n == 0 || again->n > LIMIT_SYNC_FILE_NAME) return;
    buf_t twice;
    buf_init(&twice, LIMIT_SYNC_FOLD);
    if (sync_name_fold(buf_bytes(again), &twice)) abort();
    if (!bytes_eq(buf_bytes(&twice), buf_bytes(again))) abort();
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t record = bytes_make(data, size);
    buf_t again;
    if (crypto_init()) abort();
    buf_init(&again, (size_t)8 << 20);
    TRY_RECORD(sync_card_t, sync_card_parse, sync_card_put, record);
    TRY_RECORD(sync_chain_entry_t, sync_chain_entry_parse, sync_chain_entry_put, value.message);
    TRY_RECORD(sync_delivery_t, sync_delivery_parse, sync_delivery_put, value.message);
    TRY_RECORD(sync_header_t, sync_header_parse, sync_header_put, record);
    TRY_RECORD(sync_package_t, sync_package_parse, sync_package_put, record);
    TRY_RECORD(sync_meta_t, sync_meta_parse, sync_meta_put, record);
    TRY_RECORD(sync_root_t, sync_root_parse, sync_root_put, record);
    TRY_RECORD(sync_change_t, sync_change_parse, sync_change_put, record);
    TRY_RECORD(sync_link_terms_t, sync_link_terms_parse, sync_link_terms_put, record);
    TRY_RECORD(sync_members_t, sync_members_parse, sync_members_put, record);
    TRY_RECORD(sync_leaf_t, sync_leaf_parse, sync_leaf_put, record);
    folder(record, &again);
    pack(record);
    link_list(record);
    link_url(record, &again);
    key_file(record);
    name(record, &again);
    buf_done(&again);
    return 0;
}
