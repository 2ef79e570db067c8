/*
 * Checking and pruning backups, without any key. Blocking; one thread.
 */
#ifndef COFFER_BACKUP_BACKUP_CHECK_H
#define COFFER_BACKUP_BACKUP_CHECK_H

#include "backup/backup_repo.h"

typedef struct {
    void *ctx;
    /* What is wrong; e is borrowed. */
    void (*problem)(void *ctx, const char *backup, const err_t *e);
} backup_report_t;

typedef struct {
    uint64_t backups, chunks, bytes, problems;
} backup_checked_t;

/*
 * Reads backups (one, or all for NULL) and every chunk they name once: structure, hashes, the
 * signature, a share for every officer. `audit_key` (SubjectPublicKeyInfo) is who must have signed;
 * none: whoever the newest says. Goes on after a problem; ERR_VERIFY at the end if there were any.
 */
err_t *backup_check(const backup_repo_t *repo, const char *name, bytes_t audit_key,
                    const backup_report_t *report, backup_checked_t *ret_checked) WARN_UNUSED;
/* Set, blob and shares of a head belong together. */
err_t *backup_check_head(const backup_head_t *head, escrow_set_t *ret_set) WARN_UNUSED;

typedef struct {
    uint64_t kept, removed, chunks, bytes; /* removed backups, removed chunks and their bytes */
} backup_pruned_t;

/*
 * Removes all but the newest `keep` backups, then chunks that none of those names. Nothing is
 * removed while a backup that stays cannot be read.
 */
err_t *backup_prune(const backup_repo_t *repo, size_t keep,
                    backup_pruned_t *ret_pruned) WARN_UNUSED;

#endif
