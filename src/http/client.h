/*
 * http_client_t: a blocking HTTP client over libcurl for webhooks, object stores, the command
 * line. It keeps its connections between requests. TLS 1.2 and later, peers always verified, no
 * redirects, only http and https. One thread at a time uses a client.
 */
#ifndef COFFER_HTTP_CLIENT_H
#define COFFER_HTTP_CLIENT_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct http_client http_client_t;

typedef enum {
    HTTP_VERSION_1_1,     /* HTTP/1.1 */
    HTTP_VERSION_ALPN,    /* HTTP/2 over TLS if the peer wants, else HTTP/1.1 */
    HTTP_VERSION_2_PRIOR, /* HTTP/2 without asking, also in clear (tests) */
} http_version_t;

/* Everything is copied, but `stop`. */
typedef struct {
    bytes_t ca_pem;      /* trust these alone; none: the system's or ca_file */
    const char *ca_file; /* or NULL */
    bytes_t cert_pem;    /* client certificate and chain, or none */
    bytes_t key_pem;     /* its key */
    http_version_t version;
    int64_t connect_ms;      /* 0: 10 s */
    int64_t total_ms;        /* of one request; 0: 60 s */
    size_t response_max;     /* bytes of a response body; 0: LIMIT_HTTP_RESPONSE */
    const char *resolve;     /* "host:port:address", for tests and split DNS; or NULL */
    const char *unix_socket; /* connect here instead of to the URL's host; or NULL */
    /* Or NULL. Another thread may set it: requests end within about a second (CANCELLED). */
    const atomic_bool *stop;
    /* Or NULL: asked about once a second while a request is under way; false ends it (CANCELLED).
     */
    bool (*go_on)(void *arg);
    void *go_on_arg;
    int64_t send_max;    /* bytes a second; 0: as fast as it goes */
    int64_t receive_max; /* the same */
    const char *proxy;   /* "http://proxy:3128"; NULL: none, whatever the environment says */
} http_client_config_t;

/* How a transfer ended, for those who may try again. */
typedef enum {
    HTTP_END_OK,          /* a response came, whatever its status */
    HTTP_END_REFUSED,     /* no connection (refused, unreachable, no such name): nothing sent */
    HTTP_END_TLS,         /* the handshake failed: nothing sent */
    HTTP_END_TIMEOUT,     /* a deadline passed: the peer may have acted */
    HTTP_END_NOT_HANDLED, /* the peer said it did not handle it (GOAWAY, RST_STREAM refused) */
    HTTP_END_BROKEN,      /* the connection broke meanwhile: the peer may have acted */
    HTTP_END_LIMIT,       /* the response was larger than allowed */
    HTTP_END_CANCELLED,   /* by us, at the end */
    HTTP_END_OTHER,
} http_end_t;

const char *http_end_name(http_end_t end);
/* Whether the peer surely did nothing, so that even an unsafe request may be repeated. */
bool http_end_retry_safe(http_end_t end);

typedef struct {
    http_end_t end;
    unsigned status; /* with HTTP_END_OK */
    buf_t headers;   /* "name: value\n" lines, names in lower case */
    buf_t body;
    unsigned http_major; /* 1 or 2 */
} http_response_t;

void http_response_init(http_response_t *response);
void http_response_done(http_response_t *response);
/* A header of the response (name in lower case), borrowed. */
bool http_response_header(const http_response_t *response, const char *name, bytes_t *ret_value);

/* Once per process before threads start; idempotent. */
err_t *http_client_init(void) WARN_UNUSED;

err_t *http_client_new(const http_client_config_t *config, http_client_t **ret_client) WARN_UNUSED;
void http_client_free(http_client_t *client); /* takes NULL */

/*
 * Sends a request and awaits the response, which is reset first. `headers`: NULL-ended array of
 * "Name: value", or NULL. Any status is success. Errors: ERR_UNAVAILABLE (refused, broken, not
 * handled), ERR_TIMEOUT, ERR_VERIFY (TLS), ERR_LIMIT, ERR_INVALID (bad URL); response->end
 * says it finer, also then.
 */
err_t *http_client_do(http_client_t *client, const char *method, const char *url,
                      const char *const *headers, bytes_t body,
                      http_response_t *response) WARN_UNUSED;

DEFINE_CLEANUP(http_client_t, http_client_free)
DEFINE_CLEANUP_VALUE(http_response_t, http_response_done)

#endif
