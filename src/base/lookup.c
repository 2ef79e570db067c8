/*
 * Looking names up: see lookup.h. A thread each, which shares the lookup_t by count; the event
 * counter is what hands the result over.
 */
#include "base/lookup.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

enum { STACK = 512 * 1024 };

struct lookup {
    atomic_int users; /* the thread, and who asked */
    char *host, *port;
    int fd;
    atomic_bool done;
    int code; /* with done, as is list */
    struct addrinfo *list;
};

void lookup_free(lookup_t *lookup) {
    if (!lookup || atomic_fetch_sub(&lookup->users, 1) > 1) return;
    lookup_list_free(lookup->list);
    fd_close(lookup->fd);
    mem_free(lookup->host);
    mem_free(lookup->port);
    mem_free(lookup);
}

int lookup_fd(const lookup_t *lookup) { return lookup->fd; }

static void *look_up(void *arg) {
    lookup_t *lookup = arg;
    const uint64_t one = 1;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    lookup->code = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->list);
    atomic_store(&lookup->done, true);
    ssize_t n = write(lookup->fd, &one, sizeof one); /* an empty counter takes it always */
    (void)n;
    lookup_free(lookup);
    return NULL;
}

/* Without signals: they are for who started the process's threads. */
static err_t *start(lookup_t *lookup) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attr) != 0) return err_nomem();
    (void)pthread_attr_setstacksize(&attr, STACK);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&lookup->users, 2);
    int code = pthread_create(&thread, &attr, look_up, lookup);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (code == 0) return NULL;
    atomic_store(&lookup->users, 1);
    return err_errno(code, "pthread_create");
}

err_t *lookup_start(const char *host, const char *port, lookup_t **ret_lookup) {
    lookup_t *made = mem_zalloc(sizeof *made);
    if (!made) return err_nomem();
    atomic_init(&made->users, 1);
    atomic_init(&made->done, false);
    made->fd = -1;
    CLEANUP(lookup_free) lookup_t *lookup = made;
    lookup->host = mem_strdup(host);
    lookup->port = mem_strdup(port);
    if (!lookup->host || !lookup->port) return err_nomem();
    lookup->fd = fault_io() ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lookup->fd < 0) return err_new(ERR_IO, "eventfd");
    TRY(start(lookup));
    *ret_lookup = STEAL(lookup);
    return NULL;
}

err_t *lookup_take(lookup_t *lookup, struct addrinfo **ret_list) {
    if (!atomic_load(&lookup->done)) return err_new(ERR_BUSY, "still looking for %s", lookup->host);
    if (lookup->code != 0)
        return err_new(ERR_UNAVAILABLE, "cannot find %s: %s", lookup->host,
                       gai_strerror(lookup->code));
    *ret_list = STEAL(lookup->list);
    return NULL;
}
