/*
 * Private to ipc: threads that leave all signals to the main thread, and condition variables
 * that time out by the monotonic clock.
 */
#ifndef COFFER_IPC_THREAD_H
#define COFFER_IPC_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Joinable; name (at most 15 bytes) is what the system's tools show. */
err_t *thread_start(const char *name, void *(*run)(void *), void *arg,
                    pthread_t *ret_thread) WARN_UNUSED;

err_t *cond_init(pthread_cond_t *cond) WARN_UNUSED;
/* False at the deadline, in milliseconds of clk_real()'s monotonic clock. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ms);

#endif
