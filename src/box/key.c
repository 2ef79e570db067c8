/*
 * The database's key: see key.h. In coffer-mailbox.
 */
#include "box/key.h"

#include "base/file.h"
#include "crypto/aead.h"
#include "ipc/wire.h"

enum { FILE_MAX = 1024, PART_MAX = 512, DATABASE = 32 };

#define MAGIC "COFBOXK1"

void box_key_done(box_key_t *key) {
    secret_free(STEAL(key->database));
    secret_free(STEAL(key->kek));
}

static err_t *put_aad(uint64_t epoch, buf_t *out) {
    TRY(wire_put_str(out, "coffer/v1/mailbox/database"));
    return wire_put_u64(out, epoch);
}

static err_t *write_key(const keybag_t *bag, const rnd_t *rnd, const char *path,
                        const box_key_t *key) {
    CLEANUP(buf_done) buf_t file, aad, inner, part;
    buf_init(&file, FILE_MAX);
    buf_init(&aad, PART_MAX);
    buf_init(&inner, PART_MAX);
    buf_init(&part, PART_MAX);
    TRY(put_aad(key->epoch, &aad));
    TRY(wire_put_u64(&inner, key->epoch));
    TRY(aead_seal(key->kek, rnd, buf_bytes(&aad), secret_bytes(key->database), &inner));
    TRY(buf_add_str(&file, MAGIC));
    TRY(keybag_seal(bag, KEYBAG_C, "mailbox/key", buf_bytes(&inner), &part));
    TRY(wire_put_bytes(&file, buf_bytes(&part)));
    buf_clear(&part);
    TRY(keybag_seal(bag, KEYBAG_A, "mailbox/kek", secret_bytes(key->kek), &part));
    TRY(wire_put_bytes(&file, buf_bytes(&part)));
    return file_write(path, buf_bytes(&file), 0600);
}

/* The two sealed parts; they borrow from `file`. */
static err_t *read_parts(const char *path, buf_t *file, bytes_t *ret_c, bytes_t *ret_a) {
    bytes_t magic;
    TRY(file_read(path, file));
    wire_reader_t r = wire_reader(buf_bytes(file));
    TRY(wire_get_raw(&r, sizeof MAGIC - 1, &magic));
    if (!bytes_eq_str(magic, MAGIC)) return err_new(ERR_INVALID, "%s is no mailbox's key", path);
    TRY(wire_get_bytes(&r, PART_MAX, ret_c));
    TRY(wire_get_bytes(&r, PART_MAX, ret_a));
    return wire_done(&r);
}

/* The class-C part: the epoch, and the database's key still wrapped. */
static err_t *open_inner(const keybag_t *bag, bytes_t part, buf_t *inner, uint64_t *ret_epoch,
                         bytes_t *ret_wrapped) {
    TRY(keybag_unseal(bag, KEYBAG_C, "mailbox/key", part, inner));
    wire_reader_t r = wire_reader(buf_bytes(inner));
    TRY(wire_get_u64(&r, ret_epoch));
    return wire_get_raw(&r, DATABASE + AEAD_OVERHEAD, ret_wrapped);
}

static err_t *unwrap(const secret_t *kek, uint64_t epoch, bytes_t wrapped,
                     secret_t **ret_database) {
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, PART_MAX);
    TRY(put_aad(epoch, &aad));
    return aead_open_secret(kek, buf_bytes(&aad), wrapped, ret_database);
}

err_t *box_key_create(const keybag_t *bag, const rnd_t *rnd, const char *path, box_key_t *ret_key) {
    CLEANUP(box_key_done) box_key_t key = {.epoch = 1};
    if (file_exists(path)) return err_new(ERR_EXISTS, "%s is there already", path);
    TRY(secret_random(rnd, DATABASE, &key.database));
    TRY(secret_random(rnd, BOX_KEK, &key.kek));
    TRY(write_key(bag, rnd, path, &key));
    *ret_key = key;
    key = (box_key_t){0};
    return NULL;
}

err_t *box_key_open(const keybag_t *bag, const char *path, box_key_t *ret_key) {
    CLEANUP(box_key_done) box_key_t key = {0};
    CLEANUP(buf_done) buf_t file, inner, kek;
    bytes_t c, a, wrapped;
    buf_init(&file, FILE_MAX);
    buf_init_secret(&inner, PART_MAX);
    buf_init_secret(&kek, BOX_KEK);
    TRY(read_parts(path, &file, &c, &a));
    TRY(keybag_unseal(bag, KEYBAG_A, "mailbox/kek", a, &kek));
    TRY(secret_copy(buf_bytes(&kek), &key.kek));
    TRY(open_inner(bag, c, &inner, &key.epoch, &wrapped));
    TRY(unwrap(key.kek, key.epoch, wrapped, &key.database));
    *ret_key = key;
    key = (box_key_t){0};
    return NULL;
}

err_t *box_key_renew(const keybag_t *bag, const rnd_t *rnd, const char *path, uint64_t least,
                     box_key_t *key) {
    CLEANUP(secret_free) secret_t *kek = NULL;
    box_key_t next = *key;
    next.epoch = (least > key->epoch ? least : key->epoch) + 1;
    TRY(secret_random(rnd, BOX_KEK, &kek));
    next.kek = kek;
    TRY(write_key(bag, rnd, path, &next));
    secret_free(key->kek);
    key->kek = STEAL(kek);
    key->epoch = next.epoch;
    return NULL;
}

err_t *box_key_epoch(const keybag_t *bag, const char *path, uint64_t *ret_epoch) {
    CLEANUP(buf_done) buf_t file, inner;
    bytes_t c, a, wrapped;
    buf_init(&file, FILE_MAX);
    buf_init_secret(&inner, PART_MAX);
    TRY(read_parts(path, &file, &c, &a));
    return open_inner(bag, c, &inner, ret_epoch, &wrapped);
}

err_t *box_key_open_leased(const keybag_t *bag, const char *path, bytes_t kek,
                           secret_t **ret_database) {
    CLEANUP(buf_done) buf_t file, inner;
    CLEANUP(secret_free) secret_t *by = NULL;
    uint64_t epoch = 0;
    bytes_t c, a, wrapped;
    buf_init(&file, FILE_MAX);
    buf_init_secret(&inner, PART_MAX);
    if (kek.n != BOX_KEK) return err_new(ERR_VERIFY, "a lease of another kind of key");
    TRY(secret_copy(kek, &by));
    TRY(read_parts(path, &file, &c, &a));
    TRY(open_inner(bag, c, &inner, &epoch, &wrapped));
    return unwrap(by, epoch, wrapped, ret_database);
}
