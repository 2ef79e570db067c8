/*
 * Keybag files from strangers: no bytes crash, what was read is written again as it was, and nobody
 * without the device's key passes the check.
 */
#include <stdlib.h>

#include "keybag/keybag_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t raw[KEYBAG_KEY] = {7};
    keybag_file_t file;
    buf_t again;
    secret_t *uid = NULL;
    bytes_t whole = bytes_make(data, size);
    err_t *e = crypto_init();
    if (!e) e = secret_copy(BYTES_ARRAY(raw), &uid);
    err_free(e);
    if (!uid) return 0;
    buf_init(&again, KEYBAG_FILE);
    e = keybag_file_parse(whole, &file);
    if (!e) {
        e = keybag_file_write(&file, uid, &again);
        if (e || !bytes_eq(bytes_slice(buf_bytes(&again), 0, KEYBAG_FILE - KEYBAG_MAC),
                           bytes_slice(whole, 0, KEYBAG_FILE - KEYBAG_MAC)))
            abort();
        err_free(keybag_file_check(whole, uid));
    }
    err_free(e);
    buf_done(&again);
    secret_free(uid);
    return 0;
}
