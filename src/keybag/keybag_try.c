/*
 * Judging passcodes and changing them: see keybag.h. Whatever step is the last one before a power
 * cut, the count of tries has not gone back and exactly one of the old and the new passcode opens
 * the bag. On the device.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "ipc/wire.h"
#include "keybag/keybag_internal.h"

enum {
    RECORD = 8 + 16 + 8, /* count, boot, monotonic time of the last try */
    RECORD_FILE = RECORD + DIGEST_SHA256_SIZE,
    INFO_MAX = 128,
};

/* How long after the nth wrong passcode the next is taken, in seconds. */
static const int64_t waits_s[KEYBAG_TRIES + 1] = {0, 0, 0, 0, 0, 60, 300, 900, 900, 3600, 0};

static err_t *record_mac(const keybag_t *bag, bytes_t record, uint8_t ret_mac[DIGEST_SHA256_SIZE]) {
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(kdf_hkdf(BYTES_ARRAY(bag->file.id), secret_bytes(bag->uid),
                 BYTES_LIT("coffer/v1/keybag/tries"), KEYBAG_KEY, &key));
    return digest_hmac_sha256(secret_bytes(key), record, ret_mac);
}

static err_t *record_write(const keybag_t *bag, uint64_t count) {
    CLEANUP(buf_done) buf_t out;
    uint8_t mac[DIGEST_SHA256_SIZE];
    buf_init(&out, RECORD_FILE);
    TRY(wire_put_u64(&out, count));
    TRY(buf_add(&out, BYTES_ARRAY(bag->env.boot)));
    TRY(wire_put_i64(&out, clk_mono_ms(bag->env.clk)));
    TRY(record_mac(bag, buf_bytes(&out), mac));
    TRY(buf_add(&out, BYTES_ARRAY(mac)));
    return file_write(bag->tries_path, buf_bytes(&out), 0600);
}

/* When the last try was, if that is known and was since this start of the system. */
static err_t *record_read(const keybag_t *bag, uint64_t count, int64_t *ret_at) {
    CLEANUP(buf_done) buf_t data;
    uint8_t mac[DIGEST_SHA256_SIZE];
    uint64_t counted = 0;
    int64_t at = 0;
    bytes_t boot;
    buf_init(&data, RECORD_FILE);
    err_t *e = file_read(bag->tries_path, &data);
    if (e && (err_code(e) == ERR_NOT_FOUND || err_code(e) == ERR_LIMIT)) {
        err_free(e);
        return NULL;
    }
    if (e) return e;
    if (data.n != RECORD_FILE) return NULL;
    TRY(record_mac(bag, bytes_slice(buf_bytes(&data), 0, RECORD), mac));
    if (!bytes_eq_ct(bytes_from(buf_bytes(&data), RECORD), BYTES_ARRAY(mac))) return NULL;
    wire_reader_t r = wire_reader(buf_bytes(&data));
    TRY(wire_get_u64(&r, &counted));
    TRY(wire_get_raw(&r, 16, &boot));
    TRY(wire_get_i64(&r, &at));
    if (counted == count && bytes_eq(boot, BYTES_ARRAY(bag->env.boot))) *ret_at = at;
    return NULL;
}

/*
 * The wall clock, which can be set, plays no part: after a restart, or if the record is gone, the
 * time since the system's start counts.
 */
err_t *keybag_tries_wait(keybag_t *bag, uint64_t count, int64_t *ret_wait_ms) {
    int64_t since = 0, now = clk_mono_ms(bag->env.clk);
    if (count < bag->file.base) return err_new(ERR_VERIFY, "the device's count of tries went back");
    uint64_t failed = count - bag->file.base;
    int64_t wait = failed <= KEYBAG_TRIES ? waits_s[failed] * 1000 : 0;
    if (!wait) {
        *ret_wait_ms = 0;
        return NULL;
    }
    TRY(record_read(bag, count, &since));
    if (since > now) since = now;
    int64_t left = since + wait - now;
    *ret_wait_ms = left > 0 ? left : 0;
    return NULL;
}

static err_t *destroyed(keybag_t *bag) {
    err_t *e = keybag_destroy(bag);
    if (e) return e;
    return err_new(ERR_DENIED, "%d wrong passcodes: the keys are destroyed", KEYBAG_TRIES);
}

