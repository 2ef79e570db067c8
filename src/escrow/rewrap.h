/*
 * The storage key's rotation: the keeper makes a new one, and what the former ones wrap is wrapped
 * anew in the background, batch by batch. How far it came lies in the store, so that it goes on
 * after any restart. Former keys stay in the vault, for backups and for devices' sealed secrets.
 */
#ifndef COFFER_ESCROW_REWRAP_H
#define COFFER_ESCROW_REWRAP_H

#include "escrow/escrow.h"
#include "store/storage_rotation.h"

typedef struct {
    uint32_t number;            /* of the current storage key, as the keeper says */
    bool rotated;               /* `last` is the latest rotation */
    db_storage_rotation_t last; /* texts in the arena */
    int64_t max_seq;            /* of all objects: where last.last_seq goes to */
} rewrap_view_t;

err_t *rewrap_view(escrow_t *escrow, arena_t *arena, rewrap_view_t *ret_view) WARN_UNUSED;
/* Has the keeper make a new key and begins. ERR_BUSY while one goes on; ERR_LIMIT. */
err_t *rewrap_begin(escrow_t *escrow, const escrow_caller_t *caller) WARN_UNUSED;
/* Begins what a crash left between the keeper's new key and our row of it. */
err_t *rewrap_adopt(escrow_t *escrow) WARN_UNUSED;
/*
 * One step of background work; *ret_more false: nothing more for now. Objects that the keeper
 * refuses keep their wrap and are counted; the first one's refusal is the error of the step.
 */
err_t *rewrap_some(escrow_t *escrow, size_t *ret_count, bool *ret_more) WARN_UNUSED;

#endif
