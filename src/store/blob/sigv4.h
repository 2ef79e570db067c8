/*
 * AWS Signature Version 4 ("AWS API Request Signing", Amazon S3 API reference "Authenticating
 * Requests: Using the Authorization Header"): what an S3 request is signed with. Pure; the
 * payload's hash is always in the signature, never UNSIGNED-PAYLOAD.
 */
#ifndef COFFER_STORE_BLOB_SIGV4_H
#define COFFER_STORE_BLOB_SIGV4_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    SIGV4_TIME = 17,       /* "20130524T000000Z" and NUL */
    SIGV4_PARAMS_MAX = 16, /* parameters of one query */
    SIGV4_HEADERS_MAX = 16,
};

typedef struct {
    const char *name;
    const char *value;
} sigv4_pair_t;

/* Everything is borrowed. */
typedef struct {
    const char *method;
    const char *path;          /* of the URL, encoded as it is sent: sigv4_path */
    const sigv4_pair_t *query; /* as they are, not encoded; any order */
    size_t query_n;
    const sigv4_pair_t *headers; /* all that are to be signed, in any order, `host` among them */
    size_t headers_n;
    const char *payload_sha256; /* 64 lower-case digits */
    int64_t time;               /* seconds since 1970 UTC; must be what x-amz-date says */
    const char *region;
    const char *service; /* "s3" */
    const char *access_key;
    bytes_t secret_key;
} sigv4_request_t;

/* The value of the Authorization header. ERR_LIMIT, ERR_INVALID (control characters). */
err_t *sigv4_authorization(const sigv4_request_t *request, buf_t *out) WARN_UNUSED;
/* The canonical request, for tests and for finding out why a server refuses. */
err_t *sigv4_canonical(const sigv4_request_t *request, buf_t *out) WARN_UNUSED;
/* Appends the query as it is sent: sorted by encoded name, then value; "" without parameters. */
err_t *sigv4_query(const sigv4_pair_t *query, size_t n, buf_t *out) WARN_UNUSED;
/* Appends a path encoded as S3 has it: once, each byte but unreserved ones and "/". */
err_t *sigv4_path(bytes_t path, buf_t *out) WARN_UNUSED;
/* x-amz-date. Returns out. */
const char *sigv4_time(int64_t unix_seconds, char out[SIGV4_TIME]);

#endif
