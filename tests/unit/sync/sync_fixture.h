/*
 * What the tests of sync share: three devices of one person, a recovery key, a region with its
 * chain and key, randomness that repeats.
 */
#ifndef COFFER_TESTS_SYNC_FIXTURE_H
#define COFFER_TESTS_SYNC_FIXTURE_H

#include "../unit.h"

#include "base/mem.h"
#include "sync/chain_write.h"
#include "sync/data.h"
#include "sync/package.h"
#include "sync/root.h"

enum { FIXTURE_ENTRIES = 16, FIXTURE_NOW = 1700000000 };

typedef struct {
    sync_device_key_t laptop, phone, tablet, recovery;
    sync_chain_t *chain;
    secret_t *key;                  /* of the present epoch */
    buf_t entries[FIXTURE_ENTRIES]; /* the chain's records */
    size_t entries_n;
} fixture_t;

/* Counts up; not random at all. */
const rnd_t *fixture_rnd(void);
sync_chain_writer_t fixture_writer(const sync_device_key_t *author);
/* laptop begins, adds and approves phone (READ WRITE) and recovery (RECOVER); tablet is outside. */
void fixture_init(fixture_t *f);
void fixture_done(fixture_t *f);
/* The next record of the chain, which a writer appends to. */
buf_t *fixture_entry(fixture_t *f);
void fixture_set_key(fixture_t *f, secret_t *key);
/* A chain of the first n records of f. */
sync_chain_t *fixture_replay(const fixture_t *f, size_t n);

/* A data package made in memory, and all about it. */
typedef struct {
    buf_t blob;
    sync_header_t header;
    secret_t *file_key;
    uint8_t root[SYNC_HASH];
    uint64_t size, content;
} fixture_blob_t;

sync_data_id_t fixture_data_id(const fixture_t *f, uint8_t node);
void fixture_blob(const fixture_t *f, uint8_t node, bytes_t content, fixture_blob_t *ret_blob);
void fixture_blob_done(fixture_blob_t *blob);
/* Its signature package by a device, with metadata in `meta`, which the package borrows. */
sync_package_t fixture_package(const fixture_t *f, const sync_device_key_t *device,
                               const fixture_blob_t *blob, buf_t *meta);

#endif
