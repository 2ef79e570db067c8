/*
 * Deciding on SCEP requests: see pending.h. Any worker thread of coffer-web.
 */
#include "pki/pending.h"

#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "store/scep.h"

enum { ARENA_MAX = 256 * 1024 };

typedef struct {
    pki_t *pki;
    arena_t *arena;
    const char *id, *state, *reason, *actor;
} decision_t;

static err_t *decide(db_conn_t *conn, void *arg) {
    const decision_t *d = arg;
    db_scep_pending_t row;
    bool found = false, changed = false;
    TRY(db_scep_pending_by_id(conn, d->arena, d->id, &row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "no request %s waits for approval", d->id);
    TRY(db_scep_pending_decide(conn, d->id, d->state, d->reason, d->actor,
                               clk_unix_ms(d->pki->o.clk), &changed));
    if (!changed && strcmp(row.state, "waiting") == 0)
        return err_new(ERR_BUSY, "request %s has expired", d->id);
    if (!changed) return err_new(ERR_BUSY, "request %s is %s already", d->id, row.state);
    return audit_note(d->pki->o.audit, conn, d->actor,
                      strcmp(d->state, "denied") == 0 ? "certificate.deny" : "certificate.approve",
                      d->id, "profile", row.profile, "subject", row.subject, "reason",
                      d->reason[0] ? d->reason : NULL, NULL);
}

static err_t *run(pki_t *pki, decision_t *d) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    d->pki = pki;
    d->arena = arena;
    return db_write(pki->o.db, decide, d);
}

err_t *pki_pending_approve(pki_t *pki, const char *id, const char *actor) {
    return run(pki, &(decision_t){.id = id, .state = "approved", .reason = "", .actor = actor});
}

err_t *pki_pending_deny(pki_t *pki, const char *id, const char *reason, const char *actor) {
    if (strlen(reason) > LIMIT_SCEP_REASON || !text_printable(bytes_str(reason)))
        return err_new(ERR_INVALID, "a reason is one line of at most %d bytes", LIMIT_SCEP_REASON);
    return run(pki, &(decision_t){.id = id, .state = "denied", .reason = reason, .actor = actor});
}
