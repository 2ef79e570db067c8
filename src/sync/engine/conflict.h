/*
 * Names of conflict copies: "report (conflict, NAME, 2026-11-22).txt", and with a number behind
 * the date if that is taken. Pure.
 */
#ifndef COFFER_SYNC_ENGINE_CONFLICT_H
#define COFFER_SYNC_ENGINE_CONFLICT_H

#include "sync/engine/plan.h"

/* Appends a name that no side has in that folder. */
err_t *sync_conflict_make(sync_tree_t *tree, uint32_t parent, bytes_t name,
                          const sync_plan_config_t *config, buf_t *out) WARN_UNUSED;
/* Whether `name` is that of a conflict copy of `of`. */
bool sync_conflict_of(bytes_t name, bytes_t of);
/* Makes the fact, with the key of its name worked out, the node's goal. */
err_t *sync_conflict_set(sync_tree_t *tree, uint32_t node, const sync_fact_t *fact) WARN_UNUSED;

#endif
