/*
 * Remote wipe, a device's side over HTTPS: docs/formats/sync-api.md. In the client.
 */
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "sync/client/remote_internal.h"

#define WIPE_DOMAIN "coffer/v1/sync/wipe"

enum { MESSAGE_MAX = 256 };

err_t *sync_http_wipe(sync_http_t *http, bool *ret_told, uint8_t ret_wipe[SYNC_HTTP_WIPE]) {
    http->wipe_told = false;
    err_t *e = call_login(http, true);
    if (e && err_code(e) != ERR_DENIED) return e;
    *ret_told = e && http->wipe_told;
    if (*ret_told) memcpy(ret_wipe, http->wipe, SYNC_HTTP_WIPE);
    err_free(e);
    return NULL;
}

static err_t *set_hex(json_t *object, const char *name, bytes_t value) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(value, &hex));
    return jso_set_str(object, name, hex);
}

static err_t *sign_receipt(const sync_http_t *http, const uint8_t *wipe, int64_t time,
                           uint64_t files, buf_t *ret_signature) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    TRY(buf_add(&message, BYTES_ARRAY(http->region)));
    TRY(buf_add(&message, bytes_make(http->device->id, SYNC_HASH)));
    TRY(buf_add(&message, bytes_make(wipe, SYNC_HTTP_WIPE)));
    TRY(wire_put_i64(&message, time));
    TRY(wire_put_u64(&message, files));
    return pkey_sign(http->device->login, WIPE_DOMAIN, buf_bytes(&message), ret_signature);
}

err_t *sync_http_receipt(sync_http_t *http, const uint8_t wipe[SYNC_HTTP_WIPE], int64_t time,
                         uint64_t files) {
    CLEANUP(http_response_done) http_response_t reply;
    CLEANUP(buf_done) buf_t signature;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(mem_free) char *region = NULL;
    char path[URL_MAX];
    http_response_init(&reply);
    buf_init(&signature, SYNC_SIGNATURE);
    TRY(sign_receipt(http, wipe, time, files, &signature));
    TRY(jso_object(&body));
    TRY(set_hex(body, "device", bytes_make(http->device->id, SYNC_HASH)));
    TRY(set_hex(body, "wipe", bytes_make(wipe, SYNC_HTTP_WIPE)));
    TRY(jso_set_int(body, "time", time));
    TRY(jso_set_int(body, "files", (int64_t)files));
    TRY(set_hex(body, "signature", buf_bytes(&signature)));
    TRY(text_hex_new(BYTES_ARRAY(http->region), &region));
    (void)snprintf(path, sizeof path, "/r/%s/wipe-receipt", region);
    return call_bare(http, path, body, &reply);
}
