/*
 * The region as it was: signed roots from the newest back, each proved by the one after it (rule
 * R15), and the lists of their trees as long as the service keeps them. Inside of the engine. One
 * thread.
 */
#ifndef COFFER_SYNC_ENGINE_PAST_H
#define COFFER_SYNC_ENGINE_PAST_H

#include "base/arena.h"
#include "sync/engine/engine_internal.h"

/* A folder's list as it was, its pages among its entries. */
typedef struct {
    uint8_t package[SYNC_HASH];
    arena_t *arena;
    sync_entry_t *entries; /* ascending by name; the arena's */
    size_t n;
    unsigned users;
} past_list_t;

typedef struct {
    sync_root_t root;
    sync_change_t change; /* borrowed: see past_root */
} past_root_t;

/* Roots that were asked for at once: counters from `first` on. */
typedef struct {
    buf_t runs;
    past_root_t *roots;
    size_t n;
    uint64_t first;
} past_batch_t;

enum { PAST_LISTS = 64 };

typedef struct {
    sync_engine_t *engine;       /* borrowed; its report is set */
    past_batch_t batch, newer;   /* the oldest one, and the one before it */
    uint8_t previous[SYNC_HASH]; /* hash of the root before the batch */
    past_list_t *lists[PAST_LISTS];
    unsigned next;
} past_t;

void past_init(past_t *past, sync_engine_t *engine);
void past_done(past_t *past);

/*
 * A root that was seen, from 1 on; never one much newer than the one asked for last. It holds while
 * the one before it is asked for. ERR_VERIFY, with an alarm, if the service shows another line than
 * the one that was seen.
 */
err_t *past_root(past_t *past, uint64_t counter, const past_root_t **ret_root) WARN_UNUSED;
bool past_added(const past_root_t *root, const uint8_t package[SYNC_HASH]);
bool past_dropped(const past_root_t *root, const uint8_t package[SYNC_HASH]);

/* A folder's list; *ret_list NULL if the service keeps it no more. Release it. */
err_t *past_list(past_t *past, const uint8_t package[SYNC_HASH],
                 past_list_t **ret_list) WARN_UNUSED;
void past_release(past_list_t *list); /* takes NULL */

const sync_entry_t *past_by_name(const past_list_t *list, bytes_t name);
const sync_entry_t *past_by_node(const past_list_t *list, const uint8_t node[SYNC_NODE]);

DEFINE_CLEANUP_VALUE(past_t, past_done)
DEFINE_CLEANUP(past_list_t, past_release)

#endif
