/*
 * Running programs for a sandboxed process: see runner.h. The second half is the helper process.
 */
#include "ipc/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clk.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

enum { INPUT_MAX = LIMIT_JSON_BYTES, OUTPUT_MAX = LIMIT_ACTION_OUTPUT, PIECE = 4096 };

/* Both between the same program on one machine: plain structs. */
typedef struct {
    uint32_t index;
    uint32_t input_n;
} request_t;

typedef struct {
    uint32_t end;
    int32_t code;
    uint32_t output_n;
} reply_t;

struct runner {
    int fd;
    pid_t pid;
    size_t count;
};

static bool read_all(int fd, void *p, size_t n) {
    uint8_t *at = p;
    while (n) {
        ssize_t got = read(fd, at, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *p, size_t n) {
    const uint8_t *at = p;
    while (n) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* ---- the helper: from here it runs in a process of its own ---- */

typedef struct {
    pid_t pid;
    int in, out; /* our ends of its pipes, -1 when closed */
    bytes_t rest;
    uint8_t output[OUTPUT_MAX];
    size_t output_n;
    int64_t deadline_ms;
} child_t;

/* Between fork and exec: async-signal-safe calls only. */
static _Noreturn void become(const char *path, int in, int out, int tell, pid_t parent) {
    char *const arguments[] = {(char *)path, NULL};
    char *const environment[] = {NULL};
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++) (void)sigaction(number, &plain, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 &&
        dup2(out, 2) == 2 && dup2(tell, 3) == 3 && fcntl(3, F_SETFD, FD_CLOEXEC) == 0 &&
        close_range(4, ~0U, 0) == 0 && chdir("/") == 0)
        (void)execve(path, arguments, environment);
    int number = errno;
    ssize_t ignored = write(3, &number, sizeof number);
    (void)ignored;
    _exit(127);
}

static int fork_program(const char *path, child_t *child) {
    int in[2] = {-1, -1}, out[2] = {-1, -1}, tell[2] = {-1, -1};
    int number = 0;
    pid_t parent = getpid();
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(tell, O_CLOEXEC) != 0)
        number = errno;
    child->pid = number ? -1 : fork();
    if (child->pid == 0) become(path, in[0], out[1], tell[1], parent);
    if (!number && child->pid < 0) number = errno;
    fd_close(in[0]);
    fd_close(out[1]);
    fd_close(tell[1]);
    child->in = in[1];
    child->out = out[0];
    int told = 0;
    if (!number && read_all(tell[0], &told, sizeof told)) number = told;
    fd_close(tell[0]);
    if (!number) {
        (void)fcntl(child->in, F_SETFL, O_NONBLOCK);
        (void)fcntl(child->out, F_SETFL, O_NONBLOCK);
    }
    return number;
}

static void close_end(int *fd) {
    fd_close(*fd);
    *fd = -1;
}

static void feed(child_t *c) {
    ssize_t n = c->rest.n ? write(c->in, c->rest.p, c->rest.n) : 0;
    if (n > 0) c->rest = bytes_from(c->rest, (size_t)n);
    bool over = c->rest.n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    if (over) close_end(&c->in);
}

static void drain(child_t *c) {
    uint8_t piece[PIECE];
    ssize_t n = read(c->out, piece, sizeof piece);
    if (n > 0) {
        size_t room = OUTPUT_MAX - c->output_n;
        size_t take = (size_t)n < room ? (size_t)n : room;
        memcpy(c->output + c->output_n, piece, take);
        c->output_n += take;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_end(&c->out);
    }
}

/* Until both pipes are closed (true) or the time is over. */
static bool attend(child_t *c) {
    while (c->in >= 0 || c->out >= 0) {
        int64_t left = c->deadline_ms - clk_mono_ms(clk_real());
        struct pollfd fds[2] = {{.fd = c->in, .events = POLLOUT}, {.fd = c->out, .events = POLLIN}};
        if (left <= 0) return false;
        if (poll(fds, 2, (int)left) < 0 && errno != EINTR) return false;
        if (c->in >= 0 && fds[0].revents) feed(c);
        if (c->out >= 0 && fds[1].revents) drain(c);
        /* Who closes its output without reading its input will not read it any more. */
        if (c->out < 0 && c->in >= 0) close_end(&c->in);
    }
    return true;
}

/* The program closed its output; it may still be there. */
static bool await_end(const child_t *c, int *ret_status) {
    const struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
    for (;;) {
        pid_t got = waitpid(c->pid, ret_status, WNOHANG);
        if (got == c->pid) return true;
        if (got < 0 && errno != EINTR) return false;
        if (clk_mono_ms(clk_real()) >= c->deadline_ms) return false;
        (void)nanosleep(&nap, NULL);
    }
}

static void run_program(const char *path, int64_t timeout_ms, child_t *c, reply_t *reply) {
    int status = 0;
    int number = fork_program(path, c);
    c->deadline_ms = clk_mono_ms(clk_real()) + timeout_ms;
    bool ended = !number && attend(c) && await_end(c, &status);
    if (c->pid > 0) (void)kill(-c->pid, SIGKILL); /* what it left behind, too */
    if (c->pid > 0 && !ended) {
        while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {}
    }
    close_end(&c->in);
    close_end(&c->out);
    if (number) *reply = (reply_t){.end = RUN_FAILED, .code = number};
    else if (!ended) *reply = (reply_t){.end = RUN_TIMEOUT};
    else if (WIFSIGNALED(status)) *reply = (reply_t){.end = RUN_SIGNAL, .code = WTERMSIG(status)};
    else *reply = (reply_t){.end = RUN_EXIT, .code = WEXITSTATUS(status)};
    reply->output_n = (uint32_t)c->output_n;
}

static bool serve_one(int fd, const runner_program_t *programs, size_t count, uint8_t *input,
                      child_t *child) {
    request_t request;
    reply_t reply = {.end = RUN_FAILED, .code = EINVAL};
    if (!read_all(fd, &request, sizeof request) || request.input_n > INPUT_MAX ||
        !read_all(fd, input, request.input_n))
        return false;
    child->output_n = 0;
    child->rest = bytes_make(input, request.input_n);
    if (request.index < count)
        run_program(programs[request.index].path, programs[request.index].timeout_ms, child,
                    &reply);
    return write_all(fd, &reply, sizeof reply) &&
           (reply.output_n == 0 || write_all(fd, child->output, reply.output_n));
}

/* Ends when the other end is closed. */
static _Noreturn void serve(int fd, const runner_program_t *programs, size_t count, pid_t parent) {
    uint8_t *input = mem_alloc(INPUT_MAX);
    child_t *child = mem_zalloc(sizeof *child);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "coffer-actions");
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    bool ok =
        input && child && getppid() == parent && dup2(fd, 3) == 3 && close_range(4, ~0U, 0) == 0;
    while (ok && serve_one(3, programs, count, input, child)) {}
    _exit(0);
}

