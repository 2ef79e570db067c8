/*
 * The formats of sync against an independent implementation: what tests/functional/sync_unseal.py
 * made holds and opens here (docs/formats/sync-vectors.txt).
 */
#include "../unit.h"

#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "sync/epoch.h"
#include "sync/folder.h"
#include "sync/link.h"
#include "sync/pack.h"
#include "sync/package.h"
#include "sync/root.h"
#include "sync/sas.h"
#include "sync/tlog.h"

enum { BUF = 256 * 1024, VALUES = 64, ENTRIES = 8 };

typedef struct {
    buf_t text;
    size_t n;
    bytes_t names[VALUES];
    buf_t values[VALUES];
    sync_chain_t *chain;
} vectors_t;

static bytes_t get(const vectors_t *v, const char *name) {
    for (size_t i = 0; i < v->n; i++)
        if (bytes_eq_str(v->names[i], name)) return buf_bytes(&v->values[i]);
    fail_msg("no vector %s", name);
    return BYTES_NONE;
}

static int setup(void **state) {
    vectors_t *v = mem_zalloc(sizeof *v);
    char name[16];
    assert_non_null(v);
    assert_ok(crypto_init());
    buf_init(&v->text, BUF);
    assert_ok(file_read(SYNC_VECTORS, &v->text));
    bytes_t rest = buf_bytes(&v->text), line;
    while (text_split(&rest, '\n', &line)) {
        size_t space = bytes_find(line, ' ');
        if (line.n == 0 || line.p[0] == '#') continue;
        assert_true(v->n < VALUES);
        v->names[v->n] = bytes_slice(line, 0, space);
        buf_init(&v->values[v->n], BUF);
        assert_ok(text_unhex(bytes_from(line, space + 1), &v->values[v->n]));
        v->n++;
    }
    assert_ok(sync_chain_new(&v->chain));
    for (unsigned i = 0; i < ENTRIES + 1; i++) {
        (void)snprintf(name, sizeof name, "entry.%u", i);
        assert_ok(sync_chain_append(v->chain, get(v, name)));
    }
    *state = v;
    return 0;
}

static int teardown(void **state) {
    vectors_t *v = *state;
    for (size_t i = 0; i < v->n; i++) buf_done(&v->values[i]);
    sync_chain_free(v->chain);
    buf_done(&v->text);
    mem_free(v);
    return 0;
}

static void same(bytes_t a, bytes_t b) {
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
}

static void test_vectors__the_chain_and_its_keys_hold(void **state) {
    const vectors_t *v = *state;
    sync_chain_head_t head;
    sync_device_key_t phone = {0};
    secret_t *key = NULL, *first = NULL;
    assert_ok(sync_chain_head(v->chain, &head));
    same(BYTES_ARRAY(head.head), get(v, "head"));
    same(BYTES_ARRAY(head.region), get(v, "region"));
    assert_int_equal(head.epoch, 5);
    assert_ok(sync_device_key_open(get(v, "device.phone"), BYTES_NONE, &phone));
    for (unsigned i = 1; i <= 2; i++) {
        sync_delivery_t d;
        char name[16];
        (void)snprintf(name, sizeof name, "delivery.%u", i);
        assert_ok(sync_delivery_parse(get(v, name), &d));
        assert_ok(sync_delivery_open(v->chain, &d, &phone, &key));
        (void)snprintf(name, sizeof name, "key.%u", i);
        same(secret_bytes(key), get(v, name));
        secret_free(key);
    }
    assert_ok(secret_copy(get(v, "key.5"), &key));
    assert_ok(sync_epoch_walk(v->chain, key, 5, 1, &first));
    same(secret_bytes(first), get(v, "key.1"));
    secret_free(first);
    secret_free(key);
    sync_device_key_done(&phone);
}

static void test_vectors__a_package_opens(void **state) {
    const vectors_t *v = *state;
    sync_package_t package;
    sync_header_t header;
    sync_meta_t meta;
    secret_t *region_key = NULL, *folder_key = NULL, *file_key = NULL;
    sync_reader_t *reader = NULL;
    sync_scan_t *scan = NULL;
    uint8_t id[SYNC_HASH], root[SYNC_HASH];
    buf_t out, storage;
    bytes_t blob = get(v, "blob"), content = get(v, "content");
    buf_init(&out, BUF);
    buf_init(&storage, BUF);
    assert_ok(sync_package_parse(get(v, "package"), &package));
    assert_ok(sync_package_check(&package, v->chain));
    assert_ok(sync_package_id(&package, id));
    same(BYTES_ARRAY(id), get(v, "package.id"));
    assert_int_equal(package.size, blob.n);
    assert_ok(sync_scan_new(package.size, &scan));
    assert_ok(sync_scan_add(scan, blob));
    assert_ok(sync_scan_end(scan, root));
    assert_memory_equal(root, package.root, SYNC_HASH);
    assert_ok(sync_scan_header(scan, &header));
    assert_ok(sync_package_match(&package, &header));
    assert_memory_equal(header.id.folder, get(v, "folder").p, SYNC_NODE);
    assert_ok(secret_copy(get(v, "key.1"), &region_key));
    assert_ok(sync_folder_key(header.id.region, region_key, 1, header.id.folder, &folder_key));
    assert_ok(sync_file_key_open(&header, folder_key, &file_key));
    assert_ok(sync_meta_open(package.meta, &header, file_key, &storage, &meta));
    assert_true(bytes_eq_str(meta.name, "fox.txt"));
    assert_int_equal(meta.size, content.n);
    assert_ok(
        sync_reader_new(bytes_slice(blob, 0, SYNC_HEADER), file_key, blob.n, content.n, &reader));
    assert_ok(sync_reader_chunk(reader, 0, bytes_from(blob, SYNC_HEADER), &out));
    same(buf_bytes(&out), content);
    sync_reader_free(reader);
    sync_scan_free(scan);
    secret_free(region_key);
    secret_free(folder_key);
    secret_free(file_key);
    buf_done(&out);
    buf_done(&storage);
}

