/*
 * What the tests of sync share: see sync_fixture.h.
 */
#include "sync_fixture.h"

static err_t *fill(const rnd_t *rnd, void *p, size_t n) {
    static unsigned counter;
    uint8_t *out = p;
    (void)rnd;
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(++counter * 2654435761u >> 24);
    return NULL;
}

const rnd_t *fixture_rnd(void) {
    static const rnd_t counting = {.fill = fill};
    return &counting;
}

sync_chain_writer_t fixture_writer(const sync_device_key_t *author) {
    return (sync_chain_writer_t){.rnd = fixture_rnd(), .author = author, .now = FIXTURE_NOW};
}

buf_t *fixture_entry(fixture_t *f) {
    assert_true(f->entries_n < FIXTURE_ENTRIES);
    buf_t *entry = &f->entries[f->entries_n++];
    buf_init(entry, LIMIT_SYNC_ENTRY);
    return entry;
}

void fixture_set_key(fixture_t *f, secret_t *key) {
    secret_free(f->key);
    f->key = key;
}

static void admit(fixture_t *f, const sync_device_key_t *device, uint8_t roles) {
    sync_chain_writer_t writer = fixture_writer(&f->laptop);
    assert_ok(sync_chain_add(&writer, f->chain, &device->card, fixture_entry(f)));
    assert_ok(sync_chain_approve(&writer, f->chain, device->id, roles, fixture_entry(f)));
}

void fixture_init(fixture_t *f) {
    *f = (fixture_t){0};
    assert_ok(crypto_init());
    const rnd_t *rnd = fixture_rnd();
    assert_ok(sync_device_key_make(rnd, "laptop", "person-1", FIXTURE_NOW, &f->laptop));
    assert_ok(sync_device_key_make(rnd, "phone", "person-1", FIXTURE_NOW, &f->phone));
    assert_ok(sync_device_key_make(rnd, "tablet", "person-1", FIXTURE_NOW, &f->tablet));
    assert_ok(sync_device_key_make(rnd, "recovery", "officers", FIXTURE_NOW, &f->recovery));
    assert_ok(sync_chain_new(&f->chain));
    sync_chain_writer_t writer = fixture_writer(&f->laptop);
    assert_ok(sync_chain_begin(&writer, f->chain, fixture_entry(f), &f->key));
    admit(f, &f->phone, SYNC_READ | SYNC_WRITE);
    admit(f, &f->recovery, SYNC_RECOVER);
}

void fixture_done(fixture_t *f) {
    sync_device_key_done(&f->laptop);
    sync_device_key_done(&f->phone);
    sync_device_key_done(&f->tablet);
    sync_device_key_done(&f->recovery);
    sync_chain_free(f->chain);
    secret_free(f->key);
    for (size_t i = 0; i < f->entries_n; i++) buf_done(&f->entries[i]);
}

sync_chain_t *fixture_replay(const fixture_t *f, size_t n) {
    sync_chain_t *chain = NULL;
    assert_ok(sync_chain_new(&chain));
    for (size_t i = 0; i < n; i++) assert_ok(sync_chain_append(chain, buf_bytes(&f->entries[i])));
    return chain;
}

static err_t *keep(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

sync_data_id_t fixture_data_id(const fixture_t *f, uint8_t node) {
    sync_chain_head_t head;
    sync_data_id_t id = {.suite = SYNC_SUITE_1};
    assert_ok(sync_chain_head(f->chain, &head));
    memcpy(id.region, head.region, SYNC_HASH);
    memset(id.node, node, SYNC_NODE);
    memset(id.version, node + 1, SYNC_NODE);
    memset(id.folder, 0xf0, SYNC_NODE);
    id.epoch = head.epoch;
    return id;
}

void fixture_blob(const fixture_t *f, uint8_t node, bytes_t content, fixture_blob_t *ret_blob) {
    sync_writer_t *writer = NULL;
    secret_t *folder_key = NULL;
    sync_data_id_t id = fixture_data_id(f, node);
    *ret_blob = (fixture_blob_t){.content = content.n};
    buf_init(&ret_blob->blob, (size_t)64 << 20);
    sync_sink_t sink = {.ctx = &ret_blob->blob, .write = keep};
    assert_ok(sync_folder_key(id.region, f->key, id.epoch, id.folder, &folder_key));
    assert_ok(sync_writer_new(&id, folder_key, fixture_rnd(), content.n, &sink, &writer));
    assert_ok(sync_writer_add(writer, content));
    assert_ok(sync_writer_end(writer, ret_blob->root, &ret_blob->size));
    ret_blob->header = *sync_writer_header(writer);
    assert_ok(secret_copy(secret_bytes(sync_writer_file_key(writer)), &ret_blob->file_key));
    sync_writer_free(writer);
    secret_free(folder_key);
}

void fixture_blob_done(fixture_blob_t *blob) {
    buf_done(&blob->blob);
    secret_free(blob->file_key);
}

sync_package_t fixture_package(const fixture_t *f, const sync_device_key_t *device,
                               const fixture_blob_t *blob, buf_t *meta) {
    const sync_data_id_t *id = &blob->header.id;
    sync_package_t package = {.suite = SYNC_SUITE_1, .epoch = id->epoch, .size = blob->size};
    sync_meta_t m = {.kind = SYNC_META_FILE, .size = blob->content, .mtime = FIXTURE_NOW};
    m.mode = 0640;
    m.name = BYTES_LIT("report.txt");
    memcpy(package.region, id->region, SYNC_HASH);
    memcpy(package.node, id->node, SYNC_NODE);
    memcpy(package.version, id->version, SYNC_NODE);
    memcpy(package.root, blob->root, SYNC_HASH);
    package.parents_n = 2;
    memset(package.parents[0], 1, SYNC_NODE);
    memset(package.parents[1], 2, SYNC_NODE);
    assert_ok(sync_meta_seal(&m, &blob->header, blob->file_key, fixture_rnd(), meta));
    package.meta = buf_bytes(meta);
    assert_ok(sync_package_sign(&package, f->chain, device));
    return package;
}
