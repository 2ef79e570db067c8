/*
 * ipc/spawn.h and ipc/control.h: a real supervisor in a process of its own, with the children of
 * child.c (its path is this program's argument), which report through a datagram socket.
 */
#include "../unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "ipc/channel.h"
#include "ipc/control.h"
#include "ipc/spawn.h"

static const char *child_path;

typedef struct {
    char dir[64];
    int events;
    pid_t supervisor;
} fixture_t;

static const spawn_program_t two[] = {{ROLE_KEEPER, "one"}, {ROLE_WEB, "two"}};
static const spawn_wire_t wires[] = {{ROLE_WEB, ROLE_KEEPER}, {ROLE_WEB, ROLE_COURIER}};

static void in_dir(const fixture_t *f, const char *name, char path[100]) {
    (void)snprintf(path, 100, "%s/%s", f->dir, name);
}

static int setup(void **state) {
    static fixture_t f;
    f = (fixture_t){.dir = "/tmp/coffer-spawn-XXXXXX", .supervisor = 0};
    assert_non_null(mkdtemp(f.dir));
    const char *names[] = {"one", "two", "broken", "deaf", "unwanted"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[100];
        in_dir(&f, names[i], path);
        assert_int_equal(symlink(child_path, path), 0);
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/events", f.dir);
    f.events = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.events, (const struct sockaddr *)&address, sizeof address), 0);
    struct timeval patience = {.tv_sec = 20};
    (void)setsockopt(f.events, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    if (f->supervisor) {
        (void)kill(f->supervisor, SIGKILL);
        (void)waitpid(f->supervisor, NULL, 0);
    }
    fd_close(f->events);
    const char *names[] = {"one", "two", "broken", "deaf", "unwanted", "events", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[100];
        in_dir(f, names[i], path);
        (void)remove(path);
    }
    return 0;
}

static void no_report(void *ctx, log_level_t level, const char *text) {
    (void)ctx;
    (void)level;
    (void)text;
}

/* Reports readiness as an event, like the children. */
static void on_ready(void *ctx) {
    const fixture_t *f = ctx;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/events", f->dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char text[] = "all ready - 0";
    (void)sendto(fd, text, sizeof text - 1, 0, (const struct sockaddr *)&address, sizeof address);
    fd_close(fd);
}

static void supervise(fixture_t *f, const spawn_program_t *programs, size_t count) {
    f->supervisor = fork();
    if (f->supervisor != 0) return;
    supervisor_t config = {.bindir = f->dir,
                           .dir = f->dir,
                           .programs = programs,
                           .program_count = count,
                           .wires = wires,
                           .wire_count = 2,
                           .clk = clk_real(),
                           .ctx = f,
                           .report = no_report,
                           .ready = on_ready};
    err_t *e = supervisor_run(&config);
    int status = e ? 1 + (int)err_code(e) : 0;
    err_free(e);
    _exit(status);
}

static const char *next_event(const fixture_t *f) {
    static char line[128];
    ssize_t n = recv(f->events, line, sizeof line - 1, 0);
    if (n <= 0) fail_msg("nothing more was reported");
    line[n] = '\0';
    return line;
}

/* Waits until "NAME WHAT PEER" has been reported, skipping others; returns the pid in it. */
static pid_t await(const fixture_t *f, const char *wanted) {
    for (;;) {
        const char *line = next_event(f);
        size_t length = strlen(wanted);
        if (strncmp(line, wanted, length) == 0 && line[length] == ' ')
            return (pid_t)strtol(line + length, NULL, 10);
    }
}

