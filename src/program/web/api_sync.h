/*
 * /api/v1/sync: synced files (docs/formats/sync-api.md). Devices come with tokens of the service's
 * own, people with API tokens. Refusals bear a word.
 */
#ifndef COFFER_PROGRAM_WEB_API_SYNC_H
#define COFFER_PROGRAM_WEB_API_SYNC_H

#include "program/web/api.h"
#include "program/web/web_sync.h"

enum { API_SYNC_DEVICE = 1, API_SYNC_PERSON = 2 }; /* who may come; bits */

typedef err_t *(*api_sync_fn)(web_t *web, sync_call_t *call, http_request_t *request,
                              http_reply_t *reply);

/*
 * Finds out who asks and, if the path has one, for which region, calls fn and answers a refusal
 * with its word. `who` 0: fn does it by itself.
 */
err_t *api_sync_run(web_t *web, http_request_t *request, http_reply_t *reply, unsigned who,
                    api_sync_fn fn) WARN_UNUSED;

/* 64 hexadecimal digits. ERR_INVALID. */
err_t *api_sync_hash(bytes_t hex, uint8_t ret_hash[SYNC_HASH]) WARN_UNUSED;
/* A parameter of the path, SYNC_WORD_MALFORMED; a number in the path. */
err_t *api_sync_param(sync_call_t *call, const http_request_t *request, const char *name,
                      uint8_t ret_hash[SYNC_HASH]) WARN_UNUSED;
err_t *api_sync_number(sync_call_t *call, const http_request_t *request, const char *name,
                       uint64_t max, uint64_t *ret_value) WARN_UNUSED;
/* A query parameter that is a number. */
err_t *api_sync_query(sync_call_t *call, const http_request_t *request, const char *name,
                      uint64_t otherwise, uint64_t *ret_value) WARN_UNUSED;
/* A member that is hex of exactly n bytes. */
err_t *api_sync_hex(sync_call_t *call, const json_t *body, const char *name, size_t n,
                    uint8_t *ret_bytes) WARN_UNUSED;
/* The body as an object; SYNC_WORD_MALFORMED. */
err_t *api_sync_body(sync_call_t *call, const http_request_t *request,
                     json_t **ret_body) WARN_UNUSED;
/* "Range: bytes=A-B" or "bytes=A-" (RFC 9110 section 14.2); other forms are SYNC_WORD_RANGE. */
typedef struct {
    bool asked;
    uint64_t from, to; /* to: not included */
} api_sync_range_t;
err_t *api_sync_range(sync_call_t *call, const http_request_t *request,
                      api_sync_range_t *range) WARN_UNUSED;
/* 200 or 206 with what was read of data of so many bytes; takes the buffer's memory. */
err_t *api_sync_content(sync_call_t *call, http_reply_t *reply, const api_sync_range_t *range,
                        uint64_t size, buf_t *content) WARN_UNUSED;
/* Records: application/octet-stream; takes the buffer's memory. */
err_t *api_sync_records(http_reply_t *reply, unsigned status, buf_t *records) WARN_UNUSED;
/* "folders": what the policy leaves to the caller's device, or null. */
err_t *api_sync_set_folders(const sync_call_t *call, json_t *out) WARN_UNUSED;
err_t *api_sync_set_hash(json_t *object, const char *name, bytes_t hash) WARN_UNUSED;

