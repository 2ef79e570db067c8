/*
 * Many dialogues at once: see load.h. Main thread.
 */
#include "program/sim/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

enum { STEP_WAIT_MS = 1000, STEPS_MAX = 2000 };

typedef struct load load_t;

typedef struct {
    load_t *load;
    size_t index;
    unsigned step;
    int64_t begun_us;
} dialogue_t;

struct load {
    const load_plan_t *plan;
    http_multi_t *multi;
    dialogue_t *slots;
    dialogue_t **idle; /* stack of slots at rest */
    size_t idle_n;
    size_t started;
    int64_t *times;
    load_figures_t figures;
};

static int64_t clock_us(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void end_dialogue(dialogue_t *d, err_t *e) {
    load_t *load = d->load;
    if (e) {
        if (!load->figures.first_error[0])
            (void)err_text(e, load->figures.first_error, sizeof load->figures.first_error);
        load->figures.failed++;
        err_free(e);
    } else {
        load->times[load->figures.done++] = clock_us(CLOCK_MONOTONIC) - d->begun_us;
    }
    load->idle[load->idle_n++] = d;
}

static void on_reply(void *ctx, const http_response_t *response);

/* Sends the dialogue's next request, or ends it. */
static void advance(dialogue_t *d, const http_response_t *reply) {
    load_t *load = d->load;
    load_request_t request = {0};
    bool more = true;
    err_t *e = d->step > STEPS_MAX ? err_new(ERR_LIMIT, "a dialogue without end") : NULL;
    if (!e) e = load->plan->next(load->plan->ctx, d->index, d->step, reply, &request, &more);
    if (!e && more) {
        d->step++;
        load->figures.requests++;
        e = http_multi_add(load->multi, request.method, request.url, request.headers, request.body,
                           on_reply, d);
        if (!e) return;
    }
    end_dialogue(d, e);
}

static void on_reply(void *ctx, const http_response_t *response) {
    dialogue_t *d = ctx;
    if (response->end != HTTP_END_OK) {
        end_dialogue(d,
                     err_new(ERR_UNAVAILABLE, "request ended: %s", http_end_name(response->end)));
    } else if (response->status < 200 || response->status > 299) {
        end_dialogue(d, err_new(ERR_INVALID, "status %u: %.*s", response->status,
                                response->body.n < 200 ? (int)response->body.n : 200,
                                (const char *)response->body.p));
    } else {
        advance(d, response);
    }
}

static void begin_some(load_t *load) {
    while (load->started < load->plan->dialogues && load->idle_n > 0 &&
           http_multi_room(load->multi) > 0) {
        dialogue_t *d = load->idle[--load->idle_n];
        *d = (dialogue_t){
            .load = load, .index = load->started++, .begun_us = clock_us(CLOCK_MONOTONIC)};
        advance(d, NULL);
    }
}

static int compare(const void *a, const void *b) {
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

int64_t load_percentile(const int64_t *sorted, size_t n, double share) {
    if (n == 0) return 0;
    size_t at = (size_t)((double)n * share);
    return sorted[at < n ? at : n - 1];
}

static err_t *prepare(load_t *load) {
    const load_plan_t *plan = load->plan;
    load->slots = mem_array(plan->concurrency, sizeof *load->slots);
    load->idle = mem_array(plan->concurrency, sizeof(dialogue_t *));
    load->times = mem_array(plan->dialogues + 1, sizeof *load->times);
    if (!load->slots || !load->idle || !load->times) return err_nomem();
    for (size_t i = 0; i < plan->concurrency; i++) load->idle[load->idle_n++] = &load->slots[i];
    return http_multi_new(plan->http, plan->concurrency, plan->concurrency, &load->multi);
}

static err_t *drive(load_t *load) {
    load_figures_t *f = &load->figures;
    int64_t begun = clock_us(CLOCK_MONOTONIC), cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    while (f->done + f->failed < load->plan->dialogues) {
        begin_some(load);
        TRY(http_multi_step(load->multi, STEP_WAIT_MS));
    }
    f->seconds = (double)(clock_us(CLOCK_MONOTONIC) - begun) / 1e6;
    f->cpu_seconds = (double)(clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e6;
    qsort(load->times, f->done, sizeof *load->times, compare);
    f->p50_us = load_percentile(load->times, f->done, 0.50);
    f->p90_us = load_percentile(load->times, f->done, 0.90);
    f->p99_us = load_percentile(load->times, f->done, 0.99);
    f->max_us = load_percentile(load->times, f->done, 1.0);
    return NULL;
}

err_t *load_run(const load_plan_t *plan, load_figures_t *ret_figures) {
    load_t load = {.plan = plan};
    err_t *e = prepare(&load);
    if (!e) e = drive(&load);
    http_multi_free(load.multi); /* calls back into the slots */
    if (!e) *ret_figures = load.figures;
    mem_free(load.slots);
    mem_free(load.idle);
    mem_free(load.times);
    return e;
}

static err_t *report_json(const char *name, const load_figures_t *f, buf_t *out) {
    CLEANUP(jso_free) json_t *object = NULL;
    double rate = f->seconds > 0 ? (double)f->done / f->seconds : 0;
    TRY(jso_object(&object));
    TRY(jso_set_str(object, "load", name));
    TRY(jso_set_int(object, "done", (int64_t)f->done));
    TRY(jso_set_int(object, "failed", (int64_t)f->failed));
    TRY(jso_set_int(object, "requests", (int64_t)f->requests));
    TRY(jso_set_real(object, "seconds", f->seconds));
    TRY(jso_set_real(object, "per_second", rate));
    TRY(jso_set_real(object, "p50_ms", (double)f->p50_us / 1000));
    TRY(jso_set_real(object, "p90_ms", (double)f->p90_us / 1000));
    TRY(jso_set_real(object, "p99_ms", (double)f->p99_us / 1000));
    TRY(jso_set_real(object, "max_ms", (double)f->max_us / 1000));
    TRY(jso_set_real(object, "generator_cpu_seconds", f->cpu_seconds));
    TRY(jso_set_str(object, "first_error", f->first_error[0] ? f->first_error : NULL));
    TRY(jso_write(object, false, out));
    return buf_add_byte(out, '\n');
}

static err_t *report_table(const char *name, const load_figures_t *f, buf_t *out) {
    double rate = f->seconds > 0 ? (double)f->done / f->seconds : 0;
    TRY(buf_printf(out, "%-6s %8s %7s %9s %9s %9s %9s %9s %9s\n", "load", "done", "failed", "per s",
                   "p50 ms", "p90 ms", "p99 ms", "max ms", "own CPU s"));
    TRY(buf_printf(out, "%-6s %8zu %7zu %9.1f %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, f->done,
                   f->failed, rate, (double)f->p50_us / 1000, (double)f->p90_us / 1000,
                   (double)f->p99_us / 1000, (double)f->max_us / 1000, f->cpu_seconds));
    return NULL;
}

err_t *load_report(const sim_out_t *out, const char *name, const load_figures_t *figures) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 8192);
    if (out->json) TRY(report_json(name, figures, &text));
    else TRY(report_table(name, figures, &text));
    TRY(file_write_fd(STDOUT_FILENO, buf_bytes(&text)));
    if (figures->failed == 0) return NULL;
    return err_new(ERR_INTERNAL, "%zu of %zu failed; the first: %s", figures->failed,
                   figures->failed + figures->done, figures->first_error);
}
