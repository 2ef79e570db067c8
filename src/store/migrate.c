/*
 * Migrations: see migrate.h. Each runs in one db_write together with its
 * record, so that a crash leaves it done or not begun.
 */
#include "store/migrate.h"

#include "base/mem.h"
#include "store/db_internal.h"

#define CREATE_TABLE                                                                               \
    "CREATE TABLE IF NOT EXISTS schema_migration ("                                                \
    " number BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,"                        \
    " applied_ms BIGINT NOT NULL)"

typedef struct {
    const migration_t *set;
    size_t count;
    bool found; /* there was one more to apply */
} migrate_work_t;

/* Compares what the database has applied with the set. *ret_applied: how many they share. */
static err_t *compare(db_conn_t *conn, const migration_t *set, size_t count, size_t *ret_applied) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn, "SELECT number, name, sha256 FROM schema_migration ORDER BY number", &stmt));
    size_t i = 0;
    for (bool row = false;; i++) {
        TRY(db_step(stmt, &row));
        if (!row) break;
        bytes_t name = db_col_text(stmt, 1);
        if (i >= count)
            return err_new(ERR_DENIED,
                           "the database is newer than this program: it has migration %.*s; "
                           "install the newer version",
                           (int)name.n, (const char *)name.p);
        if (db_col_i64(stmt, 0) != (int64_t)set[i].number ||
            !bytes_eq_str(db_col_text(stmt, 2), set[i].sha256))
            return err_new(ERR_DENIED,
                           "another version of Coffer, from before its first release, made this "
                           "instance (its migration %.*s is another one), and nothing leads from "
                           "there to here: move the instance away and make a new one",
                           (int)name.n, (const char *)name.p);
    }
    *ret_applied = i;
    return NULL;
}

static err_t *apply_next(db_conn_t *conn, void *arg) {
    migrate_work_t *work = arg;
    TRY(db_exec(conn, CREATE_TABLE));
    size_t applied = 0;
    TRY(compare(conn, work->set, work->count, &applied));
    work->found = applied < work->count;
    if (!work->found) return NULL;
    const migration_t *m = &work->set[applied];
    if (m->number != applied + 1)
        return err_new(ERR_INTERNAL, "migration %s has number %u, expected %zu", m->name, m->number,
                       applied + 1);
    TRY_WRAP(db_script(conn, m->sql), "migration %s", m->name);
    return db_exec(conn,
                   "INSERT INTO schema_migration (number, name, sha256, applied_ms)"
                   " VALUES ($1, $2, $3, $4)",
                   DB_I64(m->number), DB_STR(m->name), DB_STR(m->sha256),
                   DB_I64(clk_unix_ms(db_clk(conn))));
}

err_t *migrate_run_set(db_t *db, const migration_t *set, size_t count, unsigned *ret_applied) {
    unsigned applied = 0;
    migrate_work_t work = {.set = set, .count = count};
    for (;;) {
        TRY(db_write(db, apply_next, &work));
        if (!work.found) break;
        applied++;
    }
    if (ret_applied) *ret_applied = applied;
    return NULL;
}

err_t *migrate_run(db_t *db, unsigned *ret_applied) {
    size_t count = 0;
    const migration_t *set = migrate_embedded(&count);
    return migrate_run_set(db, set, count, ret_applied);
}

static err_t *check(db_conn_t *conn, void *arg) {
    (void)arg;
    size_t count = 0;
    const migration_t *set = migrate_embedded(&count);
    bool found = false;
    TRY(db_has_table(conn, "schema_migration", &found));
    size_t applied = 0;
    if (found) TRY(compare(conn, set, count, &applied));
    if (applied == count) return NULL;
    return err_new(ERR_DENIED, "the database is older than this program: %zu of %zu migrations",
                   applied, count);
}

err_t *migrate_check(db_t *db) { return db_read(db, check, NULL); }
