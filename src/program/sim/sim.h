/*
 * coffer-sim: what its subcommands share. Single-threaded program; runs outside of an instance.
 */
#ifndef COFFER_SIM_SIM_H
#define COFFER_SIM_SIM_H

#include "base/buf.h"
#include "base/clk.h"
#include "base/err.h"
#include "base/rnd.h"

/* One subcommand. `run` gets argv with the subcommand's name first. */
typedef struct {
    const char *name;
    const char *summary; /* one line */
    const char *help;    /* the whole page */
    err_t *(*run)(int argc, char **argv);
} sim_command_t;

extern const sim_command_t sim_enrol, sim_run, sim_checkout, sim_apns, sim_apns_cert, sim_load,
    sim_factory;

/* How the program tells what it does: numbered lines for people, JSON lines for programs. */
typedef struct {
    bool json;
    bool quiet;
    unsigned step; /* last number given */
} sim_out_t;

/* A numbered step: "3. Portal: ...". `event` is a stable name for programs: "portal.login". */
void sim_step(sim_out_t *out, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same without a number. */
void sim_note(const sim_out_t *out, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

/* design.md: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 verification failed. */
int sim_exit_status(const err_t *e); /* NULL is 0 */

/* ---- arguments (args.c) ---- */

typedef struct {
    const char *name;  /* without the dashes */
    const char **text; /* where a value goes, or */
    bool *flag;        /* where "given" goes */
} sim_option_t;

enum { SIM_OPTIONS = 40 };

/*
 * Reads --name value and --name into what `options` (n of them) point to; values are borrowed
 * from argv. Positional arguments go to `words` (at most `words_max`). ERR_USAGE names what is
 * wrong.
 */
err_t *sim_args(int argc, char **argv, const sim_option_t *options, size_t n, const char **words,
                size_t words_max, size_t *ret_words) WARN_UNUSED;
err_t *sim_need(const char *value, const char *name) WARN_UNUSED;
/* A number, `fallback` if text is NULL. */
err_t *sim_number(const char *text, const char *name, uint64_t max, uint64_t fallback,
                  uint64_t *ret_value) WARN_UNUSED;
/* "127.0.0.1:2195" and "[::1]:2195", numeric addresses. host (64 bytes) and port. */
err_t *sim_host_port(const char *text, char host[64], uint16_t *ret_port) WARN_UNUSED;

#endif
