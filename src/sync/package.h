/*
 * The signature package of one version of a node, record cofferYS: what a device says of it, and
 * its sealed metadata, record cofferYM. The service verifies it without keys and refuses bad
 * writes; replicas are scrubbed by its Merkle root. Its hash is the version's name in folders and
 * roots. Pure but for randomness in sealing.
 */
#ifndef COFFER_SYNC_PACKAGE_H
#define COFFER_SYNC_PACKAGE_H

#include "sync/chain.h"
#include "sync/data.h"
#include "sync/device_key.h"

typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH];
    uint8_t node[SYNC_NODE];
    uint8_t version[SYNC_NODE];
    uint8_t parents_n;
    uint8_t parents[LIMIT_SYNC_PARENTS][SYNC_NODE]; /* versions this replaces; ascending */
    uint64_t epoch;                                 /* of its file key's wrap */
    uint8_t root[SYNC_HASH]; /* Merkle root of the data package: the blob's name */
    uint64_t size;           /* bytes of the data package */
    uint8_t meta_hash[SYNC_HASH];
    uint8_t device[SYNC_HASH]; /* who signs */
    uint64_t position;         /* his place in the chain */
    uint8_t head[SYNC_HASH];
    uint8_t signature[SYNC_SIGNATURE];
    bytes_t meta;    /* sealed; borrowed */
    bytes_t message; /* what the signature is over; borrowed; not for put */
} sync_package_t;

/* Bytes that a package may have. */
enum { SYNC_PACKAGE_MAX = 1024 + LIMIT_SYNC_META };

/* The whole record. */
err_t *sync_package_put(const sync_package_t *package, buf_t *out) WARN_UNUSED;
/* ERR_VERIFY if the metadata is not what its hash says. */
err_t *sync_package_parse(bytes_t record, sync_package_t *ret_package) WARN_UNUSED;
/* SHA-256 of the message and the signature. */
err_t *sync_package_id(const sync_package_t *package, uint8_t ret_id[SYNC_HASH]) WARN_UNUSED;
/* Fills device, place at the chain's head, meta_hash and signature. */
err_t *sync_package_sign(sync_package_t *package, const sync_chain_t *chain,
                         const sync_device_key_t *device) WARN_UNUSED;
/*
 * Judged at its place: the signature, the right to write then, region, epoch, suite. ERR_VERIFY,
 * ERR_DENIED; ERR_NOT_FOUND for a place that this chain has not reached.
 */
err_t *sync_package_check(const sync_package_t *package, const sync_chain_t *chain) WARN_UNUSED;
/*
 * The service's check of a new write: that, and the device may still write, the epoch is the
 * present one (refuse signatures after revocation, R16), the data is this package's.
 */
err_t *sync_package_admit(const sync_package_t *package, const sync_chain_t *chain,
                          const sync_header_t *header, const uint8_t root[SYNC_HASH]) WARN_UNUSED;
/* Whether a data package's header is of this package; ERR_VERIFY. */
err_t *sync_package_match(const sync_package_t *package, const sync_header_t *header) WARN_UNUSED;

/* ---- metadata ---- */

typedef enum { SYNC_META_FILE = 1, SYNC_META_FOLDER = 2, SYNC_META_PACK = 3 } sync_meta_kind_t;

typedef struct {
    sync_meta_kind_t kind;
    uint64_t size;     /* bytes of content */
    int64_t mtime;     /* seconds since 1970 UTC */
    uint32_t mtime_ns; /* below 10^9 */
    uint32_t mode;     /* permission bits, 07777 */
    bytes_t name;      /* at the time of writing, or empty; for what is found without a tree */
} sync_meta_t;

/* Padded to a multiple of 256 bytes and sealed under a key that follows from the file key. */
err_t *sync_meta_seal(const sync_meta_t *meta, const sync_header_t *header,
                      const secret_t *file_key, const rnd_t *rnd, buf_t *out) WARN_UNUSED;
/* `storage` receives the plain text, which name borrows from. ERR_VERIFY. */
err_t *sync_meta_open(bytes_t sealed, const sync_header_t *header, const secret_t *file_key,
                      buf_t *storage, sync_meta_t *ret_meta) WARN_UNUSED;
/* The plain record with its padding; for tests and the two above. */
err_t *sync_meta_put(const sync_meta_t *meta, buf_t *out) WARN_UNUSED;
err_t *sync_meta_parse(bytes_t plain, sync_meta_t *ret_meta) WARN_UNUSED;

#endif
