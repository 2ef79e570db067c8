/*
 * Region keys: see epoch.h. Pure but for randomness; any thread.
 */
#include "sync/epoch.h"

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/hpke.h"
#include "crypto/kdf.h"

enum { INFO_MAX = 256 };

/* HKDF-Expand of a random key: label 00, then what it is bound to. */
static err_t *derive(const secret_t *key, const buf_t *info, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *derived = NULL;
    TRY(secret_new(SYNC_KEY, &derived));
    TRY(kdf_hkdf_expand(secret_bytes(key), buf_bytes(info), SYNC_KEY, secret_data(derived)));
    *ret_key = STEAL(derived);
    return NULL;
}

err_t *sync_epoch_commit(const secret_t *key, uint64_t epoch, uint8_t ret_commit[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    if (secret_size(key) != SYNC_KEY) return err_new(ERR_USAGE, "a region key has 32 bytes");
    TRY(buf_add(&info, BYTES_LIT("coffer/v1/sync/epoch-commit\0")));
    TRY(wire_put_u64(&info, epoch));
    return kdf_hkdf_expand(secret_bytes(key), buf_bytes(&info), SYNC_HASH, ret_commit);
}

/* The key that the former one lies under, and what that is bound to. */
static err_t *history_key(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                          buf_t *ret_info, secret_t **ret_key) {
    TRY(buf_add(ret_info, BYTES_LIT("coffer/v1/sync/epoch-history\0")));
    TRY(wire_put_u16(ret_info, SYNC_SUITE_1));
    TRY(record_put_raw(ret_info, region, SYNC_HASH));
    TRY(wire_put_u64(ret_info, epoch));
    return derive(key, ret_info, ret_key);
}

err_t *sync_epoch_history_seal(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                               const secret_t *before, const rnd_t *rnd, buf_t *out) {
    CLEANUP(buf_done) buf_t info;
    CLEANUP(secret_free) secret_t *wrapping = NULL;
    buf_init(&info, INFO_MAX);
    TRY(history_key(region, key, epoch, &info, &wrapping));
    return aead_seal(wrapping, rnd, buf_bytes(&info), secret_bytes(before), out);
}

static err_t *check_commit(const sync_chain_t *chain, const secret_t *key, uint64_t epoch) {
    const uint8_t *wanted = NULL;
    uint8_t commit[SYNC_HASH];
    bytes_t history;
    TRY(sync_chain_epoch(chain, epoch, &wanted, &history));
    TRY(sync_epoch_commit(key, epoch, commit));
    if (!bytes_eq_ct(BYTES_ARRAY(commit), bytes_make(wanted, SYNC_HASH))) return sync_refuse();
    return NULL;
}

err_t *sync_epoch_walk(const sync_chain_t *chain, const secret_t *key, uint64_t epoch,
                       uint64_t wanted, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *now = NULL;
    sync_chain_head_t head;
    TRY(sync_chain_head(chain, &head));
    if (wanted == 0 || wanted > epoch)
        return err_new(ERR_NOT_FOUND, "the key of epoch %llu does not open epoch %llu",
                       (unsigned long long)epoch, (unsigned long long)wanted);
    TRY(secret_copy(secret_bytes(key), &now));
    TRY(check_commit(chain, now, epoch));
    for (; epoch > wanted; epoch--) {
        CLEANUP(buf_done) buf_t info;
        CLEANUP(secret_free) secret_t *wrapping = NULL;
        secret_t *before = NULL;
        const uint8_t *commit = NULL;
        bytes_t history;
        buf_init(&info, INFO_MAX);
        TRY(sync_chain_epoch(chain, epoch, &commit, &history));
        TRY(history_key(head.region, now, epoch, &info, &wrapping));
        TRY(aead_open_secret(wrapping, buf_bytes(&info), history, &before));
        secret_free(now);
        now = before;
        if (secret_size(now) != SYNC_KEY) return sync_refuse();
        TRY(check_commit(chain, now, epoch - 1));
    }
    *ret_key = STEAL(now);
    return NULL;
}

err_t *sync_folder_key(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                       const uint8_t folder[SYNC_NODE], secret_t **ret_key) {
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(buf_add(&info, BYTES_LIT("coffer/v1/sync/folder-key\0")));
    TRY(wire_put_u16(&info, SYNC_SUITE_1));
    TRY(record_put_raw(&info, region, SYNC_HASH));
    TRY(wire_put_u64(&info, epoch));
    TRY(record_put_raw(&info, folder, SYNC_NODE));
    return derive(key, &info, ret_key);
}

/* ---- deliveries ---- */

/* What HPKE and the signature are bound to. */
static err_t *put_context(const sync_delivery_t *delivery, buf_t *out) {
    TRY(sync_put_head(out, "YE", delivery->suite));
    TRY(record_put_raw(out, delivery->region, SYNC_HASH));
    TRY(wire_put_u64(out, delivery->epoch));
    TRY(wire_put_u64(out, delivery->position));
    TRY(record_put_raw(out, delivery->head, SYNC_HASH));
    TRY(record_put_raw(out, delivery->sender, SYNC_HASH));
    return record_put_raw(out, delivery->recipient, SYNC_HASH);
}

err_t *sync_delivery_put(const sync_delivery_t *delivery, buf_t *out) {
    TRY(put_context(delivery, out));
    TRY(wire_put_bytes(out, delivery->enc));
    return wire_put_bytes(out, delivery->sealed);
}

err_t *sync_delivery_parse(bytes_t record, sync_delivery_t *ret_delivery) {
    sync_delivery_t d = {0};
    wire_reader_t r = wire_reader(record);
    if (record.n > LIMIT_SYNC_DELIVERY) return err_new(ERR_LIMIT, "a delivery is too long");
    TRY(sync_get_head(&r, "YE", &d.suite));
    TRY(record_get_raw(&r, SYNC_HASH, d.region));
    TRY(wire_get_u64(&r, &d.epoch));
    TRY(wire_get_u64(&r, &d.position));
    TRY(record_get_raw(&r, SYNC_HASH, d.head));
    TRY(record_get_raw(&r, SYNC_HASH, d.sender));
    TRY(record_get_raw(&r, SYNC_HASH, d.recipient));
    TRY(wire_get_bytes(&r, HPKE_ENC_SIZE, &d.enc));
    TRY(wire_get_bytes(&r, SYNC_KEY + HPKE_TAG_SIZE, &d.sealed));
    if (d.enc.n != HPKE_ENC_SIZE || d.sealed.n != SYNC_KEY + HPKE_TAG_SIZE)
        return err_new(ERR_INVALID, "a delivery of the wrong size");
    d.message = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(record_get_raw(&r, SYNC_SIGNATURE, d.signature));
    TRY(wire_done(&r));
    *ret_delivery = d;
    return NULL;
}

static err_t *hpke_info(const sync_delivery_t *delivery, buf_t *out) {
    TRY(buf_add(out, BYTES_LIT("coffer/v1/sync/delivery\0")));
    return put_context(delivery, out);
}

err_t *sync_delivery_seal(const sync_chain_t *chain, const sync_device_key_t *sender,
                          const uint8_t recipient[SYNC_HASH], const secret_t *key, buf_t *out) {
    CLEANUP(buf_done) buf_t info, sealed, record;
    sync_chain_head_t head;
    buf_init(&info, INFO_MAX + LIMIT_SYNC_DELIVERY);
    buf_init(&sealed, SYNC_KEY + HPKE_OVERHEAD);
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    TRY(sync_chain_head(chain, &head));
    const sync_device_t *to = sync_chain_device(chain, recipient);
    const sync_device_t *from = sync_chain_device(chain, sender->id);
    if (!to || to->state != SYNC_DEVICE_ACTIVE || !from || from->state != SYNC_DEVICE_ACTIVE)
        return err_new(ERR_DENIED, "keys go from active devices of the chain to active ones");
    TRY(check_commit(chain, key, head.epoch));
    sync_delivery_t d = {.suite = SYNC_SUITE_1, .epoch = head.epoch, .position = head.position};
    memcpy(d.region, head.region, SYNC_HASH);
    memcpy(d.head, head.head, SYNC_HASH);
    memcpy(d.sender, sender->id, SYNC_HASH);
    memcpy(d.recipient, recipient, SYNC_HASH);
    TRY(hpke_info(&d, &info));
    TRY(hpke_seal(HPKE_AES256_GCM, to->seal, buf_bytes(&info), BYTES_NONE, secret_bytes(key),
                  &sealed));
    d.enc = bytes_slice(buf_bytes(&sealed), 0, HPKE_ENC_SIZE);
    d.sealed = bytes_from(buf_bytes(&sealed), HPKE_ENC_SIZE);
    TRY(sync_delivery_put(&d, &record));
    bytes_t message = buf_bytes(&record);
    TRY(buf_reserve(&record, SYNC_SIGNATURE));
    message.p = record.p;
    TRY(pkey_sign(sender->content, "coffer/v1/sync/delivery", message, &record));
    return buf_add(out, buf_bytes(&record));
}

err_t *sync_delivery_check(const sync_chain_t *chain, const sync_delivery_t *d) {
    const sync_device_t *from = NULL;
    sync_chain_head_t head;
    uint64_t epoch = 0;
    TRY(sync_chain_head(chain, &head));
    TRY(sync_suite_check(d->suite, head.suite));
    if (memcmp(d->region, head.region, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "a delivery of another region");
    TRY(sync_chain_check_author(chain, d->sender, d->position, d->head, SYNC_ALL | SYNC_RECOVER,
                                &from));
    const sync_device_t *to = sync_chain_device(chain, d->recipient);
    if (!to || !sync_chain_roles_at(to, d->position))
        return err_new(ERR_DENIED, "a delivery to a device that was not active");
    TRY(sync_chain_epoch_at(chain, d->position, &epoch));
    if (d->epoch != epoch) return err_new(ERR_VERIFY, "a delivery of another epoch");
    return pkey_verify(from->content, "coffer/v1/sync/delivery", d->message,
                       BYTES_ARRAY(d->signature));
}

err_t *sync_delivery_open(const sync_chain_t *chain, const sync_delivery_t *delivery,
                          const sync_device_key_t *recipient, secret_t **ret_key) {
    CLEANUP(buf_done) buf_t info, sealed;
    CLEANUP(secret_free) secret_t *key = NULL;
    buf_init(&info, INFO_MAX + LIMIT_SYNC_DELIVERY);
    buf_init(&sealed, SYNC_KEY + HPKE_OVERHEAD);
    TRY(sync_delivery_check(chain, delivery));
    if (memcmp(delivery->recipient, recipient->id, SYNC_HASH) != 0)
        return err_new(ERR_DENIED, "a delivery to another device");
    TRY(hpke_info(delivery, &info));
    TRY(buf_add(&sealed, delivery->enc));
    TRY(buf_add(&sealed, delivery->sealed));
    TRY(hpke_open_secret(HPKE_AES256_GCM, recipient->seal, buf_bytes(&info), BYTES_NONE,
                         buf_bytes(&sealed), &key));
    TRY(check_commit(chain, key, delivery->epoch));
    *ret_key = STEAL(key);
    return NULL;
}
