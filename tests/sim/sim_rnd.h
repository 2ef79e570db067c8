/*
 * The simulator's only source of chance (splitmix64), and a clock that stands still until told:
 * one seed gives one run. One thread.
 */
#ifndef COFFER_TESTS_SIM_RND_H
#define COFFER_TESTS_SIM_RND_H

#include "base/clk.h"
#include "base/rnd.h"

typedef struct {
    rnd_t rnd; /* first, so that it is found again from what rnd_fill() is given */
    uint64_t state;
} sim_rnd_t;

void sim_rnd_init(sim_rnd_t *rnd, uint64_t seed);
uint64_t sim_rnd_next(sim_rnd_t *rnd);
/* 0 .. n - 1; n > 0. */
uint32_t sim_rnd_below(sim_rnd_t *rnd, uint32_t n);
/* True so many times in a hundred. */
bool sim_rnd_percent(sim_rnd_t *rnd, uint32_t percent);

#endif
