/*
 * A device's key file: see device_key.h. On the device.
 */
#include "sync/device_key.h"

#include "crypto/aead.h"

enum {
    KEYS = 3 * SYNC_KEY,
    CARD_MAX = 2048,
    PASSES_MAX = 16,
    MEMORY_KIB_MAX = 1024 * 1024,
    CLEAR = 0,
    PASSPHRASE = 1,
};

void sync_device_key_done(sync_device_key_t *key) {
    secret_free(key->raw);
    pkey_free(key->login);
    pkey_free(key->content);
    pkey_free(key->seal);
    *key = (sync_device_key_t){0};
}

static err_t *load(sync_device_key_t *key) {
    bytes_t raw = secret_bytes(key->raw);
    TRY(pkey_from_raw_private(PKEY_ED25519, bytes_slice(raw, 0, SYNC_KEY), &key->login));
    TRY(pkey_from_raw_private(PKEY_ED25519, bytes_slice(raw, SYNC_KEY, SYNC_KEY), &key->content));
    return pkey_from_raw_private(PKEY_X25519, bytes_slice(raw, 2 * SYNC_KEY, SYNC_KEY), &key->seal);
}

static err_t *copy_text(char *out, size_t max, const char *text, const char *what) {
    size_t n = strlen(text);
    if (n > max) return err_new(ERR_LIMIT, "%s has more than %zu bytes", what, max);
    memcpy(out, text, n + 1);
    return NULL;
}

err_t *sync_device_key_make(const rnd_t *rnd, const char *name, const char *person, int64_t now,
                            sync_device_key_t *ret_key) {
    CLEANUP(sync_device_key_done) sync_device_key_t key = {0};
    key.card.suite = SYNC_SUITE_1;
    key.card.created = now;
    TRY(copy_text(key.card.name, LIMIT_SYNC_NAME, name, "a device's name"));
    TRY(copy_text(key.card.person, LIMIT_SYNC_PERSON, person, "a person's id"));
    TRY(secret_random(rnd, KEYS, &key.raw));
    TRY(load(&key));
    TRY(pkey_raw_public(key.login, key.card.login));
    TRY(pkey_raw_public(key.content, key.card.content));
    TRY(pkey_raw_public(key.seal, key.card.seal));
    TRY(sync_card_sign(&key.card, key.login, key.content));
    TRY(sync_card_id(&key.card, key.id));
    *ret_key = key;
    key = (sync_device_key_t){0};
    return NULL;
}

/* Everything before the keys: what their seal is bound to. */
static err_t *put_clear(buf_t *out, const sync_card_t *card, const password_cost_t *cost,
                        bytes_t salt) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, CARD_MAX);
    TRY(sync_card_put(card, &record));
    TRY(sync_put_head(out, "YK", card->suite));
    TRY(wire_put_u8(out, cost ? PASSPHRASE : CLEAR));
    if (cost) {
        TRY(wire_put_u32(out, cost->passes));
        TRY(wire_put_u32(out, (uint32_t)(cost->memory / 1024)));
        TRY(buf_add(out, salt));
    }
    return wire_put_bytes(out, buf_bytes(&record));
}

err_t *sync_device_key_write(const sync_device_key_t *key, const rnd_t *rnd, bytes_t passphrase,
                             const password_cost_t *cost, buf_t *out) {
    CLEANUP(buf_done) buf_t file, sealed;
    CLEANUP(secret_free) secret_t *derived = NULL;
    uint8_t salt[PASSWORD_SALT_SIZE];
    buf_init_secret(&file, LIMIT_SYNC_KEY_FILE);
    buf_init_secret(&sealed, KEYS + AEAD_OVERHEAD);
    if (passphrase.n == 0) {
        TRY(put_clear(&file, &key->card, NULL, BYTES_NONE));
        TRY(wire_put_bytes(&file, secret_bytes(key->raw)));
        return buf_add(out, buf_bytes(&file));
    }
    if (passphrase.n < LIMIT_PASSWORD_MIN)
        return err_new(ERR_INVALID, "a passphrase has at least %d characters", LIMIT_PASSWORD_MIN);
    TRY(rnd_fill(rnd, salt, sizeof salt));
    TRY(put_clear(&file, &key->card, cost, BYTES_ARRAY(salt)));
    TRY(password_derive(passphrase, BYTES_ARRAY(salt), cost, AEAD_KEY_SIZE, &derived));
    TRY(aead_seal(derived, rnd, buf_bytes(&file), secret_bytes(key->raw), &sealed));
    TRY(wire_put_bytes(&file, buf_bytes(&sealed)));
    return buf_add(out, buf_bytes(&file));
}

