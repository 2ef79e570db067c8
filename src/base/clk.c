/*
 * The real and the fake clock: see clk.h.
 */
#include "base/clk.h"

#include <time.h>

static int64_t read_ms(clockid_t id) {
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t real_unix_ms(const clk_t *clk) {
    (void)clk;
    return read_ms(CLOCK_REALTIME);
}

static int64_t real_mono_ms(const clk_t *clk) {
    (void)clk;
    return read_ms(CLOCK_MONOTONIC);
}

const clk_t *clk_real(void) {
    static const clk_t real = {real_unix_ms, real_mono_ms};
    return &real;
}

static int64_t fake_mono_ms(const clk_t *clk) {
    const clk_fake_t *fake = (const clk_fake_t *)clk; /* clk is its first member */
    return fake->now_ms;
}

static int64_t fake_unix_ms(const clk_t *clk) {
    const clk_fake_t *fake = (const clk_fake_t *)clk;
    return fake->now_ms + fake->wrong_ms;
}

void clk_fake_init(clk_fake_t *fake, int64_t unix_ms) {
    fake->clk = (clk_t){fake_unix_ms, fake_mono_ms};
    fake->now_ms = unix_ms;
    fake->wrong_ms = 0;
}

void clk_fake_advance(clk_fake_t *fake, int64_t ms) { fake->now_ms += ms; }

void clk_fake_set(clk_fake_t *fake, int64_t by_ms) { fake->wrong_ms += by_ms; }
