/*
 * A token bucket: see rate.h. In the client.
 */
#include "sync/client/rate.h"

#include "base/text.h"

#define LONG_S ((uint64_t)100 * 365 * 86400)

/* Microseconds: else many small pieces would add up to much that is rounded off. */
static int64_t us_of(const sync_rate_t *rate, uint64_t bytes) {
    uint64_t whole = bytes / rate->per_s, rest = bytes % rate->per_s;
    if (whole > LONG_S) whole = LONG_S;
    return (int64_t)(whole * 1000000 + rest * 1000000 / rate->per_s);
}

int64_t sync_rate_ms(const sync_rate_t *rate, uint64_t bytes) {
    return rate->per_s ? us_of(rate, bytes) / 1000 : 0;
}

int64_t sync_rate_take(sync_rate_t *rate, int64_t now_ms, uint64_t bytes) {
    if (!rate->per_s) return 0;
    int64_t begin = rate->free_us, least = (now_ms - SYNC_RATE_BURST_MS) * 1000;
    if (begin < least) begin = least;
    rate->free_us = begin + us_of(rate, bytes);
    int64_t wait_us = begin - now_ms * 1000;
    return wait_us > 0 ? (wait_us + 999) / 1000 : 0;
}

/* Takes the unit off the end. */
static uint64_t take_unit(bytes_t *text) {
    static const struct {
        uint8_t small, capital;
        uint64_t factor;
    } units[] = {{'k', 'K', 1000}, {'m', 'M', 1000000}, {'g', 'G', 1000000000}};
    uint8_t last = text->n ? text->p[text->n - 1] : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (last != units[i].small && last != units[i].capital) continue;
        text->n--;
        return units[i].factor;
    }
    return 1;
}

err_t *sync_rate_parse(bytes_t text, uint64_t *ret_per_s) {
    uint64_t number = 0, factor = take_unit(&text);
    err_t *e = text_u64(text, SYNC_RATE_MAX / factor, &number);
    uint64_t per_s = number * factor;
    if (!e && per_s && per_s < SYNC_RATE_MIN) e = err_new(ERR_USAGE, "less than 50k");
    if (e)
        return err_recode(err_wrap(e, "a rate is in bytes a second, like 500k or 2M; 0 is none"),
                          ERR_USAGE);
    *ret_per_s = per_s;
    return NULL;
}
