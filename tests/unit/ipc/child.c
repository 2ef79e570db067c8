/*
 * A small child for the supervisor's test, behaving by the name it is started under: test_spawn.c
 * makes links to it. It reports to the datagram socket DIR/events, a line an event:
 *   "NAME up PID", "NAME wired PEER PID", "NAME answered PEER" (its question came back), and ends
 * at SIGTERM. "broken" ends at once; "deaf" ignores SIGTERM; "unwanted" says that it is off and
 * ends.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "ipc/channel.h"
#include "ipc/control.h"

static const char *name;
static int events = -1;
static volatile sig_atomic_t stopped;

static void on_term(int number) {
    (void)number;
    stopped = 1;
}

static void tell(const char *what, const char *peer) {
    char line[128];
    int n = snprintf(line, sizeof line, "%s %s %s %ld", name, what, peer, (long)getpid());
    if (n > 0) (void)send(events, line, (size_t)n, MSG_NOSIGNAL);
}

static int connect_events(const char *dir) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/events", dir);
    events = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return connect(events, (const struct sockaddr *)&address, sizeof address);
}

/* Both ends greet; who hears a greeting knows that the wire carries. */
static void wire(role_t peer, int fd) {
    uint8_t room[16];
    size_t n = 0;
    tell("wired", role_name(peer));
    err_t *e = channel_send(fd, BYTES_LIT("greeting"));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (!e && poll(&p, 1, 5000) == 1) {
        e = channel_recv(fd, room, sizeof room, &n);
        if (!e && n == 8) tell("answered", role_name(peer));
    }
    err_free(e);
    fd_close(fd);
}

int main(int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/');
    name = slash ? slash + 1 : argv[0];
    control_t *control = NULL;
    err_t *e = control_open(&control);
    if (e) {
        (void)fprintf(stderr, "%s\n", err_message(e));
        err_free(e);
        return 2;
    }
    if (argc != 3 || connect_events(argv[2]) != 0) return 3;
    if (strcmp(name, "broken") == 0) {
        tell("up", "-");
        return 1;
    }
    if (strcmp(name, "unwanted") == 0) {
        tell("up", "-");
        e = control_off(control);
        _exit(e ? 4 : 0); /* at once: the message and the end arrive together */
    }
    struct sigaction action = {.sa_handler = strcmp(name, "deaf") == 0 ? SIG_IGN : on_term};
    (void)sigaction(SIGTERM, &action, NULL);
    tell("up", "-");
    e = control_ready(control);
    while (!e && !stopped) {
        role_t peer;
        int fd;
        struct pollfd p = {.fd = control_fd(control), .events = POLLIN};
        if (poll(&p, 1, -1) < 0) continue;
        e = control_take(control, &peer, &fd);
        if (!e) wire(peer, fd);
    }
    err_free(e);
    tell("down", "-");
    control_free(control);
    fd_close(events);
    return 0;
}
