/*
 * What the store knows of a watched mailbox: see idler_internal.h. The idler's thread.
 */
#include "base/limits.h"
#include "keeper/client_mailbox.h"
#include "program/courier/idler_internal.h"

typedef struct {
    const idler_t *idler;
    const idler_conn_t *c;
    arena_t *arena;
    idler_row_t row;
    bool found;
    const char *state, *problem;
} store_job_t;

static err_t *read_row(db_conn_t *conn, void *arg) {
    store_job_t *job = arg;
    TRY(db_mailboxes_find(conn, job->arena, job->c->account, &job->row.box, &job->found));
    return db_mailbox_folders_find(conn, job->arena, job->c->account, "INBOX", &job->row.mark,
                                   &job->row.marked);
}

err_t *idler_row(idler_t *idler, const idler_conn_t *c, arena_t *arena, idler_row_t *ret_row) {
    store_job_t job = {.idler = idler, .c = c, .arena = arena};
    TRY(db_read(idler->o.db, read_row, &job));
    if (!job.found) return err_new(ERR_NOT_FOUND, "it is not watched any more");
    *ret_row = job.row;
    return NULL;
}

err_t *idler_password(idler_t *idler, const idler_conn_t *c, buf_t *ret_password) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    idler_row_t row;
    TRY(arena_new(IDLER_ARENA, &arena));
    TRY(idler_row(idler, c, arena, &row));
    const keeper_mailbox_t mailbox = {c->account, c->server, c->login};
    return keeper_mailbox_open(idler->o.keeper, &mailbox, row.box.sealed, ret_password);
}

err_t *idler_write_state(db_conn_t *conn, const idler_t *idler, const idler_conn_t *c,
                         const char *state, const char *problem) {
    return db_mailboxes_heard(conn, c->account, state, problem, clk_unix_ms(idler->o.clk));
}

static err_t *write_state(db_conn_t *conn, void *arg) {
    const store_job_t *job = arg;
    return idler_write_state(conn, job->idler, job->c, job->state, job->problem);
}

void idler_say(idler_t *idler, const idler_conn_t *c, const char *state, const char *problem) {
    store_job_t job = {.idler = idler, .c = c, .state = state, .problem = problem};
    log_error(idler->o.log, LOG_WARNING, db_write(idler->o.db, write_state, &job), "mailbox %s",
              c->account);
}
