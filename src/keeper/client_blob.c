/*
 * Asks for the keys that blobs lie under: see client_blob.h.
 */
#include "keeper/client_blob.h"

#include "ipc/frame.h"
#include "ipc/wire.h"

enum { BLOB_KEY = 32 };

typedef struct {
    secret_t *keys[LIMIT_STORAGE_KEYS + 1];
} keys_t;

static void keys_done(keys_t *keys) {
    for (size_t i = 0; i <= LIMIT_STORAGE_KEYS; i++) secret_free(keys->keys[i]);
}
DEFINE_CLEANUP_VALUE(keys_t, keys_done)

static err_t *read_keys(bytes_t reply, keys_t *keys, uint32_t *ret_current) {
    wire_reader_t r = wire_reader(reply);
    uint32_t current = 0;
    TRY(wire_get_u32(&r, &current));
    if (current < 1 || current > LIMIT_STORAGE_KEYS)
        return err_new(ERR_INTERNAL, "the keeper has %u storage keys", current);
    for (uint32_t i = 1; i <= current; i++) {
        bytes_t key = BYTES_NONE;
        TRY(wire_get_bytes(&r, BLOB_KEY, &key));
        if (key.n != BLOB_KEY) return err_new(ERR_INTERNAL, "a blob key of %zu bytes", key.n);
        TRY(secret_copy(key, &keys->keys[i]));
    }
    TRY(wire_done(&r));
    *ret_current = current;
    return NULL;
}

err_t *keeper_blob_keys(keeper_t *keeper, secret_t *ret_keys[LIMIT_STORAGE_KEYS + 1],
                        uint32_t *ret_current) {
    CLEANUP(buf_done) buf_t body, reply;
    CLEANUP(keys_done) keys_t keys = {.keys = {NULL}};
    uint32_t current = 0;
    buf_init(&body, FRAME_BODY_MAX);
    buf_init_secret(&reply, FRAME_BODY_MAX);
    TRY(keeper_call(keeper, KEEPER_BLOB_KEYS, &body, &reply));
    TRY(read_keys(buf_bytes(&reply), &keys, &current));
    for (uint32_t i = 1; i <= current; i++) ret_keys[i] = STEAL(keys.keys[i]);
    *ret_current = current;
    return NULL;
}
