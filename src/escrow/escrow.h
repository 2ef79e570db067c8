/*
 * The escrow room's context, and who is asking. One for the process, immutable, any thread.
 */
#ifndef COFFER_ESCROW_ESCROW_H
#define COFFER_ESCROW_ESCROW_H

#include "audit/audit.h"
#include "base/arena.h"
#include "base/rnd.h"
#include "keeper/client_escrow.h"
#include "notify/notify.h"
#include "store/db.h"
#include "store/escrow.h"

typedef struct escrow escrow_t;

/*
 * What has to happen to a secret that people have seen, in the transaction of the reveal: starts
 * the rotation (a command, a job) where the kind can rotate by itself, and says what was started
 * or is to be done by hand (borrowed, static or in the arena).
 */
typedef err_t *(*escrow_rotate_fn)(void *ctx, db_conn_t *conn, arena_t *arena,
                                   const db_escrow_t *object, const char *actor,
                                   const char **ret_what);

typedef struct {
    db_t *db; /* borrowed, as all of these */
    keeper_t *keeper;
    const audit_t *audit;
    const clk_t *clk;
    const rnd_t *rnd;
    const notify_t *notify;  /* who hears of failed drills and of requests; NULL: nobody */
    escrow_rotate_fn rotate; /* NULL: escrow_rotate_after_reveal alone */
    void *rotate_ctx;
} escrow_options_t;

err_t *escrow_new(const escrow_options_t *options, escrow_t **ret_escrow) WARN_UNUSED;
void escrow_free(escrow_t *escrow); /* takes NULL */

/* Who is asking; borrowed. */
typedef struct {
    const char *actor;     /* for the audit */
    const char *person_id; /* "" for a token that is nobody's */
    const char *email;     /* the same */
    bool not_hers;         /* by a token made without the person's password: asks for nothing */
} escrow_caller_t;

/* What is to be done after a reveal of this kind, where nothing can do it by itself. Static. */
const char *escrow_rotate_after_reveal(const char *kind);

DEFINE_CLEANUP(escrow_t, escrow_free)

#endif
