/*
 * What the service says when it refuses, as a device reads it: no bytes crash, a refusal is always
 * an error, and a wipe is told of only by the word for it. Input: a number for the status, then the
 * body.
 */
#include <stdlib.h>

#include "sync/client/remote_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const unsigned statuses[] = {400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 507};
    static const sync_device_key_t device = {.id = {1, 2, 3}};
    sync_http_t http = {.device = &device, .region = {4, 5, 6}};
    http_response_t reply = {0};
    if (size == 0) return 0;
    reply.status = statuses[data[0] % (sizeof statuses / sizeof *statuses)];
    buf_init(&reply.body, BODY_MAX);
    if (buf_add(&reply.body, bytes_make(data + 1, size - 1))) abort();
    err_t *e = call_judge(&http, &reply);
    if (!e) abort();
    if (http.refusal != SYNC_REFUSED_NOT && reply.status != 403) abort();
    if (http.wipe_told && http.refusal != SYNC_REFUSED_WIPE) abort();
    err_free(e);
    buf_done(&reply.body);
    return 0;
}
