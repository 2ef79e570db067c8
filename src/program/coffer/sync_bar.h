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
void sync_bar_end(sync_bar_t *bar);
/* The engine shows what it does, if there is a terminal and a person. */
void sync_bar_use(sync_bar_t *bar, sync_engine_config_t *config);

#endif
