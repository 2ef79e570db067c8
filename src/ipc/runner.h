/*
 * runner_t: a helper process that runs a fixed list of programs for a process that has shut itself
 * off from fork and exec (sandbox.h). It is forked before the sandbox closes and before secrets are
 * read; what it will run is settled then, and all it takes afterwards is a number and bytes for the
 * program's standard input. Programs run one after the other, without a shell, with no argument, an
 * empty environment, no other descriptor, "/" as directory and no way to gain privileges; when
 * their time is over their process group is killed. One thread at a time uses a runner.
 */
#ifndef COFFER_IPC_RUNNER_H
#define COFFER_IPC_RUNNER_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct runner runner_t;

typedef struct {
    const char *path; /* absolute; borrowed during runner_start */
    int64_t timeout_ms;
} runner_program_t;

typedef enum {
    RUN_EXIT = 0,    /* code: its exit status */
    RUN_SIGNAL = 1,  /* code: the signal that ended it */
    RUN_TIMEOUT = 2, /* it was killed */
    RUN_FAILED = 3,  /* code: errno; it could not be executed */
} run_end_t;

/* Forks the helper. Before any other thread is started; it ends when the runner is freed or this
 * process dies. */
err_t *runner_start(const runner_program_t *programs, size_t count,
                    runner_t **ret_runner) WARN_UNUSED;
void runner_free(runner_t *runner); /* takes NULL */

/*
 * Runs program `index` with `input` as its standard input; a program may end without reading it.
 * What it prints (both streams) is appended to `output` up to its maximum, the rest is dropped.
 * ERR_UNAVAILABLE: the helper is gone.
 */
err_t *runner_run(runner_t *runner, size_t index, bytes_t input, buf_t *output, run_end_t *ret_end,
                  int *ret_code) WARN_UNUSED;

DEFINE_CLEANUP(runner_t, runner_free)

#endif
