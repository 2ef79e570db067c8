/*
 * The backup that is being made: its copy of the vault and its keys. One at a time; a new one takes
 * the place of one that was given up. What leaves are sealed chunks, and the keys for those files
 * that lie outside the vault and that the asking side reads anyway. Worker threads; a lock inside.
 */
#ifndef COFFER_KEEPER_BACKUPS_H
#define COFFER_KEEPER_BACKUPS_H

#include "base/buf.h"
#include "crypto/secret.h"
#include "keeper/backup_format.h"
#include "keeper/vault.h"

typedef struct backups backups_t;

enum { BACKUPS_READ = 4 }; /* chunks in one answer */

err_t *backups_new(vault_t *vault, backups_t **ret_backups) WARN_UNUSED; /* vault is borrowed */
void backups_free(backups_t *backups);                                   /* takes NULL */

/*
 * Holds the vault's state. ret_files_key and ret_index_key get 32 bytes each: the class secret of
 * the files' chunks, which depends on generation and set, and the key of this backup's list.
 */
err_t *backups_begin(backups_t *backups, const uint8_t id[ESCROW_ID],
                     const uint8_t generation[ESCROW_ID], const uint8_t set_hash[ESCROW_HASH],
                     const rnd_t *rnd, buf_t *ret_files_key, buf_t *ret_index_key) WARN_UNUSED;
/* These three: ERR_NOT_FOUND if it is not the one that is being made. */
err_t *backups_copy(backups_t *backups, const uint8_t id[ESCROW_ID],
                    unsigned *ret_left) WARN_UNUSED;
/*
 * The next chunks, BACKUPS_READ at most, each as its id (32 bytes) and its file with a length of
 * four bytes before; none at the end. They come in order: `first` must be the next one, or the
 * first of the answer before (which is then repeated).
 */
err_t *backups_read(backups_t *backups, const uint8_t id[ESCROW_ID], uint32_t first,
                    const rnd_t *rnd, buf_t *out) WARN_UNUSED;
/*
 * Ends it: appends the record cofferBS. ERR_USAGE before all chunks were read; ERR_DENIED if the
 * officers' set is another than in the beginning.
 */
err_t *backups_finish(backups_t *backups, const uint8_t id[ESCROW_ID],
                      const uint8_t set_hash[ESCROW_HASH], buf_t *ret_secret,
                      uint8_t ret_generation[ESCROW_ID], uint32_t *ret_chunks) WARN_UNUSED;

DEFINE_CLEANUP(backups_t, backups_free)

#endif
