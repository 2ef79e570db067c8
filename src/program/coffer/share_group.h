/*
 * Groups in a share (docs/formats/sync-shares.md, decision 0031): the service says who is in a
 * group, and it can lie. So its word brings in nobody whose digits were not compared: those of the
 * group who were come in, now and later, and among them it chooses; others wait until people have
 * compared, or somebody says that the service is to be believed, which "who" then shows. Who left
 * the group goes out, unless too many do at once. One thread; blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_SHARE_GROUP_H
#define COFFER_PROGRAM_COFFER_SHARE_GROUP_H

#include "program/coffer/share_work.h"

/* ERR_NOT_FOUND unless the service has the person in the group. */
err_t *share_group_check(const sync_open_t *open, const char *group,
                         const char *person) WARN_UNUSED;

/* What was done: names in arrays of `out`: "joined", "left", "waiting" (with the digits). */
typedef struct {
    share_work_t *work;
    const uint8_t *mine; /* the home by which this device is known */
    bool on_trust;       /* believe the service about those whose digits nobody compared */
    bool release;        /* let go also if more than half have left */
    json_t *out;
    size_t joined, removed, waiting; /* counted */
} share_group_t;

/* Puts all of the group into the members with these roles; chains follow by share_work_follow. */
err_t *share_group_add(share_group_t *g, const char *group, uint8_t roles) WARN_UNUSED;
/*
 * Brings the members of all groups in step that the share or this home has. A group that is empty,
 * gone, or left by most changes nothing, nor one whose members another device took out: it is among
 * those that wait.
 */
err_t *share_group_follow(share_group_t *g) WARN_UNUSED;
/* After one was let in as of the group: others who manage the share know the group by that. */
err_t *share_group_came(const share_work_t *work, const char *group) WARN_UNUSED;
/* Takes all of the group out, and forgets it; ERR_NOT_FOUND. */
err_t *share_group_drop(share_work_t *work, const char *group) WARN_UNUSED;

#endif