static int end_of_supervisor(fixture_t *f) {
    int status = 0;
    assert_int_equal(waitpid(f->supervisor, &status, 0), f->supervisor);
    f->supervisor = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_spawn__starts_in_order_wires_and_stops_in_reverse(void **state) {
    fixture_t *f = *state;
    supervise(f, two, 2);
    pid_t one = await(f, "one up -");
    (void)await(f, "two up -"); /* after one: its report would have been skipped above */
    (void)await(f, "all ready -");
    (void)kill(f->supervisor, SIGTERM);
    (void)await(f, "two down -");
    assert_int_equal(await(f, "one down -"), one);
    assert_int_equal(end_of_supervisor(f), 0);
}

static void test_spawn__both_ends_of_a_wire_hear_each_other(void **state) {
    fixture_t *f = *state;
    supervise(f, two, 2);
    pid_t one = await(f, "one up -");
    (void)await(f, "one answered web"); /* answered only when the other greeted */
    (void)kill(one, SIGKILL);
    pid_t again = await(f, "one up -");
    assert_int_not_equal(again, one);
    (void)await(f, "one answered web"); /* on a fresh wire, whose other end two was given */
    (void)kill(f->supervisor, SIGTERM);
    assert_int_equal(end_of_supervisor(f), 0);
}

static void test_spawn__a_killed_peer_is_rewired_too(void **state) {
    fixture_t *f = *state;
    supervise(f, two, 2);
    pid_t second = await(f, "two up -");
    for (int round = 0; round < 3; round++) {
        (void)await(f, "two answered keeper");
        (void)kill(second, SIGKILL);
        pid_t next = await(f, "two up -");
        assert_int_not_equal(next, second);
        second = next;
    }
    (void)await(f, "one answered web");
    (void)kill(f->supervisor, SIGTERM);
    assert_int_equal(end_of_supervisor(f), 0);
}

static void test_spawn__gives_up_on_what_never_comes_up(void **state) {
    static const spawn_program_t programs[] = {{ROLE_KEEPER, "one"}, {ROLE_WEB, "broken"}};
    static const spawn_program_t absent[] = {{ROLE_KEEPER, "one"}, {ROLE_WEB, "absent"}};
    fixture_t *f = *state;
    supervise(f, programs, 2);
    for (int i = 0; i < SPAWN_START_ATTEMPTS; i++) (void)await(f, "broken up -");
    (void)await(f, "one down -");
    assert_int_equal(end_of_supervisor(f), 1 + ERR_UNAVAILABLE);
    supervise(f, absent, 2);
    (void)await(f, "one down -");
    assert_int_equal(end_of_supervisor(f), 1 + ERR_UNAVAILABLE);
}

/* Its word and its end come at nearly the same moment, in either order: often enough both. It never
 * reads of its wire, so that the kernel reports a reset before what it said. */
static void test_spawn__one_that_is_off_may_end(void **state) {
    static const spawn_program_t programs[] = {{ROLE_KEEPER, "one"}, {ROLE_WEB, "unwanted"}};
    fixture_t *f = *state;
    for (int round = 0; round < 50; round++) {
        supervise(f, programs, 2);
        (void)await(f, "unwanted up -");
        for (const char *line = ""; strncmp(line, "all ready", 9) != 0; line = next_event(f))
            if (strncmp(line, "unwanted", 8) == 0) fail_msg("it was started again");
        (void)kill(f->supervisor, SIGTERM);
        (void)await(f, "one down -");
        assert_int_equal(end_of_supervisor(f), 0);
    }
}

static void test_spawn__children_die_with_the_supervisor(void **state) {
    fixture_t *f = *state;
    supervise(f, two, 2);
    pid_t one = await(f, "one up -");
    pid_t second = await(f, "two up -");
    (void)await(f, "all ready -");
    (void)kill(f->supervisor, SIGKILL);
    (void)waitpid(f->supervisor, NULL, 0);
    f->supervisor = 0;
    /* They are killed by the kernel; another process reaps them, so wait for their absence. */
    for (int i = 0; i < 500 && (kill(one, 0) == 0 || kill(second, 0) == 0); i++) {
        char path[64], stat_line[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)one);
        FILE *file = fopen(path, "r");
        if (file) {
            if (!fgets(stat_line, sizeof stat_line, file)) stat_line[0] = '\0';
            (void)fclose(file);
        }
        if (strstr(stat_line, ") Z ")) return; /* dead, not yet reaped */
        (void)usleep(10000);
    }
    assert_int_equal(kill(one, 0), -1);
}

