/*
 * Signature packages: see package.h. Pure; any process, any thread.
 */
#include "sync/package.h"

#include "crypto/digest.h"

static const char domain[] = "coffer/v1/sync/package";

static err_t *check_parents(const sync_package_t *package) {
    if (package->parents_n > LIMIT_SYNC_PARENTS)
        return err_new(ERR_LIMIT, "a version that replaces %u", package->parents_n);
    for (size_t i = 1; i < package->parents_n; i++)
        if (memcmp(package->parents[i - 1], package->parents[i], SYNC_NODE) >= 0)
            return err_new(ERR_INVALID, "replaced versions are not ascending");
    return NULL;
}

static err_t *put_message(const sync_package_t *package, buf_t *out) {
    TRY(check_parents(package));
    TRY(sync_put_head(out, "YS", package->suite));
    TRY(record_put_raw(out, package->region, SYNC_HASH));
    TRY(record_put_raw(out, package->node, SYNC_NODE));
    TRY(record_put_raw(out, package->version, SYNC_NODE));
    TRY(wire_put_u8(out, package->parents_n));
    for (size_t i = 0; i < package->parents_n; i++)
        TRY(record_put_raw(out, package->parents[i], SYNC_NODE));
    TRY(wire_put_u64(out, package->epoch));
    TRY(record_put_raw(out, package->root, SYNC_HASH));
    TRY(wire_put_u64(out, package->size));
    TRY(record_put_raw(out, package->meta_hash, SYNC_HASH));
    TRY(record_put_raw(out, package->device, SYNC_HASH));
    TRY(wire_put_u64(out, package->position));
    return record_put_raw(out, package->head, SYNC_HASH);
}

err_t *sync_package_put(const sync_package_t *package, buf_t *out) {
    TRY(put_message(package, out));
    TRY(record_put_raw(out, package->signature, SYNC_SIGNATURE));
    return wire_put_bytes(out, package->meta);
}

static err_t *get_parents(wire_reader_t *r, sync_package_t *package) {
    TRY(wire_get_u8(r, &package->parents_n));
    if (package->parents_n > LIMIT_SYNC_PARENTS)
        return err_new(ERR_LIMIT, "a version that replaces %u", package->parents_n);
    for (size_t i = 0; i < package->parents_n; i++)
        TRY(record_get_raw(r, SYNC_NODE, package->parents[i]));
    return check_parents(package);
}

