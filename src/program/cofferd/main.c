/*
 * cofferd: starts, watches and restarts Coffer's processes. It holds no keys and reads no foreign
 * input; it makes the channels by which its children talk and hands them out. One thread.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/spawn.h"
#include "program/cofferd/notify.h"
#include "program/cofferd/pidfile.h"

/* The list of processes is the documentation, in starting order. */
static const spawn_program_t programs[] = {
    /* The only holder of keys: CA keys, storage key, leases, audit key. No network. */
    {ROLE_KEEPER, "coffer-keeper"},
    /* HTTPS for devices and people: enrolment, SCEP, MDM, API, console. Holds the TLS key only. */
    {ROLE_WEB, "coffer-web"},
    /* Work that goes out, from a durable job table: pushes, notices. Holds the push certificate. */
    {ROLE_COURIER, "coffer-courier"},
    /* Mail on its way through: signed, encrypted, verified, decrypted. Off unless configured. */
    {ROLE_MAILGATE, "coffer-mailgate"},
};

/* Who asks whom. */
static const spawn_wire_t wires[] = {
    {ROLE_WEB, ROLE_KEEPER},      /* certificates, sealed secrets, log heads */
    {ROLE_COURIER, ROLE_KEEPER},  /* secrets to be filled into what goes out */
    {ROLE_MAILGATE, ROLE_KEEPER}, /* signatures and content keys by policy */
    {ROLE_WEB, ROLE_MAILGATE},    /* its counters, for /metrics */
    {ROLE_WEB, ROLE_COURIER},     /* "there is a job": a wake-up, nothing depends on it */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static void on_report(void *ctx, log_level_t level, const char *text) {
    log_line(ctx, level, "%s", text);
}

static void on_ready(void *ctx) {
    const log_t *log = ctx;
    log_line(log, LOG_INFO, "ready");
    log_error(log, LOG_WARNING, notify_send("READY=1"), "cannot notify the service manager");
}

static void usage(FILE *out) {
    (void)fputs("usage: cofferd --dir DIR [--bindir DIR]\n"
                "Runs the instance in DIR: starts and watches all of Coffer's processes.\n"
                "  --dir DIR      the instance, made by `coffer init`\n"
                "  --bindir DIR   where the programs are (default: beside cofferd)\n"
                "  --version      print the version\n",
                out);
}

/* The directory this program lies in. */
static err_t *own_directory(char **ret_path) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return err_errno(errno, "cannot find this program's directory");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) return err_new(ERR_INTERNAL, "no directory in %s", path);
    *slash = '\0';
    char *copy = mem_strdup(path[0] ? path : "/");
    if (!copy) return err_nomem();
    *ret_path = copy;
    return NULL;
}

static err_t *run(log_t *log, const char *dir, const char *bindir) {
    CLEANUP(mem_free) char *own = NULL;
    CLEANUP(fd_close) int lock = -1;
    if (!bindir) TRY(own_directory(&own));
    TRY(pidfile_lock(dir, &lock));
    supervisor_t config = {
        .bindir = bindir ? bindir : own,
        .dir = dir,
        .programs = programs,
        .program_count = COUNT(programs),
        .wires = wires,
        .wire_count = COUNT(wires),
        .clk = clk_real(),
        .ctx = log,
        .report = on_report,
        .ready = on_ready,
    };
    err_t *e = supervisor_run(&config);
    err_ignore(notify_send("STOPPING=1"));
    pidfile_remove(dir);
    return e;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"bindir", required_argument, NULL, 'b'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *dir = NULL, *bindir = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'd') {
            dir = optarg;
        } else if (option == 'b') {
            bindir = optarg;
        } else if (option == 'v' || option == 'h') {
            if (option == 'h') usage(stdout);
            else (void)puts("cofferd " COFFER_VERSION);
            return EXIT_DONE;
        } else {
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (!dir || optind != argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    log_t log;
    log_init(&log, "cofferd", clk_real());
    err_t *e = run(&log, dir, bindir);
    if (!e) return EXIT_DONE;
    log_error(&log, LOG_ERROR, e, "cannot run %s", dir);
    return EXIT_FAILED;
}
