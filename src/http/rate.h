/*
 * How often one peer address may ask for what is expensive (a private key, a password's hash): a
 * token bucket for each address in a table of fixed size. The address used longest ago makes room
 * in its row; rows are chosen by a keyed hash, so that nobody can aim at another's. Thread-safe
 * (one lock).
 */
#ifndef COFFER_HTTP_RATE_H
#define COFFER_HTTP_RATE_H

#include "base/clk.h"
#include "base/err.h"
#include "base/rnd.h"

typedef struct http_rate http_rate_t;

/*
 * `per_s` requests a second in the long run, `burst` (at least 1) at once. per_s 0: no limit.
 * clk is borrowed.
 */
err_t *http_rate_new(const clk_t *clk, const rnd_t *rnd, unsigned per_s, unsigned burst,
                     http_rate_t **ret_rate) WARN_UNUSED;
void http_rate_free(http_rate_t *rate); /* takes NULL */

/*
 * ERR_BUSY when the peer has to wait. `peer` as in http_request_t; an IPv6 address counts with its
 * /64, which is one subscriber's.
 */
err_t *http_rate_take(http_rate_t *rate, const char *peer) WARN_UNUSED;
/* The same by somebody's name, where it is known who asks. A table is for addresses or for names.
 */
err_t *http_rate_take_name(http_rate_t *rate, const char *name) WARN_UNUSED;

DEFINE_CLEANUP(http_rate_t, http_rate_free)

#endif
