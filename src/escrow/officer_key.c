/*
 * An officer's private file: see officer_key.h. On the officer's machine.
 */
#include "escrow/officer_key.h"

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/aead.h"
#include "keeper/escrow_seal.h"

enum {
    KEYS_SIZE = 2 * ESCROW_KEY, /* X25519, Ed25519, raw */
    DERIVED = 32,
    PASSES_MAX = 16,
    MEMORY_KIB_MAX = 1024 * 1024,
};

static const uint8_t head[] = {'c', 'o', 'f', 'f', 'e', 'r', 'O', 'K', ESCROW_VERSION};

void officer_key_done(officer_key_t *key) {
    pkey_free(key->hpke);
    pkey_free(key->sign);
    *key = (officer_key_t){0};
}

/* Head, Argon2id's passes and memory (KiB), salt, the public record: what the seal is bound to. */
static err_t *put_clear(buf_t *out, const password_cost_t *cost, bytes_t salt, bytes_t public) {
    TRY(buf_add(out, BYTES_ARRAY(head)));
    TRY(wire_put_u32(out, cost->passes));
    TRY(wire_put_u32(out, (uint32_t)(cost->memory / 1024)));
    TRY(buf_add(out, salt));
    return wire_put_bytes(out, public);
}

static err_t *load_keys(bytes_t raw, officer_key_t *key) {
    TRY(pkey_from_raw_private(PKEY_X25519, bytes_slice(raw, 0, ESCROW_KEY), &key->hpke));
    return pkey_from_raw_private(PKEY_ED25519, bytes_slice(raw, ESCROW_KEY, ESCROW_KEY),
                                 &key->sign);
}

static err_t *make_public(const char *label, int64_t now, officer_key_t *key, buf_t *out) {
    size_t n = strlen(label);
    if (n > LIMIT_ESCROW_LABEL)
        return err_new(ERR_LIMIT, "a label has at most %d bytes", LIMIT_ESCROW_LABEL);
    memcpy(key->file.label, label, n + 1);
    key->file.created = now;
    TRY(pkey_raw_public(key->hpke, key->file.hpke));
    TRY(escrow_officer_file_sign(key->sign, &key->file));
    return escrow_officer_file_put(&key->file, out);
}

err_t *officer_key_make(const rnd_t *rnd, const char *label, int64_t now, bytes_t passphrase,
                        const password_cost_t *cost, buf_t *ret_private, buf_t *ret_public) {
    CLEANUP(officer_key_done) officer_key_t key = {0};
    CLEANUP(secret_free) secret_t *raw = NULL;
    CLEANUP(secret_free) secret_t *derived = NULL;
    CLEANUP(buf_done) buf_t public, clear;
    uint8_t salt[PASSWORD_SALT_SIZE];
    buf_init(&public, OFFICER_KEY_FILE_MAX);
    buf_init(&clear, OFFICER_KEY_FILE_MAX);
    if (passphrase.n < LIMIT_PASSWORD_MIN)
        return err_new(ERR_INVALID, "a passphrase has at least %d characters", LIMIT_PASSWORD_MIN);
    TRY(secret_random(rnd, KEYS_SIZE, &raw));
    TRY(rnd_fill(rnd, salt, sizeof salt));
    TRY(load_keys(secret_bytes(raw), &key));
    TRY(make_public(label, now, &key, &public));
    TRY(put_clear(&clear, cost, BYTES_ARRAY(salt), buf_bytes(&public)));
    TRY(password_derive(passphrase, BYTES_ARRAY(salt), cost, DERIVED, &derived));
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, OFFICER_KEY_FILE_MAX);
    TRY(aead_seal(derived, rnd, buf_bytes(&clear), secret_bytes(raw), &sealed));
    TRY(wire_put_bytes(&clear, buf_bytes(&sealed)));
    TRY(buf_add(ret_private, buf_bytes(&clear)));
    return buf_add(ret_public, buf_bytes(&public));
}

typedef struct {
    password_cost_t cost;
    bytes_t salt, public, clear, sealed;
} parsed_t;

