/*
 * A device's own state: see local_state.h. One table of runs in a database of its own, which has
 * nothing to do with the instance's.
 */
#include "store/local_state.h"

#include "base/limits.h"
#include "base/mem.h"
#include "store/db.h"

enum { LOCAL_VERSION = 1, CHANGE_HEAD = 1 + 4 + 4 + 4 };

typedef enum { CHANGE_PUT, CHANGE_DROP, CHANGE_CLEAR, CHANGE_ADD } change_t;

struct db_local {
    db_t *db;
};

void db_local_close(db_local_t *local) {
    if (!local) return;
    db_close(local->db);
    mem_free(local);
}

static err_t *make_table(db_conn_t *conn, void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    (void)arg;
    TRY(db_script(conn, "CREATE TABLE IF NOT EXISTS local_state ("
                        " kind INTEGER NOT NULL, name BYTES NOT NULL, value BYTES NOT NULL,"
                        " PRIMARY KEY (kind, name)) WITHOUT ROWID;"
                        "CREATE TABLE IF NOT EXISTS local_version (version INTEGER NOT NULL);"));
    TRY(db_query_row(conn, "SELECT version FROM local_version", &stmt, &found));
    if (!found)
        return db_exec(conn, "INSERT INTO local_version VALUES ($1)", DB_I64(LOCAL_VERSION));
    if (db_col_i64(stmt, 0) != LOCAL_VERSION)
        return err_new(ERR_INVALID, "the state is of another version of this program");
    return NULL;
}

err_t *db_local_open(const char *path, const clk_t *clk, db_local_t **ret_local) {
    CLEANUP(db_local_close) db_local_t *local = mem_zalloc(sizeof *local);
    db_options_t options = {.readers = 1};
    if (!local) return err_nomem();
    TRY(db_open(path, &options, clk, &local->db));
    TRY(db_write(local->db, make_table, NULL));
    *ret_local = STEAL(local);
    return NULL;
}

/* ---- reading ---- */

typedef struct {
    unsigned table;
    bytes_t key;
    bool found;
    buf_t *out;
    db_local_each_t each;
    void *arg;
} query_t;

static err_t *read_one(db_conn_t *conn, void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    query_t *q = arg;
    TRY(db_query_row(conn, "SELECT value FROM local_state WHERE kind = $1 AND name = $2", &stmt,
                     &q->found, DB_I64((int64_t)q->table), DB_BYTES(q->key)));
    return q->found ? buf_add(q->out, db_col_bytes(stmt, 0)) : NULL;
}

err_t *db_local_get(db_local_t *local, unsigned table, bytes_t key, bool *ret_found, buf_t *out) {
    query_t q = {.table = table, .key = key, .out = out};
    TRY(db_read(local->db, read_one, &q));
    *ret_found = q.found;
    return NULL;
}

static err_t *read_each(db_conn_t *conn, void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    const query_t *q = arg;
    TRY(db_query(conn, "SELECT name, value FROM local_state WHERE kind = $1 ORDER BY name", &stmt,
                 DB_I64((int64_t)q->table)));
    for (bool row = false;;) {
        TRY(db_step(stmt, &row));
        if (!row) return NULL;
        TRY(q->each(q->arg, db_col_bytes(stmt, 0), db_col_bytes(stmt, 1)));
    }
}

err_t *db_local_each(db_local_t *local, unsigned table, db_local_each_t each, void *arg) {
    query_t q = {.table = table, .each = each, .arg = arg};
    return db_read(local->db, read_each, &q);
}

/* ---- changes: kind u8, table u32, lengths u32 of key and value, key, value ---- */

static err_t *put_u32(buf_t *out, size_t value) {
    uint8_t raw[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                      (uint8_t)value};
    if (value > UINT32_MAX) return err_new(ERR_LIMIT, "a value of the state is too long");
    return buf_add(out, BYTES_ARRAY(raw));
}

static size_t get_u32(const uint8_t *p) {
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static err_t *gather(buf_t *changes, change_t kind, unsigned table, bytes_t key, bytes_t value) {
    TRY(buf_reserve(changes, CHANGE_HEAD + key.n + value.n));
    TRY(buf_add_byte(changes, (uint8_t)kind));
    TRY(put_u32(changes, table));
    TRY(put_u32(changes, key.n));
    TRY(put_u32(changes, value.n));
    TRY(buf_add(changes, key));
    return buf_add(changes, value);
}

err_t *db_local_put(buf_t *changes, unsigned table, bytes_t key, bytes_t value) {
    return gather(changes, CHANGE_PUT, table, key, value);
}

err_t *db_local_add(buf_t *changes, unsigned table, bytes_t key, bytes_t value) {
    return gather(changes, CHANGE_ADD, table, key, value);
}

err_t *db_local_drop(buf_t *changes, unsigned table, bytes_t key) {
    return gather(changes, CHANGE_DROP, table, key, BYTES_NONE);
}

err_t *db_local_clear(buf_t *changes, unsigned table) {
    return gather(changes, CHANGE_CLEAR, table, BYTES_NONE, BYTES_NONE);
}

static err_t *change(db_conn_t *conn, change_t kind, unsigned table, bytes_t key, bytes_t value) {
    int64_t which = (int64_t)table;
    switch (kind) {
    case CHANGE_PUT:
        return db_exec(conn,
                       "INSERT INTO local_state (kind, name, value) VALUES ($1, $2, $3)"
                       " ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value",
                       DB_I64(which), DB_BYTES(key), DB_BYTES(value));
    case CHANGE_ADD:
        return db_exec(conn,
                       "INSERT INTO local_state (kind, name, value) VALUES ($1, $2, $3)"
                       " ON CONFLICT (kind, name) DO NOTHING",
                       DB_I64(which), DB_BYTES(key), DB_BYTES(value));
    case CHANGE_DROP:
        return db_exec(conn, "DELETE FROM local_state WHERE kind = $1 AND name = $2", DB_I64(which),
                       DB_BYTES(key));
    case CHANGE_CLEAR:
        return db_exec(conn, "DELETE FROM local_state WHERE kind = $1", DB_I64(which));
    }
    return err_new(ERR_INTERNAL, "a change of the state that is none");
}

static err_t *change_all(db_conn_t *conn, void *arg) {
    bytes_t rest = *(const bytes_t *)arg;
    while (rest.n) {
        if (rest.n < CHANGE_HEAD) return err_new(ERR_INTERNAL, "changes of the state are cut off");
        size_t table = get_u32(rest.p + 1), key_n = get_u32(rest.p + 5),
               value_n = get_u32(rest.p + 9);
        change_t kind = (change_t)rest.p[0];
        rest = bytes_from(rest, CHANGE_HEAD);
        if (key_n > rest.n || value_n > rest.n - key_n)
            return err_new(ERR_INTERNAL, "changes of the state are cut off");
        TRY(change(conn, kind, (unsigned)table, bytes_slice(rest, 0, key_n),
                   bytes_slice(rest, key_n, value_n)));
        rest = bytes_from(rest, key_n + value_n);
    }
    return NULL;
}

err_t *db_local_apply(db_local_t *local, bytes_t changes) {
    return changes.n ? db_write(local->db, change_all, &changes) : NULL;
}