#define SYNC_HANDLERS(X)                                                                           \
    X(sync_session)                                                                                \
    X(sync_session_proof)                                                                          \
    X(sync_regions_add)                                                                            \
    X(sync_regions_list)                                                                           \
    X(sync_chain_get)                                                                              \
    X(sync_chain_post)                                                                             \
    X(sync_joins_add)                                                                              \
    X(sync_joins_list)                                                                             \
    X(sync_joins_show)                                                                             \
    X(sync_joins_answer)                                                                           \
    X(sync_joins_open)                                                                             \
    X(sync_joins_remove)                                                                           \
    X(sync_deliveries_list)                                                                        \
    X(sync_deliveries_add)                                                                         \
    X(sync_missing)                                                                                \
    X(sync_parts_list)                                                                             \
    X(sync_parts_put)                                                                              \
    X(sync_parts_name)                                                                             \
    X(sync_parts_drop)                                                                             \
    X(sync_data_get)                                                                               \
    X(sync_status)                                                                                 \
    X(sync_packages_add)                                                                           \
    X(sync_packages_show)                                                                          \
    X(sync_packages_get)                                                                           \
    X(sync_root_get)                                                                               \
    X(sync_roots_get)                                                                              \
    X(sync_root_post)                                                                              \
    X(sync_events_get)                                                                             \
    X(sync_policy_get)                                                                             \
    X(sync_wipe_done)                                                                              \
    X(sync_log_checkpoint_get)                                                                     \
    X(sync_log_key_get)                                                                            \
    X(sync_log_tile_get)                                                                           \
    X(sync_log_index_get)                                                                          \
    X(sync_usage_get)                                                                              \
    X(sync_quota_put)                                                                              \
    X(sync_holds_list)                                                                             \
    X(sync_holds_add)                                                                              \
    X(sync_holds_remove)                                                                           \
    X(sync_devices_list)                                                                           \
    X(sync_devices_wipe)                                                                           \
    X(sync_store_get)                                                                              \
    X(sync_store_scrub)                                                                            \
    X(sync_store_repair)
#define SYNC_DECLARE(name) err_t *name(void *ctx, http_request_t *request, http_reply_t *reply);
SYNC_HANDLERS(SYNC_DECLARE)
#undef SYNC_DECLARE

