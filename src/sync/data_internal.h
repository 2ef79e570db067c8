/*
 * What the files of data_*.c share: the keys that follow from a file key, nonces, what chunks are
 * bound to.
 */
#ifndef COFFER_SYNC_DATA_INTERNAL_H
#define COFFER_SYNC_DATA_INTERNAL_H

#include "sync/data.h"

/* Derived from a file key: for chunks, metadata, and the commitment (R3, R18). */
typedef struct {
    secret_t *chunk, *meta;
    uint8_t commit[SYNC_HASH];
} sync_file_keys_t;

void sync_file_keys_done(sync_file_keys_t *keys); /* takes a zeroed one */
err_t *sync_file_keys_derive(const sync_header_t *header, const secret_t *file_key,
                             sync_file_keys_t *ret_keys) WARN_UNUSED;
/* Suite, region, node, version: what wraps and metadata are bound to, behind a label. */
err_t *sync_data_info(const sync_data_id_t *id, bytes_t label, buf_t *out) WARN_UNUSED;

enum { SYNC_CHUNK_AAD = SYNC_HASH + 4 + 1 };
void sync_chunk_nonce(const sync_header_t *header, uint32_t index, bool last,
                      uint8_t ret_nonce[AEAD_NONCE_SIZE]);
void sync_chunk_aad(const uint8_t header_hash[SYNC_HASH], uint32_t index, bool last,
                    uint8_t ret_aad[SYNC_CHUNK_AAD]);
/* Wraps file_key into header->wrap and sets header->commit. */
err_t *sync_file_key_wrap(sync_header_t *header, const secret_t *folder_key,
                          const secret_t *file_key, const rnd_t *rnd) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sync_file_keys_t, sync_file_keys_done)

#endif
