/*
 * http_request_t: one complete request as a handler sees it. The server fills it in; everything
 * it points to lives until the handler returned (in the request's arena or the connection's
 * memory). Tests of handlers may fill in one by hand. Owned by one worker thread.
 */
#ifndef COFFER_HTTP_REQUEST_H
#define COFFER_HTTP_REQUEST_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/digest.h"
#include "http/router.h"

typedef struct {
    bytes_t name;
    bytes_t value;
} http_header_t;

typedef struct http_request {
    bytes_t method;    /* as sent; HEAD stays HEAD though a GET route answers it */
    bytes_t path;      /* percent-decoded: begins with '/', no NUL, no "." or ".." segment */
    bytes_t raw_query; /* what stood behind '?', exactly as sent (RFC 8894 needs its '+') */
    const http_header_t *headers;
    size_t headers_n;
    bytes_t body;
    uint8_t body_sha256[DIGEST_SHA256_SIZE]; /* of the body, of a handler that is config.hashed */
    const char *peer;                        /* address in text, without port; IPv4 as IPv4 */
    unsigned tag;                            /* the listener's */
    bool tls;                                /* came over TLS */
    bytes_t client_cert;        /* DER of the TLS client's certificate, NOT verified; or none */
    const bytes_t *client_more; /* the further certificates it sent, DER, not verified */
    size_t client_more_n;
    char id[24];     /* unique per request, for logs and error replies */
    int64_t seen_ms; /* monotonic, when its first line arrived */
    const http_route_t *route;
    const http_param_t *params;
    size_t params_n;
    arena_t *arena; /* for what the handler needs until it returns; bounded */
    void *user;     /* for the `before` hook: whom it authenticated (put it into the arena) */
    /* For a request in steps (server.h): the program's, freed by state_free when the reply is out.
     */
    void *state;
    void (*state_free)(void *state);
} http_request_t;

/* The first header of that name, any case. */
bool http_request_header(const http_request_t *request, const char *name, bytes_t *ret_value);
/* ERR_INVALID if it is there more than once: for Authorization and the like. */
err_t *http_request_header_once(const http_request_t *request, const char *name, bytes_t *ret_value,
                                bool *ret_found) WARN_UNUSED;
/* A parameter of the route's pattern; none if the pattern has no such one. */
bytes_t http_request_param(const http_request_t *request, const char *name);
/* Whether the body's media type is `type` ("application/json"), whatever its parameters. */
bool http_request_is_type(const http_request_t *request, const char *type);

/*
 * Splits a request target (RFC 9112 section 3.2, origin or absolute form) into the decoded path
 * and the raw query; `path_out` receives the path's bytes. ERR_INVALID for NUL, control bytes,
 * an encoded slash, "." or ".." segments; ERR_LIMIT when the query exceeds LIMIT_HTTP_QUERY.
 */
err_t *http_target_parse(bytes_t target, buf_t *path_out, bytes_t *ret_raw_query) WARN_UNUSED;

#endif
