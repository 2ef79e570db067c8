/*
 * Takes from a process what it will not need: files outside a list (Landlock), system calls
 * (seccomp), new privileges, core dumps, being traced. House rule 19: a process opens what it
 * needs, enters its sandbox, then reads its first untrusted byte. Irreversible.
 * Call on the main thread before any other thread is started.
 */
#ifndef COFFER_IPC_SANDBOX_H
#define COFFER_IPC_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef enum {
    SANDBOX_KEEPER,   /* a list of allowed calls; no network, no exec, no fork, no new code */
    SANDBOX_WEB,      /* network; no exec, no fork, no tracing, no kernel interfaces */
    SANDBOX_COURIER,  /* the same as web, and no listening socket */
    SANDBOX_MAILGATE, /* the same as web, and no new listening socket */
} sandbox_profile_t;

/* What may be done beneath a path; combined with |. */
enum {
    SANDBOX_READ = 1,     /* read files, list directories */
    SANDBOX_WRITE = 2,    /* write, create, rename, remove files and directories */
    SANDBOX_EXEC = 4,     /* map as code (the profiles allow no execve anyway) */
    SANDBOX_OPTIONAL = 8, /* the path may be absent */
};

typedef struct {
    const char *path; /* borrowed; a directory (and all beneath) or a file */
    unsigned access;
} sandbox_path_t;

typedef struct {
    int landlock_abi; /* 0: the kernel has no Landlock, files are not restricted */
    bool relaxed;     /* built with a sanitizer: the list of calls is not enforced fully */
} sandbox_report_t;

/*
 * Enters. With `require` a kernel without Landlock is ERR_UNAVAILABLE; without, it is reported and
 * the caller says it loudly. On any error the process must end: it may be half sandboxed.
 */
err_t *sandbox_enter(sandbox_profile_t profile, const sandbox_path_t *paths, size_t count,
                     bool require, sandbox_report_t *ret_report) WARN_UNUSED;

/*
 * No core dumps, and nobody of the same user may attach a debugger or read our memory (not under
 * sanitizers, which trace themselves). Part of sandbox_enter; programs without a sandbox call it.
 */
err_t *sandbox_close_memory(void) WARN_UNUSED;

#endif
