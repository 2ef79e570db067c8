/*
 * Making, opening, locking a keybag, and sealing to its classes: see keybag.h. On the device.
 */
#include "keybag/keybag.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/kdf.h"
#include "ipc/wire.h"
#include "keybag/keybag_internal.h"

enum { BOOT_TEXT = 64, INFO_MAX = 64 + KEYBAG_ID + KEYBAG_CONTEXT_MAX };

void anchor_free(anchor_t *anchor) {
    if (anchor) anchor->ops->free(anchor);
}

err_t *keybag_boot(uint8_t ret_boot[16]) {
    CLEANUP(buf_done) buf_t text, hex, raw;
    buf_init(&text, BOOT_TEXT);
    buf_init(&hex, BOOT_TEXT);
    buf_init(&raw, 16);
    TRY(file_read("/proc/sys/kernel/random/boot_id", &text));
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '-' && text.p[i] != '\n') TRY(buf_add_byte(&hex, text.p[i]));
    TRY(text_unhex(buf_bytes(&hex), &raw));
    if (raw.n != 16) return err_new(ERR_INTERNAL, "the kernel has an odd boot_id");
    memcpy(ret_boot, raw.p, 16);
    return NULL;
}

void keybag_wipe_keys(keybag_t *bag, bool all) {
    for (unsigned i = 0; i < KEYBAG_CLASSES; i++)
        if (all || i == KEYBAG_A || i == KEYBAG_B) secret_free(STEAL(bag->keys[i]));
}

void keybag_free(keybag_t *bag) {
    if (!bag) return;
    keybag_wipe_keys(bag, true);
    secret_free(bag->uid);
    pkey_free(bag->b_public);
    anchor_free(bag->anchor);
    mem_free(bag->path);
    mem_free(bag->tries_path);
    mem_free(bag);
}

/* Takes over the anchor, also on failure. */
static err_t *make(const keybag_env_t *env, const char *path, anchor_t *anchor,
                   keybag_t **ret_bag) {
    keybag_t *made = mem_zalloc(sizeof *made);
    if (!made) {
        anchor_free(anchor);
        return err_nomem();
    }
    CLEANUP(keybag_free) keybag_t *bag = made;
    bag->anchor = anchor;
    bag->env = *env;
    bag->path = mem_strdup(path);
    bag->tries_path = mem_printf("%s.tries", path);
    if (!bag->path || !bag->tries_path) return err_nomem();
    TRY(anchor->ops->uid(anchor, &bag->uid));
    *ret_bag = STEAL(bag);
    return NULL;
}

err_t *keybag_check_passcode(bytes_t passcode) {
    if (passcode.n < LIMIT_PASSCODE_MIN || passcode.n > LIMIT_PASSWORD_MAX)
        return err_new(ERR_USAGE, "a passcode has %d to %d characters", LIMIT_PASSCODE_MIN,
                       LIMIT_PASSWORD_MAX);
    return NULL;
}

err_t *keybag_save(const keybag_t *bag) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, KEYBAG_FILE);
    TRY(keybag_file_write(&bag->file, bag->uid, &out));
    return file_write(bag->path, buf_bytes(&out), 0600);
}

static err_t *wrap_one(const keybag_t *bag, keybag_file_t *file, unsigned cls, const secret_t *by) {
    CLEANUP(buf_done) buf_t aad, sealed;
    buf_init(&aad, INFO_MAX);
    buf_init(&sealed, KEYBAG_WRAPPED);
    TRY(keybag_class_aad(file, cls, &aad));
    TRY(aead_seal(by, bag->env.rnd, buf_bytes(&aad), secret_bytes(bag->keys[cls]), &sealed));
    bytes_put(file->wrapped[cls], buf_bytes(&sealed));
    return NULL;
}

err_t *keybag_wrap(const keybag_t *bag, keybag_file_t *file, bytes_t passcode, secret_t **ret_auth,
                   secret_t **ret_slot) {
    CLEANUP(secret_free) secret_t *argon = NULL, *auth = NULL, *slot = NULL, *by = NULL;
    TRY(rnd_fill(bag->env.rnd, file->salt, sizeof file->salt));
    TRY(secret_random(bag->env.rnd, KEYBAG_KEY, &slot));
    TRY(password_derive(passcode, BYTES_ARRAY(file->salt), &file->cost, KEYBAG_KEY, &argon));
    TRY(keybag_slot_auth(file, bag->uid, argon, &auth));
    TRY(keybag_passcode_key(file, bag->uid, argon, slot, &by));
    for (unsigned i = KEYBAG_A; i <= KEYBAG_C; i++) TRY(wrap_one(bag, file, i, by));
    *ret_auth = STEAL(auth);
    *ret_slot = STEAL(slot);
    return NULL;
}

