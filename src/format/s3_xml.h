/*
 * The two XML answers of an S3 store that anything is read from: a page of a listing (Amazon S3 API
 * reference, ListObjectsV2) and an error (REST Error Responses). Small, bounded, without document
 * types and entities. Pure; any process, any thread.
 */
#ifndef COFFER_FORMAT_S3_XML_H
#define COFFER_FORMAT_S3_XML_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    const char *key; /* in the arena */
    uint64_t size;
    int64_t modified; /* seconds since 1970 UTC */
} s3_object_t;

typedef struct {
    s3_object_t *objects; /* in the arena; at most LIMIT_BLOB_PAGE */
    size_t n;
    bool truncated; /* there are more */
} s3_listing_t;

/* ERR_INVALID: no such answer. ERR_LIMIT: too deep, too many, too long. */
err_t *s3_listing_parse(bytes_t xml, arena_t *arena, s3_listing_t *ret_listing) WARN_UNUSED;

typedef struct {
    char code[64];     /* "NoSuchKey"; printable ASCII, cut */
    char message[160]; /* the same */
} s3_error_t;

/* Whatever the store says; empty texts if it says nothing that can be read. */
void s3_error_parse(bytes_t xml, s3_error_t *ret_error);

#endif
