/*
 * The groups of a share, as this device keeps them beside the share's record of members: a group
 * is known there by those who came with it, so one of whom all wait, or whose last member left,
 * would be forgotten. In the local state of the share's home; another device that manages the share
 * has its own. One thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SHARE_KEPT_H
#define COFFER_PROGRAM_COFFER_SHARE_KEPT_H

#include "store/local_state.h"
#include "sync/share.h"

typedef struct {
    char group[LIMIT_SYNC_PERSON + 1];
    uint8_t roles; /* of who comes in with it */
    bool had;      /* members had come with it when this device last looked */
} share_kept_t;

/*
 * Groups that are kept, and those that members came with; *ret_list: mem_free. Their roles are
 * what all of them have: nobody comes in with more because one has more. Pure.
 */
err_t *share_kept_gather(const share_kept_t *kept, size_t kept_n, const sync_member_t *members,
                         size_t n, share_kept_t **ret_list, size_t *ret_n) WARN_UNUSED;
/* How many came with it. Pure. */
size_t share_kept_count(const sync_member_t *members, size_t n, const char *group);
/* So many at once are a mistake in the directory rather than people who left. Pure. */
bool share_kept_too_many(size_t left, size_t of);

/* *ret_list: mem_free. */
err_t *share_kept_load(db_local_t *state, share_kept_t **ret_list, size_t *ret_n) WARN_UNUSED;
/* Keeps or replaces. */
err_t *share_kept_put(db_local_t *state, const char *group, uint8_t roles, bool had) WARN_UNUSED;
/* *ret_found: it was kept. */
err_t *share_kept_drop(db_local_t *state, const char *group, bool *ret_found) WARN_UNUSED;

#endif
