/*
 * The clock for ages: see clk_steady.h.
 */
#include "base/clk_steady.h"

#include "base/mem.h"

struct clk_steady {
    clk_t clk; /* first: a clk_t is one of these */
    const clk_t *day;
    int64_t from_ms, mono_ms; /* what it said when it began, and when that was */
};

static int64_t steady_mono_ms(const clk_t *clk) {
    return clk_mono_ms(((const clk_steady_t *)clk)->day);
}

static int64_t steady_unix_ms(const clk_t *clk) {
    const clk_steady_t *steady = (const clk_steady_t *)clk;
    return steady->from_ms + (clk_mono_ms(steady->day) - steady->mono_ms);
}

err_t *clk_steady_new(const clk_t *day, int64_t last_ms, clk_steady_t **ret_clk) {
    clk_steady_t *steady = mem_zalloc(sizeof *steady);
    if (!steady) return err_nomem();
    steady->clk = (clk_t){steady_unix_ms, steady_mono_ms};
    steady->day = day;
    steady->from_ms = last_ms ? last_ms : clk_unix_ms(day);
    steady->mono_ms = clk_mono_ms(day);
    *ret_clk = steady;
    return NULL;
}

void clk_steady_free(clk_steady_t *clk) { mem_free(clk); }

const clk_t *clk_steady_clk(const clk_steady_t *clk) { return &clk->clk; }

int64_t clk_steady_off(const clk_steady_t *clk) {
    return clk_unix_ms(clk->day) - clk_unix_ms(&clk->clk);
}
