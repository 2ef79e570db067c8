/*
 * A progress bar: see sync_bar.h. Main thread.
 */
#include "program/coffer/sync_bar.h"

enum { BAR_MS = 200, BAR_WIDTH = 60 };

static bool is_due(sync_bar_t *bar) {
    int64_t now = clk_mono_ms(bar->cli->clk);
    if (!bar->begun_ms) bar->begun_ms = now;
    if (now - bar->last_ms < BAR_MS) return false;
    bar->last_ms = now;
    bar->shown = true;
    return true;
}

static void show(sync_bar_t *bar, uint64_t done, uint64_t all) {
    int64_t ms = bar->last_ms - bar->begun_ms;
    double rate = ms > 0 ? (double)done / 1000.0 / (double)ms : 0.0;
    unsigned long long mb = (unsigned long long)(done / 1000000);
    if (all)
        (void)fprintf(bar->cli->err, "\r%3llu%%  %llu of %llu MB  %.1f MB/s   ",
                      (unsigned long long)(done * 100 / all), mb,
                      (unsigned long long)(all / 1000000), rate);
    else (void)fprintf(bar->cli->err, "\r%llu MB  %.1f MB/s   ", mb, rate);
    (void)fflush(bar->cli->err);
}

void sync_bar_show(void *ctx, const sync_progress_t *p) {
    sync_bar_t *bar = ctx;
    if (p->bytes_all && is_due(bar)) show(bar, p->bytes_done, p->bytes_all);
}

void sync_bar_bytes(sync_bar_t *bar, uint64_t done, uint64_t all) {
    if (!bar->cli->terminal || bar->cli->json || !is_due(bar)) return;
    show(bar, done, all);
}

err_t *sync_counted_write(void *ctx, bytes_t piece) {
    sync_counted_t *counted = ctx;
    TRY(counted->sink->write(counted->sink->ctx, piece));
    counted->done += piece.n;
    sync_bar_bytes(counted->bar, counted->done, counted->all);
    return NULL;
}

void sync_bar_look(sync_bar_t *bar, uint64_t version) {
    if (!bar->cli->terminal || bar->cli->json || !is_due(bar)) return;
    (void)fprintf(bar->cli->err, "\rlooking at version %llu   ", (unsigned long long)version);
    (void)fflush(bar->cli->err);
}

void sync_bar_end(sync_bar_t *bar) {
    if (bar->shown) (void)fprintf(bar->cli->err, "\r%*s\r", BAR_WIDTH, "");
    bar->shown = false;
    bar->begun_ms = 0;
}

void sync_bar_use(sync_bar_t *bar, sync_engine_config_t *config) {
    if (!bar->cli->terminal || bar->cli->json) return;
    config->progress = sync_bar_show;
    config->progress_ctx = bar;
}
