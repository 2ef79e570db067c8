/*
 * The rules of the expiry watch, without clock, database or network: which notice stands now, and
 * when so many stand at once that something else must be wrong. Pure.
 */
#ifndef COFFER_PKI_EXPIRY_H
#define COFFER_PKI_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The nearest threshold, in days: the smallest of `days` (descending) that is not below the time
 * left; 0: none yet, or expired longer than LIMIT_EXPIRY_PAST_S ago. Thresholds past a third of the
 * certificate's whole life are left out, but for the smallest: a certificate of 90 days is not late
 * 60 days before its end. Times in seconds.
 */
int64_t expiry_threshold(const int64_t *days, size_t days_n, int64_t not_before, int64_t not_after,
                         int64_t now);
/* Whether its notice must go: `noticed` is the smallest one that went, 0 for none. */
bool expiry_is_due(int64_t threshold, int64_t noticed);
/* Whole days left, rounded up; 0 or less: expired. */
int64_t expiry_days_left(int64_t not_after, int64_t now);

typedef enum {
    EXPIRY_GO,
    EXPIRY_HOLD_CLOCK, /* the clock ran ahead */
    EXPIRY_HOLD_MANY,  /* more than the brake allows */
} expiry_brake_t;

typedef struct {
    int64_t now_ms;
    int64_t last_run_ms;       /* wall clock of the last run that was not held; 0: none yet */
    int64_t elapsed_ms;        /* since then, by a clock that can't jump; -1: not known */
    int64_t due;               /* certificates whose notice stands */
    int64_t brake;             /* at most so many in one run */
    int64_t released_until_ms; /* an admin said: go on */
} expiry_state_t;

expiry_brake_t expiry_brake(const expiry_state_t *state);

#endif
