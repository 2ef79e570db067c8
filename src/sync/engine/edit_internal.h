/*
 * What edits of a region share: see edit.h. Inside of the engine. One thread.
 */
#ifndef COFFER_SYNC_ENGINE_EDIT_INTERNAL_H
#define COFFER_SYNC_ENGINE_EDIT_INTERNAL_H

#include "sync/engine/edit.h"
#include "sync/engine/engine_internal.h"

/* Changes the goal, which is what the service has; again for each try. */
typedef err_t *(*edit_fn_t)(sync_engine_t *engine, void *arg);

err_t *edit_run(sync_engine_t *engine, const sync_disk_t *source, edit_fn_t fn, void *arg,
                sync_report_t *ret_report) WARN_UNUSED;
/* Makes the fact, whose key is worked out if it has none, the node's goal. */
err_t *edit_set(sync_engine_t *engine, uint32_t node, const sync_fact_t *fact) WARN_UNUSED;
/* A new folder there. */
err_t *edit_new_folder(sync_engine_t *engine, uint32_t node, uint32_t parent, bytes_t name,
                       uint32_t mode) WARN_UNUSED;
/* Takes the goal from it and from all below. */
void edit_remove(sync_engine_t *engine, uint32_t node);

#endif
