/*
 * The service over HTTPS as the engine wants it (sync/engine/remote.h): docs/formats/sync-api.md.
 * The device logs in with its log-in key when it must; its token is kept in the local state, so
 * that a program that starts often does not log in often. Data goes out on threads of its own,
 * so that a file is read and sealed while the piece before is on its way; they hold no more than
 * SYNC_HTTP_AHEAD bytes, and with the piece that is being sealed SYNC_HTTP_HELD. One thread calls;
 * calls that fail in the net are tried again.
 */
#ifndef COFFER_SYNC_CLIENT_REMOTE_H
#define COFFER_SYNC_CLIENT_REMOTE_H

#include "base/clk.h"
#include "format/json.h"
#include "http/client.h"
#include "store/local_state.h"
#include "sync/device_key.h"
#include "sync/engine/remote.h"

/* Bytes that are on their way at once, and those with what is being sealed meanwhile. */
enum {
    SYNC_HTTP_AHEAD = 9 * 1024 * 1024,
    SYNC_HTTP_HELD = 15 * 1024 * 1024 + 512 * 1024,
    SYNC_HTTP_WIPE = 16
};

/* Everything but `state`, `clk` and `device` is copied. */
typedef struct {
    const char *server;  /* "https://host:port" */
    const char *ca_file; /* or NULL: the system's */
    const char *resolve; /* "host:port:address", or NULL */
    uint8_t region[SYNC_HASH];
    const sync_device_key_t *device;
    db_local_t *state; /* or NULL: nothing is kept */
    const clk_t *clk;
    uint64_t up_max, down_max; /* bytes a second of bodies: rate.h; 0: no limit */
} sync_http_config_t;

typedef struct sync_http sync_http_t;

err_t *sync_http_new(const sync_http_config_t *config, sync_http_t **ret_http) WARN_UNUSED;
void sync_http_free(sync_http_t *http); /* takes NULL; waits for what is on its way */
/* From any thread: what another one is waiting for ends within about a second, ERR_UNAVAILABLE. */
void sync_http_stop(sync_http_t *http);
const sync_remote_t *sync_http_remote(sync_http_t *http); /* borrowed */

/*
 * Any other request below /api/v1/sync/r/REGION as this device; `path` begins with '/'. The answer
 * replaces what is in ret_body. Errors as in sync/engine/remote.h; ERR_EXISTS for 409.
 */
err_t *sync_http_call(sync_http_t *http, const char *method, const char *path, const char *type,
                      bytes_t body, buf_t *ret_body) WARN_UNUSED;
err_t *sync_http_json(sync_http_t *http, const char *method, const char *path, const json_t *body,
                      json_t **ret_json) WARN_UNUSED;
/*
 * GET below /api/v1/sync of what is open to everybody (docs/formats/sync-api.md, the log); no
 * log-in. The answer replaces what is in ret_body; ERR_LIMIT if it does not fit there.
 */
err_t *sync_http_log(sync_http_t *http, const char *path, buf_t *ret_body) WARN_UNUSED;
/* So far: how many, and the bytes of their bodies. */
void sync_http_counts(const sync_http_t *http, uint64_t *ret_requests, uint64_t *ret_sent);

/*
 * Logs in anew to hear whether the service wants this device wiped, of this very region: false if
 * it lets the device in, or shuts it out for another reason. What it says is its word alone.
 */
err_t *sync_http_wipe(sync_http_t *http, bool *ret_told,
                      uint8_t ret_wipe[SYNC_HTTP_WIPE]) WARN_UNUSED;
/*
 * Signs that the wipe was done and tells the service: `files` removed, seconds since 1970. May be
 * repeated. ERR_NOT_FOUND, ERR_VERIFY: it does not take it, and never will.
 */
err_t *sync_http_receipt(sync_http_t *http, const uint8_t wipe[SYNC_HTTP_WIPE], int64_t time,
                         uint64_t files) WARN_UNUSED;

DEFINE_CLEANUP(sync_http_t, sync_http_free)

#endif