static void test_vectors__roots_follow(void **state) {
    const vectors_t *v = *state;
    sync_root_seen_t seen = {0};
    sync_root_t root;
    sync_change_t change;
    assert_ok(sync_root_parse(get(v, "root.1"), &root));
    assert_ok(sync_root_follow(&root, v->chain, &seen));
    assert_ok(sync_change_open(&root, get(v, "change"), &change));
    assert_err(ERR_VERIFY, sync_change_open(&root, get(v, "leaf"), &change));
    assert_ok(sync_root_parse(get(v, "root.2"), &root));
    assert_ok(sync_root_follow(&root, v->chain, &seen));
    assert_int_equal(seen.counter, 2);
    assert_ok(sync_change_parse(get(v, "change"), &change));
    same(change.added, get(v, "package.id"));
}

static void test_vectors__lists_parse(void **state) {
    const vectors_t *v = *state;
    static const sync_entry_kind_t kinds[] = {SYNC_ENTRY_FOLDER, SYNC_ENTRY_FILE, SYNC_ENTRY_LINK,
                                              SYNC_ENTRY_PAGE};
    sync_folder_reader_t r;
    sync_folder_writer_t w;
    sync_entry_t e;
    sync_pack_t pack;
    sync_packed_t file;
    uint64_t offset = 0;
    bool found = false;
    buf_t again;
    buf_init(&again, BUF);
    assert_ok(sync_folder_begin(&again, &w));
    assert_ok(sync_folder_open(get(v, "folder.list"), &r));
    for (size_t i = 0; i < 4; i++) {
        assert_ok(sync_folder_next(&r, &found, &e));
        assert_true(found);
        assert_int_equal(e.kind, kinds[i]);
        assert_ok(sync_folder_add(&w, &e));
    }
    assert_ok(sync_folder_next(&r, &found, &e));
    assert_false(found);
    assert_ok(sync_folder_end(&w));
    same(buf_bytes(&again), get(v, "folder.list"));
    assert_ok(sync_pack_open(get(v, "pack.list"), &pack));
    assert_int_equal(sync_pack_size(&pack), get(v, "pack.list").n);
    assert_ok(sync_pack_file(&pack, 0, &file, &offset));
    assert_true(bytes_eq_str(bytes_slice(get(v, "pack.list"), (size_t)offset, file.size), "abc"));
    buf_done(&again);
}

static void test_vectors__joins_and_links_agree(void **state) {
    const vectors_t *v = *state;
    sync_chain_head_t head;
    sync_device_key_t laptop = {0};
    uint8_t commit[SYNC_HASH];
    char text[SYNC_SAS_TEXT];
    sync_link_t link = {0};
    secret_t *secret = NULL;
    sync_link_reader_t reader;
    sync_link_file_t file;
    sync_leaf_t leaf;
    bool found = false;
    buf_t list;
    buf_init_secret(&list, BUF);
    assert_ok(sync_chain_head(v->chain, &head));
    assert_ok(sync_device_key_open(get(v, "device.laptop"), BYTES_NONE, &laptop));
    assert_ok(sync_sas_commit(get(v, "sas.card").p, get(v, "sas.nonce").p, commit));
    same(BYTES_ARRAY(commit), get(v, "sas.commit"));
    sync_sas_t sas = {.card_id = get(v, "sas.card").p, .nonce = get(v, "sas.nonce").p};
    sas.approver = laptop.id;
    sas.approver_nonce = get(v, "sas.other").p;
    assert_ok(sync_sas_text(&head, &sas, text));
    assert_true(bytes_eq_str(get(v, "sas.text"), text));
    assert_ok(secret_copy(get(v, "link.secret"), &secret));
    assert_ok(sync_link_derive(secret, BYTES_NONE, &PASSWORD_COST_TEST, &link));
    same(BYTES_ARRAY(link.id), get(v, "link.id"));
    same(BYTES_ARRAY(link.token), get(v, "link.token"));
    assert_ok(sync_link_open(&link, get(v, "link"), &list));
    same(buf_bytes(&list), get(v, "link.list"));
    assert_ok(sync_link_list_open(buf_bytes(&list), &reader));
    assert_ok(sync_link_list_next(&reader, &found, &file));
    assert_true(found && bytes_eq_str(file.path, "dir/fox.txt"));
    assert_ok(sync_leaf_parse(get(v, "leaf"), &leaf));
    assert_memory_equal(leaf.head, head.head, SYNC_HASH);
    assert_int_equal(leaf.position, head.position);
    sync_device_key_done(&laptop);
    sync_link_done(&link);
    secret_free(secret);
    buf_done(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors__the_chain_and_its_keys_hold),
        cmocka_unit_test(test_vectors__a_package_opens),
        cmocka_unit_test(test_vectors__roots_follow),
        cmocka_unit_test(test_vectors__lists_parse),
        cmocka_unit_test(test_vectors__joins_and_links_agree),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
