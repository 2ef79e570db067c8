/*
 * Leases over HTTP: /push/v1/leases for devices, which show their identity certificate or their
 * token, and /api/v1/devices/:device/leases for admins.
 */
#ifndef COFFER_PROGRAM_WEB_API_LEASES_H
#define COFFER_PROGRAM_WEB_API_LEASES_H

#include "device/caller.h"
#include "escrow/leases.h"
#include "program/web/api.h"

err_t *push_lease_key(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *push_leases_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *push_leases_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *push_leases_release(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *push_leases_revoke(void *ctx, http_request_t *request, http_reply_t *reply);

/* The key for an event, as push_leases_release sends it; the caller's. */
err_t *push_release_json(escrow_t *escrow, const lease_ref_t *ref, const char *event,
                         json_t **ret_json) WARN_UNUSED;
/* Which device asks; each asks so often (LIMIT_LEASE_ASKED). */
err_t *push_find_device(web_t *web, http_request_t *request,
                        device_caller_t *ret_caller) WARN_UNUSED;

err_t *api_leases_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_leases_event(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_leases_reset(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_leases_revoke(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_devices_token(void *ctx, http_request_t *request, http_reply_t *reply);

#define WEB_PUSH_ROUTE(method, path, body, handler)                                                \
    { method, path, body, WEB_ON_HTTPS | WEB_ON_MTLS, HTTP_AUTH_DEVICE, handler, 0, true }
/* The part of WEB_ROUTES. */
#define WEB_LEASE_ROUTES                                                                           \
    WEB_PUSH_ROUTE("GET", "/push/v1/lease-key", 0, push_lease_key),                                \
        WEB_PUSH_ROUTE("GET", "/push/v1/leases", 0, push_leases_list),                             \
        WEB_PUSH_ROUTE("PUT", "/push/v1/leases/:account", LIMIT_HTTP_BODY_FORM, push_leases_put),  \
        WEB_PUSH_ROUTE("POST", "/push/v1/leases/:account/release", LIMIT_HTTP_BODY_FORM,           \
                       push_leases_release),                                                       \
        WEB_PUSH_ROUTE("DELETE", "/push/v1/leases/:account", 0, push_leases_revoke),               \
        WEB_API_ROUTE("GET", "/devices/:device/leases", 0, api_leases_list, WEB_NEED_READ),        \
        WEB_API_ROUTE("DELETE", "/devices/:device/leases", 0, api_leases_reset, WEB_NEED_ADMIN),   \
        WEB_API_ROUTE("DELETE", "/devices/:device/leases/:account", 0, api_leases_revoke,          \
                      WEB_NEED_ADMIN),                                                             \
        WEB_API_ROUTE("POST", "/devices/:device/leases/:account/events", LIMIT_HTTP_BODY_FORM,     \
                      api_leases_event, WEB_NEED_ADMIN),                                           \
        WEB_API_ROUTE("POST", "/devices/:device/token", 0, api_devices_token, WEB_NEED_ADMIN)

#endif
