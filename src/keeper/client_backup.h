/*
 * Asking the keeper for its part of a backup. See client.h for what is common, backup_format.h for
 * the records.
 */
#ifndef COFFER_KEEPER_CLIENT_BACKUP_H
#define COFFER_KEEPER_CLIENT_BACKUP_H

#include "keeper/backup_format.h"
#include "keeper/client.h"

/*
 * Begins a backup, giving up another one that may be in the making: the vault's state is held from
 * here. Appends 64 bytes to ret_keys (a secret buffer): the class secret of the files' chunks and
 * the key of the list of files. ERR_DENIED: there are no officers to seal it to.
 */
err_t *keeper_backup_begin(keeper_t *keeper, const uint8_t id[ESCROW_ID],
                           const uint8_t generation[ESCROW_ID], buf_t *ret_keys) WARN_UNUSED;
/* Copies on; *ret_left is 0 when chunks can be read. Idempotent. ERR_NOT_FOUND: given up. */
err_t *keeper_backup_copy(keeper_t *keeper, const uint8_t id[ESCROW_ID],
                          uint32_t *ret_left) WARN_UNUSED;
/*
 * The next chunks, from `first` on: appends each one's id (32 bytes), a length of four bytes and
 * its file; nothing at the end. Idempotent.
 */
err_t *keeper_backup_read(keeper_t *keeper, const uint8_t id[ESCROW_ID], uint32_t first,
                          buf_t *ret_chunks) WARN_UNUSED;
/* Appends the signed head (cofferBK). Of `head` count: id, label, file_chunks, table_hash and the
 * index's. */
err_t *keeper_backup_finish(keeper_t *keeper, const backup_head_t *head,
                            buf_t *ret_head) WARN_UNUSED;

#endif