/* ---- the sandboxed process ---- */

err_t *runner_start(const runner_program_t *programs, size_t count, runner_t **ret_runner) {
    CLEANUP(runner_free) runner_t *runner = mem_zalloc(sizeof *runner);
    int ends[2];
    if (!runner) return err_nomem();
    runner->fd = -1;
    runner->count = count;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(errno, "cannot make a socket pair");
    pid_t parent = getpid();
    runner->pid = fork();
    if (runner->pid == 0) serve(ends[1], programs, count, parent);
    int number = errno;
    fd_close(ends[1]);
    runner->fd = ends[0];
    if (runner->pid < 0) return err_errno(number, "cannot fork the helper for programs");
    *ret_runner = STEAL(runner);
    return NULL;
}

void runner_free(runner_t *runner) {
    if (!runner) return;
    fd_close(runner->fd); /* the helper ends */
    if (runner->pid > 0)
        while (waitpid(runner->pid, NULL, 0) < 0 && errno == EINTR) {}
    mem_free(runner);
}

err_t *runner_run(runner_t *runner, size_t index, bytes_t input, buf_t *output, run_end_t *ret_end,
                  int *ret_code) {
    request_t request = {(uint32_t)index, (uint32_t)input.n};
    reply_t reply;
    uint8_t piece[PIECE];
    if (index >= runner->count) return err_new(ERR_USAGE, "there is no program %zu", index);
    if (input.n > INPUT_MAX) return err_new(ERR_LIMIT, "%zu bytes for a program", input.n);
    if (!write_all(runner->fd, &request, sizeof request) ||
        (input.n && !write_all(runner->fd, input.p, input.n)) ||
        !read_all(runner->fd, &reply, sizeof reply) || reply.end > RUN_FAILED ||
        reply.output_n > OUTPUT_MAX)
        return err_new(ERR_UNAVAILABLE, "the helper for programs is gone");
    for (size_t left = reply.output_n, n; left; left -= n) {
        n = left < sizeof piece ? left : sizeof piece;
        if (!read_all(runner->fd, piece, n))
            return err_new(ERR_UNAVAILABLE, "the helper for programs is gone");
        size_t room = output->max - output->n;
        TRY(buf_add(output, bytes_make(piece, n < room ? n : room)));
    }
    *ret_end = (run_end_t)reply.end;
    *ret_code = reply.code;
    return NULL;
}
