/*
 * Keys in the vault, wrapped by AES-256-GCM. The associated data is everything else that the row
 * says (name, kind, version, public key, certificate), so that a row can be neither changed nor
 * put in another's place. Main thread, at init and start.
 */
#include "crypto/aead.h"
#include "ipc/wire.h"
#include "keeper/vault_internal.h"

enum {
    KEY_VERSION = 1,      /* of the wrapping */
    PRIVATE_MAX = 16384,  /* bytes of PKCS#8; RSA-8192 has about 4.7 KB */
    AAD_MAX = 192 * 1024, /* bytes */
};

static err_t *make_aad(const char *name, const char *kind, bytes_t public_der, bytes_t certificate,
                       buf_t *aad) {
    TRY(wire_put_str(aad, "coffer/v1/vault/key"));
    TRY(wire_put_str(aad, kind));
    TRY(wire_put_str(aad, name));
    TRY(wire_put_u32(aad, KEY_VERSION));
    TRY(wire_put_bytes(aad, public_der));
    return wire_put_bytes(aad, certificate);
}

static err_t *prepare(vault_t *vault, const char *text, sql_stmt_t **stmt) {
    return *stmt ? NULL : sql_prepare(vault->writer, text, stmt);
}

static err_t *put(vault_t *vault, const vault_key_t *key, sql_stmt_t **stmt, const char *text) {
    CLEANUP(buf_done) buf_t aad, wrapped;
    buf_init(&aad, AAD_MAX);
    buf_init(&wrapped, PRIVATE_MAX + AEAD_OVERHEAD);
    TRY(make_aad(key->name, key->kind, key->public_der, key->certificate, &aad));
    TRY(aead_seal(vault->wrap_key, vault->rnd, buf_bytes(&aad), key->private_key, &wrapped));
    TRY(prepare(vault, text, stmt));
    sql_bind_str(*stmt, 1, key->name);
    sql_bind_str(*stmt, 2, key->kind);
    sql_bind_i64(*stmt, 3, KEY_VERSION);
    sql_bind_bytes(*stmt, 4, buf_bytes(&wrapped));
    sql_bind_bytes(*stmt, 5, key->public_der);
    sql_bind_bytes(*stmt, 6, key->certificate);
    sql_bind_i64(*stmt, 7, clk_unix_ms(vault->clk));
    TRY_WRAP(sql_run(*stmt), "cannot keep the key %s", key->name);
    return NULL;
}

#define INTO_KEY                                                                                   \
    " INTO key (name, kind, version, wrapped, public_der, certificate, created_ms)"                \
    " VALUES (?, ?, ?, ?, ?, ?, ?)"

err_t *vault_key_put(vault_t *vault, const vault_key_t *key) {
    return put(vault, key, &vault->key_put, "INSERT" INTO_KEY);
}

err_t *vault_key_replace(vault_t *vault, const vault_key_t *key) {
    return put(vault, key, &vault->key_replace, "INSERT OR REPLACE" INTO_KEY);
}

err_t *vault_keys_begin(vault_t *vault) { return sql_exec(vault->writer, "BEGIN IMMEDIATE"); }

err_t *vault_keys_end(vault_t *vault, err_t *e) {
    if (!e) e = sql_exec(vault->writer, "COMMIT");
    if (e) err_ignore(sql_exec(vault->writer, "ROLLBACK"));
    return e;
}

static err_t *unwrap(vault_t *vault, sql_stmt_t *row, const char *name, const char *kind,
                     secret_t **ret_private, buf_t *certificate) {
    if (!bytes_eq_str(sql_bytes(row, 0), kind) || sql_i64(row, 1) != KEY_VERSION)
        return err_new(ERR_VERIFY, "the key %s is of another kind or version", name);
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, AAD_MAX);
    TRY(make_aad(name, kind, sql_bytes(row, 3), sql_bytes(row, 4), &aad));
    CLEANUP(secret_free) secret_t *private_key = NULL;
    TRY_WRAP(aead_open_secret(vault->wrap_key, buf_bytes(&aad), sql_bytes(row, 2), &private_key),
             "the key %s was changed, or the master key is not this vault's", name);
    if (certificate) TRY(buf_add(certificate, sql_bytes(row, 4)));
    *ret_private = STEAL(private_key);
    return NULL;
}

err_t *vault_key_get(vault_t *vault, const char *name, const char *kind, secret_t **ret_private,
                     buf_t *certificate) {
    TRY(prepare(vault,
                "SELECT kind, version, wrapped, public_der, certificate FROM key WHERE name = ?",
                &vault->key_get));
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->key_get;
    sql_bind_str(stmt, 1, name);
    bool row = false;
    TRY(sql_step(stmt, &row));
    if (!row) return err_new(ERR_NOT_FOUND, "the vault has no key %s", name);
    return unwrap(vault, stmt, name, kind, ret_private, certificate);
}
