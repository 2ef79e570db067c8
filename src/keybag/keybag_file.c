/*
 * The bytes of a keybag: see keybag_file.h and docs/formats/keybag.md. Any process.
 */
#include "keybag/keybag_file.h"

#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "ipc/wire.h"

enum { INFO_MAX = 128, PASSES_MAX = 16, MEMORY_KIB_MAX = 1024 * 1024, MEMORY_KIB_MIN = 8 };

static const char MAGIC[] = "COFKBAG1";

const char *keybag_kind_name(keybag_kind_t kind) {
    switch (kind) {
    case KEYBAG_TPM: return "tpm";
    case KEYBAG_DISK: return "file";
    }
    return "";
}

/* Text, 0x00, id and, if it isn't 0, a generation: what a derived key or AAD is for. */
static err_t *put_purpose(const keybag_file_t *file, const char *text, uint64_t generation,
                          buf_t *out) {
    TRY(wire_put_str(out, text));
    TRY(buf_add(out, BYTES_ARRAY(file->id)));
    return generation ? wire_put_u64(out, generation) : NULL;
}

static err_t *derive(const keybag_file_t *file, const secret_t *uid, bytes_t ikm, const char *text,
                     uint64_t generation, secret_t **ret_key) {
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(put_purpose(file, text, generation, &info));
    return kdf_hkdf(uid ? secret_bytes(uid) : BYTES_NONE, ikm, buf_bytes(&info), KEYBAG_KEY,
                    ret_key);
}

err_t *keybag_passcode_key(const keybag_file_t *file, const secret_t *uid, const secret_t *argon,
                           const secret_t *slot, secret_t **ret_key) {
    CLEANUP(buf_done) buf_t ikm;
    buf_init_secret(&ikm, (size_t)2 * KEYBAG_KEY);
    TRY(buf_add(&ikm, secret_bytes(argon)));
    TRY(buf_add(&ikm, secret_bytes(slot)));
    return derive(file, uid, buf_bytes(&ikm), "coffer/v1/keybag/passcode", file->generation,
                  ret_key);
}

err_t *keybag_slot_auth(const keybag_file_t *file, const secret_t *uid, const secret_t *argon,
                        secret_t **ret_auth) {
    return derive(file, uid, secret_bytes(argon), "coffer/v1/keybag/auth", file->generation,
                  ret_auth);
}

err_t *keybag_device_key(const keybag_file_t *file, const secret_t *uid, secret_t **ret_key) {
    return derive(file, NULL, secret_bytes(uid), "coffer/v1/keybag/device", 0, ret_key);
}

err_t *keybag_class_aad(const keybag_file_t *file, unsigned cls, buf_t *out) {
    TRY(put_purpose(file, "coffer/v1/keybag/class", cls == 3 ? 0 : file->generation, out));
    return wire_put_u8(out, (uint8_t)('A' + cls));
}

static err_t *mac_of(bytes_t body, const secret_t *uid, uint8_t ret_mac[KEYBAG_MAC]) {
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(uid), BYTES_LIT("coffer/v1/keybag/mac"), KEYBAG_KEY,
                 &key));
    return digest_hmac_sha256(secret_bytes(key), body, ret_mac);
}

static err_t *put_body(const keybag_file_t *file, buf_t *out) {
    TRY(buf_add(out, BYTES_LIT("COFKBAG1")));
    TRY(wire_put_u8(out, (uint8_t)file->kind));
    TRY(wire_put_u8(out, file->slot));
    TRY(buf_add(out, BYTES_ARRAY(file->id)));
    TRY(wire_put_u64(out, file->generation));
    TRY(wire_put_u64(out, file->base));
    TRY(wire_put_u32(out, file->cost.passes));
    TRY(wire_put_u32(out, (uint32_t)(file->cost.memory / 1024)));
    TRY(buf_add(out, BYTES_ARRAY(file->salt)));
    TRY(wire_put_u32(out, file->place));
    TRY(buf_add(out, BYTES_ARRAY(file->b_public)));
    for (unsigned i = 0; i < KEYBAG_CLASSES; i++) TRY(buf_add(out, BYTES_ARRAY(file->wrapped[i])));
    return NULL;
}

