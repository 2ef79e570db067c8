/*
 * Writing an instance out of a backup, with what M officers' shares opened. Blocking; one thread.
 */
#ifndef COFFER_BACKUP_BACKUP_RESTORE_H
#define COFFER_BACKUP_BACKUP_RESTORE_H

#include "backup/backup_repo.h"

typedef struct {
    uint64_t files, bytes; /* the vault among them */
} backup_restored_t;

/*
 * Decrypts every chunk and checks every file's hash. With `to` the files are written to a new
 * directory, which appears whole or not at all (ERR_EXISTS if it is there); with NULL nothing is
 * written. `secret`: the record cofferBS. ERR_VERIFY and ERR_NOT_FOUND name what is damaged.
 */
err_t *backup_restore(const backup_repo_t *repo, const backup_manifest_t *manifest,
                      const secret_t *secret, const char *to,
                      backup_restored_t *ret_restored) WARN_UNUSED;

#endif
