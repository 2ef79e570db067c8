/*
 * Re-dealing: shares of officers-only objects go from one set of officers to the next without
 * anybody seeing a secret. Each dealer opens its own shares on its own machine, shares them anew
 * and uploads contributions, a batch of objects at a time; an object belongs to the new set once
 * every dealer has passed it, and in that moment its old shares are gone. Objects that the keeper
 * can open are dealt anew by the keeper, see objects.h.
 */
#ifndef COFFER_ESCROW_REDEAL_H
#define COFFER_ESCROW_REDEAL_H

#include "escrow/escrow.h"
#include "store/officers.h"

typedef struct {
    db_officer_set_t from, to;
    db_set_signature_t *signatures; /* of the old set over the new */
    size_t signatures_n;
    db_redeal_t *dealers; /* ascending */
    size_t dealers_n;
    int64_t left; /* objects still dealt to `from` */
} redeal_plan_t;

/* Inside a db_read. *ret_found false: nothing was ever dealt anew. */
err_t *redeal_plan(db_conn_t *conn, arena_t *arena, redeal_plan_t *ret_plan,
                   bool *ret_found) WARN_UNUSED;

typedef struct {
    db_escrow_t object; /* no blob, no wrap */
    db_escrow_share_t *shares;
    size_t shares_n;
} redeal_item_t;

/* The caller's next objects with its own shares; none when it is done. ERR_DENIED: no dealer. */
err_t *redeal_batch(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, size_t limit,
                    redeal_item_t **ret_items, size_t *ret_count) WARN_UNUSED;
/*
 * A dealer's contribution (record cofferRD) to the batch it was given. ERR_VERIFY: not over these
 * objects, sets or dealers, or not signed by the dealer; ERR_BUSY: it was uploaded already.
 * *ret_moved: objects that now belong to the new set.
 */
err_t *redeal_put(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, bytes_t record,
                  int64_t *ret_moved) WARN_UNUSED;
/* Other dealers, when one can't go on: what was dealt to unfinished objects is dropped. */
err_t *redeal_replan(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *const *ids, size_t ids_n) WARN_UNUSED;

#endif
