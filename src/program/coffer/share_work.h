/*
 * What a device does for a share (docs/formats/sync-shares.md): reads and follows its members'
 * record, fetches and verifies the chains that they are known by, names who can read now, and
 * brings the share's chain in step with them. Nothing that the service says is taken on its word.
 * One thread; blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_SHARE_WORK_H
#define COFFER_PROGRAM_COFFER_SHARE_WORK_H

#include "program/coffer/sync_home.h"
#include "sync/engine/members.h"
#include "sync/share.h"

typedef struct {
    sync_open_t *open; /* borrowed; its engine has fetched */
    sync_members_seen_t seen;
    sync_member_t *members;   /* ascending by home */
    sync_share_home_t *homes; /* one each; chains are ours */
    size_t n;
    sync_share_row_t *rows; /* share_work_judge */
    size_t rows_n;
} share_work_t;

void share_work_done(share_work_t *work); /* takes a zeroed one */
/* Reads the newest members; without a record yet there are none. What was seen is kept for good. */
err_t *share_work_read(sync_open_t *open, share_work_t *ret_work) WARN_UNUSED;
/* Fetches the members' chains and fills in rows. A chain that can't be had is left out. */
err_t *share_work_judge(share_work_t *work) WARN_UNUSED;

/*
 * The home by which somebody's devices are known: the first that was made, or the first that has
 * `device`. If it is not the one that is meant, the digits of two people differ.
 */
err_t *share_work_home_of(const sync_open_t *open, const char *email, const uint8_t *device,
                          uint8_t ret_home[SYNC_HASH]) WARN_UNUSED;
/* A home's chain, verified; ERR_VERIFY if it is another one. */
err_t *share_work_chain(const sync_open_t *open, const uint8_t home[SYNC_HASH],
                        sync_chain_t **ret_chain) WARN_UNUSED;

/* Puts or replaces; or takes out by the address, ERR_NOT_FOUND. Then the record is signed and sent.
 */
err_t *share_work_put(share_work_t *work, const sync_member_t *member) WARN_UNUSED;
err_t *share_work_drop(share_work_t *work, const char *person) WARN_UNUSED;

/* Adds what is to be added, ends what is to go (with a new key each); counts them. */
err_t *share_work_follow(share_work_t *work, size_t *ret_added, size_t *ret_ended) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(share_work_t, share_work_done)

#endif