static err_t *load_b_public(keybag_t *bag) {
    pkey_free(STEAL(bag->b_public));
    return pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(bag->file.b_public), &bag->b_public);
}

static err_t *make_keys(keybag_t *bag) {
    CLEANUP(pkey_free) pkey_t *b = NULL;
    for (unsigned i = 0; i < KEYBAG_CLASSES; i++)
        TRY(secret_random(bag->env.rnd, KEYBAG_KEY, &bag->keys[i]));
    TRY(pkey_from_raw_private(PKEY_X25519, secret_bytes(bag->keys[KEYBAG_B]), &b));
    TRY(pkey_raw_public(b, bag->file.b_public));
    return load_b_public(bag);
}

static err_t *fill(keybag_t *bag, bytes_t passcode) {
    CLEANUP(secret_free) secret_t *auth = NULL, *slot = NULL, *device = NULL;
    const anchor_ops_t *ops = bag->anchor->ops;
    TRY(make_keys(bag));
    TRY(keybag_device_key(&bag->file, bag->uid, &device));
    TRY(wrap_one(bag, &bag->file, KEYBAG_D, device));
    TRY(keybag_wrap(bag, &bag->file, passcode, &auth, &slot));
    TRY(ops->count(bag->anchor, &bag->file.base));
    TRY(ops->put(bag->anchor, bag->file.slot, secret_bytes(auth), secret_bytes(slot)));
    return keybag_save(bag);
}

err_t *keybag_create(const keybag_env_t *env, const char *path, anchor_t *anchor, uint32_t place,
                     bytes_t passcode, const password_cost_t *cost, keybag_t **ret_bag) {
    CLEANUP(keybag_free) keybag_t *bag = NULL;
    TRY(make(env, path, anchor, &bag));
    bag->file.kind = anchor->ops->kind;
    bag->file.place = place;
    bag->file.generation = 1;
    bag->file.cost = *cost;
    err_t *e = keybag_check_passcode(passcode);
    if (!e && file_exists(path)) e = err_new(ERR_EXISTS, "%s is there already", path);
    if (!e) e = rnd_fill(env->rnd, bag->file.id, sizeof bag->file.id);
    if (!e) e = fill(bag, passcode);
    if (e) {
        err_ignore(anchor->ops->destroy(anchor));
        return e;
    }
    *ret_bag = STEAL(bag);
    return NULL;
}

err_t *keybag_peek(const char *path, keybag_kind_t *ret_kind, uint32_t *ret_place) {
    CLEANUP(buf_done) buf_t data;
    keybag_file_t file;
    buf_init(&data, KEYBAG_FILE);
    TRY(file_read(path, &data));
    TRY_WRAP(keybag_file_parse(buf_bytes(&data), &file), "%s", path);
    *ret_kind = file.kind;
    *ret_place = file.place;
    return NULL;
}

err_t *keybag_drop_other(keybag_t *bag) {
    return bag->anchor->ops->drop(bag->anchor, 1U - bag->file.slot);
}

static err_t *open_device_class(keybag_t *bag) {
    CLEANUP(secret_free) secret_t *device = NULL;
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, INFO_MAX);
    TRY(keybag_device_key(&bag->file, bag->uid, &device));
    TRY(keybag_class_aad(&bag->file, KEYBAG_D, &aad));
    return aead_open_secret(device, buf_bytes(&aad), BYTES_ARRAY(bag->file.wrapped[KEYBAG_D]),
                            &bag->keys[KEYBAG_D]);
}

err_t *keybag_open(const keybag_env_t *env, const char *path, anchor_t *anchor,
                   keybag_t **ret_bag) {
    CLEANUP(keybag_free) keybag_t *bag = NULL;
    CLEANUP(buf_done) buf_t data;
    buf_init(&data, KEYBAG_FILE);
    TRY(make(env, path, anchor, &bag));
    TRY(file_read(path, &data));
    TRY_WRAP(keybag_file_parse(buf_bytes(&data), &bag->file), "%s", path);
    TRY_WRAP(keybag_file_check(buf_bytes(&data), bag->uid), "%s", path);
    TRY(load_b_public(bag));
    TRY(open_device_class(bag));
    *ret_bag = STEAL(bag);
    return NULL;
}

/* ---- locking ---- */

static void lock_now(keybag_t *bag) {
    bag->locking = false;
    keybag_wipe_keys(bag, false);
}

