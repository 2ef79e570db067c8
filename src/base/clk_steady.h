/*
 * A clock for ages: how long ago something was, whatever the clock of day is set to. It counts the
 * time that it saw pass, never goes back and is never faster than time. So nothing is old because
 * somebody set the clock a year ahead; time in which nobody counted makes nothing older.
 *
 * Thread-safe.
 */
#ifndef COFFER_BASE_CLK_STEADY_H
#define COFFER_BASE_CLK_STEADY_H

#include "base/clk.h"
#include "base/err.h"

typedef struct clk_steady clk_steady_t;

/* Goes on from last_ms, what it said when it was asked last, maybe long ago; 0: from what `day`
 * says now. `day` is borrowed. */
err_t *clk_steady_new(const clk_t *day, int64_t last_ms, clk_steady_t **ret_clk) WARN_UNUSED;
void clk_steady_free(clk_steady_t *clk); /* takes NULL */
/* To be asked like any other; its monotonic time is that of `day`. */
const clk_t *clk_steady_clk(const clk_steady_t *clk);
/* How far the clock of day is ahead of it, in ms; below zero: behind. */
int64_t clk_steady_off(const clk_steady_t *clk);

DEFINE_CLEANUP(clk_steady_t, clk_steady_free)

#endif
