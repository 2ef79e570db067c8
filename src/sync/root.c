/*
 * Signed roots and changes: see root.h. Pure; any process, any thread.
 */
#include "sync/root.h"

#include "crypto/digest.h"

static const char domain[] = "coffer/v1/sync/root";
static const uint8_t zeros[SYNC_HASH];

static err_t *check_counter(const sync_root_t *root) {
    bool first = memcmp(root->previous, zeros, SYNC_HASH) == 0;
    if (root->counter == 0 || root->counter > INT64_MAX || first != (root->counter == 1))
        return err_new(ERR_INVALID, "roots count from 1, and only the first has none before");
    return NULL;
}

static err_t *put_message(const sync_root_t *root, buf_t *out) {
    TRY(check_counter(root));
    TRY(sync_put_head(out, "YR", root->suite));
    TRY(record_put_raw(out, root->region, SYNC_HASH));
    TRY(wire_put_u64(out, root->counter));
    TRY(record_put_raw(out, root->previous, SYNC_HASH));
    TRY(record_put_raw(out, root->folder, SYNC_HASH));
    TRY(record_put_raw(out, root->change, SYNC_HASH));
    TRY(wire_put_i64(out, root->time));
    TRY(record_put_raw(out, root->device, SYNC_HASH));
    TRY(wire_put_u64(out, root->position));
    return record_put_raw(out, root->head, SYNC_HASH);
}

err_t *sync_root_put(const sync_root_t *root, buf_t *out) {
    TRY(put_message(root, out));
    return record_put_raw(out, root->signature, SYNC_SIGNATURE);
}

err_t *sync_root_parse(bytes_t record, sync_root_t *ret_root) {
    sync_root_t root = {0};
    wire_reader_t r = wire_reader(record);
    TRY(sync_get_head(&r, "YR", &root.suite));
    TRY(record_get_raw(&r, SYNC_HASH, root.region));
    TRY(wire_get_u64(&r, &root.counter));
    TRY(record_get_raw(&r, SYNC_HASH, root.previous));
    TRY(record_get_raw(&r, SYNC_HASH, root.folder));
    TRY(record_get_raw(&r, SYNC_HASH, root.change));
    TRY(wire_get_i64(&r, &root.time));
    TRY(record_get_raw(&r, SYNC_HASH, root.device));
    TRY(wire_get_u64(&r, &root.position));
    TRY(record_get_raw(&r, SYNC_HASH, root.head));
    TRY(record_get_raw(&r, SYNC_SIGNATURE, root.signature));
    TRY(wire_done(&r));
    TRY(check_counter(&root));
    *ret_root = root;
    return NULL;
}

err_t *sync_root_hash(const sync_root_t *root, uint8_t ret_hash[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, SYNC_ROOT_MAX);
    TRY(sync_root_put(root, &record));
    return digest_sha256(buf_bytes(&record), ret_hash);
}

err_t *sync_root_sign(sync_root_t *root, const sync_root_seen_t *before, const sync_chain_t *chain,
                      const sync_device_key_t *device) {
    CLEANUP(buf_done) buf_t message, signature;
    sync_chain_head_t head;
    buf_init(&message, SYNC_ROOT_MAX);
    buf_init(&signature, SYNC_SIGNATURE);
    TRY(sync_chain_head(chain, &head));
    root->suite = SYNC_SUITE_1;
    root->counter = before->counter + 1;
    root->position = head.position;
    memcpy(root->previous, before->counter ? before->hash : zeros, SYNC_HASH);
    memcpy(root->region, head.region, SYNC_HASH);
    memcpy(root->head, head.head, SYNC_HASH);
    memcpy(root->device, device->id, SYNC_HASH);
    TRY(put_message(root, &message));
    TRY(pkey_sign(device->content, domain, buf_bytes(&message), &signature));
    memcpy(root->signature, signature.p, SYNC_SIGNATURE);
    return NULL;
}