void keybag_lock(keybag_t *bag, int64_t after_ms) {
    if (!bag->keys[KEYBAG_A]) return;
    if (after_ms <= 0) {
        lock_now(bag);
        return;
    }
    int64_t at = clk_mono_ms(bag->env.clk) + after_ms;
    if (!bag->locking || at < bag->lock_at) bag->lock_at = at; /* never later than promised */
    bag->locking = true;
}

bool keybag_tick(keybag_t *bag) {
    if (!bag->locking || clk_mono_ms(bag->env.clk) < bag->lock_at) return false;
    lock_now(bag);
    return true;
}

int64_t keybag_due(const keybag_t *bag) {
    if (!bag->locking) return -1;
    int64_t left = bag->lock_at - clk_mono_ms(bag->env.clk);
    return left > 0 ? left : 0;
}

err_t *keybag_destroy(keybag_t *bag) {
    keybag_wipe_keys(bag, true);
    bag->locking = false;
    bag->destroyed = true;
    TRY(bag->anchor->ops->destroy(bag->anchor));
    if (unlink(bag->path) != 0 && errno != ENOENT)
        return err_errno(errno, "cannot remove %s", bag->path);
    (void)unlink(bag->tries_path);
    return NULL;
}

err_t *keybag_state(keybag_t *bag, keybag_state_t *ret_state) {
    uint64_t count = bag->file.base;
    keybag_state_t state = {.unlocked = bag->keys[KEYBAG_A] != NULL,
                            .locking = bag->locking,
                            .first = bag->keys[KEYBAG_C] != NULL,
                            .destroyed = bag->destroyed,
                            .generation = bag->file.generation,
                            .kind = bag->file.kind};
    if (!bag->destroyed) {
        TRY(bag->anchor->ops->count(bag->anchor, &count));
        TRY(keybag_tries_wait(bag, count, &state.wait_ms));
        uint64_t failed = count - bag->file.base;
        state.tries_left = failed < KEYBAG_TRIES ? (unsigned)(KEYBAG_TRIES - failed) : 0;
        state.destroyed = state.tries_left == 0;
    }
    *ret_state = state;
    return NULL;
}

/* ---- sealing ---- */

/* What an item is bound to. */
static err_t *put_info(const keybag_t *bag, keybag_class_t cls, const char *context, buf_t *out) {
    TRY(wire_put_str(out, "coffer/v1/keybag/item"));
    TRY(buf_add(out, BYTES_ARRAY(bag->file.id)));
    TRY(wire_put_u8(out, (uint8_t)('A' + (unsigned)cls)));
    return wire_put_str(out, context);
}

static err_t *need(const keybag_t *bag, keybag_class_t cls) {
    if (bag->keys[cls]) return NULL;
    return err_new(ERR_DENIED, bag->destroyed    ? "the keybag was destroyed"
                               : cls == KEYBAG_C ? "locked since the device was started"
                                                 : "locked");
}

/* Never the class key itself: one key a use. */
static err_t *item_key(const keybag_t *bag, keybag_class_t cls, secret_t **ret_key) {
    uint8_t letter = (uint8_t)('A' + (unsigned)cls);
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(buf_add_str(&info, "coffer/v1/keybag/items"));
    TRY(buf_add_byte(&info, letter));
    return kdf_hkdf(BYTES_ARRAY(bag->file.id), secret_bytes(bag->keys[cls]), buf_bytes(&info),
                    KEYBAG_KEY, ret_key);
}

err_t *keybag_seal(const keybag_t *bag, keybag_class_t cls, const char *context, bytes_t plain,
                   buf_t *out) {
    CLEANUP(secret_free) secret_t *key = NULL;
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(put_info(bag, cls, context, &info));
    if (cls == KEYBAG_B)
        return hpke_seal(HPKE_AES256_GCM, bag->b_public, buf_bytes(&info), BYTES_NONE, plain, out);
    TRY(need(bag, cls));
    TRY(item_key(bag, cls, &key));
    return aead_seal(key, bag->env.rnd, buf_bytes(&info), plain, out);
}

err_t *keybag_unseal(const keybag_t *bag, keybag_class_t cls, const char *context, bytes_t sealed,
                     buf_t *out) {
    CLEANUP(secret_free) secret_t *key = NULL;
    CLEANUP(pkey_free) pkey_t *b = NULL;
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(need(bag, cls));
    TRY(put_info(bag, cls, context, &info));
    if (cls == KEYBAG_B) {
        TRY(pkey_from_raw_private(PKEY_X25519, secret_bytes(bag->keys[cls]), &b));
        return hpke_open(HPKE_AES256_GCM, b, buf_bytes(&info), BYTES_NONE, sealed, out);
    }
    TRY(item_key(bag, cls, &key));
    return aead_open(key, buf_bytes(&info), sealed, out);
}
