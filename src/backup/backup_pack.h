/*
 * Compression of a chunk (Zstandard, RFC 8878), before it is encrypted. Pure, thread-safe.
 */
#ifndef COFFER_BACKUP_BACKUP_PACK_H
#define COFFER_BACKUP_BACKUP_PACK_H

#include "keeper/backup_seal.h"

/* Appends the content, smaller if that is possible. At most BACKUP_CHUNK bytes. */
err_t *backup_pack(bytes_t content, backup_method_t *ret_method, buf_t *out) WARN_UNUSED;
/* Appends exactly `size` bytes (BACKUP_CHUNK at most). ERR_VERIFY if it is anything else. */
err_t *backup_unpack(backup_method_t method, bytes_t packed, size_t size, buf_t *out) WARN_UNUSED;

#endif
