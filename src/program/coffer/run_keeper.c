/*
 * See run_keeper.h. Main thread.
 */
#include "program/coffer/run_keeper.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { PATH_BYTES = 4096 };

static err_t *find_program(char **ret_path) {
    char path[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return err_errno(errno, "cannot find this program's directory");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) return err_new(ERR_INTERNAL, "no directory in %s", path);
    *slash = '\0';
    CLEANUP(mem_free) char *program = NULL;
    TRY(file_path(path, "coffer-keeper", &program));
    if (access(program, X_OK) != 0)
        return err_new(ERR_UNAVAILABLE, "coffer-keeper must lie beside coffer, in %s", path);
    *ret_path = STEAL(program);
    return NULL;
}

static err_t *spawn(char *program, const char *const *words, size_t n, pid_t *ret_pid) {
    char *argv[RUN_KEEPER_WORDS + 2] = {program};
    err_t *e = NULL;
    for (size_t i = 0; i < n && !e; i++) {
        argv[i + 1] = mem_strdup(words[i]);
        if (!argv[i + 1]) e = err_nomem();
    }
    if (!e) {
        int rc = posix_spawn(ret_pid, program, NULL, NULL, argv, environ);
        if (rc != 0) e = err_errno(rc, "cannot run %s", program);
    }
    for (size_t i = 0; i < n; i++) mem_free(argv[i + 1]);
    return e;
}

err_t *run_keeper(const char *const *words, size_t n, run_keeper_t *ret_how) {
    static const run_keeper_t ends[] = {RUN_KEEPER_DONE, RUN_KEEPER_FAILED, RUN_KEEPER_USAGE,
                                        RUN_KEEPER_BUSY, RUN_KEEPER_ORDER};
    CLEANUP(mem_free) char *program = NULL;
    pid_t pid = -1;
    int status = 0;
    if (n > RUN_KEEPER_WORDS) return err_new(ERR_INTERNAL, "too many arguments for coffer-keeper");
    TRY(find_program(&program));
    TRY(spawn(program, words, n, &pid));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return err_errno(errno, "cannot wait for coffer-keeper");
    if (!WIFEXITED(status))
        return err_new(ERR_INTERNAL, "coffer-keeper ended with wait status %d", status);
    size_t code = (size_t)WEXITSTATUS(status);
    *ret_how = code < sizeof ends / sizeof *ends ? ends[code] : RUN_KEEPER_FAILED;
    return NULL;
}
