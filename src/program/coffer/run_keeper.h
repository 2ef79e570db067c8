/*
 * Running coffer-keeper, which lies beside coffer, for what is done to a vault that no server uses.
 */
#ifndef COFFER_PROGRAM_COFFER_RUN_KEEPER_H
#define COFFER_PROGRAM_COFFER_RUN_KEEPER_H

#include <stddef.h>

#include "base/err.h"

enum { RUN_KEEPER_WORDS = 16 }; /* arguments */

typedef enum {
    RUN_KEEPER_DONE,
    RUN_KEEPER_FAILED, /* it said why */
    RUN_KEEPER_USAGE,
    RUN_KEEPER_BUSY,  /* the server runs */
    RUN_KEEPER_ORDER, /* not at this point */
} run_keeper_t;

/* Waits for its end. ERR_UNAVAILABLE if it is not there; ERR_INTERNAL if a signal ended it. */
err_t *run_keeper(const char *const *words, size_t n, run_keeper_t *ret_how) WARN_UNUSED;

#endif
