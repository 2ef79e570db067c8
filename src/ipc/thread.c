/*
 * Threads and timed waiting: see thread.h.
 */
#include "ipc/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/fault.h"

err_t *thread_start(const char *name, void *(*run)(void *), void *arg, pthread_t *ret_thread) {
    sigset_t all, before;
    (void)sigfillset(&all);
    /* Inherited by the new thread; what it raises itself still kills the process. */
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGFPE);
    (void)sigdelset(&all, SIGILL);
    (void)sigdelset(&all, SIGABRT);
    (void)sigdelset(&all, SIGSYS);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int number = fault_memory() ? EAGAIN : pthread_create(&thread, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) return err_errno(number, "cannot start a thread");
    (void)pthread_setname_np(thread, name);
    *ret_thread = thread;
    return NULL;
}

err_t *cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return err_nomem();
    int number = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (number == 0) number = pthread_cond_init(cond, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return number ? err_errno(number, "cannot make a condition variable") : NULL;
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ms) {
    struct timespec when = {.tv_sec = (time_t)(deadline_ms / 1000),
                            .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(cond, lock, &when) != ETIMEDOUT;
}
