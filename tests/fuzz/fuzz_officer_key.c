/*
 * The private files of officers and recipients, as far as they are read before a passphrase is
 * asked for. No bytes crash; a request's file that parses fits its key.
 */
#include <stdlib.h>

#include "escrow/officer_key.h"
#include "escrow/request_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static escrow_officer_file_t file;
    request_key_t key = {0};
    err_free(officer_key_public(bytes_make(data, size), &file));
    err_t *e = request_key_parse(bytes_make(data, size), &key);
    if (!e) {
        uint8_t public[ESCROW_KEY];
        e = pkey_raw_public(key.key, public);
        if (e || memcmp(public, key.request.recipient_key, ESCROW_KEY) != 0) abort();
    }
    err_free(e);
    request_key_done(&key);
    return 0;
}
