/*
 * Making a backup of a running instance: the store's and the vault's state of one moment, and the
 * other files as they are read. Chunks that an earlier backup in the directory has are not written
 * again. Killed at any point, it leaves earlier backups as they were. Blocking; one thread; the
 * instance's owner runs it on the instance's host.
 */
#ifndef COFFER_BACKUP_BACKUP_MAKE_H
#define COFFER_BACKUP_BACKUP_MAKE_H

#include "backup/backup_repo.h"
#include "base/clk.h"
#include "base/rnd.h"

/* The keeper's part, however it is reached: see keeper/client_backup.h. */
typedef struct {
    void *ctx;
    err_t *(*begin)(void *ctx, const uint8_t id[ESCROW_ID], const uint8_t generation[ESCROW_ID],
                    buf_t *ret_keys);
    err_t *(*copy)(void *ctx, const uint8_t id[ESCROW_ID], uint32_t *ret_left);
    err_t *(*read)(void *ctx, const uint8_t id[ESCROW_ID], uint32_t first, buf_t *ret_chunks);
    err_t *(*finish)(void *ctx, const backup_head_t *head, buf_t *ret_head);
} backup_source_t;

typedef struct {
    const char *instance; /* its directory */
    const char *dir;      /* where backups lie; made if it is not there */
    const char *label;    /* whose it is, for people */
    bool full;            /* share no chunks with earlier ones */
    const rnd_t *rnd;
    backup_source_t source;
} backup_make_t;

typedef struct {
    char name[BACKUP_NAME];
    uint64_t files, bytes; /* what it holds, before compression */
    uint64_t chunks, new_chunks;
    uint64_t written; /* bytes, of new chunks and of the backup's file */
    uint64_t skipped; /* links, sockets and the like */
} backup_made_t;

err_t *backup_make(const backup_make_t *make, backup_made_t *ret_made) WARN_UNUSED;

#endif