static err_t *check_meta_hash(const sync_package_t *package) {
    uint8_t hash[SYNC_HASH];
    TRY(digest_sha256(package->meta, hash));
    if (memcmp(hash, package->meta_hash, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the metadata is not what was signed");
    return NULL;
}

err_t *sync_package_parse(bytes_t record, sync_package_t *ret_package) {
    sync_package_t package = {0};
    uint64_t padded = 0;
    uint32_t chunks = 0;
    wire_reader_t r = wire_reader(record);
    if (record.n > SYNC_PACKAGE_MAX) return err_new(ERR_LIMIT, "a signature package is too long");
    TRY(sync_get_head(&r, "YS", &package.suite));
    TRY(record_get_raw(&r, SYNC_HASH, package.region));
    TRY(record_get_raw(&r, SYNC_NODE, package.node));
    TRY(record_get_raw(&r, SYNC_NODE, package.version));
    TRY(get_parents(&r, &package));
    TRY(wire_get_u64(&r, &package.epoch));
    TRY(record_get_raw(&r, SYNC_HASH, package.root));
    TRY(wire_get_u64(&r, &package.size));
    TRY(sync_package_content(package.size, &padded, &chunks));
    TRY(record_get_raw(&r, SYNC_HASH, package.meta_hash));
    TRY(record_get_raw(&r, SYNC_HASH, package.device));
    TRY(wire_get_u64(&r, &package.position));
    TRY(record_get_raw(&r, SYNC_HASH, package.head));
    package.message = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(record_get_raw(&r, SYNC_SIGNATURE, package.signature));
    TRY(wire_get_bytes(&r, LIMIT_SYNC_META, &package.meta));
    TRY(wire_done(&r));
    TRY(check_meta_hash(&package));
    *ret_package = package;
    return NULL;
}

err_t *sync_package_id(const sync_package_t *package, uint8_t ret_id[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t bytes;
    buf_init(&bytes, SYNC_PACKAGE_MAX);
    TRY(put_message(package, &bytes));
    TRY(record_put_raw(&bytes, package->signature, SYNC_SIGNATURE));
    return digest_sha256(buf_bytes(&bytes), ret_id);
}

err_t *sync_package_sign(sync_package_t *package, const sync_chain_t *chain,
                         const sync_device_key_t *device) {
    CLEANUP(buf_done) buf_t message, signature;
    sync_chain_head_t head;
    buf_init(&message, SYNC_PACKAGE_MAX);
    buf_init(&signature, SYNC_SIGNATURE);
    TRY(sync_chain_head(chain, &head));
    TRY(digest_sha256(package->meta, package->meta_hash));
    memcpy(package->device, device->id, SYNC_HASH);
    memcpy(package->head, head.head, SYNC_HASH);
    package->position = head.position;
    TRY(put_message(package, &message));
    TRY(pkey_sign(device->content, domain, buf_bytes(&message), &signature));
    memcpy(package->signature, signature.p, SYNC_SIGNATURE);
    return NULL;
}

err_t *sync_package_check(const sync_package_t *package, const sync_chain_t *chain) {
    CLEANUP(buf_done) buf_t message;
    const sync_device_t *device = NULL;
    sync_chain_head_t head;
    uint64_t epoch = 0;
    buf_init(&message, SYNC_PACKAGE_MAX);
    TRY(sync_chain_head(chain, &head));
    TRY(sync_suite_check(package->suite, 0));
    if (memcmp(package->region, head.region, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "a package of another region");
    TRY(sync_chain_check_author(chain, package->device, package->position, package->head,
                                SYNC_WRITE, &device));
    TRY(sync_chain_epoch_at(chain, package->position, &epoch));
    if (package->epoch != epoch)
        return err_new(ERR_VERIFY, "a package under the key of another epoch");
    TRY(put_message(package, &message));
    TRY(pkey_verify(device->content, domain, buf_bytes(&message), BYTES_ARRAY(package->signature)));
    return check_meta_hash(package);
}

err_t *sync_package_match(const sync_package_t *package, const sync_header_t *header) {
    const sync_data_id_t *id = &header->id;
    bool same = id->suite == package->suite && id->epoch == package->epoch &&
                memcmp(id->region, package->region, SYNC_HASH) == 0 &&
                memcmp(id->node, package->node, SYNC_NODE) == 0 &&
                memcmp(id->version, package->version, SYNC_NODE) == 0;
    return same ? NULL : err_new(ERR_VERIFY, "the data is of another version or file");
}

err_t *sync_package_admit(const sync_package_t *package, const sync_chain_t *chain,
                          const sync_header_t *header, const uint8_t root[SYNC_HASH]) {
    sync_chain_head_t head;
    TRY(sync_package_check(package, chain));
    TRY(sync_chain_head(chain, &head));
    TRY(sync_suite_check(package->suite, head.suite));
    const sync_device_t *device = sync_chain_device(chain, package->device);
    if (!device || !(sync_chain_roles_at(device, head.position) & SYNC_WRITE))
        return err_new(ERR_DENIED, "the device may not write any more");
    if (package->epoch != head.epoch)
        return err_new(ERR_DENIED, "epoch %llu has ended: fetch the device chain",
                       (unsigned long long)package->epoch);
    TRY(sync_package_match(package, header));
    if (memcmp(package->root, root, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the data is not what was signed");
    return NULL;
}
