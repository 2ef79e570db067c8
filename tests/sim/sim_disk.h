/*
 * A disk in memory that can lose power. File contents are safe once the file was synced; links,
 * renames and removals are safe in their order once the folder (or anything later) was synced. At
 * a crash the disk keeps a random part, from the front, of the changes to names that were not
 * synced, and of contents what was synced: a name may well stand for an empty file.
 *
 * The engine's calls count: at the chosen one the power fails, and each call from there on is
 * ERR_IO until sim_disk_power(). A person's own changes (sim_disk_person_*) are safe at once: they
 * are what the oracle holds the engine to. Paths are relative, "" is the root. One thread.
 *
 * A disk may take names that differ by case or composition alone for one, may have stamps (another
 * one after each change, of whatever kind, as st_ctime is), and may have hollow files: with a size
 * and no content yet.
 */
#ifndef COFFER_TESTS_SIM_DISK_H
#define COFFER_TESTS_SIM_DISK_H

#include "base/buf.h"
#include "sim_rnd.h"

enum {
    SIM_DISK_NODES = 512,
    SIM_DISK_OPS = 1024,
    SIM_DISK_FILE_MAX = 4 * 1024 * 1024, /* bytes */
    SIM_DISK_PATH = 1024,
};

typedef enum { SIM_FILE = 1, SIM_FOLDER = 2, SIM_SYMLINK = 3 } sim_kind_t;

typedef struct {
    sim_kind_t kind;
    uint64_t inode;
    uint64_t size; /* bytes */
    uint32_t mode; /* 07777 */
    int64_t mtime_ns;
    uint64_t stamp; /* 0: this disk has none */
    bool hollow;
} sim_stat_t;

typedef struct sim_disk sim_disk_t;

err_t *sim_disk_new(sim_rnd_t *rnd, const clk_fake_t *clk, sim_disk_t **ret_disk) WARN_UNUSED;
void sim_disk_free(sim_disk_t *disk);   /* takes NULL */
void sim_disk_fold(sim_disk_t *disk);   /* from here on it folds names */
void sim_disk_stamps(sim_disk_t *disk); /* from here on it has stamps */
bool sim_disk_folds(const sim_disk_t *disk);
bool sim_disk_has_stamps(const sim_disk_t *disk);

/* ---- faults ---- */

/* The power fails at the countdown-th call from now; 0: it does not. */
void sim_disk_crash_after(sim_disk_t *disk, uint64_t countdown);
bool sim_disk_crashed(const sim_disk_t *disk);
/* The power comes back: what was not safe may be gone. */
void sim_disk_power(sim_disk_t *disk);
/* Before the countdown-th call from now `hook` runs, once: somebody changes files meanwhile. */
void sim_disk_hook_after(sim_disk_t *disk, uint64_t countdown, void (*hook)(void *ctx), void *ctx);
/* Bytes of files that fit; ERR_FULL beyond. */
void sim_disk_room(sim_disk_t *disk, uint64_t bytes);
/* From the countdown-th call on that needs room so many of them get ERR_FULL; 0: none do. */
void sim_disk_full_after(sim_disk_t *disk, uint64_t countdown, uint64_t times);
/* Changes made by the engine since the last call of this. */
uint64_t sim_disk_changes(sim_disk_t *disk);

/* ---- what the engine calls ---- */

typedef err_t *(*sim_disk_each_fn)(void *ctx, bytes_t name, const sim_stat_t *stat);

/* ERR_NOT_FOUND. Does not follow links, at the end or on the way. */
err_t *sim_disk_stat(sim_disk_t *disk, const char *path, sim_stat_t *ret_stat) WARN_UNUSED;
/* In an order that changes from call to call. */
err_t *sim_disk_list(sim_disk_t *disk, const char *path, sim_disk_each_fn each,
                     void *ctx) WARN_UNUSED;
err_t *sim_disk_read(sim_disk_t *disk, const char *path, uint64_t offset, size_t n,
                     buf_t *out) WARN_UNUSED;
/* By the number of the file, as an open one is: it may have been renamed or removed. */
err_t *sim_disk_read_inode(sim_disk_t *disk, uint64_t number, uint64_t offset, size_t n,
                           buf_t *out) WARN_UNUSED;
err_t *sim_disk_stat_inode(sim_disk_t *disk, uint64_t number, sim_stat_t *ret_stat) WARN_UNUSED;
/* An empty file; ERR_EXISTS. */
err_t *sim_disk_create(sim_disk_t *disk, const char *path, uint32_t mode,
                       uint64_t *ret_inode) WARN_UNUSED;
err_t *sim_disk_write_inode(sim_disk_t *disk, uint64_t number, uint64_t offset,
                            bytes_t data) WARN_UNUSED;
err_t *sim_disk_resize_inode(sim_disk_t *disk, uint64_t number, uint64_t size) WARN_UNUSED;
err_t *sim_disk_sync_inode(sim_disk_t *disk, uint64_t number) WARN_UNUSED;
err_t *sim_disk_sync_folder(sim_disk_t *disk, const char *path) WARN_UNUSED;
err_t *sim_disk_set(sim_disk_t *disk, const char *path, uint32_t mode,
                    int64_t mtime_ns) WARN_UNUSED;
err_t *sim_disk_set_inode(sim_disk_t *disk, uint64_t number, uint32_t mode,
                          int64_t mtime_ns) WARN_UNUSED;
/* Its content is there, or is yet to come. */
err_t *sim_disk_set_hollow(sim_disk_t *disk, uint64_t number, bool hollow) WARN_UNUSED;
/*
 * Writes that keep a file's size and time are found by the stamp alone, and so only if it was not
 * renamed, or got another mode, between two looks of the engine. False if a person has done that
 * since the last look. After such a write any rename and change of mode shows in the time.
 */
bool sim_disk_patch(sim_disk_t *disk, uint64_t number);
/* Replaces a file or an empty folder by its kind, unless `keep`: then ERR_EXISTS. */
err_t *sim_disk_rename(sim_disk_t *disk, const char *from, const char *to, bool keep) WARN_UNUSED;
/* Two files change places, whole or not at all. */
err_t *sim_disk_exchange(sim_disk_t *disk, const char *a, const char *b) WARN_UNUSED;
err_t *sim_disk_unlink(sim_disk_t *disk, const char *path) WARN_UNUSED;
err_t *sim_disk_mkdir(sim_disk_t *disk, const char *path, uint32_t mode) WARN_UNUSED;
err_t *sim_disk_rmdir(sim_disk_t *disk, const char *path) WARN_UNUSED; /* ERR_EXISTS: not empty */
err_t *sim_disk_symlink(sim_disk_t *disk, const char *path, bytes_t target) WARN_UNUSED;
err_t *sim_disk_readlink(sim_disk_t *disk, const char *path, buf_t *out) WARN_UNUSED;

/* ---- what a person does, and the oracle ---- */

/* From here to the end all calls are a person's: never fail by crash, safe at once. */
void sim_disk_person_begin(sim_disk_t *disk);
void sim_disk_person_end(sim_disk_t *disk);

/* All entries, parents first: the whole path. */
typedef err_t *(*sim_disk_walk_fn)(void *ctx, const char *path, const sim_stat_t *stat,
                                   bytes_t content);
err_t *sim_disk_walk(sim_disk_t *disk, sim_disk_walk_fn fn, void *ctx) WARN_UNUSED;

DEFINE_CLEANUP(sim_disk_t, sim_disk_free)

#endif