static void test_spawn__one_program_with_a_control_channel(void **state) {
    const fixture_t *f = *state;
    char program[100], missing[100], option[] = "--dir", dir[64];
    in_dir(f, "one", program);
    in_dir(f, "missing", missing);
    (void)snprintf(dir, sizeof dir, "%s", f->dir);
    char *argv[] = {program, option, dir, NULL};
    pid_t pid = 0;
    int control = -1, ends[2];
    uint8_t room[16];
    size_t n = 0;
    assert_ok(spawn_start(argv, &pid, &control));
    assert_ok(channel_recv(control, room, sizeof room, &n));
    assert_memory_equal(room, "ready", 5);
    assert_ok(channel_pair(ends));
    /* The command line wires itself: it plays the other control channel. */
    assert_ok(spawn_wire(control, ROLE_KEEPER, ends[0], ROLE_COMMAND));
    (void)await(f, "one wired command");
    (void)kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    fd_close(control);
    argv[0] = missing;
    assert_err(ERR_NOT_FOUND, spawn_start(argv, &pid, &control));
    fd_close(ends[0]);
    fd_close(ends[1]);
}

static void test_control__without_cofferd_it_says_so(void **state) {
    (void)state;
    control_t *control = NULL;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_err(ERR_USAGE, control_open_fd(ends[0], &control));
    fd_close(ends[0]);
    fd_close(ends[1]);
    assert_err(ERR_USAGE, control_open_fd(ends[0], &control));
}

typedef struct {
    int pipe[2];
} seen_t;

static void on_wire(void *ctx, role_t peer, int fd) {
    const seen_t *seen = ctx;
    char c = peer == ROLE_MAILGATE ? 'w' : '?';
    fd_close(fd);
    assert_int_equal(write(seen->pipe[1], &c, 1), 1);
}

static void on_gone(void *ctx, err_t *why) {
    const seen_t *seen = ctx;
    char c = why ? 'n' : 'g';
    err_free(why);
    assert_int_equal(write(seen->pipe[1], &c, 1), 1);
}

static char next_seen(const seen_t *seen) {
    char c = 0;
    assert_int_equal(read(seen->pipe[0], &c, 1), 1);
    return c;
}

static void test_control__thread_calls_back(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        seen_t seen;
        int ends[2], other[2];
        control_t *control = NULL;
        control_callbacks_t callbacks = {.ctx = &seen, .wire = on_wire, .gone = on_gone};
        assert_int_equal(pipe(seen.pipe), 0);
        assert_ok(channel_pair(ends));
        assert_ok(channel_pair(other));
        assert_ok(control_open_fd(ends[0], &control));
        assert_ok(control_start(control, &callbacks));
        assert_ok(spawn_wire(ends[1], ROLE_KEEPER, other[0], ROLE_MAILGATE));
        assert_int_equal(next_seen(&seen), 'w');
        if (round == 0) assert_ok(channel_send(ends[1], BYTES_LIT("nonsense")));
        if (round == 0) assert_int_equal(next_seen(&seen), 'n');
        if (round == 1) fd_close(ends[1]);
        if (round == 1) assert_int_equal(next_seen(&seen), 'g');
        control_free(control); /* in round 2 while its thread waits */
        if (round != 1) fd_close(ends[1]);
        fd_close(other[0]);
        fd_close(other[1]);
        fd_close(seen.pipe[0]);
        fd_close(seen.pipe[1]);
    }
}

#define SPAWN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    child_path = argv[1];
    const struct CMUnitTest tests[] = {
        SPAWN_TEST(test_spawn__starts_in_order_wires_and_stops_in_reverse),
        SPAWN_TEST(test_spawn__both_ends_of_a_wire_hear_each_other),
        SPAWN_TEST(test_spawn__a_killed_peer_is_rewired_too),
        SPAWN_TEST(test_spawn__gives_up_on_what_never_comes_up),
        SPAWN_TEST(test_spawn__children_die_with_the_supervisor),
        SPAWN_TEST(test_spawn__one_program_with_a_control_channel),
        SPAWN_TEST(test_spawn__one_that_is_off_may_end),
        cmocka_unit_test(test_control__without_cofferd_it_says_so),
        cmocka_unit_test(test_control__thread_calls_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
