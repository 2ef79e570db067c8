/*
 * The organisation's append-only log of chain heads, in the forms of C2SP tlog-tiles and
 * tlog-checkpoint, so that devices and outside witnesses can check it with any tool that knows
 * them. A leaf is the record cofferYH. Hashes lie in tiles of 256 (RFC 6962 trees); proofs are
 * made from tiles. Pure: whoever has tiles gives a function that reads them.
 */
#ifndef COFFER_SYNC_TLOG_H
#define COFFER_SYNC_TLOG_H

#include "crypto/merkle.h"
#include "crypto/note.h"
#include "sync/suite.h"

/* ---- leaves ---- */

typedef struct {
    uint8_t region[SYNC_HASH];
    uint64_t position;
    uint8_t head[SYNC_HASH];
} sync_leaf_t;

enum { SYNC_LEAF_SIZE = RECORD_HEAD + 2 * SYNC_HASH + 8 };

err_t *sync_leaf_put(const sync_leaf_t *leaf, buf_t *out) WARN_UNUSED;
err_t *sync_leaf_parse(bytes_t record, sync_leaf_t *ret_leaf) WARN_UNUSED;

/* ---- checkpoints ---- */

typedef struct {
    bytes_t origin; /* borrowed */
    uint64_t size;  /* leaves */
    uint8_t root[MERKLE_HASH];
} tlog_checkpoint_t;

/* Appends the signed note; the key's name is the origin (no spaces, no '+'). */
err_t *tlog_checkpoint_sign(const tlog_checkpoint_t *checkpoint, const pkey_t *key,
                            buf_t *out) WARN_UNUSED;
/* ERR_VERIFY unless `key` signed it under the name `origin`, which its first line must be too. */
err_t *tlog_checkpoint_open(bytes_t note, const pkey_t *key, const char *origin,
                            tlog_checkpoint_t *ret_checkpoint) WARN_UNUSED;

/* ---- tiles ---- */

enum { TLOG_TILE = 256, TLOG_PATH_MAX = 64 };

/* "tile/<level>/<index>[.p/<width>]"; `level` below 0: "tile/entries/...". Width 1..256. */
err_t *tlog_tile_path(int level, uint64_t index, unsigned width,
                      char ret_path[TLOG_PATH_MAX]) WARN_UNUSED;
/*
 * The other way, of what stands behind "tile/"; false unless it is the one name of a tile.
 * *ret_level below 0: entries.
 */
bool tlog_tile_parse(bytes_t path, int *ret_level, uint64_t *ret_index, unsigned *ret_width);
/* Hashes in a tile of a tree of `size` leaves; 0: there is no such tile. */
unsigned tlog_tile_width(uint64_t size, unsigned level, uint64_t index);
/* An entry bundle: each entry behind its length, two bytes. */
err_t *tlog_bundle_add(bytes_t entry, buf_t *out) WARN_UNUSED;
err_t *tlog_bundle_next(bytes_t *bundle, bytes_t *ret_entry) WARN_UNUSED;

/* Reads the first `width` hashes of a tile into out[width]. */
typedef struct {
    void *ctx;
    err_t *(*read)(void *ctx, unsigned level, uint64_t index, unsigned width,
                   uint8_t (*ret_hashes)[MERKLE_HASH]);
} tlog_tiles_t;

/* A tree's root, and proofs for merkle_check_*; all from tiles. */
err_t *tlog_root(const tlog_tiles_t *tiles, uint64_t size,
                 uint8_t ret_root[MERKLE_HASH]) WARN_UNUSED;
err_t *tlog_inclusion(const tlog_tiles_t *tiles, uint64_t size, uint64_t index,
                      uint8_t ret_proof[MERKLE_PROOF_MAX][MERKLE_HASH], size_t *ret_n) WARN_UNUSED;
err_t *tlog_consistency(const tlog_tiles_t *tiles, uint64_t old_size, uint64_t size,
                        uint8_t ret_proof[MERKLE_PROOF_MAX][MERKLE_HASH],
                        size_t *ret_n) WARN_UNUSED;

#endif
