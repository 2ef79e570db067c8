/*
 * Chance that repeats: see sim_rnd.h.
 */
#include "sim_rnd.h"

uint64_t sim_rnd_next(sim_rnd_t *rnd) {
    uint64_t z = rnd->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static err_t *fill(const rnd_t *rnd, void *p, size_t n) {
    sim_rnd_t *own = (sim_rnd_t *)(uintptr_t)rnd;
    uint8_t *out = p;
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(sim_rnd_next(own) >> 24);
    return NULL;
}

void sim_rnd_init(sim_rnd_t *rnd, uint64_t seed) {
    *rnd = (sim_rnd_t){.rnd = {.fill = fill}, .state = seed};
    (void)sim_rnd_next(rnd);
}

uint32_t sim_rnd_below(sim_rnd_t *rnd, uint32_t n) {
    return (uint32_t)(sim_rnd_next(rnd) >> 11) % n;
}

bool sim_rnd_percent(sim_rnd_t *rnd, uint32_t percent) { return sim_rnd_below(rnd, 100) < percent; }
