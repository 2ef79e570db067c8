/*
 * http_reply_t: the answer a handler builds. One place maps error codes to statuses. Owned by the
 * worker thread that runs the handler, then by the server.
 */
#ifndef COFFER_HTTP_REPLY_H
#define COFFER_HTTP_REPLY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "http/stream.h"

enum { HTTP_REPLY_HEADERS = 24 }; /* header lines a handler may add */

typedef struct {
    char *name;
    char *value;
    bool fixed; /* both are literals, not owned */
} http_reply_header_t;

typedef struct http_reply {
    unsigned status; /* 200 unless told */
    http_reply_header_t headers[HTTP_REPLY_HEADERS];
    size_t headers_n;
    buf_t body;
    int file; /* body from this descriptor instead, or -1; owned */
    uint64_t file_offset;
    uint64_t file_size;
    http_stream_t *stream; /* body from there instead, or NULL; a reference */
} http_reply_t;

void http_reply_init(http_reply_t *reply);
void http_reply_done(http_reply_t *reply);
/* Back to an empty 200. */
void http_reply_clear(http_reply_t *reply);

/* Adds a header line; ERR_INVALID for a name or value that would break the line. */
err_t *http_reply_header(http_reply_t *reply, const char *name, const char *value) WARN_UNUSED;
/* The same, replacing one of that name. */
err_t *http_reply_set_header(http_reply_t *reply, const char *name, const char *value) WARN_UNUSED;
/* NULL if it is not there; owned by reply. */
const char *http_reply_get_header(const http_reply_t *reply, const char *name);

/* Takes over body's memory (body is empty afterwards). `type` NULL: no Content-Type. */
err_t *http_reply_body(http_reply_t *reply, unsigned status, const char *type,
                       buf_t *body) WARN_UNUSED;
/* Copies. */
err_t *http_reply_bytes(http_reply_t *reply, unsigned status, const char *type,
                        bytes_t body) WARN_UNUSED;
/* text/plain; charset=utf-8 with a line end behind it. */
err_t *http_reply_text(http_reply_t *reply, unsigned status, const char *text) WARN_UNUSED;
/* Only a status (204, 304, ...). */
err_t *http_reply_empty(http_reply_t *reply, unsigned status) WARN_UNUSED;
/* Sends `size` bytes of a regular file from `offset`; takes over fd, also on failure. */
err_t *http_reply_file(http_reply_t *reply, unsigned status, const char *type, int fd,
                       uint64_t offset, uint64_t size) WARN_UNUSED;
/* A body that goes on until the stream ends; takes a reference of its own. */
err_t *http_reply_stream(http_reply_t *reply, unsigned status, const char *type,
                         http_stream_t *stream) WARN_UNUSED;
/* 303 See Other (RFC 9110 section 15.4.4) to a location in this server or elsewhere. */
err_t *http_reply_redirect(http_reply_t *reply, const char *location) WARN_UNUSED;
/*
 * Set-Cookie (RFC 6265 section 4.1): Path=/; HttpOnly; SameSite=Strict; Secure when `secure`.
 * `max_age_s` 0 makes a session cookie, negative deletes it.
 */
err_t *http_reply_cookie(http_reply_t *reply, const char *name, const char *value,
                         int64_t max_age_s, bool secure) WARN_UNUSED;

/* THE map from error codes to statuses. */
unsigned http_status(err_code_t code);
/* "Not Found" and so on, for the statuses Coffer sends. */
const char *http_status_text(unsigned status);

/*
 * Replaces whatever is in reply by the answer for `e` (borrowed): the status, Retry-After where
 * later may work, and text or JSON. A status of 500 and above says nothing of what is inside,
 * only the request's id. If even this has no memory the reply is a bare status.
 */
void http_reply_error(http_reply_t *reply, const err_t *e, const char *request_id, bool json);

/*
 * Adds what is missing of: X-Content-Type-Options, Content-Security-Policy (nothing may load,
 * nothing may frame), X-Frame-Options, Referrer-Policy, Cache-Control: no-store, and with `hsts`
 * Strict-Transport-Security (RFC 6797). The server does this to every reply.
 */
err_t *http_reply_security(http_reply_t *reply, bool hsts) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(http_reply_t, http_reply_done)

#endif
