/*
 * Routes: a constant table of method and path pattern, and the pure match of a request against
 * it. A pattern's segments are literal text, ":name" for one segment that is not empty, or, last,
 * "*name" for the whole rest (which may be empty). The first route that fits wins, so literal
 * routes stand before those with parameters. GET routes answer HEAD too (RFC 9110 section 9.3.2).
 * Pure: no state, any thread.
 */
#ifndef COFFER_HTTP_ROUTER_H
#define COFFER_HTTP_ROUTER_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct http_request;
struct http_reply;

/*
 * Answers one request, on a worker thread, where it may block. `ctx` is the server's. On an error
 * the server makes the reply from it (http_reply_error) and whatever was in `reply` is dropped.
 */
typedef err_t *(*http_handler_t)(void *ctx, struct http_request *request, struct http_reply *reply);

/* What a route demands of its caller; enforced by the server's `before` hook. */
typedef enum {
    HTTP_AUTH_NONE,             /* anyone */
    HTTP_AUTH_SESSION,          /* a signed-in person (cookie) */
    HTTP_AUTH_TOKEN,            /* an API token (Bearer) */
    HTTP_AUTH_SESSION_OR_TOKEN, /* either; a session also needs the CSRF token for writes */
    HTTP_AUTH_DEVICE,           /* a device: client certificate or signature */
    HTTP_AUTH_OWN,              /* the handler authenticates by itself (SCEP challenge) */
} http_auth_t;

typedef struct {
    const char *method;  /* "GET", "POST", "PUT", ... upper case */
    const char *pattern; /* "/api/v1/devices/:id/commands" */
    size_t body_max;     /* bytes; 0: no body */
    unsigned listeners;  /* mask over http_listener_t.tag (1u << tag); 0: all */
    http_auth_t auth;
    http_handler_t handler;
    unsigned need;    /* the program's own: a permission, or 0 */
    bool json_errors; /* errors as {"error": {"code", "message"}} rather than plain text */
} http_route_t;

enum { HTTP_PARAMS_MAX = 8 }; /* parameters in one pattern */

typedef struct {
    bytes_t name;  /* in the pattern */
    bytes_t value; /* in the path given */
} http_param_t;

typedef enum {
    HTTP_MATCH_FOUND,
    HTTP_MATCH_NONE,   /* 404 */
    HTTP_MATCH_METHOD, /* 405: the path is there, not with this method */
} http_match_kind_t;

typedef struct {
    http_match_kind_t kind;
    const http_route_t *route; /* with HTTP_MATCH_FOUND */
    http_param_t params[HTTP_PARAMS_MAX];
    size_t params_n;
} http_match_t;

/*
 * Finds the route for a percent-decoded path that came in on listener `tag` (0..31). Parameters
 * borrow from `path` and from the table.
 */
http_match_t http_router_match(const http_route_t *routes, size_t routes_n, bytes_t method,
                               bytes_t path, unsigned tag);

/* Appends the methods that `path` takes, as the value of Allow (RFC 9110 section 10.2.1). */
err_t *http_router_allow(const http_route_t *routes, size_t routes_n, bytes_t path, unsigned tag,
                         buf_t *out) WARN_UNUSED;

/* ERR_USAGE if a pattern is malformed: no leading slash, too many parameters, '*' not last. */
err_t *http_router_check(const http_route_t *routes, size_t routes_n) WARN_UNUSED;

#endif
