/*
 * Recovery under the control of several people: a request, officers' approvals from their own
 * machines, one opening at the recipient's. The server keeps and checks; shares pass through it
 * sealed to the request's one-time key, which it does not have.
 */
#ifndef COFFER_ESCROW_RECOVERY_H
#define COFFER_ESCROW_RECOVERY_H

#include "escrow/escrow.h"
#include "store/officers.h"
#include "store/recoveries.h"

typedef struct {
    const char *object; /* id */
    int64_t version;    /* 0: the current one */
    const char *recipient, *reason, *ticket;
    bytes_t recipient_key; /* ESCROW_KEY bytes, X25519 */
    int64_t life_s;
} recovery_spec_t;

/*
 * ERR_DENIED for a caller that is no person, for a token of a person's that the instance's own
 * token made, and for an object that is not dealt to officers (yet); ERR_LIMIT past
 * LIMIT_ESCROW_OPEN_REQUESTS. *ret_row is in the arena.
 */
err_t *recovery_request(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                        const recovery_spec_t *spec, db_recovery_t *ret_row) WARN_UNUSED;

typedef struct {
    db_recovery_t row;
    db_escrow_t object;
    const char *requester; /* address */
    const char *owner;     /* address, or "" */
    db_officer_set_t set;  /* the request's */
    bool has_set;
    db_recovery_answer_t *answers;
    const char **answerers; /* addresses of the officers, in order of answers */
    size_t answers_n;
    const char **hands; /* addresses of who could have asked in the requester's name */
    size_t hands_n;
    bool expired;
} recovery_view_t;

/* Inside a db_read. ERR_NOT_FOUND. */
err_t *recovery_view(db_conn_t *conn, arena_t *arena, const char *id, int64_t now_ms,
                     recovery_view_t *ret_view) WARN_UNUSED;
/* "waiting", "approved", "expired", "denied", "opened"; static. */
const char *recovery_state(const db_recovery_t *row, int64_t now_ms);

/* The caller's own sealed share (or its parts) of a waiting request's object. ERR_DENIED. */
err_t *recovery_share(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                      const char *id, db_escrow_share_t **ret_shares,
                      size_t *ret_count) WARN_UNUSED;
/*
 * An officer's approval (record cofferAP). ERR_DENIED: not an officer of the request's set, the
 * requester or the recipient, had a credential of the requester in his hands (store/hands.h),
 * decided already, expired; ERR_EXISTS: answered before; ERR_VERIFY:
 * over another request, another share, or not signed by this officer.
 */
err_t *recovery_approve(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                        const char *id, bytes_t record, db_recovery_t *ret_row) WARN_UNUSED;
/* One officer's no ends the request. */
err_t *recovery_deny(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *id, const char *reason) WARN_UNUSED;

enum { RECOVERY_OPENING = 32 }; /* bytes */

/*
 * Hands out blob and approvals to the requester, to one machine: `opening`, RECOVERY_OPENING random
 * bytes that it keeps, has it handed out again to the same alone, until recovery_received or the
 * request's end. Without one it is handed out once. The view's row is as opened.
 */
err_t *recovery_open(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *id, bytes_t opening, recovery_view_t *ret_view) WARN_UNUSED;
/* The machine has what was opened, on its disk: it is not handed out any more. ERR_DENIED. */
err_t *recovery_received(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                         const char *id, bytes_t opening) WARN_UNUSED;
/*
 * The machine that opened it says that approvals of these officers did not hold; none: that what
 * they gave together opens nothing, whoever it was. The request waits again, for others. They count
 * as having answered. ERR_DENIED: another machine, or no officer is left; ERR_NOT_FOUND.
 */
err_t *recovery_wrong(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                      const char *id, bytes_t opening, const char *const *officers, size_t n,
                      recovery_view_t *ret_view) WARN_UNUSED;

#endif
