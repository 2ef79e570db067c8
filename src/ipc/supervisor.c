/*
 * The supervisor's event loop: see spawn.h. Process cofferd, one thread. Everything that happens
 * is a signal, a message of a child, or a deadline.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/spawn.h"

enum { REPORT_MAX = 1024, NEVER = -1 };

typedef struct {
    pid_t pid;    /* 0: not running */
    int control;  /* -1: none */
    bool started; /* was ever tried */
    bool ready;   /* since its last start */
    bool ever_ready;
    bool off;           /* not wanted: it may end */
    unsigned failures;  /* before it was ever ready */
    int64_t since_ms;   /* of its last start */
    int64_t restart_ms; /* when to start it again; NEVER */
    int64_t backoff_ms;
} child_t;

typedef struct {
    const supervisor_t *config;
    child_t *children;
    struct pollfd *polls; /* [0] signals, [1 + i] child i */
    int signals;
    bool announced;
    bool stopping;
    int64_t kill_ms; /* while stopping: when patience with the current child ends; NEVER */
    err_t *failure;
} run_t;

static void report(const run_t *run, log_level_t level, const char *format, ...) PRINTF_LIKE(3, 4);

static void report(const run_t *run, log_level_t level, const char *format, ...) {
    char text[REPORT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0) run->config->report(run->config->ctx, level, text);
}

static void report_error(const run_t *run, err_t *e) {
    char text[REPORT_MAX];
    if (e) report(run, LOG_ERROR, "%s", err_text(e, text, sizeof text));
    err_free(e);
}

static int64_t now_ms(const run_t *run) { return clk_mono_ms(run->config->clk); }

static const char *name_of(const run_t *run, size_t i) { return run->config->programs[i].program; }

static bool find_role(const run_t *run, role_t role, size_t *ret_index) {
    for (size_t i = 0; i < run->config->program_count; i++)
        if (run->config->programs[i].role == role) {
            *ret_index = i;
            return true;
        }
    return false;
}

/* Fresh channels for all wires of child i whose other end is running. */
static void wire_child(run_t *run, size_t i) {
    for (size_t w = 0; w < run->config->wire_count; w++) {
        const spawn_wire_t *wire = &run->config->wires[w];
        size_t from = 0, to = 0;
        if (!find_role(run, wire->from, &from) || !find_role(run, wire->to, &to)) continue;
        if (from != i && to != i) continue;
        const child_t *a = &run->children[from], *b = &run->children[to];
        if (a->control < 0 || b->control < 0) continue;
        report_error(run, spawn_wire(a->control, wire->from, b->control, wire->to));
    }
}

static void stop_next(run_t *run);

static void begin_stop(run_t *run) {
    if (run->stopping) return;
    run->stopping = true;
    for (size_t i = 0; i < run->config->program_count; i++) run->children[i].restart_ms = NEVER;
    stop_next(run);
}

/* Plans the next start of child i, or gives up if it never came up. */
static void plan_restart(run_t *run, size_t i) {
    child_t *child = &run->children[i];
    int64_t now = now_ms(run);
    if (run->stopping || child->off) return;
    if (!child->ever_ready && ++child->failures >= SPAWN_START_ATTEMPTS) {
        run->failure = err_new(ERR_UNAVAILABLE, "%s failed %u times before it was ready",
                               name_of(run, i), child->failures);
        begin_stop(run);
        return;
    }
    if (child->backoff_ms == 0 || now - child->since_ms >= SPAWN_STEADY_MS)
        child->backoff_ms = SPAWN_BACKOFF_MIN_MS;
    child->restart_ms = now + child->backoff_ms;
    report(run, LOG_INFO, "restarting %s in %lld ms", name_of(run, i),
           (long long)child->backoff_ms);
    child->backoff_ms *= 2;
    if (child->backoff_ms > SPAWN_BACKOFF_MAX_MS) child->backoff_ms = SPAWN_BACKOFF_MAX_MS;
}

static err_t *launch(run_t *run, size_t i) {
    char dir_option[] = "--dir";
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *dir = mem_strdup(run->config->dir);
    if (!dir) return err_nomem();
    TRY(file_path(run->config->bindir, name_of(run, i), &path));
    char *argv[] = {path, dir_option, dir, NULL};
    return spawn_start(argv, &run->children[i].pid, &run->children[i].control);
}

static void start_child(run_t *run, size_t i) {
    child_t *child = &run->children[i];
    child->started = true;
    child->ready = child->off = false;
    child->restart_ms = NEVER;
    child->since_ms = now_ms(run);
    err_t *e = launch(run, i);
    if (e) {
        report_error(run, e);
        plan_restart(run, i);
        return;
    }
    report(run, LOG_INFO, "started %s pid=%ld", name_of(run, i), (long)child->pid);
    wire_child(run, i);
}

/* The next program of the list, once all before it have been ready. */
static void start_next(run_t *run) {
    if (run->stopping || run->announced) return;
    for (size_t i = 0; i < run->config->program_count; i++) {
        if (run->children[i].ever_ready) continue;
        if (!run->children[i].started) start_child(run, i);
        return;
    }
    run->announced = true;
    run->config->ready(run->config->ctx);
}

/* Stops the last running child; the others follow as each is reaped. */
static void stop_next(run_t *run) {
    run->kill_ms = NEVER;
    for (size_t i = run->config->program_count; i-- > 0;) {
        if (!run->children[i].pid) continue;
        (void)kill(run->children[i].pid, SIGTERM);
        run->kill_ms = now_ms(run) + SPAWN_STOP_MS;
        return;
    }
}

