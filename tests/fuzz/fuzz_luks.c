/*
 * The JSON area of a LUKS2 header, as cryptsetup prints it: who may write the disk wrote it.
 */
#include "program/coffer/luks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    luks_t luks = {0};
    unsigned slot = 0;
    err_t *e = luks_parse(bytes_make(data, size), &luks);
    if (!e) err_free(luks_free_slot(&luks, &slot));
    err_free(e);
    return 0;
}
