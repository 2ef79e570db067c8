/*
 * The directory that backups lie in: backups/NAME.coffer, one file a backup, and chunks/xx/ID, what
 * their files consist of. A backup's file is written last and after everything is flushed, so a
 * backup is either whole or not there. Chunks are only ever added, but by pruning. One process at a
 * time writes (flock on DIR/lock). Blocking; one thread.
 */
#ifndef COFFER_BACKUP_BACKUP_REPO_H
#define COFFER_BACKUP_BACKUP_REPO_H

#include "keeper/backup_seal.h"

typedef struct backup_repo backup_repo_t;

enum { BACKUP_NAME = 64 }; /* bytes of a backup's name with the NUL: 20261122T090000123Z-3f9a1c2d */

typedef enum {
    BACKUP_REPO_READ,   /* an existing one */
    BACKUP_REPO_WRITE,  /* the same, alone */
    BACKUP_REPO_CREATE, /* made if it is not there, in a directory that exists */
} backup_repo_mode_t;

/* ERR_NOT_FOUND: no backups there; ERR_BUSY: another process works in it. */
err_t *backup_repo_open(const char *dir, backup_repo_mode_t mode,
                        backup_repo_t **ret_repo) WARN_UNUSED;
void backup_repo_free(backup_repo_t *repo); /* takes NULL */
const char *backup_repo_dir(const backup_repo_t *repo);

/* Names, oldest first. */
typedef struct {
    char (*names)[BACKUP_NAME];
    size_t n;
} backup_names_t;

void backup_names_done(backup_names_t *names); /* takes a zeroed one */
err_t *backup_repo_list(const backup_repo_t *repo, backup_names_t *ret_names) WARN_UNUSED;
/* Whether it is a name of a backup: nothing that leads elsewhere. */
bool backup_name_valid(const char *name);

/* Reads a backup's file into `file` (emptied first) and verifies it. ERR_VERIFY, ERR_INVALID. */
err_t *backup_repo_read(const backup_repo_t *repo, const char *name, buf_t *file,
                        backup_manifest_t *ret_manifest) WARN_UNUSED;
/* The same without verifying, from any path. */
err_t *backup_file_read(const char *path, buf_t *file, backup_manifest_t *ret_manifest) WARN_UNUSED;
/* Flushes everything, then writes the backup's file. */
err_t *backup_repo_commit(backup_repo_t *repo, const char *name, bytes_t file) WARN_UNUSED;
err_t *backup_repo_remove(const backup_repo_t *repo, const char *name) WARN_UNUSED;

/* Chunk files. */
err_t *backup_chunk_put(backup_repo_t *repo, const uint8_t id[ESCROW_HASH],
                        bytes_t file) WARN_UNUSED;
/* Whether there is a file of this size; its content is not looked at. */
bool backup_chunk_there(const backup_repo_t *repo, const backup_entry_t *entry);
/* Reads it (out is emptied first) and compares its hash. ERR_VERIFY and ERR_NOT_FOUND name it. */
err_t *backup_chunk_read(const backup_repo_t *repo, const backup_entry_t *entry,
                         buf_t *out) WARN_UNUSED;

/* Chunks by their ids: a hash table, the ids being random. */
typedef struct {
    backup_entry_t *entries; /* size 0: free */
    size_t n, room;          /* room is a power of two */
} backup_known_t;

void backup_known_done(backup_known_t *known); /* takes a zeroed one */
/* In the place of one with the same id. */
err_t *backup_known_put(backup_known_t *known, const backup_entry_t *entry) WARN_UNUSED;
/* A whole list of chunks. */
err_t *backup_known_add(backup_known_t *known, bytes_t table) WARN_UNUSED;
/* NULL if there is none; borrowed. */
const backup_entry_t *backup_known_find(const backup_known_t *known, const uint8_t *id);
/*
 * Those of all backups, and the generation of the newest. An error names the backup that cannot be
 * read: nothing is written or removed while that is so.
 */
err_t *backup_repo_known(const backup_repo_t *repo, const backup_names_t *names,
                         backup_known_t *ret_known, uint8_t ret_generation[ESCROW_ID]) WARN_UNUSED;

/* Removes chunks that are not among these, and what was left of writing; counts them. */
err_t *backup_repo_sweep(const backup_repo_t *repo, const backup_known_t *known,
                         uint64_t *ret_removed, uint64_t *ret_bytes) WARN_UNUSED;

DEFINE_CLEANUP(backup_repo_t, backup_repo_free)
DEFINE_CLEANUP_VALUE(backup_names_t, backup_names_done)
DEFINE_CLEANUP_VALUE(backup_known_t, backup_known_done)

#endif