typedef struct {
    uint8_t protection;
    password_cost_t cost;
    bytes_t salt, card, clear, keys;
} parsed_t;

static err_t *parse_cost(wire_reader_t *r, parsed_t *p) {
    uint32_t passes = 0, memory = 0;
    TRY(wire_get_u32(r, &passes));
    TRY(wire_get_u32(r, &memory));
    if (passes == 0 || passes > PASSES_MAX || memory < 8 || memory > MEMORY_KIB_MAX)
        return err_new(ERR_LIMIT, "a key file that asks for %u passes over %u KiB", passes, memory);
    p->cost = (password_cost_t){.passes = passes, .memory = (size_t)memory * 1024};
    return wire_get_raw(r, PASSWORD_SALT_SIZE, &p->salt);
}

static err_t *parse(bytes_t record, parsed_t *ret_parsed) {
    parsed_t p = {0};
    uint16_t suite = 0;
    wire_reader_t r = wire_reader(record);
    if (record.n > LIMIT_SYNC_KEY_FILE) return err_new(ERR_LIMIT, "a key file is too long");
    TRY(sync_get_head(&r, "YK", &suite));
    TRY(wire_get_u8(&r, &p.protection));
    if (p.protection > PASSPHRASE)
        return err_new(ERR_VERIFY, "a key file with protection %u, which nobody knows here",
                       p.protection);
    if (p.protection == PASSPHRASE) TRY(parse_cost(&r, &p));
    TRY(wire_get_bytes(&r, CARD_MAX, &p.card));
    p.clear = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(wire_get_bytes(&r, KEYS + AEAD_OVERHEAD, &p.keys));
    TRY(wire_done(&r));
    *ret_parsed = p;
    return NULL;
}

err_t *sync_device_key_sealed(bytes_t record, bool *ret_sealed) {
    parsed_t p;
    TRY_WRAP(parse(record, &p), "the device's key file");
    *ret_sealed = p.protection == PASSPHRASE;
    return NULL;
}

static err_t *unlock(const parsed_t *p, bytes_t passphrase, sync_device_key_t *key) {
    CLEANUP(secret_free) secret_t *derived = NULL;
    uint8_t id[SYNC_HASH];
    TRY(sync_card_parse(p->card, &key->card));
    TRY(sync_card_verify(&key->card));
    if (p->protection == PASSPHRASE) {
        TRY(password_derive(passphrase, p->salt, &p->cost, AEAD_KEY_SIZE, &derived));
        TRY(aead_open_secret(derived, p->clear, p->keys, &key->raw));
    } else {
        TRY(secret_copy(p->keys, &key->raw));
    }
    if (secret_size(key->raw) != KEYS) return err_new(ERR_VERIFY, "other keys");
    TRY(load(key));
    /* The id is the hash of the public keys: one comparison tells that all three belong to it. */
    sync_card_t own = key->card;
    TRY(pkey_raw_public(key->login, own.login));
    TRY(pkey_raw_public(key->content, own.content));
    TRY(pkey_raw_public(key->seal, own.seal));
    TRY(sync_card_id(&key->card, key->id));
    TRY(sync_card_id(&own, id));
    return memcmp(id, key->id, sizeof id) == 0 ? NULL : err_new(ERR_VERIFY, "other keys");
}

err_t *sync_device_key_open(bytes_t record, bytes_t passphrase, sync_device_key_t *ret_key) {
    CLEANUP(sync_device_key_done) sync_device_key_t key = {0};
    parsed_t p;
    TRY_WRAP(parse(record, &p), "the device's key file");
    err_t *e = unlock(&p, passphrase, &key);
    if (e &&
        (err_code(e) == ERR_VERIFY || err_code(e) == ERR_INVALID || err_code(e) == ERR_LIMIT)) {
        err_free(e);
        return err_new(ERR_VERIFY, "the passphrase is wrong, or the key file is damaged");
    }
    if (e) return e;
    *ret_key = key;
    key = (sync_device_key_t){0};
    return NULL;
}
