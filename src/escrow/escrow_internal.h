/*
 * For the files of src/escrow only.
 */
#ifndef COFFER_ESCROW_ESCROW_INTERNAL_H
#define COFFER_ESCROW_ESCROW_INTERNAL_H

#include "audit/note.h"
#include "escrow/escrow.h"
#include "keeper/escrow_seal.h"
#include "store/officers.h"
#include "store/people.h"
#include "store/recoveries.h"

struct escrow {
    escrow_options_t o;
};

static inline int64_t escrow_now_ms(const escrow_t *escrow) { return clk_unix_ms(escrow->o.clk); }

/* Copies a C string into a record's text of `size` bytes. ERR_LIMIT says which `what`. */
err_t *escrow_set_text(char *text, size_t size, const char *value, const char *what) WARN_UNUSED;
/* A row as the keeper's record of it. ERR_VERIFY for a row that cannot be one. */
err_t *escrow_object_of(const db_escrow_t *row, escrow_object_t *ret_object) WARN_UNUSED;
/* The active set: row and record. ERR_NOT_FOUND while there is none. */
err_t *escrow_active_set(db_conn_t *conn, arena_t *arena, db_officer_set_t *ret_row,
                         escrow_set_t *ret_set) WARN_UNUSED;
err_t *escrow_set_of_epoch(db_conn_t *conn, arena_t *arena, int64_t epoch,
                           db_officer_set_t *ret_row, escrow_set_t *ret_set) WARN_UNUSED;
/* The officer of the set that the caller is. ERR_DENIED. */
err_t *escrow_own_officer(const escrow_set_t *set, const escrow_caller_t *caller,
                          const escrow_officer_t **ret_officer) WARN_UNUSED;
/* A person's address; the id itself where nobody has it. */
err_t *escrow_address_of(db_conn_t *conn, arena_t *arena, const char *person_id,
                         const char **ret_email) WARN_UNUSED;
/*
 * `e` (taken) as it is, after it was audited where an auditor wants to see it: ERR_DENIED,
 * ERR_VERIFY, ERR_EXISTS. In a transaction of its own, since the refused one is undone.
 */
err_t *escrow_refused(const escrow_t *escrow, const escrow_caller_t *caller, const char *action,
                      const char *object, err_t *e) WARN_UNUSED;
/* ERR_DENIED if a credential of the person (`email`, for the message) went through the officer's
 * hands: he could be who asked. */
err_t *escrow_check_hands(db_conn_t *conn, const char *person_id, const char *email,
                          const escrow_officer_t *officer) WARN_UNUSED;
/* What the keeper is to be asked about these objects; in the arena. */
err_t *escrow_stored_of(arena_t *arena, const db_escrow_t *rows, size_t count,
                        keeper_stored_t **ret_list) WARN_UNUSED;
/* Splits share records (each with its length before it) and stores them for an object. */
err_t *escrow_keep_shares(db_conn_t *conn, int64_t seq, bytes_t shares) WARN_UNUSED;

#endif
