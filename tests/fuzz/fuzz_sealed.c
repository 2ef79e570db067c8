/*
 * A sealed blob as a store gives it back: any bytes are refused; nothing but what was sealed under
 * the key is right. The names of objects, which a store lists, are read as well.
 */
#include <stdlib.h>
#include <string.h>

#include "store/blob/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static blob_keys_t keys; /* house-rules: allow globals: made once, kept between inputs */
    uint8_t key[AEAD_KEY_SIZE] = {7};
    blob_id_t id = {{1}};
    uint64_t incarnation = 0;
    if (!keys.keys[1]) {
        err_ignore(crypto_init());
        err_ignore(secret_copy(BYTES_ARRAY(key), &keys.keys[1]));
    }
    err_t *e = sealed_check(&keys, &id, bytes_make(data, size));
    if (!e) abort(); /* forged */
    err_free(e);
    if (blob_object_parse(bytes_make(data, size), &id, &incarnation)) {
        char name[BLOB_OBJECT_NAME];
        (void)blob_object_name(&id, incarnation, name);
        if (memcmp(name, data, BLOB_OBJECT_NAME - 1) != 0) abort();
    }
    err_ignore(blob_id_parse(bytes_make(data, size), &id));
    return 0;
}
