/*
 * Links for outsiders. A link's secret stands only in the URL's fragment, which browsers do not
 * send (R11). From it, and a password if there is one, follow the token that the service asks for
 * (it keeps its hash, counts its uses and lets it expire) and the key of the link's list, record
 * cofferYL, which has the file keys. The service can compute neither from the other. On clients.
 */
#ifndef COFFER_SYNC_LINK_H
#define COFFER_SYNC_LINK_H

#include "base/rnd.h"
#include "crypto/password.h"
#include "crypto/secret.h"
#include "sync/suite.h"

typedef struct {
    uint8_t id[SYNC_NODE];   /* names the link at the service; from the secret alone */
    uint8_t token[SYNC_KEY]; /* opens it there; the service keeps SHA-256 of it */
    secret_t *key;           /* of the list */
} sync_link_t;

void sync_link_done(sync_link_t *link); /* takes a zeroed one */
/*
 * `secret`: 32 bytes, random. No password: BYTES_NONE. Else it goes through Argon2id at `cost` with
 * the id as salt.
 */
err_t *sync_link_derive(const secret_t *secret, bytes_t password, const password_cost_t *cost,
                        sync_link_t *ret_link) WARN_UNUSED;
/* What the service compares: SHA-256 of the token. */
err_t *sync_link_token_hash(const uint8_t token[SYNC_KEY], uint8_t ret_hash[SYNC_HASH]) WARN_UNUSED;

/* One file of a link. Never a packed one: the pack's key would open its neighbours. */
typedef struct {
    bytes_t path; /* names with '/' between; borrowed */
    uint64_t size;
    int64_t mtime; /* seconds since 1970 UTC */
    uint8_t package[SYNC_HASH];
    uint8_t root[SYNC_HASH]; /* of the data package: what to fetch, and to check it by */
    uint64_t package_size;
    uint8_t file_key[SYNC_KEY];
} sync_link_file_t;

/* The plain list; paths ascending, of valid names. ERR_LIMIT past LIMIT_SYNC_LINK_FILES. */
err_t *sync_link_list_put(const sync_link_file_t *files, size_t n, buf_t *out) WARN_UNUSED;

typedef struct {
    wire_reader_t r;
    uint32_t left;
    bytes_t last;
} sync_link_reader_t;

err_t *sync_link_list_open(bytes_t plain, sync_link_reader_t *ret_reader) WARN_UNUSED;
err_t *sync_link_list_next(sync_link_reader_t *reader, bool *ret_found,
                           sync_link_file_t *ret_file) WARN_UNUSED;

/* The record cofferYL around it; both buffers should be buf_init_secret for the plain side. */
err_t *sync_link_seal(const sync_link_t *link, const rnd_t *rnd, bytes_t plain,
                      buf_t *out) WARN_UNUSED;
/* ERR_VERIFY: another link's, changed, or the wrong password. */
err_t *sync_link_open(const sync_link_t *link, bytes_t record, buf_t *out) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sync_link_t, sync_link_done)

#endif
