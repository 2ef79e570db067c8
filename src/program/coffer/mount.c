/*
 * The mapped drive: see mount.h.
 */
#include "program/coffer/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "program/coffer/mount_fuse.h"
#include "sync/client/hollow.h"

enum { ALL_MODES = 07777, CALM_MS = 300, STEPS_AT_ONCE = 20, STEPS_AT_END = 5 };

typedef struct {
    const mount_config_t *config;
    int folder;
    pthread_mutex_t engine; /* guards the engine, held while it works */
    pthread_mutex_t state;  /* guards what follows */
    pthread_cond_t wake;
    bool dirty, end;
    uint64_t outside; /* in the report of before; the worker's */
} mount_t;

/* ---- filling ---- */

typedef struct {
    int fd;
    uint64_t at;
} filler_t;

static err_t *put_piece(void *ctx, bytes_t piece) {
    filler_t *filler = ctx;
    while (piece.n) {
        ssize_t n = pwrite(filler->fd, piece.p, piece.n, (off_t)filler->at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "filling a file");
        filler->at += (uint64_t)n;
        piece = bytes_from(piece, (size_t)n);
    }
    return NULL;
}

/* Content first, then length and time as they were, then all of it safe, then the mark goes. */
static err_t *fill_now(const mount_t *mount, const char *path, int fd) {
    filler_t filler = {.fd = fd};
    sync_sink_t sink = {.ctx = &filler, .write = put_piece};
    struct stat before;
    sync_stat_t stat;
    bool found = false;
    uint64_t size = 0;
    const sync_disk_t *disk = mount->config->disk;
    if (!sync_hollow(fd)) return NULL; /* somebody was faster */
    if (fstat(fd, &before) != 0) return err_errno(errno, "%s", path);
    TRY(disk->stat(disk->ctx, path, &found, &stat));
    if (!found) return err_new(ERR_NOT_FOUND, "%s is gone", path);
    err_t *e = sync_engine_fill(mount->config->engine, stat.inode, &sink, &size);
    if (!e && (filler.at != size || size != (uint64_t)before.st_size))
        e = err_new(ERR_VERIFY, "%s has another length than its content", path);
    struct timespec times[2] = {before.st_atim, before.st_mtim};
    if (futimens(fd, times) != 0 && !e) e = err_errno(errno, "the time of %s", path);
    if (!e && fsync(fd) != 0) e = err_errno(errno, "%s", path);
    return e ? e : sync_hollow_clear(fd);
}

/* A file that its owner may only read is writable for as long; no step looks at it meanwhile. */
static err_t *fill_read_only(const mount_t *mount, const char *path, int fd) {
    struct stat state;
    CLEANUP(fd_close) int writing = -1;
    if (!sync_hollow(fd)) return NULL;
    if (fstat(fd, &state) != 0) return err_errno(errno, "%s", path);
    bool closed = (state.st_mode & S_IWUSR) == 0;
    if (closed && fchmod(fd, (state.st_mode & ALL_MODES) | S_IWUSR) != 0)
        return err_errno(errno, "%s", path);
    writing = openat(mount->folder, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    err_t *e = writing < 0 ? err_errno(errno, "%s", path) : fill_now(mount, path, writing);
    if (closed && fchmod(fd, state.st_mode & ALL_MODES) != 0 && !e)
        e = err_errno(errno, "the mode of %s", path);
    return e;
}

static bool is_writable(int fd) { return (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY; }

static err_t *fill(void *ctx, const char *path, int fd) {
    mount_t *mount = ctx;
    (void)pthread_mutex_lock(&mount->engine);
    err_t *e = is_writable(fd) ? fill_now(mount, path, fd) : fill_read_only(mount, path, fd);
    (void)pthread_mutex_unlock(&mount->engine);
    if (e) mount->config->report(mount->config->ctx, &(sync_report_t){0}, e);
    return e;
}

/* ---- syncing ---- */

static void changed(void *ctx) {
    mount_t *mount = ctx;
    (void)pthread_mutex_lock(&mount->state);
    mount->dirty = true;
    (void)pthread_cond_signal(&mount->wake);
    (void)pthread_mutex_unlock(&mount->state);
}

static struct timespec after_ms(int64_t ms) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + ms % 1000 * 1000000;
    at.tv_sec += ms / 1000 + ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    return at;
}

/* Until something was changed, or it is time to ask for news; false at the end. */
static bool wait_for_work(mount_t *mount) {
    struct timespec until = after_ms((int64_t)mount->config->poll_s * 1000);
    (void)pthread_mutex_lock(&mount->state);
    int status = 0;
    while (!mount->dirty && !mount->end && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&mount->wake, &mount->state, &until);
    bool go_on = !mount->end;
    bool was_dirty = mount->dirty;
    mount->dirty = false;
    if (go_on && was_dirty) { /* programs write in bursts */
        until = after_ms(CALM_MS);
        for (status = 0; !mount->end && status != ETIMEDOUT;)
            status = pthread_cond_timedwait(&mount->wake, &mount->state, &until);
        mount->dirty = false;
    }
    (void)pthread_mutex_unlock(&mount->state);
    return go_on;
}

static bool did_something(const sync_report_t *r) {
    return r->uploaded || r->downloaded || r->moved || r->removed_here || r->removed_there ||
           r->conflicts || r->commits || r->left || *r->alarm;
}

static void steps(mount_t *mount, unsigned most) {
    bool again = true;
    for (unsigned i = 0; again && i < most; i++) {
        sync_report_t report = {0};
        (void)pthread_mutex_lock(&mount->engine);
        err_t *e = sync_engine_step(mount->config->engine, &report);
        (void)pthread_mutex_unlock(&mount->engine);
        again = !e && report.again;
        bool ruled = !e && report.outside != mount->outside;
        if (!e) mount->outside = report.outside;
        if (e || ruled || did_something(&report))
            mount->config->report(mount->config->ctx, &report, e);
        err_free(e);
    }
}

static void *work(void *ctx) {
    mount_t *mount = ctx;
    do steps(mount, STEPS_AT_ONCE);
    while (wait_for_work(mount));
    steps(mount, STEPS_AT_END);
    return NULL;
}

static err_t *serve(mount_t *mount) {
    pthread_t worker;
    mount_fuse_t fuse = {.folder = mount->folder,
                         .hidden = SYNC_DISK_OWN,
                         .ctx = mount,
                         .fill = fill,
                         .changed = changed};
    int status = pthread_create(&worker, NULL, work, mount);
    if (status) return err_errno(status, "a thread");
    err_t *e = mount_fuse_run(&fuse, mount->config->directory);
    (void)pthread_mutex_lock(&mount->state);
    mount->end = true;
    (void)pthread_cond_signal(&mount->wake);
    (void)pthread_mutex_unlock(&mount->state);
    (void)pthread_join(worker, NULL);
    return e;
}

err_t *mount_run(const mount_config_t *config) {
    CLEANUP(fd_close) int folder = open(config->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return err_errno(errno, "%s", config->cache);
    mount_t mount = {.config = config,
                     .folder = folder,
                     .engine = PTHREAD_MUTEX_INITIALIZER,
                     .state = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&mount.wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)umask(0); /* programs' modes come as they are meant */
    err_t *e = serve(&mount);
    (void)pthread_cond_destroy(&mount.wake);
    return e;
}
