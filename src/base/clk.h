/*
 * Time comes through a clk_t, so that tests replay it. The real clock is clk_real().
 * Thread-safe (a fake clock is atomic).
 */
#ifndef COFFER_BASE_CLK_H
#define COFFER_BASE_CLK_H

#include <stdint.h>

typedef struct clk clk_t;

struct clk {
    int64_t (*unix_ms)(const clk_t *clk); /* wall clock, milliseconds since 1970 UTC */
    int64_t (*mono_ms)(const clk_t *clk); /* never jumps; for deadlines */
};

const clk_t *clk_real(void);

static inline int64_t clk_unix_ms(const clk_t *clk) { return clk->unix_ms(clk); }
static inline int64_t clk_unix(const clk_t *clk) { return clk->unix_ms(clk) / 1000; }
static inline int64_t clk_mono_ms(const clk_t *clk) { return clk->mono_ms(clk); }

/* A clock that stands still until told; give &fake.clk where a clk_t * is wanted. */
typedef struct {
    clk_t clk;
    _Atomic int64_t now_ms;
    _Atomic int64_t wrong_ms; /* what the wall clock is ahead by since it was set */
} clk_fake_t;

void clk_fake_init(clk_fake_t *fake, int64_t unix_ms);
void clk_fake_advance(clk_fake_t *fake, int64_t ms);
/* Somebody sets the wall clock, forward or (negative) back. */
void clk_fake_set(clk_fake_t *fake, int64_t by_ms);

#endif
