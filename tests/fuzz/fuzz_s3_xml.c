/*
 * What a store of objects answers: any bytes are a listing or an error, or refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "format/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    s3_listing_t listing = {.n = 0};
    s3_error_t error;
    err_ignore(arena_new(1024 * 1024, &arena));
    err_t *e = s3_listing_parse(bytes_make(data, size), arena, &listing);
    if (!e && listing.n > LIMIT_BLOB_PAGE) abort();
    for (size_t i = 0; !e && i < listing.n; i++)
        if (strlen(listing.objects[i].key) > LIMIT_S3_TEXT) abort();
    err_free(e);
    s3_error_parse(bytes_make(data, size), &error);
    if (strlen(error.code) >= sizeof error.code || strlen(error.message) >= sizeof error.message)
        abort();
    return 0;
}