err_t *keybag_file_write(const keybag_file_t *file, const secret_t *uid, buf_t *out) {
    CLEANUP(buf_done) buf_t body;
    uint8_t mac[KEYBAG_MAC];
    buf_init(&body, KEYBAG_FILE);
    TRY(put_body(file, &body));
    TRY(mac_of(buf_bytes(&body), uid, mac));
    TRY(buf_add(&body, BYTES_ARRAY(mac)));
    return buf_add(out, buf_bytes(&body));
}

static err_t *get_raw(wire_reader_t *r, void *to, size_t n) {
    bytes_t raw;
    TRY(wire_get_raw(r, n, &raw));
    bytes_put(to, raw);
    return NULL;
}

static err_t *get_cost(wire_reader_t *r, password_cost_t *cost) {
    uint32_t passes = 0, memory = 0;
    TRY(wire_get_u32(r, &passes));
    TRY(wire_get_u32(r, &memory));
    if (passes < 1 || passes > PASSES_MAX || memory < MEMORY_KIB_MIN || memory > MEMORY_KIB_MAX)
        return err_new(ERR_INVALID, "a keybag whose passcode would cost %u passes over %u KiB",
                       passes, memory);
    *cost = (password_cost_t){.passes = passes, .memory = (size_t)memory * 1024};
    return NULL;
}

static err_t *get_head(wire_reader_t *r, keybag_file_t *file) {
    uint8_t kind = 0;
    bytes_t magic;
    TRY(wire_get_raw(r, sizeof MAGIC - 1, &magic));
    TRY(wire_get_u8(r, &kind));
    TRY(wire_get_u8(r, &file->slot));
    if (!bytes_eq_str(magic, MAGIC)) return err_new(ERR_INVALID, "not a keybag");
    if ((kind != KEYBAG_TPM && kind != KEYBAG_DISK) || file->slot > 1)
        return err_new(ERR_INVALID, "a keybag of an unknown kind");
    file->kind = (keybag_kind_t)kind;
    TRY(get_raw(r, file->id, sizeof file->id));
    TRY(wire_get_u64(r, &file->generation));
    TRY(wire_get_u64(r, &file->base));
    if (!file->generation) return err_new(ERR_INVALID, "a keybag without a generation");
    return NULL;
}

err_t *keybag_file_parse(bytes_t data, keybag_file_t *ret_file) {
    keybag_file_t file = {0};
    uint8_t mac[KEYBAG_MAC];
    wire_reader_t r = wire_reader(data);
    TRY(get_head(&r, &file));
    TRY(get_cost(&r, &file.cost));
    TRY(get_raw(&r, file.salt, sizeof file.salt));
    TRY(wire_get_u32(&r, &file.place));
    TRY(get_raw(&r, file.b_public, sizeof file.b_public));
    for (unsigned i = 0; i < KEYBAG_CLASSES; i++)
        TRY(get_raw(&r, file.wrapped[i], sizeof file.wrapped[i]));
    TRY(get_raw(&r, mac, sizeof mac));
    TRY(wire_done(&r));
    *ret_file = file;
    return NULL;
}

err_t *keybag_file_check(bytes_t data, const secret_t *uid) {
    uint8_t mac[KEYBAG_MAC];
    if (data.n != KEYBAG_FILE) return err_new(ERR_INVALID, "not a keybag");
    TRY(mac_of(bytes_slice(data, 0, data.n - KEYBAG_MAC), uid, mac));
    if (!bytes_eq_ct(BYTES_ARRAY(mac), bytes_from(data, data.n - KEYBAG_MAC)))
        return err_new(ERR_VERIFY, "the keybag was changed, or is another device's");
    return NULL;
}
