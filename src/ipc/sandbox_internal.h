/*
 * Private to ipc's sandbox: which system calls each profile has.
 */
#ifndef COFFER_IPC_SANDBOX_INTERNAL_H
#define COFFER_IPC_SANDBOX_INTERNAL_H

#include "ipc/sandbox.h"

/* The sanitizers' run times map code, trace themselves at exit and use calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_RELAXED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANDBOX_RELAXED 1
#endif
#endif
#ifndef SANDBOX_RELAXED
#define SANDBOX_RELAXED 0
#endif

/* Loads the profile's filter for all threads. */
err_t *sandbox_restrict_calls(sandbox_profile_t profile) WARN_UNUSED;

#endif
