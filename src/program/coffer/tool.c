/*
 * See tool.h. One thread; between fork and exec only async-signal-safe calls are made.
 */
#include "program/coffer/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

enum {
    NOT_EXECUTED = 127,
    FLOOR = 32, /* descriptors are moved above what the child's program finds open */
    CHUNK = 4096,
    CLOSE_ON_EXEC_FLAG = 4, /* CLOSE_RANGE_CLOEXEC */
};

/* What both sides of the fork know. */
typedef struct {
    int secrets[TOOL_SECRETS]; /* reading ends */
    int out[2], errors[2];
} pipes_t;

static void pipes_done(pipes_t *pipes) {
    for (size_t i = 0; i < TOOL_SECRETS; i++) fd_close(pipes->secrets[i]);
    for (size_t i = 0; i < 2; i++) {
        fd_close(pipes->out[i]);
        fd_close(pipes->errors[i]);
    }
}

static err_t *make_pipe(int ends[2]) {
    int made[2];
    if (pipe2(made, O_CLOEXEC) != 0) return err_errno(errno, "cannot make a pipe");
    for (size_t i = 0; i < 2; i++) {
        ends[i] = fcntl(made[i], F_DUPFD_CLOEXEC, FLOOR);
        fd_close(made[i]);
    }
    return ends[0] < 0 || ends[1] < 0 ? err_new(ERR_IO, "cannot make a pipe") : NULL;
}

/* Written before anybody reads: it fits into the pipe. */
static err_t *fill_pipe(bytes_t secret, int *ret_end) {
    int ends[2] = {-1, -1};
    if (secret.n > TOOL_SECRET_MAX)
        return err_new(ERR_LIMIT, "a key has at most %d bytes", TOOL_SECRET_MAX);
    err_t *e = make_pipe(ends);
    if (!e && secret.n && write(ends[1], secret.p, secret.n) != (ssize_t)secret.n)
        e = err_errno(errno, "cannot write into a pipe");
    fd_close(ends[1]);
    if (e) fd_close(ends[0]);
    else *ret_end = ends[0];
    return e;
}

static err_t *make_pipes(const tool_t *tool, pipes_t *pipes) {
    for (size_t i = 0; i < tool->secrets_n; i++)
        TRY(fill_pipe(tool->secrets[i], &pipes->secrets[i]));
    TRY(make_pipe(pipes->out));
    return make_pipe(pipes->errors);
}

static const char *const environment[] = {"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

static _Noreturn void become(const tool_t *tool, const pipes_t *pipes) {
    int null = open("/dev/null", O_RDONLY);
    bool fine = null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
                dup2(pipes->out[1], STDOUT_FILENO) >= 0 &&
                dup2(pipes->errors[1], STDERR_FILENO) >= 0;
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_ON_EXEC_FLAG);
    for (size_t i = 0; fine && i < tool->secrets_n; i++)
        fine = dup2(pipes->secrets[i], TOOL_SECRET_FD + (int)i) >= 0;
    if (fine)
        (void)execve(tool->argv[0], (char *const *)(uintptr_t)tool->argv,
                     (char *const *)(uintptr_t)environment);
    _exit(NOT_EXECUTED);
}

/* Appends what is there; *ret_end at the end. What is beyond the maximum is dropped if `cut`. */
static err_t *take(int fd, buf_t *out, bool cut, bool *ret_end) {
    uint8_t chunk[CHUNK];
    ssize_t got = read(fd, chunk, sizeof chunk);
    if (got < 0) return errno == EINTR ? NULL : err_errno(errno, "cannot read from the program");
    *ret_end = got == 0;
    size_t n = (size_t)got;
    if (cut && n > out->max - out->n) n = out->max - out->n;
    return buf_add(out, bytes_make(chunk, n));
}

static err_t *listen_to(const pipes_t *pipes, buf_t *output, buf_t *errors) {
    struct pollfd fds[] = {{.fd = pipes->out[0], .events = POLLIN},
                           {.fd = pipes->errors[0], .events = POLLIN}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return err_errno(errno, "poll");
        for (size_t i = 0; i < 2; i++) {
            bool end = false;
            if (fds[i].fd < 0 || !fds[i].revents) continue;
            TRY(take(fds[i].fd, i ? errors : output, i == 1, &end));
            if (end) fds[i].fd = -1;
        }
    }
    return NULL;
}

static err_t *await(pid_t pid, const char *path, int *ret_status) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return err_errno(errno, "cannot wait for %s", path);
    if (!WIFEXITED(status)) return err_new(ERR_IO, "%s was ended by a signal", path);
    if (WEXITSTATUS(status) == NOT_EXECUTED)
        return err_new(ERR_NOT_FOUND, "cannot execute %s", path);
    *ret_status = WEXITSTATUS(status);
    return NULL;
}

static err_t *run(const tool_t *tool, pipes_t *pipes, int *ret_status, buf_t *output,
                  buf_t *errors) {
    TRY(make_pipes(tool, pipes));
    pid_t pid = fork();
    if (pid == 0) become(tool, pipes);
    if (pid < 0) return err_errno(errno, "cannot fork for %s", tool->argv[0]);
    fd_close(pipes->out[1]);
    fd_close(pipes->errors[1]);
    pipes->out[1] = pipes->errors[1] = -1;
    err_t *e = listen_to(pipes, output, errors);
    fd_close(pipes->out[0]); /* who still writes gets a signal, and ends */
    pipes->out[0] = -1;
    err_t *gone = await(pid, tool->argv[0], ret_status);
    if (!e) return gone;
    err_free(gone);
    return e;
}

err_t *tool_run(const tool_t *tool, int *ret_status, buf_t *ret_output, buf_t *ret_errors) {
    pipes_t pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
    if (tool->secrets_n > TOOL_SECRETS) return err_new(ERR_USAGE, "too many secrets");
    err_t *e = run(tool, &pipes, ret_status, ret_output, ret_errors);
    pipes_done(&pipes);
    return e;
}