static void kill_stuck(run_t *run) {
    for (size_t i = run->config->program_count; i-- > 0;) {
        if (!run->children[i].pid) continue;
        report(run, LOG_WARNING, "%s did not stop within %d s: killing it", name_of(run, i),
               SPAWN_STOP_MS / 1000);
        (void)kill(run->children[i].pid, SIGKILL);
        run->kill_ms = NEVER; /* SIGKILL is always obeyed */
        return;
    }
}

static void report_end(const run_t *run, size_t i, int status) {
    long pid = (long)run->children[i].pid;
    bool expected =
        (run->stopping || run->children[i].off) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFEXITED(status))
        report(run, expected ? LOG_INFO : LOG_ERROR, "%s pid=%ld ended with status %d",
               name_of(run, i), pid, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        report(run, LOG_ERROR, "%s pid=%ld was killed by signal %d (%s)%s", name_of(run, i), pid,
               WTERMSIG(status), strsignal(WTERMSIG(status)),
               WTERMSIG(status) == SIGSYS ? ": it made a system call its sandbox forbids" : "");
}

/* Whether there was one. */
static bool take_message(run_t *run, size_t i) {
    child_t *child = &run->children[i];
    uint8_t message[16];
    size_t n = 0;
    bool got = false;
    err_t *e = channel_try_recv(child->control, message, sizeof message, &n, &got);
    if (e) { /* it is ending, and SIGCHLD tells the rest */
        err_free(e);
        fd_close(child->control);
        child->control = -1;
        return false;
    }
    if (!got) return false;
    child->off = bytes_eq_str(bytes_make(message, n), "off");
    if (!child->off && !bytes_eq_str(bytes_make(message, n), "ready")) {
        report(run, LOG_WARNING, "%s sent an unknown message", name_of(run, i));
        return true;
    }
    child->ready = true;
    child->ever_ready = true;
    report(run, LOG_INFO, "%s is %s", name_of(run, i), child->off ? "off" : "ready");
    start_next(run);
    return true;
}

static void reap(run_t *run) {
    for (size_t i = 0; i < run->config->program_count; i++) {
        child_t *child = &run->children[i];
        int status = 0;
        if (!child->pid || waitpid(child->pid, &status, WNOHANG) != child->pid) continue;
        /* What it said last counts, though it came after poll looked: "off", and it ended. */
        while (child->control >= 0 && take_message(run, i)) {}
        report_end(run, i, status);
        child->pid = 0;
        child->ready = false;
        fd_close(child->control);
        child->control = -1;
        plan_restart(run, i);
        if (run->stopping) stop_next(run);
    }
}

static void reload(run_t *run) {
    for (size_t i = 0; i < run->config->program_count; i++) {
        const child_t *child = &run->children[i];
        if (child->pid) (void)kill(child->pid, SIGHUP);
        else if (child->off && !run->stopping) start_child(run, i);
    }
}

static void take_signals(run_t *run) {
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) reap(run);
        else if (info.ssi_signo == SIGHUP) reload(run);
        else begin_stop(run);
    }
}

static int64_t earlier(int64_t a, int64_t b) {
    if (a == NEVER) return b;
    return b == NEVER || a < b ? a : b;
}

static int wait_ms(const run_t *run) {
    int64_t next = run->kill_ms;
    for (size_t i = 0; i < run->config->program_count; i++)
        next = earlier(next, run->children[i].restart_ms);
    if (next == NEVER) return -1;
    int64_t left = next - now_ms(run);
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static void take_deadlines(run_t *run) {
    int64_t now = now_ms(run);
    if (run->kill_ms != NEVER && now >= run->kill_ms) kill_stuck(run);
    for (size_t i = 0; i < run->config->program_count; i++) {
        int64_t due = run->children[i].restart_ms;
        if (due != NEVER && now >= due) start_child(run, i);
    }
}

static bool any_running(const run_t *run) {
    for (size_t i = 0; i < run->config->program_count; i++)
        if (run->children[i].pid) return true;
    return false;
}

static err_t *loop(run_t *run) {
    size_t count = run->config->program_count;
    start_next(run);
    while (!run->stopping || any_running(run)) {
        run->polls[0] = (struct pollfd){.fd = run->signals, .events = POLLIN};
        for (size_t i = 0; i < count; i++)
            run->polls[1 + i] = (struct pollfd){.fd = run->children[i].control, .events = POLLIN};
        if (poll(run->polls, (nfds_t)(1 + count), wait_ms(run)) < 0 && errno != EINTR)
            return err_errno(errno, "poll");
        /* Messages first: a child's "ready" counts even if it died right after. */
        for (size_t i = 0; i < count; i++)
            if (run->polls[1 + i].revents && run->children[i].control == run->polls[1 + i].fd)
                (void)take_message(run, i);
        if (run->polls[0].revents) take_signals(run);
        take_deadlines(run);
    }
    return NULL;
}

static err_t *watch_signals(int *ret_fd) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return err_errno(errno, "cannot block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return err_errno(errno, "cannot make a signalfd");
    *ret_fd = fd;
    return NULL;
}

err_t *supervisor_run(const supervisor_t *config) {
    CLEANUP(mem_free) child_t *children = mem_array(config->program_count, sizeof *children);
    CLEANUP(mem_free) struct pollfd *polls = mem_array(config->program_count + 1, sizeof *polls);
    CLEANUP(fd_close) int signals = -1;
    if (!children || !polls) return err_nomem();
    TRY(watch_signals(&signals));
    for (size_t i = 0; i < config->program_count; i++)
        children[i] = (child_t){.control = -1, .restart_ms = NEVER};
    run_t run = {.config = config,
                 .children = children,
                 .polls = polls,
                 .signals = signals,
                 .kill_ms = NEVER};
    err_t *e = loop(&run);
    for (size_t i = 0; i < config->program_count; i++) fd_close(children[i].control);
    if (!e) return run.failure;
    err_free(run.failure);
    return e;
}
