/*
 * Waiting for changes: see watch.h. In the client; the caller's thread, and one that listens to the
 * service.
 */
#include "sync/client/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sync/engine/disk.h"

enum {
    EVENTS_SIZE = 64 * 1024,
    QUIET_MS = 200,  /* a burst is over */
    BURST_MS = 5000, /* but no longer than this is waited for that */
    LISTEN_S = 50,
    RETRY_S = 5,
    FOLDERS_MAX = 100 * 1000 /* watched; the rest is found by time */
};
#define WATCHED                                                                                    \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |            \
     IN_MODIFY | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)

struct sync_watch {
    char *folder;
    int inotify, wake;
    unsigned watched;
    sync_http_t *http; /* the listener's alone */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closing, listening;
    sync_news_t known;
};

/* ---- the service ---- */

static void nap(sync_watch_t *watch) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RETRY_S;
    (void)pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
}

static void *listen_main(void *arg) {
    sync_watch_t *watch = arg;
    const sync_remote_t *remote = sync_http_remote(watch->http);
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->closing) {
        if (!watch->listening) {
            (void)pthread_cond_wait(&watch->changed, &watch->lock);
            continue;
        }
        sync_news_t known = watch->known, news = known;
        (void)pthread_mutex_unlock(&watch->lock);
        err_t *e = remote->news(remote->ctx, &known, LISTEN_S, &news);
        bool newer = !e && (news.root > known.root || news.entries > known.entries);
        bool away = e && (err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT);
        err_free(e);
        (void)pthread_mutex_lock(&watch->lock);
        if (newer || (e && !away)) {
            const uint64_t one = 1;
            watch->listening = false; /* until the next wait says what is known then */
            ssize_t put = write(watch->wake, &one, sizeof one);
            (void)put;
        } else if (away && !watch->closing) {
            nap(watch);
        }
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

/* ---- life ---- */

static err_t *start(const sync_http_config_t *config, sync_watch_t *watch) {
    sync_http_config_t own = *config;
    own.state = NULL; /* the state has one thread */
    TRY(sync_http_new(&own, &watch->http));
    if (pthread_create(&watch->thread, NULL, listen_main, watch) != 0)
        return err_new(ERR_UNAVAILABLE, "a thread can't be made");
    watch->started = true;
    return NULL;
}

err_t *sync_watch_new(const char *folder, const sync_http_config_t *http,
                      sync_watch_t **ret_watch) {
    CLEANUP(sync_watch_free) sync_watch_t *watch = mem_zalloc(sizeof *watch);
    if (!watch) return err_nomem();
    watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->changed, NULL);
    watch->folder = mem_strdup(folder);
    if (!watch->folder) return err_nomem();
    if (watch->wake < 0) return err_errno(errno, "waiting for events");
    if (http) TRY(start(http, watch));
    *ret_watch = STEAL(watch);
    return NULL;
}

void sync_watch_free(sync_watch_t *watch) {
    if (!watch) return;
    if (watch->started) {
        (void)pthread_mutex_lock(&watch->lock);
        watch->closing = true;
        (void)pthread_cond_broadcast(&watch->changed);
        (void)pthread_mutex_unlock(&watch->lock);
        sync_http_stop(watch->http);
        (void)pthread_join(watch->thread, NULL);
    }
    sync_http_free(watch->http);
    fd_close(watch->inotify);
    fd_close(watch->wake);
    (void)pthread_cond_destroy(&watch->changed);
    (void)pthread_mutex_destroy(&watch->lock);
    mem_free(watch->folder);
    mem_free(watch);
}

/* ---- the folder ---- */

static bool is_folder(const struct dirent *entry, int dir) {
    struct stat state;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_DIR;
    return fstatat(dir, entry->d_name, &state, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(state.st_mode);
}

/* A queue of paths, so that depth costs no stack. */
typedef struct {
    char **paths;
    size_t n, room;
} queue_t;

static void queue_done(queue_t *queue) {
    for (size_t i = 0; i < queue->n; i++) mem_free(queue->paths[i]);
    mem_free(queue->paths);
}
DEFINE_CLEANUP_VALUE(queue_t, queue_done)

static err_t *enqueue(queue_t *queue, char *path) {
    if (!path) return err_nomem();
    if (queue->n == queue->room) {
        size_t room = queue->room * 2 + 64;
        char **grown = mem_resize(queue->paths, room * sizeof *grown);
        if (!grown) {
            mem_free(path);
            return err_nomem();
        }
        queue->paths = grown;
        queue->room = room;
    }
    queue->paths[queue->n++] = path;
    return NULL;
}

static err_t *watch_one(sync_watch_t *watch, const char *path, bool top, queue_t *queue) {
    if (watch->inotify >= 0 && watch->watched < FOLDERS_MAX &&
        inotify_add_watch(watch->inotify, path, WATCHED) >= 0)
        watch->watched++;
    DIR *dir = opendir(path);
    if (!dir) return NULL; /* gone meanwhile, or not for us */
    err_t *e = NULL;
    for (const struct dirent *entry; !e && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (top && strcmp(entry->d_name, SYNC_DISK_OWN) == 0) || !is_folder(entry, dirfd(dir)))
            continue;
        e = enqueue(queue, mem_printf("%s/%s", path, entry->d_name));
    }
    (void)closedir(dir);
    return e;
}

static bool drain(int fd) {
    uint8_t events[EVENTS_SIZE];
    bool any = false;
    while (fd >= 0 && read(fd, events, sizeof events) > 0) any = true;
    return any;
}

err_t *sync_watch_renew(sync_watch_t *watch) {
    CLEANUP(queue_done) queue_t queue = {0};
    watch->watched = 0;
    (void)drain(watch->inotify);
    TRY(enqueue(&queue, mem_strdup(watch->folder)));
    for (size_t i = 0; i < queue.n; i++) TRY(watch_one(watch, queue.paths[i], i == 0, &queue));
    return NULL;
}

/* ---- waiting ---- */

static void listen_from(sync_watch_t *watch, const sync_news_t *known) {
    if (!watch->started) return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->known = *known;
    watch->listening = true;
    (void)pthread_cond_broadcast(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
}

static void await_quiet(sync_watch_t *watch) {
    struct pollfd fd = {.fd = watch->inotify, .events = POLLIN};
    for (int waited = 0; waited < BURST_MS; waited += QUIET_MS) {
        if (poll(&fd, 1, QUIET_MS) <= 0) return;
        (void)drain(watch->inotify);
    }
}

err_t *sync_watch_wait(sync_watch_t *watch, const sync_news_t *known, int wait_ms,
                       bool *ret_happened) {
    struct pollfd fds[2] = {{.fd = watch->inotify, .events = POLLIN},
                            {.fd = watch->wake, .events = POLLIN}};
    listen_from(watch, known);
    int n = poll(fds, 2, wait_ms);
    if (n < 0 && errno != EINTR) return err_errno(errno, "waiting for events");
    bool folder = n > 0 && fds[0].revents;
    (void)drain(watch->wake);
    if (folder) await_quiet(watch);
    *ret_happened = n > 0;
    return NULL;
}