/* Defines the handler `name` over `name`_run. */
#define SYNC_HANDLER(name, who)                                                                    \
    err_t *name(void *ctx, http_request_t *request, http_reply_t *reply) {                         \
        return api_sync_run(ctx, request, reply, (who), name##_run);                               \
    }

/* Who authenticates by itself, and what an administrator asks. */
#define SYNC_OWN(method, path, body, handler)                                                      \
    { method, "/api/v1/sync" path, body, WEB_ON_HTTPS, HTTP_AUTH_OWN, handler, 0, true }
#define SYNC_ADMIN(method, path, body, handler, need)                                              \
    WEB_API_ROUTE(method, "/sync" path, body, handler, need)
#define SYNC_BODY_IDS      (LIMIT_SYNC_ASKED * SYNC_HASH)
#define SYNC_BODY_PACKAGES (LIMIT_SYNC_PACKAGES * (SYNC_PACKAGE_MAX + 4))
#define SYNC_BODY_ROOT     (2 * LIMIT_SYNC_CHANGES * SYNC_HASH + 2048)

/* The part of WEB_ROUTES that is sync. */
#define WEB_SYNC_ROUTES                                                                            \
    SYNC_OWN("POST", "/session", LIMIT_HTTP_BODY_FORM, sync_session),                              \
        SYNC_OWN("POST", "/session/proof", LIMIT_HTTP_BODY_FORM, sync_session_proof),              \
        SYNC_ADMIN("POST", "/regions", LIMIT_SYNC_ENTRY, sync_regions_add, WEB_NEED_NOTHING),      \
        SYNC_ADMIN("GET", "/regions", 0, sync_regions_list, WEB_NEED_NOTHING),                     \
        SYNC_OWN("GET", "/r/:region/chain", 0, sync_chain_get),                                    \
        SYNC_OWN("POST", "/r/:region/chain", LIMIT_SYNC_ENTRY, sync_chain_post),                   \
        SYNC_OWN("POST", "/r/:region/joins", LIMIT_SYNC_ENTRY, sync_joins_add),                    \
        SYNC_OWN("GET", "/r/:region/joins", 0, sync_joins_list),                                   \
        SYNC_OWN("GET", "/r/:region/joins/:join", 0, sync_joins_show),                             \
        SYNC_OWN("DELETE", "/r/:region/joins/:join", 0, sync_joins_remove),                        \
        SYNC_OWN("POST", "/r/:region/joins/:join/answer", LIMIT_HTTP_BODY_FORM,                    \
                 sync_joins_answer),                                                               \
        SYNC_OWN("POST", "/r/:region/joins/:join/open", LIMIT_HTTP_BODY_FORM, sync_joins_open),    \
        SYNC_OWN("GET", "/r/:region/deliveries", 0, sync_deliveries_list),                         \
        SYNC_OWN("PUT", "/r/:region/deliveries", LIMIT_SYNC_ASKED * 1024, sync_deliveries_add),    \
        SYNC_OWN("POST", "/r/:region/missing", SYNC_BODY_IDS, sync_missing),                       \
        SYNC_OWN("GET", "/r/:region/data/:root/parts", 0, sync_parts_list),                        \
        SYNC_OWN("PUT", "/r/:region/data/:root/:part", LIMIT_SYNC_PART, sync_parts_put),           \
        SYNC_OWN("POST", "/r/:region/data/:root/name", LIMIT_HTTP_BODY_FORM, sync_parts_name),     \
        SYNC_OWN("DELETE", "/r/:region/data/:root", 0, sync_parts_drop),                           \
        SYNC_OWN("GET", "/r/:region/data/:root", 0, sync_data_get),                                \
        SYNC_OWN("POST", "/r/:region/status", SYNC_BODY_IDS, sync_status),                         \
        SYNC_OWN("POST", "/r/:region/packages/get", SYNC_BODY_IDS, sync_packages_get),             \
        SYNC_OWN("POST", "/r/:region/packages", SYNC_BODY_PACKAGES, sync_packages_add),            \
        SYNC_OWN("GET", "/r/:region/packages/:package", 0, sync_packages_show),                    \
        SYNC_OWN("GET", "/r/:region/root", 0, sync_root_get),                                      \
        SYNC_OWN("POST", "/r/:region/root", SYNC_BODY_ROOT, sync_root_post),                       \
        SYNC_OWN("GET", "/r/:region/roots", 0, sync_roots_get),                                    \
        SYNC_OWN("GET", "/r/:region/events", 0, sync_events_get),                                  \
        SYNC_OWN("GET", "/r/:region/policy", 0, sync_policy_get),                                  \
        SYNC_OWN("POST", "/r/:region/wipe-receipt", LIMIT_HTTP_BODY_FORM, sync_wipe_done),         \
        SYNC_OWN("GET", "/log/checkpoint", 0, sync_log_checkpoint_get),                            \
        SYNC_OWN("GET", "/log/key", 0, sync_log_key_get),                                          \
        SYNC_OWN("GET", "/log/tile/*tile", 0, sync_log_tile_get),                                  \
        SYNC_OWN("GET", "/log/index/:region/:position", 0, sync_log_index_get),                    \
        SYNC_ADMIN("GET", "/usage", 0, sync_usage_get, WEB_NEED_READ),                             \
        SYNC_ADMIN("PUT", "/quotas/:email", LIMIT_HTTP_BODY_FORM, sync_quota_put, WEB_NEED_ADMIN), \
        SYNC_ADMIN("GET", "/holds", 0, sync_holds_list, WEB_NEED_READ),                            \
        SYNC_ADMIN("POST", "/holds", LIMIT_HTTP_BODY_FORM, sync_holds_add, WEB_NEED_ADMIN),        \
        SYNC_ADMIN("DELETE", "/holds/:hold", 0, sync_holds_remove, WEB_NEED_ADMIN),                \
        SYNC_ADMIN("GET", "/regions/:region/devices", 0, sync_devices_list, WEB_NEED_READ),        \
        SYNC_ADMIN("POST", "/regions/:region/devices/:device/wipe", 0, sync_devices_wipe,          \
                   WEB_NEED_ADMIN),                                                                \
        SYNC_ADMIN("GET", "/store", 0, sync_store_get, WEB_NEED_READ),                             \
        SYNC_ADMIN("POST", "/store/scrub", 0, sync_store_scrub, WEB_NEED_ADMIN),                   \
        SYNC_ADMIN("POST", "/store/repair", 0, sync_store_repair, WEB_NEED_ADMIN)

#endif
