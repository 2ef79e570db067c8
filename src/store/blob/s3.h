/*
 * Blobs in an S3 bucket: own signatures (sigv4.h), libcurl behind http/client.h. A bucket holds
 * immutable objects and nothing else: no listing, ETag or condition decides anything; the database
 * does. Requests are repeated, with growing pauses, when the store says 5xx or 429, or says
 * nothing.
 */
#ifndef COFFER_STORE_BLOB_S3_H
#define COFFER_STORE_BLOB_S3_H

#include "base/clk.h"
#include "base/rnd.h"
#include "store/blob/blob.h"

/* Everything is copied. */
typedef struct {
    const char *name;     /* of the store */
    const char *endpoint; /* "https://s3.example.org", "http://127.0.0.1:8080"; no path */
    const char *bucket;
    const char *prefix;           /* before every key: "" or "coffer/" */
    const char *region;           /* "us-east-1" */
    bool host_style;              /* BUCKET.HOST instead of HOST/BUCKET */
    bytes_t credentials;          /* the file's text: blob_s3_credentials */
    const char *ca_file;          /* trust these alone; or NULL */
    const char *proxy;            /* or NULL */
    const char *resolve;          /* "host:port:address" or NULL */
    int64_t connect_ms, total_ms; /* of one request; 0: 10 s, 60 s */
    unsigned tries;               /* of one call, 1..LIMIT_S3_TRIES; 0: 4 */
    int64_t pause_ms;             /* before the second try; doubles; 0: 200 ms */
    const clk_t *clk;             /* borrowed */
    const rnd_t *rnd;             /* borrowed */
} blob_s3_config_t;

/*
 * The credentials' file has "access_key = ..." and "secret_key = ..." on lines of their own. Asks
 * the store for nothing. ERR_INVALID says what is wrong.
 */
err_t *blob_s3_open(const blob_s3_config_t *config, blob_store_t **ret_store) WARN_UNUSED;

#endif
