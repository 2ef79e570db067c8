/*
 * The clock for ages: see clk_steady.h.
 */
#include "base/clk_steady.h"

#include <pthread.h>

#include "base/mem.h"

/* It catches up by an eighth of the time that passes, reckoned in steps of a second. */
enum { CATCH_UP = 8, STEP_MS = 1000 };

typedef struct {
    pthread_mutex_t lock;
    int64_t now_ms;           /* what it said last */
    int64_t from_ms, mono_ms; /* what it said when the step began, and when that was */
} state_t;

struct clk_steady {
    clk_t clk; /* first: a clk_t is one of these */
    const clk_t *day;
    state_t *state;
};

static int64_t steady_mono_ms(const clk_t *clk) {
    return clk_mono_ms(((const clk_steady_t *)clk)->day);
}

static int64_t steady_unix_ms(const clk_t *clk) {
    const clk_steady_t *steady = (const clk_steady_t *)clk;
    state_t *state = steady->state;
    (void)pthread_mutex_lock(&state->lock);
    int64_t day = clk_unix_ms(steady->day), mono = clk_mono_ms(steady->day);
    int64_t passed = mono - state->mono_ms;
    int64_t most = state->from_ms + passed + passed / CATCH_UP;
    if (day > most) day = most;
    if (day > state->now_ms) state->now_ms = day;
    int64_t now = state->now_ms;
    if (passed >= STEP_MS) {
        state->from_ms = now;
        state->mono_ms = mono;
    }
    (void)pthread_mutex_unlock(&state->lock);
    return now;
}

err_t *clk_steady_new(const clk_t *day, int64_t last_ms, clk_steady_t **ret_clk) {
    CLEANUP(clk_steady_free) clk_steady_t *steady = mem_zalloc(sizeof *steady);
    if (!steady) return err_nomem();
    steady->clk = (clk_t){steady_unix_ms, steady_mono_ms};
    steady->day = day;
    steady->state = mem_zalloc(sizeof *steady->state);
    if (!steady->state) return err_nomem();
    (void)pthread_mutex_init(&steady->state->lock, NULL);
    steady->state->now_ms = last_ms ? last_ms : clk_unix_ms(day);
    steady->state->from_ms = steady->state->now_ms;
    steady->state->mono_ms = clk_mono_ms(day);
    *ret_clk = STEAL(steady);
    return NULL;
}

void clk_steady_free(clk_steady_t *clk) {
    if (!clk) return;
    if (clk->state) (void)pthread_mutex_destroy(&clk->state->lock);
    mem_free(clk->state);
    mem_free(clk);
}

const clk_t *clk_steady_clk(const clk_steady_t *clk) { return &clk->clk; }

int64_t clk_steady_off(const clk_steady_t *clk) {
    return clk_unix_ms(clk->day) - clk_unix_ms(&clk->clk);
}