err_t *sync_root_check(const sync_root_t *root, const sync_chain_t *chain) {
    CLEANUP(buf_done) buf_t message;
    const sync_device_t *device = NULL;
    sync_chain_head_t head;
    buf_init(&message, SYNC_ROOT_MAX);
    TRY(sync_chain_head(chain, &head));
    if (memcmp(root->region, head.region, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "a root of another region");
    TRY(sync_suite_check(root->suite, 0));
    TRY(sync_chain_check_author(chain, root->device, root->position, root->head, SYNC_WRITE,
                                &device));
    TRY(put_message(root, &message));
    return pkey_verify(device->content, domain, buf_bytes(&message), BYTES_ARRAY(root->signature));
}

static err_t *check_order(const sync_root_t *root, const uint8_t hash[SYNC_HASH],
                          const sync_root_seen_t *seen) {
    unsigned long long counter = root->counter;
    if (root->counter < seen->counter)
        return err_new(ERR_VERIFY, "root %llu where root %llu was seen: rolled back", counter,
                       (unsigned long long)seen->counter);
    if (root->counter == seen->counter) {
        if (memcmp(hash, seen->hash, SYNC_HASH) == 0)
            return err_new(ERR_EXISTS, "root %llu was seen before", counter);
        return err_new(ERR_VERIFY, "another root %llu than the one seen: forked", counter);
    }
    if (root->counter > seen->counter + 1)
        return err_new(ERR_NOT_FOUND, "roots between %llu and %llu are missing",
                       (unsigned long long)seen->counter, counter);
    if (seen->counter && memcmp(root->previous, seen->hash, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "root %llu does not follow the one seen: forked", counter);
    if (seen->counter && root->position < seen->position)
        return err_new(ERR_VERIFY, "root %llu knows less of the device chain than the one before",
                       counter);
    return NULL;
}

err_t *sync_root_follow(const sync_root_t *root, const sync_chain_t *chain,
                        sync_root_seen_t *seen) {
    sync_root_seen_t next = {.counter = root->counter, .position = root->position};
    TRY(sync_root_check(root, chain));
    TRY(sync_root_hash(root, next.hash));
    TRY(check_order(root, next.hash, seen));
    *seen = next;
    return NULL;
}

err_t *sync_root_admit(const sync_root_t *root, const sync_chain_t *chain, sync_root_seen_t *seen) {
    sync_chain_head_t head;
    TRY(sync_chain_head(chain, &head));
    TRY(sync_suite_check(root->suite, head.suite));
    const sync_device_t *device = sync_chain_device(chain, root->device);
    if (!device || !(sync_chain_roles_at(device, head.position) & SYNC_WRITE))
        return err_new(ERR_DENIED, "the device may not write any more");
    return sync_root_follow(root, chain, seen);
}

/* ---- changes ---- */

static err_t *check_ids(bytes_t ids) {
    if (ids.n % SYNC_HASH || ids.n / SYNC_HASH > LIMIT_SYNC_CHANGES)
        return err_new(ERR_LIMIT, "a change of more than %d packages", LIMIT_SYNC_CHANGES);
    for (size_t i = SYNC_HASH; i < ids.n; i += SYNC_HASH)
        if (memcmp(ids.p + i - SYNC_HASH, ids.p + i, SYNC_HASH) >= 0)
            return err_new(ERR_INVALID, "a change's packages are not ascending");
    return NULL;
}

static err_t *check_change(const sync_change_t *change) {
    TRY(check_ids(change->added));
    TRY(check_ids(change->dropped));
    for (size_t a = 0, d = 0; a < change->added.n && d < change->dropped.n;) {
        int order = memcmp(change->added.p + a, change->dropped.p + d, SYNC_HASH);
        if (order == 0) return err_new(ERR_INVALID, "a package both added and dropped");
        if (order < 0) a += SYNC_HASH;
        if (order > 0) d += SYNC_HASH;
    }
    return NULL;
}

err_t *sync_change_put(const sync_change_t *change, buf_t *out) {
    TRY(check_change(change));
    TRY(record_put_head(out, "YG", SYNC_VERSION));
    TRY(wire_put_bytes(out, change->added));
    return wire_put_bytes(out, change->dropped);
}

err_t *sync_change_parse(bytes_t record, sync_change_t *ret_change) {
    sync_change_t change = {0};
    wire_reader_t r = wire_reader(record);
    size_t max = (size_t)LIMIT_SYNC_CHANGES * SYNC_HASH;
    TRY(record_get_head(&r, "YG", SYNC_VERSION));
    TRY(wire_get_bytes(&r, max, &change.added));
    TRY(wire_get_bytes(&r, max, &change.dropped));
    TRY(wire_done(&r));
    TRY(check_change(&change));
    *ret_change = change;
    return NULL;
}

err_t *sync_change_open(const sync_root_t *root, bytes_t record, sync_change_t *ret_change) {
    uint8_t hash[SYNC_HASH];
    TRY(digest_sha256(record, hash));
    if (memcmp(hash, root->change, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "another change than the root's");
    return sync_change_parse(record, ret_change);
}