/* Counts the try, durably, before it is judged. */
static err_t *begin(keybag_t *bag, uint64_t *ret_count) {
    uint64_t count = 0;
    int64_t wait = 0;
    if (bag->destroyed) return err_new(ERR_DENIED, "the keybag was destroyed");
    TRY(bag->anchor->ops->count(bag->anchor, &count));
    TRY(keybag_tries_wait(bag, count, &wait));
    if (count - bag->file.base >= KEYBAG_TRIES) return destroyed(bag);
    if (wait)
        return err_new(ERR_BUSY, "too many wrong passcodes: wait %lld seconds",
                       (long long)((wait + 999) / 1000));
    TRY(bag->anchor->ops->ready(bag->anchor));
    TRY(record_write(bag, count)); /* a disk that takes nothing must cost no try */
    TRY(bag->anchor->ops->raise(bag->anchor, &count));
    TRY(record_write(bag, count));
    *ret_count = count;
    return NULL;
}

static err_t *unwrap_one(const keybag_t *bag, unsigned cls, const secret_t *by,
                         secret_t **ret_key) {
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, INFO_MAX);
    TRY(keybag_class_aad(&bag->file, cls, &aad));
    return aead_open_secret(by, buf_bytes(&aad), BYTES_ARRAY(bag->file.wrapped[cls]), ret_key);
}

/* ERR_AUTH: by the anchor's word, or since nothing opens. */
static err_t *open_keys(keybag_t *bag, bytes_t passcode, secret_t *keys[KEYBAG_B + 2]) {
    CLEANUP(secret_free) secret_t *argon = NULL, *auth = NULL, *slot = NULL, *by = NULL;
    TRY(password_derive(passcode, BYTES_ARRAY(bag->file.salt), &bag->file.cost, KEYBAG_KEY,
                        &argon));
    TRY(keybag_slot_auth(&bag->file, bag->uid, argon, &auth));
    TRY(bag->anchor->ops->get(bag->anchor, bag->file.slot, secret_bytes(auth), &slot));
    TRY(keybag_passcode_key(&bag->file, bag->uid, argon, slot, &by));
    for (unsigned i = KEYBAG_A; i <= KEYBAG_C; i++) {
        err_t *e = unwrap_one(bag, i, by, &keys[i]);
        if (e) return err_code(e) == ERR_VERIFY ? err_recode(e, ERR_AUTH) : e;
    }
    return NULL;
}

static err_t *wrong(keybag_t *bag, uint64_t count, err_t *why) {
    uint64_t failed = count - bag->file.base;
    err_free(why);
    if (failed >= KEYBAG_TRIES) return destroyed(bag);
    return err_new(ERR_AUTH, "wrong passcode; %u tries are left",
                   (unsigned)(KEYBAG_TRIES - failed));
}

static void take_keys(keybag_t *bag, secret_t *keys[KEYBAG_B + 2]) {
    for (unsigned i = KEYBAG_A; i <= KEYBAG_C; i++) {
        secret_free(bag->keys[i]);
        bag->keys[i] = STEAL(keys[i]);
    }
    bag->locking = false;
}

/* What was counted for a passcode that proved right no longer counts. */
static err_t *settle(keybag_t *bag, uint64_t count) {
    uint64_t before = bag->file.base;
    bag->file.base = count;
    err_t *e = keybag_save(bag);
    if (e) bag->file.base = before;
    return e;
}

err_t *keybag_unlock(keybag_t *bag, bytes_t passcode) {
    secret_t *keys[KEYBAG_B + 2] = {NULL};
    uint64_t count = 0;
    TRY(begin(bag, &count));
    err_t *e = open_keys(bag, passcode, keys);
    if (e && err_code(e) == ERR_AUTH) e = wrong(bag, count, e);
    else if (!e) e = settle(bag, count);
    if (!e) e = keybag_drop_other(bag);
    if (!e) take_keys(bag, keys);
    for (unsigned i = KEYBAG_A; i <= KEYBAG_C; i++) secret_free(keys[i]);
    return e;
}

err_t *keybag_change(keybag_t *bag, bytes_t old_passcode, bytes_t new_passcode) {
    CLEANUP(secret_free) secret_t *auth = NULL, *slot = NULL;
    const anchor_ops_t *ops = bag->anchor->ops;
    TRY(keybag_check_passcode(new_passcode));
    TRY(keybag_unlock(bag, old_passcode));
    keybag_file_t next = bag->file, before = bag->file;
    next.generation++;
    next.slot = (uint8_t)(1 - next.slot);
    TRY(keybag_wrap(bag, &next, new_passcode, &auth, &slot));
    TRY(ops->raise(bag->anchor, &next.base));
    TRY(ops->put(bag->anchor, next.slot, secret_bytes(auth), secret_bytes(slot)));
    bag->file = next; /* from its rename on the new passcode is the one */
    err_t *e = keybag_save(bag);
    if (e) {
        bag->file = before;
        return e;
    }
    return keybag_drop_other(bag);
}
