/*
 * Ends a program at its Nth change of the disk: before the call is done, as kill -9 would. For
 * tests/functional/test_sync_kill.py. It needs no hook in the program: it is its tracer.
 *
 *   kill_at N PROGRAM ARGUMENT ...     starts it; N 0: never ends it
 *   kill_at N -p PID                   one that runs; tells "ready" once it watches
 *
 * The last line on stdout is "killed CALL" or "ended CHANGES". What counts: writes to files (not to
 * sockets, pipes and terminals), and calls that change names, lengths, modes and times, or make any
 * of that last. Exit status 0, or what the program ended with; 99 if it can't be watched. Linux.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

enum { FAILED = 99, PATH_SIZE = 64, LINK_SIZE = 256 };

typedef struct {
    long number;
    const char *name;
    bool by_fd; /* counts if its first argument is a file */
} call_t;

static const call_t calls[] = {
    {SYS_write, "write", true},
    {SYS_pwrite64, "pwrite", true},
    {SYS_writev, "writev", true},
    {SYS_pwritev, "pwritev", true},
    {SYS_copy_file_range, "copy_file_range", false},
    {SYS_ftruncate, "ftruncate", false},
    {SYS_fallocate, "fallocate", false},
    {SYS_fsync, "fsync", false},
    {SYS_fdatasync, "fdatasync", false},
    {SYS_syncfs, "syncfs", false},
    {SYS_renameat, "renameat", false},
    {SYS_renameat2, "renameat2", false},
    {SYS_unlinkat, "unlinkat", false},
    {SYS_mkdirat, "mkdirat", false},
    {SYS_linkat, "linkat", false},
    {SYS_symlinkat, "symlinkat", false},
    {SYS_fchmod, "fchmod", false},
    {SYS_fchmodat, "fchmodat", false},
    {SYS_utimensat, "utimensat", false},
#ifdef SYS_rename
    {SYS_rename, "rename", false},
    {SYS_unlink, "unlink", false},
    {SYS_mkdir, "mkdir", false},
    {SYS_rmdir, "rmdir", false},
    {SYS_link, "link", false},
    {SYS_symlink, "symlink", false},
    {SYS_chmod, "chmod", false},
#endif
};

typedef struct {
    uint64_t wanted, seen;
    pid_t program;
    bool attached;
} watch_t;

/* ---- what counts ---- */

static bool is_file(pid_t thread, uint64_t fd) {
    char path[PATH_SIZE], link[LINK_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%llu", (int)thread, (unsigned long long)fd);
    ssize_t n = readlink(path, link, sizeof link);
    return n > 1 && link[0] == '/' && strncmp(link, "/dev/", 5) != 0 &&
           strncmp(link, "/memfd:", 7) != 0;
}

/* The call that begins, if it counts, else NULL. */
static const call_t *begins(pid_t thread) {
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return NULL;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return NULL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const call_t *call = &calls[i];
        if ((uint64_t)call->number != info.entry.nr) continue;
        return !call->by_fd || is_file(thread, info.entry.args[0]) ? call : NULL;
    }
    return NULL;
}

/* ---- watching ---- */

static int fail(const char *what) {
    (void)fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
    return FAILED;
}

static int killed(const watch_t *watch, const call_t *call) {
    int status = 0;
    (void)kill(watch->program, SIGKILL);
    while (waitpid(-1, &status, __WALL) > 0) {}
    (void)printf("killed %s\n", call->name);
    return 0;
}

/* What to tell a thread that stopped to go on with: a signal of its own, or none. */
static int signal_of(int status) {
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event || signal == (SIGTRAP | 0x80)) return 0;
    return signal;
}

static int watch_all(watch_t *watch) {
    int ended = 0;
    for (;;) {
        int status = 0;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR) continue;
        if (thread < 0) break;
        if (!WIFSTOPPED(status)) {
            if (thread == watch->program) ended = WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
            continue;
        }
        const call_t *call = WSTOPSIG(status) == (SIGTRAP | 0x80) ? begins(thread) : NULL;
        if (call && ++watch->seen == watch->wanted) return killed(watch, call);
        if (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) == SIGTRAP)
            (void)ptrace(PTRACE_SYSCALL, thread, NULL, NULL);
        else (void)ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(intptr_t)signal_of(status));
    }
    (void)printf("ended %llu\n", (unsigned long long)watch->seen);
    return watch->attached ? 0 : ended;
}

enum { OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE };

static int start(watch_t *watch, char **argv) {
    int status = 0;
    pid_t child = fork();
    if (child < 0) return fail("fork");
    if (child == 0) {
        (void)raise(SIGSTOP);
        (void)execv(argv[0], argv);
        _exit(fail(argv[0]));
    }
    if (waitpid(child, &status, WUNTRACED) != child) return fail("waiting");
    if (ptrace(PTRACE_SEIZE, child, NULL, (void *)(intptr_t)(OPTIONS | PTRACE_O_EXITKILL)) != 0)
        return fail("watching");
    (void)kill(child, SIGCONT);
    watch->program = child;
    return watch_all(watch);
}

/* All threads that are there; those that come are watched from their beginning. */
static int attach(watch_t *watch, pid_t program) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)program);
    DIR *dir = opendir(path);
    if (!dir) return fail(path);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        int64_t thread = 0;
        if (entry->d_name[0] == '.') continue;
        err_t *e = text_i64(bytes_str(entry->d_name), &thread);
        bool good = !e && ptrace(PTRACE_SEIZE, (pid_t)thread, NULL, (void *)(intptr_t)OPTIONS) == 0;
        err_free(e);
        if (!good || ptrace(PTRACE_INTERRUPT, (pid_t)thread, NULL, NULL) != 0) {
            (void)closedir(dir);
            return fail("watching");
        }
    }
    (void)closedir(dir);
    watch->program = program;
    watch->attached = true;
    (void)printf("ready\n");
    (void)fflush(stdout);
    return watch_all(watch);
}

int main(int argc, char **argv) {
    int64_t wanted = 0, program = 0;
    watch_t watch = {0};
    err_t *e = argc > 2 ? text_i64(bytes_str(argv[1]), &wanted) : err_new(ERR_USAGE, "arguments");
    bool by_pid = !e && argc == 4 && strcmp(argv[2], "-p") == 0;
    if (by_pid) e = text_i64(bytes_str(argv[3]), &program);
    if (e) {
        err_free(e);
        (void)fprintf(stderr, "usage: kill_at N PROGRAM ARGUMENT ... | kill_at N -p PID\n");
        return FAILED;
    }
    watch.wanted = (uint64_t)wanted;
    return by_pid ? attach(&watch, (pid_t)program) : start(&watch, argv + 2);
}
