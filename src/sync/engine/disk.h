/*
 * sync_disk_t: what the engine asks of the folder that is synced. Paths are relative to it, names
 * with '/' between; "" is the folder itself. No implementation follows symbolic links, in any part
 * of a path. What is written lasts once the call that says so has returned; all else may be lost
 * in a crash, but a rename happens whole or not at all.
 *
 * One thread at a time.
 */
#ifndef COFFER_SYNC_ENGINE_DISK_H
#define COFFER_SYNC_ENGINE_DISK_H

#include "base/buf.h"
#include "sync/folder.h"

/* The folder in the synced folder that is the engine's own: half-written files, the marker that
 * tells it from an empty mount point. Never synced. */
#define SYNC_DISK_OWN ".coffer-sync"

typedef struct {
    sync_entry_kind_t kind; /* folder, file or link; other things are not listed */
    uint64_t size;          /* bytes of a file */
    int64_t mtime;          /* seconds since 1970 UTC */
    uint32_t mtime_ns;
    uint32_t mode;  /* permission bits, 07777 */
    uint64_t inode; /* with the device in it; the same after a rename */
    uint64_t stamp; /* another one after any change, of mode and name too; 0: not known */
} sync_stat_t;

typedef err_t *(*sync_disk_each_t)(void *arg, const char *name, const sync_stat_t *stat);

typedef struct sync_disk_file sync_disk_file_t; /* the implementation's */

typedef struct {
    void *ctx;
    /* Whether the folder is there and is the one it was (its marker); makes the marker if
     * `first`. ERR_NOT_FOUND: it vanished, or another one lies there. */
    err_t *(*present)(void *ctx, bool first);
    /* May be NULL: no. After present(): whether names that differ by case or composition alone are
     * one name there. */
    bool (*folds)(void *ctx);
    /* Each entry but SYNC_DISK_OWN, in any order. An error of `each` ends it. */
    err_t *(*list)(void *ctx, const char *path, sync_disk_each_t each, void *arg);
    err_t *(*stat)(void *ctx, const char *path, bool *ret_found, sync_stat_t *ret_stat);
    err_t *(*read_link)(void *ctx, const char *path, buf_t *out);

    /* Reading. `*ret_n` below n: the end. */
    err_t *(*open)(void *ctx, const char *path, sync_disk_file_t **ret_file);
    err_t *(*file_stat)(void *ctx, sync_disk_file_t *file, sync_stat_t *ret_stat);
    err_t *(*read)(void *ctx, sync_disk_file_t *file, uint64_t offset, void *p, size_t n,
                   size_t *ret_n);
    /* Takes NULL. */
    void (*close)(void *ctx, sync_disk_file_t *file);
    /* Waits until a write that comes now would show in the modification time. */
    err_t *(*settle)(void *ctx, const sync_stat_t *stat);

    /* Writing: a temporary file by a name of its own (hex), opened if it is there already. */
    err_t *(*temp)(void *ctx, const char *temp, sync_disk_file_t **ret_file);
    err_t *(*write)(void *ctx, sync_disk_file_t *file, uint64_t offset, bytes_t data);
    /* Its length, mode and time; then all of it lasts. */
    err_t *(*finish)(void *ctx, sync_disk_file_t *file, uint64_t size, uint32_t mode, int64_t mtime,
                     uint32_t mtime_ns);
    /* May be NULL. Marks it as one whose content comes when a program opens it (*ret_done), or
     * leaves it alone; asked before anything is written. open() refuses such a file:
     * ERR_UNAVAILABLE. */
    err_t *(*hollow)(void *ctx, sync_disk_file_t *file, bool *ret_done);
    /* Lasts what was written so far, to go on after a crash. */
    err_t *(*flush)(void *ctx, sync_disk_file_t *file);
    /*
     * All that was done so far lasts when it returns. NULL: each call's work lasts by itself. Else
     * they may leave it to this one, which is called before contents get their names and before
     * the state says that something is done: one for many files.
     */
    err_t *(*lasting)(void *ctx);
    /* Moves it to its place; lasts. With `expect`: what lies there now is replaced if it is that
     * very file still, else ERR_BUSY. Without: ERR_EXISTS if anything does. *ret_placed: what it
     * was before anybody could touch it (but for the stamp). */
    err_t *(*place)(void *ctx, const char *temp, const char *path, const sync_stat_t *expect,
                    sync_stat_t *ret_placed);
    err_t *(*discard)(void *ctx, const char *temp); /* not being there is fine */
    /* Removes all temporary files but those whose names `keep` wants. What a crash has left of a
     * person's last change comes back into the folder (aside.h), *ret_back of them, unless `keep`
     * is NULL: then all goes. */
    err_t *(*sweep)(void *ctx, bool (*keep)(void *arg, const char *temp), void *arg,
                    uint64_t *ret_back);

    /* The rest lasts when it returns. ERR_EXISTS if the new name is taken. */
    err_t *(*rename)(void *ctx, const char *from, const char *to);
    err_t *(*make_folder)(void *ctx, const char *path, uint32_t mode);
    err_t *(*make_link)(void *ctx, const char *path, const char *target);
    err_t *(*set_mode)(void *ctx, const char *path, uint32_t mode);
    /* ERR_BUSY: a folder with something in it, or a file that is not `expect` any more. */
    err_t *(*remove)(void *ctx, const char *path, const sync_stat_t *expect);
} sync_disk_t;

#endif
