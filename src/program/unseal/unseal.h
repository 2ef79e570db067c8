/*
 * What the files of coffer-unseal share: a dump that was opened, and what is done with it. Single-
 * threaded. Nothing of a dump is trusted: everything is verified from the chain's first entry on.
 */
#ifndef COFFER_PROGRAM_UNSEAL_UNSEAL_H
#define COFFER_PROGRAM_UNSEAL_UNSEAL_H

#include "sync/epoch.h"
#include "sync/folder.h"
#include "sync/pack.h"
#include "sync/package.h"
#include "sync/root.h"

enum { UNSEAL_PACKS = 4, UNSEAL_NAME_MAX = 96 };

/* A pack's plain text, kept: its files stand in one folder more often than not. */
typedef struct {
    uint8_t package[SYNC_HASH];
    buf_t plain;
    uint64_t used; /* when last; 0: empty */
} unseal_pack_t;

typedef struct {
    int fd; /* of the dump's folder */
    sync_chain_t *chain;
    sync_device_key_t device;
    secret_t **keys; /* by epoch - 1; those after the newest delivered are missing */
    uint64_t keys_n;
    sync_root_seen_t seen;
    uint8_t folder[SYNC_HASH]; /* the root folder's package */
    bool list;                 /* tell names, write nothing */
    buf_t path;                /* where in the tree we are, for messages */
    uint64_t files, folders, bytes, problems;
    unseal_pack_t packs[UNSEAL_PACKS];
    uint64_t clock;
    buf_t sealed, plain; /* one chunk each */
} unseal_t;

err_t *unseal_init(unseal_t *u) WARN_UNUSED;
void unseal_done(unseal_t *u);

/* ---- dump.c ---- */

/* Opens the dump; reads and verifies chain and roots. */
err_t *unseal_open(unseal_t *u, const char *dump) WARN_UNUSED;
/* Finds the region's keys with u->device. */
err_t *unseal_find_keys(unseal_t *u) WARN_UNUSED;
/* Calls `take` with each run of a file of the dump; `max` bytes each. */
typedef err_t *(*unseal_run_t)(unseal_t *u, bytes_t record);
err_t *unseal_runs(unseal_t *u, const char *name, size_t max, unseal_run_t take) WARN_UNUSED;
/* "packages/ab/abcd..." */
void unseal_name(const char *folder, const uint8_t id[SYNC_HASH], char ret_name[UNSEAL_NAME_MAX]);
/* Says on standard error what is wrong and where; takes over e. */
void unseal_problem(unseal_t *u, err_t *e);

/* ---- content.c ---- */

/* A version's signature package, verified; `record` holds what it borrows. */
err_t *unseal_package(unseal_t *u, const uint8_t id[SYNC_HASH], buf_t *record,
                      sync_package_t *ret_package) WARN_UNUSED;
/* Its content into the sink, chunk by chunk. What the sink took counts only if this succeeds. */
err_t *unseal_content(unseal_t *u, const sync_package_t *package, sync_meta_kind_t kind,
                      const sync_sink_t *sink, uint64_t *ret_size) WARN_UNUSED;
/* A folder's list: package `id` of node `node` (NULL: any). `out` holds its record. */
err_t *unseal_folder(unseal_t *u, const uint8_t id[SYNC_HASH], const uint8_t *node,
                     const uint8_t *version, buf_t *out) WARN_UNUSED;
/* A file in a pack; *ret_content is borrowed until the next call. */
err_t *unseal_packed(unseal_t *u, const sync_entry_t *entry, bytes_t *ret_content) WARN_UNUSED;
/* Reads a blob through the scan and compares its root; the header is given out. */
err_t *unseal_scan(unseal_t *u, const sync_package_t *package,
                   sync_header_t *ret_header) WARN_UNUSED;

/* ---- restore.c, check.c ---- */

/* Into a new or empty directory; or only lists. Problems are told as they come. */
err_t *unseal_restore(unseal_t *u, const char *directory) WARN_UNUSED;
err_t *unseal_check(unseal_t *u) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(unseal_t, unseal_done)

#endif
