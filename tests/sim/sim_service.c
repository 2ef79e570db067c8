/*
 * The service in memory: see sim_service.h.
 */
#include "sim_service.h"

#include "base/mem.h"
#include "crypto/digest.h"
#include "ipc/wire.h"
#include "sync/epoch.h"
#include "sync/package.h"

enum { BYTES_MAX = 64 * 1024 * 1024, PARTS_MAX = 32 };

/* ---- tables ---- */

const sim_record_t *sim_table_find(const sim_table_t *table, const uint8_t id[SYNC_HASH]) {
    for (size_t i = 0; i < table->n; i++)
        if (memcmp(table->p[i].id, id, SYNC_HASH) == 0) return &table->p[i];
    return NULL;
}

err_t *sim_table_add(sim_table_t *table, const uint8_t id[SYNC_HASH], bytes_t bytes) {
    if (table->n == table->room) {
        size_t room = table->room ? table->room * 2 : 64;
        sim_record_t *grown = mem_resize(table->p, room * sizeof *grown);
        if (!grown) return err_nomem();
        table->p = grown;
        table->room = room;
    }
    sim_record_t *record = &table->p[table->n];
    *record = (sim_record_t){.size = bytes.n};
    memcpy(record->id, id, SYNC_HASH);
    buf_init(&record->bytes, BYTES_MAX);
    TRY(buf_add(&record->bytes, bytes));
    table->n++;
    return NULL;
}

static void table_done(sim_table_t *table) {
    for (size_t i = 0; i < table->n; i++) buf_done(&table->p[i].bytes);
    mem_free(table->p);
    *table = (sim_table_t){0};
}

static err_t *table_copy(const sim_table_t *from, sim_table_t *to) {
    for (size_t i = 0; i < from->n; i++) {
        const sim_record_t *record = &from->p[i];
        TRY(sim_table_add(to, record->id, buf_bytes(&record->bytes)));
        to->p[i].size = record->size;
        to->p[i].parts = record->parts;
    }
    return NULL;
}

static bool table_knows(const sim_table_t *table, bytes_t needle) {
    for (size_t i = 0; i < table->n; i++) {
        const buf_t *bytes = &table->p[i].bytes;
        if (bytes->n >= needle.n && memmem(bytes->p, bytes->n, needle.p, needle.n)) return true;
    }
    return false;
}

/* ---- life ---- */

err_t *sim_service_new(sim_service_t **ret_service) {
    CLEANUP(sim_service_free) sim_service_t *service = mem_zalloc(sizeof *service);
    if (!service) return err_nomem();
    TRY(sync_chain_new(&service->chain));
    *ret_service = STEAL(service);
    return NULL;
}

void sim_service_free(sim_service_t *service) {
    if (!service) return;
    sync_chain_free(service->chain);
    table_done(&service->entries);
    table_done(&service->deliveries);
    table_done(&service->packages);
    table_done(&service->data);
    table_done(&service->coming);
    table_done(&service->roots);
    table_done(&service->changes);
    mem_free(service);
}

err_t *sim_service_copy(const sim_service_t *from, sim_service_t **ret_service) {
    CLEANUP(sim_service_free) sim_service_t *service = NULL;
    TRY(sim_service_new(&service));
    for (size_t i = 0; i < from->entries.n; i++)
        TRY(sync_chain_append(service->chain, buf_bytes(&from->entries.p[i].bytes)));
    TRY(table_copy(&from->entries, &service->entries));
    TRY(table_copy(&from->deliveries, &service->deliveries));
    TRY(table_copy(&from->packages, &service->packages));
    TRY(table_copy(&from->data, &service->data));
    TRY(table_copy(&from->coming, &service->coming));
    TRY(table_copy(&from->roots, &service->roots));
    TRY(table_copy(&from->changes, &service->changes));
    service->newest = from->newest;
    service->lenient = from->lenient;
    *ret_service = STEAL(service);
    return NULL;
}

/* ---- chain and deliveries ---- */

err_t *sim_service_login(const sim_service_t *service, const uint8_t device[SYNC_HASH]) {
    const sync_device_t *known = sync_chain_device(service->chain, device);
    if (service->lenient || (known && known->state == SYNC_DEVICE_ACTIVE)) return NULL;
    return err_new(ERR_DENIED, known ? "revoked" : "unknown device");
}

err_t *sim_service_chain(sim_service_t *service, uint64_t from, buf_t *out) {
    for (uint64_t i = from; i < service->entries.n; i++)
        TRY(wire_put_bytes(out, buf_bytes(&service->entries.p[i].bytes)));
    return NULL;
}

