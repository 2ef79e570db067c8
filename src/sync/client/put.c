/*
 * Files that are put: see put.h. In the client; one thread.
 */
#include "sync/client/put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "sync/client/disk.h"
#include "sync/client/open_file.h"

typedef struct {
    char *file, *path;
} pair_t;

struct sync_put {
    sync_disk_t disk;
    const clk_t *clk;
    pair_t *pairs;
    size_t n, room;
    bool sorted; /* by path */
};

void sync_put_free(sync_put_t *put) {
    if (!put) return;
    for (size_t i = 0; i < put->n; i++) {
        mem_free(put->pairs[i].file);
        mem_free(put->pairs[i].path);
    }
    mem_free(put->pairs);
    mem_free(put);
}

/* ---- reading ---- */

static int by_path(const void *a, const void *b) {
    const pair_t *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static const char *file_of(sync_put_t *put, const char *path) {
    const pair_t wanted = {.path = (char *)(uintptr_t)path};
    if (put->n == 0) return NULL;
    if (!put->sorted) qsort(put->pairs, put->n, sizeof *put->pairs, by_path);
    put->sorted = true;
    const pair_t *found = bsearch(&wanted, put->pairs, put->n, sizeof *put->pairs, by_path);
    return found ? found->file : NULL;
}

static err_t *stat_fd(int fd, const char *name, sync_stat_t *ret_stat) {
    struct stat state;
    if (fault_io()) return err_errno(EIO, "%s", name);
    if (fstat(fd, &state) != 0) return err_errno(errno, "%s", name);
    if (!sync_disk_stat_of(&state, ret_stat) || ret_stat->kind != SYNC_ENTRY_FILE)
        return err_new(ERR_USAGE, "%s is no regular file", name);
    return NULL;
}

/* Not to hang on a pipe. */
static err_t *open_fd(const char *file, int *ret_fd) {
    if (fault_io()) return err_errno(EIO, "%s", file);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return err_errno(errno, "%s", file);
    *ret_fd = fd;
    return NULL;
}

static err_t *put_open(void *ctx, const char *path, sync_disk_file_t **ret_file) {
    sync_put_t *put = ctx;
    const char *name = file_of(put, path);
    if (!name) return err_new(ERR_NOT_FOUND, "%s", path);
    int fd = -1;
    TRY(open_fd(name, &fd));
    return sync_file_new(fd, ret_file);
}

static err_t *put_stat(void *ctx, sync_disk_file_t *file, sync_stat_t *ret_stat) {
    (void)ctx;
    return stat_fd(file->fd, "it", ret_stat);
}

static err_t *put_settle(void *ctx, const sync_stat_t *stat) {
    const sync_put_t *put = ctx;
    sync_disk_settle(put->clk, stat);
    return NULL;
}

/* ---- life ---- */

err_t *sync_put_new(const clk_t *clk, sync_put_t **ret_put) {
    sync_put_t *put = mem_zalloc(sizeof *put);
    if (!put) return err_nomem();
    put->clk = clk;
    put->disk = (sync_disk_t){.ctx = put,
                              .open = put_open,
                              .file_stat = put_stat,
                              .read = sync_file_read,
                              .close = sync_file_close,
                              .settle = put_settle};
    *ret_put = put;
    return NULL;
}

static err_t *add_pair(sync_put_t *put, const char *file, const char *path) {
    CLEANUP(mem_free) char *name = mem_strdup(file);
    CLEANUP(mem_free) char *place = mem_strdup(path);
    if (!name || !place) return err_nomem();
    if (put->n == put->room) {
        size_t room = put->room * 2 + 16;
        pair_t *grown = mem_resize(put->pairs, room * sizeof *grown);
        if (!grown) return err_nomem();
        put->pairs = grown;
        put->room = room;
    }
    put->sorted = false;
    put->pairs[put->n++] = (pair_t){STEAL(name), STEAL(place)};
    return NULL;
}

err_t *sync_put_add(sync_put_t *put, const char *file, const char *path, sync_stat_t *ret_stat) {
    CLEANUP(fd_close) int fd = -1;
    TRY(open_fd(file, &fd));
    TRY(stat_fd(fd, file, ret_stat));
    return add_pair(put, file, path);
}

const sync_disk_t *sync_put_disk(sync_put_t *put) { return &put->disk; }
