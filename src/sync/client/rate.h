/*
 * sync_rate_t: a token bucket. Bytes are taken before they are sent; what is not there yet is owed,
 * and whoever comes next waits for it. So no more than the rate passes, but for a short burst. Pure
 * but for the time that it is told; who shares one holds a lock.
 */
#ifndef COFFER_SYNC_CLIENT_RATE_H
#define COFFER_SYNC_CLIENT_RATE_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    uint64_t per_s;  /* bytes; 0: no limit */
    int64_t free_us; /* when nothing is owed any more */
} sync_rate_t;

/* Least (a part has to come within LIMIT_HTTP_REQUEST_S) and most of a rate, and what may pass at
 * once after a rest. */
#define SYNC_RATE_MIN ((uint64_t)50 * 1000)
#define SYNC_RATE_MAX ((uint64_t)10 * 1000 * 1000 * 1000)
enum { SYNC_RATE_BURST_MS = 250 };

/* Takes them; milliseconds to wait before they may go. */
int64_t sync_rate_take(sync_rate_t *rate, int64_t now_ms, uint64_t bytes);
/* How long so many bytes take, at least. */
int64_t sync_rate_ms(const sync_rate_t *rate, uint64_t bytes);
/* "500k", "2M": bytes a second by powers of 1000; "0": no limit. ERR_USAGE. */
err_t *sync_rate_parse(bytes_t text, uint64_t *ret_per_s) WARN_UNUSED;

#endif