err_t *sim_service_chain_post(sim_service_t *service, bytes_t entry) {
    uint8_t hash[SYNC_HASH];
    sync_chain_entry_t parsed;
    TRY(sync_chain_entry_parse(entry, &parsed));
    TRY(digest_sha256(entry, hash));
    if (sim_table_find(&service->entries, hash)) return NULL; /* the answer was lost */
    if (parsed.position < service->entries.n)
        return err_new(ERR_EXISTS, "another entry came first");
    TRY(sync_chain_append(service->chain, entry));
    return sim_table_add(&service->entries, hash, entry);
}

err_t *sim_service_deliver(sim_service_t *service, bytes_t delivery) {
    sync_delivery_t parsed;
    TRY(sync_delivery_parse(delivery, &parsed));
    if (!service->lenient) TRY(sync_delivery_check(service->chain, &parsed));
    return sim_table_add(&service->deliveries, parsed.recipient, delivery);
}

err_t *sim_service_deliveries(sim_service_t *service, const uint8_t device[SYNC_HASH], buf_t *out) {
    for (size_t i = 0; i < service->deliveries.n; i++) {
        const sim_record_t *record = &service->deliveries.p[i];
        if (memcmp(record->id, device, SYNC_HASH) == 0)
            TRY(wire_put_bytes(out, buf_bytes(&record->bytes)));
    }
    return NULL;
}

/* ---- data ---- */

bool sim_service_has_data(const sim_service_t *service, const uint8_t root[SYNC_HASH]) {
    return sim_table_find(&service->data, root) != NULL;
}

