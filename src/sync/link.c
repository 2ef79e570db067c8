/*
 * Links: see link.h. On clients; any thread.
 */
#include "sync/link.h"

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "sync/folder.h"

enum { AAD_MAX = 128, PATH_MAX_BYTES = 16 * 1024 };

void sync_link_done(sync_link_t *link) {
    secret_free(link->key);
    mem_wipe(link->token, sizeof link->token);
    *link = (sync_link_t){0};
}

/* The secret, and behind it what the password gives, if there is one. */
static err_t *join(const secret_t *secret, bytes_t password, const password_cost_t *cost,
                   const uint8_t id[SYNC_NODE], secret_t **ret_joined) {
    CLEANUP(secret_free) secret_t *derived = NULL;
    CLEANUP(secret_free) secret_t *joined = NULL;
    if (password.n == 0) return secret_copy(secret_bytes(secret), ret_joined);
    TRY(password_derive(password, bytes_make(id, PASSWORD_SALT_SIZE), cost, SYNC_KEY, &derived));
    TRY(secret_new(2 * SYNC_KEY, &joined));
    memcpy(secret_data(joined), secret_bytes(secret).p, SYNC_KEY);
    memcpy(secret_data(joined) + SYNC_KEY, secret_bytes(derived).p, SYNC_KEY);
    *ret_joined = STEAL(joined);
    return NULL;
}

err_t *sync_link_derive(const secret_t *secret, bytes_t password, const password_cost_t *cost,
                        sync_link_t *ret_link) {
    CLEANUP(sync_link_done) sync_link_t link = {0};
    CLEANUP(secret_free) secret_t *joined = NULL;
    CLEANUP(secret_free) secret_t *token = NULL;
    CLEANUP(secret_free) secret_t *id = NULL;
    if (secret_size(secret) != SYNC_KEY) return err_new(ERR_INVALID, "a link's secret is 32 bytes");
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(secret), BYTES_LIT("coffer/v1/sync/link-id"), SYNC_NODE,
                 &id));
    memcpy(link.id, secret_bytes(id).p, SYNC_NODE);
    TRY(join(secret, password, cost, link.id, &joined));
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(joined), BYTES_LIT("coffer/v1/sync/link-token"), SYNC_KEY,
                 &token));
    memcpy(link.token, secret_bytes(token).p, SYNC_KEY);
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(joined), BYTES_LIT("coffer/v1/sync/link-key"), SYNC_KEY,
                 &link.key));
    *ret_link = link;
    link = (sync_link_t){0};
    return NULL;
}

err_t *sync_link_token_hash(const uint8_t token[SYNC_KEY], uint8_t ret_hash[SYNC_HASH]) {
    return digest_sha256(bytes_make(token, SYNC_KEY), ret_hash);
}

/* ---- the list ---- */

static err_t *check_path(bytes_t path, bytes_t last) {
    bytes_t rest = path, name;
    bool valid = path.n != 0 && path.n <= PATH_MAX_BYTES && path.p[path.n - 1] != '/';
    while (valid && text_split(&rest, '/', &name)) valid = sync_name_valid(name);
    if (!valid) return err_new(ERR_INVALID, "a path that no file can have");
    if (last.n && sync_name_compare(last, path) >= 0)
        return err_new(ERR_INVALID, "a link's paths are not ascending");
    return NULL;
}

err_t *sync_link_list_put(const sync_link_file_t *files, size_t n, buf_t *out) {
    if (n == 0 || n > LIMIT_SYNC_LINK_FILES)
        return err_new(ERR_LIMIT, "a link has 1 to %d files", LIMIT_SYNC_LINK_FILES);
    TRY(record_put_head(out, "YQ", SYNC_VERSION));
    TRY(wire_put_u32(out, (uint32_t)n));
    for (size_t i = 0; i < n; i++) {
        TRY(check_path(files[i].path, i ? files[i - 1].path : BYTES_NONE));
        TRY(wire_put_bytes(out, files[i].path));
        TRY(wire_put_u64(out, files[i].size));
        TRY(wire_put_i64(out, files[i].mtime));
        TRY(record_put_raw(out, files[i].package, SYNC_HASH));
        TRY(record_put_raw(out, files[i].root, SYNC_HASH));
        TRY(wire_put_u64(out, files[i].package_size));
        TRY(record_put_raw(out, files[i].file_key, SYNC_KEY));
    }
    return NULL;
}

err_t *sync_link_list_open(bytes_t plain, sync_link_reader_t *ret_reader) {
    sync_link_reader_t reader = {.r = wire_reader(plain)};
    TRY(record_get_head(&reader.r, "YQ", SYNC_VERSION));
    TRY(wire_get_u32(&reader.r, &reader.left));
    if (reader.left == 0 || reader.left > LIMIT_SYNC_LINK_FILES)
        return err_new(ERR_LIMIT, "a link of %u files", reader.left);
    *ret_reader = reader;
    return NULL;
}

err_t *sync_link_list_next(sync_link_reader_t *reader, bool *ret_found,
                           sync_link_file_t *ret_file) {
    sync_link_file_t file = {0};
    wire_reader_t *r = &reader->r;
    if (reader->left == 0) {
        TRY(wire_done(r));
        *ret_found = false;
        return NULL;
    }
    TRY(wire_get_bytes(r, PATH_MAX_BYTES, &file.path));
    TRY(check_path(file.path, reader->last));
    TRY(wire_get_u64(r, &file.size));
    TRY(wire_get_i64(r, &file.mtime));
    TRY(record_get_raw(r, SYNC_HASH, file.package));
    TRY(record_get_raw(r, SYNC_HASH, file.root));
    TRY(wire_get_u64(r, &file.package_size));
    TRY(record_get_raw(r, SYNC_KEY, file.file_key));
    reader->last = file.path;
    reader->left--;
    *ret_file = file;
    *ret_found = true;
    return NULL;
}

/* ---- its seal ---- */

static err_t *put_aad(const uint8_t id[SYNC_NODE], buf_t *out) {
    TRY(sync_put_head(out, "YL", SYNC_SUITE_1));
    return record_put_raw(out, id, SYNC_NODE);
}

err_t *sync_link_seal(const sync_link_t *link, const rnd_t *rnd, bytes_t plain, buf_t *out) {
    CLEANUP(buf_done) buf_t aad, sealed;
    buf_init(&aad, AAD_MAX);
    buf_init(&sealed, LIMIT_SYNC_LINK_BYTES + AEAD_OVERHEAD);
    TRY(put_aad(link->id, &aad));
    TRY(aead_seal(link->key, rnd, buf_bytes(&aad), plain, &sealed));
    TRY(buf_add(out, buf_bytes(&aad)));
    return wire_put_bytes(out, buf_bytes(&sealed));
}

err_t *sync_link_open(const sync_link_t *link, bytes_t record, buf_t *out) {
    uint16_t suite = 0;
    uint8_t id[SYNC_NODE];
    bytes_t sealed;
    wire_reader_t r = wire_reader(record);
    TRY(sync_get_head(&r, "YL", &suite));
    TRY(record_get_raw(&r, SYNC_NODE, id));
    bytes_t aad = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(wire_get_bytes(&r, LIMIT_SYNC_LINK_BYTES + AEAD_OVERHEAD, &sealed));
    TRY(wire_done(&r));
    if (memcmp(id, link->id, sizeof id) != 0) return sync_refuse();
    return aead_open(link->key, aad, sealed, out);
}
