/*
 * Many dialogues at once over kept connections, with their times: the engine of coffer-sim load.
 * One thread over http_multi_t.
 */
#ifndef COFFER_SIM_LOAD_H
#define COFFER_SIM_LOAD_H

#include "http/multi.h"
#include "program/sim/sim.h"

enum { LOAD_HEADERS = 3 };

/* One request of a dialogue; texts and body must live until load's next call for this dialogue. */
typedef struct {
    const char *method;
    const char *url;
    const char *headers[LOAD_HEADERS + 1]; /* ends with NULL */
    bytes_t body;
} load_request_t;

/* What a load does; all borrowed. */
typedef struct {
    const char *name;
    const http_client_config_t *http;
    size_t dialogues;
    unsigned concurrency; /* dialogues, and connections, at once */
    void *ctx;
    /*
     * The next request of dialogue `index`, after `reply` (none at first). *ret_more false ends
     * it. An error ends it, counted as failed.
     */
    err_t *(*next)(void *ctx, size_t index, unsigned step, const http_response_t *reply,
                   load_request_t *ret_request, bool *ret_more);
} load_plan_t;

typedef struct {
    size_t done, failed;
    uint64_t requests;
    double seconds, cpu_seconds; /* wall, and of this process */
    int64_t p50_us, p90_us, p99_us, max_us;
    char first_error[400]; /* "" if none */
} load_figures_t;

err_t *load_run(const load_plan_t *plan, load_figures_t *ret_figures) WARN_UNUSED;

/* Times of a sorted list: the smallest that `share` of them do not exceed. */
int64_t load_percentile(const int64_t *sorted, size_t n, double share);
/* Prints a table, or one JSON object. ERR_INTERNAL if dialogues failed, with the first reason. */
err_t *load_report(const sim_out_t *out, const char *name,
                   const load_figures_t *figures) WARN_UNUSED;

#endif
