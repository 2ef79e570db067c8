/*
 * See storage.h.
 */
#include "keeper/storage.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"

enum { NAME_MAX_BYTES = 32, KEY_SIZE = 32 }; /* bytes */

struct storage {
    atomic_uint count;
    secret_t *keys[LIMIT_STORAGE_KEYS]; /* below count they never change */
};

static void name_of(uint32_t number, char out[NAME_MAX_BYTES]) {
    if (number == 1) (void)snprintf(out, NAME_MAX_BYTES, "storage");
    else (void)snprintf(out, NAME_MAX_BYTES, "storage-%u", number);
}

err_t *storage_load(vault_t *vault, storage_t **ret_storage) {
    CLEANUP(storage_free) storage_t *storage = mem_zalloc(sizeof *storage);
    if (!storage) return err_nomem();
    char name[NAME_MAX_BYTES];
    for (uint32_t i = 0; i < LIMIT_STORAGE_KEYS; i++) {
        name_of(i + 1, name);
        err_t *e = vault_key_get(vault, name, VAULT_KEY_SECRET, &storage->keys[i], NULL);
        if (e && i && err_code(e) == ERR_NOT_FOUND) {
            err_free(e);
            break;
        }
        if (e) return e;
        atomic_store(&storage->count, i + 1);
    }
    *ret_storage = STEAL(storage);
    return NULL;
}

void storage_free(storage_t *storage) {
    if (!storage) return;
    for (size_t i = 0; i < LIMIT_STORAGE_KEYS; i++) secret_free(storage->keys[i]);
    mem_free(storage);
}

uint32_t storage_current(const storage_t *storage) { return atomic_load(&storage->count); }

err_t *storage_key(const storage_t *storage, uint32_t number, const secret_t **ret_key) {
    if (number == 0 || number > storage_current(storage))
        return err_new(ERR_NOT_FOUND, "the vault has no storage key %u", number);
    *ret_key = storage->keys[number - 1];
    return NULL;
}

/* ---- a new one ---- */

typedef struct {
    storage_t *storage;
    uint32_t number;
    secret_t *key;
} adding_t;

static void adding_free(void *rows) {
    adding_t *adding = rows;
    secret_free(adding->key);
    mem_free(adding);
}

static err_t *adding_write(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    (void)now_ms;
    const adding_t *adding = rows;
    char name[NAME_MAX_BYTES];
    name_of(adding->number, name);
    err_t *e = vault_key_put(vault, &(vault_key_t){.name = name,
                                                   .kind = VAULT_KEY_SECRET,
                                                   .private_key = secret_bytes(adding->key)});
    if (!e || err_code(e) != ERR_EXISTS) return e;
    *ret_refused = err_recode(e, ERR_BUSY);
    return NULL;
}

static void adding_committed(void *rows) {
    adding_t *adding = rows;
    adding->storage->keys[adding->number - 1] = STEAL(adding->key);
    atomic_store(&adding->storage->count, adding->number);
}

err_t *storage_add(storage_t *storage, uint32_t number, const rnd_t *rnd, vault_op_t *op) {
    if (number > LIMIT_STORAGE_KEYS)
        return err_new(ERR_LIMIT, "%d storage keys are as many as a vault has", LIMIT_STORAGE_KEYS);
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(secret_random(rnd, KEY_SIZE, &key));
    adding_t *adding = mem_alloc(sizeof *adding);
    if (!adding) return err_nomem();
    *adding = (adding_t){storage, number, STEAL(key)};
    op->rows = (vault_rows_t){
        .rows = adding, .write = adding_write, .committed = adding_committed, .free = adding_free};
    return NULL;
}
