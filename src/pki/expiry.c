/*
 * Thresholds and the brake: see expiry.h. In coffer-courier; coffer-web shows the same.
 */
#include "pki/expiry.h"

#include "base/limits.h"

enum { DAY_S = 86400, SHARE_OF_LIFE = 3 };

int64_t expiry_threshold(const int64_t *days, size_t days_n, int64_t not_before, int64_t not_after,
                         int64_t now) {
    int64_t left = not_after - now, life = not_after - not_before, found = 0;
    if (left < -(int64_t)LIMIT_EXPIRY_PAST_S) return 0;
    for (size_t i = 0; i < days_n; i++) {
        bool smallest = i + 1 == days_n;
        if (left > days[i] * DAY_S) continue;
        if (!smallest && days[i] * DAY_S * SHARE_OF_LIFE > life) continue;
        found = days[i];
    }
    return found;
}

bool expiry_is_due(int64_t threshold, int64_t noticed) {
    return threshold > 0 && (noticed == 0 || threshold < noticed);
}

int64_t expiry_days_left(int64_t not_after, int64_t now) {
    int64_t left = not_after - now;
    return left > 0 ? (left + DAY_S - 1) / DAY_S : left / DAY_S;
}

/* A courier that was off for a while has no other clock to compare with: only a long gap counts. */
static bool clock_ran_ahead(const expiry_state_t *s) {
    if (s->last_run_ms == 0) return false;
    int64_t passed = s->now_ms - s->last_run_ms;
    if (s->elapsed_ms < 0) return passed > (int64_t)LIMIT_EXPIRY_GAP_S * 1000;
    return passed - s->elapsed_ms > (int64_t)LIMIT_EXPIRY_JUMP_S * 1000;
}

expiry_brake_t expiry_brake(const expiry_state_t *s) {
    bool released = s->now_ms < s->released_until_ms;
    if (s->due == 0 || released) return EXPIRY_GO;
    if (clock_ran_ahead(s)) return EXPIRY_HOLD_CLOCK;
    return s->due > s->brake ? EXPIRY_HOLD_MANY : EXPIRY_GO;
}
