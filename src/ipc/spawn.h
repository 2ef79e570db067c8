/*
 * Starting and watching processes. spawn_start starts one program with a control channel;
 * supervisor_run is all of cofferd: it starts a list of programs in order, wires them to each
 * other, restarts what dies, and stops all in reverse order. Single-threaded, an event loop over
 * a signalfd and the children's control channels; no keys, no foreign input.
 */
#ifndef COFFER_IPC_SPAWN_H
#define COFFER_IPC_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

#include "base/clk.h"
#include "base/err.h"
#include "base/log.h"
#include "ipc/role.h"

/*
 * Starts argv[0] (a path) with the control channel's end at descriptor 3, /dev/null as standard
 * input, all signals at their default, in its own process group; it is killed when the calling
 * thread's process ends. *ret_control is our end (the caller's). The caller reaps *ret_pid.
 * ERR_NOT_FOUND, ERR_IO: could not be executed.
 */
err_t *spawn_start(char *const argv[], pid_t *ret_pid, int *ret_control) WARN_UNUSED;

/* Makes a channel and hands its ends, with each other's role, to two control channels. */
err_t *spawn_wire(int control_a, role_t role_a, int control_b, role_t role_b) WARN_UNUSED;

typedef struct {
    role_t role;
    const char *program; /* file name in bindir */
} spawn_program_t;

typedef struct {
    role_t from, to; /* who asks whom; the channel itself has no direction */
} spawn_wire_t;

typedef struct {
    const char *bindir;
    const char *dir; /* given to each program as --dir */
    const spawn_program_t *programs;
    size_t program_count; /* in starting order */
    const spawn_wire_t *wires;
    size_t wire_count;
    const clk_t *clk;
    void *ctx;
    void (*report)(void *ctx, log_level_t level, const char *text); /* what happened, a sentence */
    void (*ready)(void *ctx); /* all are ready, for the first time */
} supervisor_t;

/*
 * Blocks SIGTERM, SIGINT, SIGHUP, SIGCHLD in this process and runs until SIGTERM or SIGINT has
 * stopped everything (NULL), or a program fails SPAWN_START_ATTEMPTS times before it was ever
 * ready (ERR_UNAVAILABLE, after everything else was stopped). SIGHUP is passed on to all. A program
 * that reports "off" counts as ready and may end; SIGHUP starts it again.
 */
err_t *supervisor_run(const supervisor_t *config) WARN_UNUSED;

enum {
    SPAWN_BACKOFF_MIN_MS = 100, /* before the first restart; doubles */
    SPAWN_BACKOFF_MAX_MS = 5000,
    SPAWN_STEADY_MS = 30 * 1000, /* alive for so long, the back-off starts anew */
    SPAWN_STOP_MS = 10 * 1000,   /* from SIGTERM to SIGKILL */
    SPAWN_START_ATTEMPTS = 3,
};

#endif
