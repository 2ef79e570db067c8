/*
 * Re-dealing: shares of officers-only objects go from one set of officers to the next without
 * anybody seeing a secret. Each dealer opens its own shares on its own machine, shares them anew
 * and uploads contributions, a batch of objects at a time; an object belongs to the new set once
 * every dealer has passed it. Nobody can tell from a part alone whether its dealer shared what it
 * had, so the old shares stay until as many officers of the new set as it demands said that what
 * they were dealt opens; until then all can be dealt anew from them. Objects that the keeper can
 * open are dealt anew by the keeper, see objects.h.
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
/* Other dealers, when one can't go on or dealt wrongly: everything whose old shares are kept is
 * dealt anew from them, and what was dealt before is dropped. ERR_NOT_FOUND: nothing is. */
err_t *redeal_replan(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *const *ids, size_t ids_n) WARN_UNUSED;

/* What was dealt to the active set while shares of the set before are kept. */
typedef struct {
    int64_t epoch;
    int64_t objects;  /* 0: nothing waits */
    int64_t officers; /* who said that it opens */
} redeal_kept_t;

/* Inside a db_read. */
err_t *redeal_kept(db_conn_t *conn, arena_t *arena, redeal_kept_t *ret_kept) WARN_UNUSED;
/*
 * The caller, an officer of the new set, says that a recovery of what was dealt anew gave the
 * secret, and signs that (record cofferSG; ERR_VERIFY). With the M-th of them the old shares are
 * deleted: *ret_finished. ERR_DENIED: dealing goes on, or none of these objects was opened by
 * officers since the set is active; ERR_EXISTS: said already; ERR_NOT_FOUND: nothing waits.
 */
err_t *redeal_finish(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, int64_t epoch,
                     bytes_t record, bool *ret_finished) WARN_UNUSED;

#endif
