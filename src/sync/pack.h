/*
 * A pack, record cofferYP: many small files in the plain text of one data package. A list of the
 * files and their lengths comes first, then their bytes in that order; the list ends inside the
 * first chunk. A pack is never changed: a changed file goes into a new one. Who is given the pack's
 * key can read all of it, so a file that is shared alone becomes a package of its own. Pure.
 */
#ifndef COFFER_SYNC_PACK_H
#define COFFER_SYNC_PACK_H

#include "sync/suite.h"

typedef struct {
    uint8_t node[SYNC_NODE];
    uint8_t version[SYNC_NODE];
    uint32_t size; /* bytes */
} sync_packed_t;

enum { SYNC_PACKED_SIZE = 2 * SYNC_NODE + 4, SYNC_PACK_HEAD = RECORD_HEAD + 4 };

/* The list; ERR_LIMIT past LIMIT_SYNC_PACKED files or LIMIT_SYNC_PACK bytes of them. */
err_t *sync_pack_put(const sync_packed_t *files, size_t n, buf_t *out) WARN_UNUSED;

typedef struct {
    bytes_t list; /* borrowed */
    uint32_t n;
    uint32_t content; /* bytes of all files */
} sync_pack_t;

/* Reads the list at the front of `plain`, a pack's whole plain text or its first chunk. */
err_t *sync_pack_open(bytes_t plain, sync_pack_t *ret_pack) WARN_UNUSED;
/* Bytes of the whole plain text. */
uint64_t sync_pack_size(const sync_pack_t *pack);
/* A file of the list and where its bytes begin in the plain text; ERR_NOT_FOUND. */
err_t *sync_pack_file(const sync_pack_t *pack, uint32_t index, sync_packed_t *ret_file,
                      uint64_t *ret_offset) WARN_UNUSED;

#endif