static err_t *parse(bytes_t record, parsed_t *ret_parsed) {
    wire_reader_t r = wire_reader(record);
    parsed_t p;
    bytes_t letters;
    uint32_t passes = 0, memory = 0;
    if (record.n > OFFICER_KEY_FILE_MAX) return err_new(ERR_LIMIT, "an officer's file is too long");
    TRY(wire_get_raw(&r, sizeof head, &letters));
    if (memcmp(letters.p, head, sizeof head - 1) != 0)
        return err_new(ERR_INVALID, "that is no officer's private file");
    if (letters.p[sizeof head - 1] != ESCROW_VERSION)
        return err_new(ERR_VERIFY, "an officer's file of version %u, which nobody knows here",
                       letters.p[sizeof head - 1]);
    TRY(wire_get_u32(&r, &passes));
    TRY(wire_get_u32(&r, &memory));
    if (passes == 0 || passes > PASSES_MAX || memory < 8 || memory > MEMORY_KIB_MAX)
        return err_new(ERR_LIMIT, "an officer's file that asks for %u passes over %u KiB", passes,
                       memory);
    TRY(wire_get_raw(&r, PASSWORD_SALT_SIZE, &p.salt));
    TRY(wire_get_bytes(&r, OFFICER_KEY_FILE_MAX, &p.public));
    p.clear = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(wire_get_bytes(&r, KEYS_SIZE + AEAD_OVERHEAD, &p.sealed));
    TRY(wire_done(&r));
    p.cost = (password_cost_t){.passes = passes, .memory = (size_t)memory * 1024};
    *ret_parsed = p;
    return NULL;
}

err_t *officer_key_public(bytes_t record, escrow_officer_file_t *ret_file) {
    parsed_t p;
    TRY_WRAP(parse(record, &p), "the officer's file");
    return escrow_officer_file_parse(p.public, ret_file);
}

static err_t *unlock(const parsed_t *p, bytes_t passphrase, officer_key_t *key) {
    CLEANUP(secret_free) secret_t *derived = NULL;
    CLEANUP(secret_free) secret_t *raw = NULL;
    uint8_t hpke[ESCROW_KEY], sign[ESCROW_KEY];
    TRY(password_derive(passphrase, p->salt, &p->cost, DERIVED, &derived));
    TRY(aead_open_secret(derived, p->clear, p->sealed, &raw));
    if (secret_size(raw) != KEYS_SIZE) return err_new(ERR_VERIFY, "other keys");
    TRY(load_keys(secret_bytes(raw), key));
    TRY(escrow_officer_file_parse(p->public, &key->file));
    TRY(pkey_raw_public(key->hpke, hpke));
    TRY(pkey_raw_public(key->sign, sign));
    if (memcmp(hpke, key->file.hpke, ESCROW_KEY) != 0 ||
        memcmp(sign, key->file.sign, ESCROW_KEY) != 0)
        return err_new(ERR_VERIFY, "other keys");
    return escrow_officer_fingerprint(hpke, sign, key->fingerprint);
}

err_t *officer_key_open(bytes_t record, bytes_t passphrase, officer_key_t *ret_key) {
    CLEANUP(officer_key_done) officer_key_t key = {0};
    parsed_t p;
    TRY_WRAP(parse(record, &p), "the officer's file");
    err_t *e = unlock(&p, passphrase, &key);
    if (e && (err_code(e) == ERR_VERIFY || err_code(e) == ERR_INVALID)) {
        err_free(e);
        return err_new(ERR_VERIFY, "the passphrase is wrong, or the file is damaged");
    }
    if (e) return e;
    *ret_key = key;
    key = (officer_key_t){0};
    return NULL;
}

const char *officer_key_fingerprint_text(const uint8_t fingerprint[ESCROW_HASH],
                                         char out[OFFICER_KEY_FINGERPRINT]) {
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < ESCROW_HASH; i++) {
        if (i && i % 2 == 0) out[at++] = '-';
        out[at++] = digits[fingerprint[i] >> 4];
        out[at++] = digits[fingerprint[i] & 15];
    }
    out[at] = '\0';
    return out;
}