static err_t *check_root(bytes_t bytes, const uint8_t root[SYNC_HASH]) {
    CLEANUP(sync_scan_free) sync_scan_t *scan = NULL;
    uint8_t found[SYNC_HASH];
    TRY(sync_scan_new(bytes.n, &scan));
    TRY(sync_scan_add(scan, bytes));
    TRY(sync_scan_end(scan, found));
    if (memcmp(root, found, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the data has another root than its name");
    return NULL;
}

err_t *sim_service_data_put(sim_service_t *service, const uint8_t root[SYNC_HASH], bytes_t bytes) {
    if (sim_service_has_data(service, root)) return NULL;
    TRY(check_root(bytes, root));
    return sim_table_add(&service->data, root, bytes);
}

static void upload_id(const uint8_t upload[SYNC_NODE], uint8_t ret_id[SYNC_HASH]) {
    memset(ret_id, 0, SYNC_HASH);
    memcpy(ret_id, upload, SYNC_NODE);
}

uint32_t sim_service_upload_held(const sim_service_t *service, const uint8_t upload[SYNC_NODE]) {
    uint8_t id[SYNC_HASH];
    uint32_t held = 0;
    upload_id(upload, id);
    const sim_record_t *record = sim_table_find(&service->coming, id);
    while (record && held < PARTS_MAX && record->parts >> held & 1) held++;
    return held;
}

static err_t *coming(sim_service_t *service, const uint8_t id[SYNC_HASH], uint64_t size,
                     sim_record_t **ret_record) {
    const sim_record_t *found = sim_table_find(&service->coming, id);
    if (!found) {
        TRY(sim_table_add(&service->coming, id, BYTES_NONE));
        sim_record_t *record = &service->coming.p[service->coming.n - 1];
        record->size = size;
        TRY(buf_reserve(&record->bytes, (size_t)size));
        memset(record->bytes.p, 0, (size_t)size);
        record->bytes.n = (size_t)size;
        found = record;
    }
    if (found->size != size) return err_new(ERR_INVALID, "a part of a package of another size");
    *ret_record = &service->coming.p[found - service->coming.p];
    return NULL;
}

err_t *sim_service_upload_put(sim_service_t *service, const uint8_t upload[SYNC_NODE],
                              uint64_t size, uint32_t part, bytes_t bytes) {
    sim_record_t *record = NULL;
    uint8_t id[SYNC_HASH];
    uint64_t offset = 0, length = 0;
    uint32_t parts = sync_parts(size);
    if (parts == 0 || parts > PARTS_MAX || size > BYTES_MAX)
        return err_new(ERR_LIMIT, "a package that the simulated service does not take");
    if (!sync_part(size, part, &offset, &length) || length != bytes.n)
        return err_new(ERR_INVALID, "no such part");
    upload_id(upload, id);
    TRY(coming(service, id, size, &record));
    bytes_put(record->bytes.p + offset, bytes);
    record->parts |= (uint32_t)1 << part;
    return NULL;
}

err_t *sim_service_upload_end(sim_service_t *service, const uint8_t upload[SYNC_NODE],
                              uint64_t size, const uint8_t root[SYNC_HASH]) {
    uint8_t id[SYNC_HASH];
    if (sim_service_has_data(service, root)) return NULL;
    upload_id(upload, id);
    const sim_record_t *record = sim_table_find(&service->coming, id);
    if (!record || record->size != size ||
        sim_service_upload_held(service, upload) != sync_parts(size))
        return err_new(ERR_INVALID, "parts are missing");
    TRY(check_root(buf_bytes(&record->bytes), root));
    return sim_table_add(&service->data, root, buf_bytes(&record->bytes));
}

err_t *sim_service_data(sim_service_t *service, const uint8_t root[SYNC_HASH], uint64_t offset,
                        size_t n, buf_t *out) {
    const sim_record_t *record = sim_table_find(&service->data, root);
    if (!record) return err_new(ERR_NOT_FOUND, "no such data");
    return buf_add(out, bytes_slice(buf_bytes(&record->bytes), (size_t)offset, n));
}

/* ---- packages and roots ---- */

err_t *sim_service_package_put(sim_service_t *service, bytes_t bytes) {
    sync_package_t package;
    sync_header_t header;
    uint8_t id[SYNC_HASH];
    TRY(sync_package_parse(bytes, &package));
    TRY(sync_package_id(&package, id));
    if (sim_table_find(&service->packages, id)) return NULL;
    const sim_record_t *data = sim_table_find(&service->data, package.root);
    if (!data) return err_new(ERR_INVALID, "the data of this package did not come");
    if (data->size != package.size) return err_new(ERR_VERIFY, "data of another size");
    TRY(sync_header_parse(bytes_slice(buf_bytes(&data->bytes), 0, SYNC_HEADER), &header));
    if (!service->lenient) TRY(sync_package_admit(&package, service->chain, &header, data->id));
    return sim_table_add(&service->packages, id, bytes);
}

err_t *sim_service_package(sim_service_t *service, const uint8_t id[SYNC_HASH], buf_t *out) {
    const sim_record_t *record = sim_table_find(&service->packages, id);
    if (!record) return err_new(ERR_NOT_FOUND, "no such package");
    return buf_add(out, buf_bytes(&record->bytes));
}

err_t *sim_service_root_at(sim_service_t *service, uint64_t counter, buf_t *root, buf_t *change) {
    if (counter == 0 || counter > service->roots.n) return err_new(ERR_NOT_FOUND, "no such root");
    TRY(buf_add(root, buf_bytes(&service->roots.p[counter - 1].bytes)));
    return buf_add(change, buf_bytes(&service->changes.p[counter - 1].bytes));
}

err_t *sim_service_root(sim_service_t *service, buf_t *root, buf_t *change, bool *ret_found) {
    bool found = service->roots.n > 0;
    if (found) TRY(sim_service_root_at(service, service->roots.n, root, change));
    *ret_found = found;
    return NULL;
}

static err_t *check_added(const sim_service_t *service, const sync_root_t *root,
                          const sync_change_t *change) {
    for (size_t i = 0; i < change->added.n; i += SYNC_HASH)
        if (!sim_table_find(&service->packages, change->added.p + i))
            return err_new(ERR_INVALID, "a package that the change adds did not come");
    if (!sim_table_find(&service->packages, root->folder))
        return err_new(ERR_INVALID, "the root folder's package did not come");
    return NULL;
}

err_t *sim_service_root_post(sim_service_t *service, bytes_t root, bytes_t change) {
    sync_root_t parsed;
    sync_change_t opened;
    uint8_t hash[SYNC_HASH];
    TRY(sync_root_parse(root, &parsed));
    TRY(sync_root_hash(&parsed, hash));
    if (sim_table_find(&service->roots, hash)) return NULL; /* the answer was lost */
    bool next = parsed.counter == service->newest.counter + 1;
    if (!next ||
        (service->newest.counter && memcmp(parsed.previous, service->newest.hash, SYNC_HASH) != 0))
        return err_new(ERR_EXISTS, "another root came first");
    TRY(sync_change_open(&parsed, change, &opened));
    TRY(check_added(service, &parsed, &opened));
    sync_root_seen_t newest = service->newest;
    if (service->lenient)
        newest = (sync_root_seen_t){.counter = parsed.counter, .position = parsed.position};
    else TRY(sync_root_admit(&parsed, service->chain, &newest));
    memcpy(newest.hash, hash, SYNC_HASH);
    TRY(sim_table_add(&service->changes, hash, change));
    TRY(sim_table_add(&service->roots, hash, root));
    service->newest = newest;
    return NULL;
}

bool sim_service_knows(const sim_service_t *service, bytes_t needle) {
    return table_knows(&service->entries, needle) || table_knows(&service->deliveries, needle) ||
           table_knows(&service->packages, needle) || table_knows(&service->data, needle) ||
           table_knows(&service->coming, needle) || table_knows(&service->roots, needle) ||
           table_knows(&service->changes, needle);
}
