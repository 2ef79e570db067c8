/*
 * From three sides to the fourth: sync_plan() gives every node its goal, from what both sides last
 * agreed on, what the service has and what lies in the folder. Where only one side changed
 * something, that; where both did:
 *   content      the service's stays; the folder's becomes a conflict copy, a node of its own
 *   place        the service's
 *   mode         the folder's
 *   delete       loses against every other change; a folder lives as long as anything in it does
 *   names        who has the name at the service keeps it; the other gets a conflict name. Names
 *                that are one in this folder (fold_names) count as the same
 *   circles      of folders moved into each other: the service's places
 * Equal size and time (to the nanosecond) are the same content. Nothing is ever lost but what was
 * deleted by somebody who had seen its last version.
 *
 * Pure but for the random numbers of new nodes.
 */
#ifndef COFFER_SYNC_ENGINE_PLAN_H
#define COFFER_SYNC_ENGINE_PLAN_H

#include "base/rnd.h"
#include "sync/engine/tree.h"

typedef struct {
    const rnd_t *rnd;
    const char *device; /* name, for conflict copies */
    int64_t now;        /* seconds since 1970 UTC, for the same */
    bool fold_names;    /* names of one key are one name here */
} sync_plan_config_t;

typedef struct {
    uint64_t files;         /* in base */
    uint64_t removed_here;  /* files that the service's side has deleted */
    uint64_t removed_there; /* files that the folder's side has deleted */
    uint64_t conflicts;
    uint64_t uploads, upload_bytes;
} sync_plan_t;

/* Sets goal, upload, list. */
err_t *sync_plan(sync_tree_t *tree, const sync_plan_config_t *config,
                 sync_plan_t *ret_plan) WARN_UNUSED;

#endif
