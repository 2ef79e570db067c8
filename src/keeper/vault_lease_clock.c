/*
 * Leases under a wall clock that somebody sets back (an attacker of the time service, a false
 * battery clock): their keys are due as much earlier, so that none outlives the hours that its
 * device gave it. Where the clock comes right again while the keeper runs, what was taken is given
 * back, never more. Looked at with each sweep, on the main thread; written by the vault's writer.
 */
#include <stdio.h>

#include "base/mem.h"
#include "keeper/vault_internal.h"

typedef struct {
    vault_op_t op; /* first */
    int64_t by_s;  /* negative: due earlier */
} move_t;

err_t *vault_lease_clock_prepare(vault_t *vault) {
    vault_lease_clock_t *clock = &vault->clock;
    TRY(sql_prepare(vault->writer,
                    "UPDATE lease SET due = min(expires, due + ?1) WHERE length(sealed) > 0",
                    &clock->move));
    return sql_prepare(vault->reader, "SELECT ms FROM log ORDER BY seq DESC LIMIT 1",
                       &clock->last_entry);
}

static err_t *write_move(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const move_t *move = rows;
    (void)now_ms;
    (void)ret_refused;
    sql_bind_i64(vault->clock.move, 1, move->by_s);
    return sql_run(vault->clock.move);
}

static void keep(void *rows) { (void)rows; }

static void moved(vault_op_t *op, err_t *e) {
    err_free(e); /* nobody waits: a commit that fails is tried again */
    vault_op_done(op);
    mem_free(op);
}

static err_t *submit(vault_t *vault, int64_t by_s) {
    move_t *move = mem_zalloc(sizeof *move);
    if (!move) return err_nomem();
    move->by_s = by_s;
    move->op = (vault_op_t){.role = "keeper", .intent = "lease-clock", .done = moved};
    (void)snprintf(move->op.outcome, sizeof move->op.outcome, "ok");
    (void)snprintf(move->op.object, sizeof move->op.object, "clock=%s seconds=%lld",
                   by_s < 0 ? "back" : "forward", (long long)(by_s < 0 ? -by_s : by_s));
    move->op.rows = (vault_rows_t){.rows = move, .write = write_move, .free = keep};
    err_t *e = vault_submit(vault, &move->op);
    if (e) mem_free(move);
    return e;
}

/* Before it started it was at least as late as the last entry of its log says. */
static err_t *begin(vault_t *vault, int64_t ahead_ms) {
    bool found = false;
    int64_t last_ms = 0;
    (void)pthread_mutex_lock(&vault->read_lock);
    sql_stmt_t *stmt = vault->clock.last_entry;
    err_t *e = sql_step(stmt, &found);
    if (!e && found) last_ms = sql_i64(stmt, 0);
    sql_end(stmt);
    (void)pthread_mutex_unlock(&vault->read_lock);
    if (e) return e;
    int64_t back_ms = found ? last_ms - clk_unix_ms(vault->clk) : 0;
    vault->clock.ahead_ms = ahead_ms + (back_ms > 0 ? back_ms : 0);
    vault->clock.known = true;
    return NULL;
}

err_t *vault_lease_clock_look(vault_t *vault) {
    vault_lease_clock_t *clock = &vault->clock;
    int64_t ahead_ms = clk_unix_ms(vault->clk) - clk_mono_ms(vault->clk);
    if (!clock->known) TRY(begin(vault, ahead_ms));
    int64_t by_s = (ahead_ms - clock->ahead_ms) / 1000;
    if (by_s > 0 && by_s > clock->back_ms / 1000) by_s = clock->back_ms / 1000;
    if (by_s != 0) TRY(submit(vault, by_s));
    clock->back_ms -= by_s * 1000;
    /* less than a second back stays to be counted; forward is where it is now */
    clock->ahead_ms = by_s < 0 ? clock->ahead_ms + by_s * 1000 : clock->ahead_ms;
    if (ahead_ms > clock->ahead_ms) clock->ahead_ms = ahead_ms;
    return NULL;
}
