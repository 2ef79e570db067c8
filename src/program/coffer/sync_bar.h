/*
 * What goes on, in one line of a terminal. Main thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_BAR_H
#define COFFER_PROGRAM_COFFER_SYNC_BAR_H

#include "program/coffer/cli.h"
#include "sync/engine/engine.h"

/* Zeroed but for `cli`. */
typedef struct {
    cli_t *cli; /* borrowed */
    bool shown;
    int64_t last_ms, begun_ms;
} sync_bar_t;

/* For the engine's configuration; `ctx` is the bar. */
void sync_bar_show(void *ctx, const sync_progress_t *progress);
/* The same of looking back: "looking at version 12". */
void sync_bar_look(sync_bar_t *bar, uint64_t version);
/* Of contents that come, `all` bytes or 0 where that is not known. */
void sync_bar_bytes(sync_bar_t *bar, uint64_t done, uint64_t all);

/* A sink before another one (data.h) that shows how much has come. */
typedef struct {
    sync_bar_t *bar;         /* borrowed */
    const sync_sink_t *sink; /* borrowed */
    uint64_t done, all;      /* as above; `done` goes on from what it is */
} sync_counted_t;
err_t *sync_counted_write(void *ctx, bytes_t piece) WARN_UNUSED;

void sync_bar_end(sync_bar_t *bar);
/* The engine shows what it does, if there is a terminal and a person. */
void sync_bar_use(sync_bar_t *bar, sync_engine_config_t *config);

#endif
