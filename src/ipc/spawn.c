/*
 * Starting one program and wiring two: see spawn.h. Used by cofferd and by `coffer init`.
 * Between fork and exec only async-signal-safe calls are made.
 */
#include "ipc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "ipc/channel.h"
#include "ipc/control.h"
#include "ipc/wire.h"

enum {
    CHILD_FD_FLOOR = 10,    /* above all descriptors that the child's program finds open */
    CLOSE_ON_EXEC_FLAG = 4, /* CLOSE_RANGE_CLOEXEC */
    EXIT_NOT_EXECUTED = 127,
};

static void reset_signals(void) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) (void)sigaction(number, &plain, NULL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int place_descriptors(int control) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) return -1;
    if (control == CONTROL_FD) {
        if (fcntl(control, F_SETFD, 0) < 0) return -1;
    } else if (dup2(control, CONTROL_FD) < 0) {
        return -1;
    }
    return close_range(CONTROL_FD + 1, ~0U, CLOSE_ON_EXEC_FLAG);
}

/* In the child: becomes the program, or tells errno through the pipe. */
static _Noreturn void become(char *const argv[], int control, int tell, pid_t parent) {
    int pipe_end = fcntl(tell, F_DUPFD_CLOEXEC, CHILD_FD_FLOOR);
    reset_signals();
    /* A group of its own: Ctrl-C reaches the supervisor alone, which stops in order. */
    (void)setpgid(0, 0);
    if (pipe_end >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
        place_descriptors(control) == 0)
        (void)execv(argv[0], argv);
    int number = errno;
    ssize_t ignored = write(pipe_end, &number, sizeof number);
    (void)ignored;
    _exit(EXIT_NOT_EXECUTED);
}

/* Waits until the child has become the program; the pipe closes then by itself. */
static err_t *await_exec(int listen, pid_t pid, const char *path) {
    int number = 0;
    ssize_t got;
    do got = read(listen, &number, sizeof number);
    while (got < 0 && errno == EINTR);
    if (got == 0) return NULL;
    (void)waitpid(pid, NULL, 0);
    return err_errno(got == (ssize_t)sizeof number ? number : EIO, "cannot execute %s", path);
}

err_t *spawn_start(char *const argv[], pid_t *ret_pid, int *ret_control) {
    CLEANUP(fd_close) int ours = -1;
    CLEANUP(fd_close) int theirs = -1;
    CLEANUP(fd_close) int listen = -1;
    int ends[2];
    TRY(channel_pair(ends));
    ours = ends[0];
    theirs = ends[1];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_errno(errno, "cannot make a pipe");
    listen = ends[0];
    int tell = ends[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) become(argv, theirs, tell, parent);
    int number = errno;
    fd_close(tell);
    if (pid < 0) return err_errno(number, "cannot fork for %s", argv[0]);
    TRY(await_exec(listen, pid, argv[0]));
    *ret_pid = pid;
    *ret_control = ours;
    ours = -1;
    return NULL;
}

static err_t *hand_end(int control, role_t peer, int end) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, 1 + ROLE_NAME_MAX);
    bytes_t name = bytes_str(role_name(peer));
    TRY(wire_put_u8(&message, (uint8_t)name.n));
    TRY(buf_add(&message, name));
    TRY_WRAP(channel_send_fd(control, buf_bytes(&message), end), "cannot hand over the wire to %s",
             role_name(peer));
    return NULL;
}

err_t *spawn_wire(int control_a, role_t role_a, int control_b, role_t role_b) {
    int ends[2];
    TRY(channel_pair(ends));
    err_t *e = hand_end(control_a, role_b, ends[0]);
    if (!e) e = hand_end(control_b, role_a, ends[1]);
    fd_close(ends[0]);
    fd_close(ends[1]);
    return e;
}
