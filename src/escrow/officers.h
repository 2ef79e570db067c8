/*
 * Recovery officers: keys handed in, sets of them, and the agreement of the old set to the new one.
 * The keeper has the set that counts and checks signatures itself; what is here is a copy.
 */
#ifndef COFFER_ESCROW_OFFICERS_H
#define COFFER_ESCROW_OFFICERS_H

#include "escrow/escrow.h"
#include "store/officers.h"

/*
 * Takes an officer's public file (record cofferOP), made by the person of this address. Signed by
 * its own key, else ERR_VERIFY. *ret_id lives in the arena. ERR_EXISTS for a key handed in before.
 */
err_t *officers_add(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, bytes_t email,
                    bytes_t record, const char **ret_id) WARN_UNUSED;
/* For a key that is in no set: it can't be put into one any more. ERR_DENIED if it is in one. */
err_t *officers_remove(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                       const char *id) WARN_UNUSED;

/*
 * A new set of these officers. The first is activated at once; a later one waits for signatures of
 * the active set's threshold, replacing a proposal that waited. Who stays keeps the share's number.
 * ERR_DENIED while objects are still dealt to the set before the active one.
 */
err_t *officers_propose(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                        unsigned threshold, const char *const *ids, size_t ids_n,
                        int64_t *ret_epoch, bool *ret_active) WARN_UNUSED;
/*
 * An officer of the active set agrees to the proposed one (record cofferSG). The last signature
 * needed activates it in the keeper; those who signed then deal to the new set.
 */
err_t *officers_sign(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, int64_t epoch,
                     bytes_t record, bool *ret_active) WARN_UNUSED;
/* Drops the proposal. ERR_NOT_FOUND. */
err_t *officers_withdraw(escrow_t *escrow, const escrow_caller_t *caller,
                         int64_t epoch) WARN_UNUSED;

/*
 * Makes the keeper's set the active one here, if the server ended after the keeper took it and
 * before it was noted. Proposing and withdrawing begin with it; call it at the start, too.
 * ERR_VERIFY if the keeper is more than one set ahead.
 */
err_t *officers_adopt(escrow_t *escrow) WARN_UNUSED;

/* For listings: a key with whose it is and where it stands. */
typedef struct {
    db_officer_t row;
    const char *email;
    int64_t active_index;   /* in the active set, or 0 */
    int64_t proposed_index; /* in the proposed set, or 0 */
} officers_line_t;

typedef struct {
    officers_line_t *lines;
    size_t count;
    bool has_active, has_proposed;
    db_officer_set_t active, proposed;
    db_set_signature_t *signatures; /* of the proposal */
    size_t signatures_n;
} officers_view_t;

/* Inside a db_read. */
err_t *officers_view(db_conn_t *conn, arena_t *arena, officers_view_t *ret_view) WARN_UNUSED;

#endif
