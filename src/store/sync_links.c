/*
 * Rows of links for outsiders: see sync_links.h.
 */
#include "store/sync_links.h"

#include "base/limits.h"
#include "store/rows_internal.h"

enum { ROOT = 32 };

#define LINK                                                                                       \
    "id, region, device, person, token_hash, list, label, password, openings, opened, wrong, "     \
    "created_ms, expires_ms, last_ms"

static const row_column_t link_columns[] = {
    {ROW_BYTES, offsetof(db_sync_link_t, id)},
    {ROW_BYTES, offsetof(db_sync_link_t, region)},
    {ROW_BYTES, offsetof(db_sync_link_t, device)},
    {ROW_STR, offsetof(db_sync_link_t, person)},
    {ROW_BYTES, offsetof(db_sync_link_t, token_hash)},
    {ROW_BYTES, offsetof(db_sync_link_t, list)},
    {ROW_BYTES, offsetof(db_sync_link_t, label)},
    {ROW_BOOL, offsetof(db_sync_link_t, password)},
    {ROW_I64, offsetof(db_sync_link_t, openings)},
    {ROW_I64, offsetof(db_sync_link_t, opened)},
    {ROW_I64, offsetof(db_sync_link_t, wrong)},
    {ROW_I64, offsetof(db_sync_link_t, created_ms)},
    {ROW_I64, offsetof(db_sync_link_t, expires_ms)},
    {ROW_I64, offsetof(db_sync_link_t, last_ms)},
};
static const row_type_t link_type = ROW_TYPE(link_columns, db_sync_link_t);
/* The same without its largest member. */
#define LINK_LISTED                                                                                \
    "id, region, device, person, token_hash, label, password, openings, opened, wrong, "           \
    "created_ms, expires_ms, last_ms"
static const row_column_t listed_columns[] = {
    {ROW_BYTES, offsetof(db_sync_link_t, id)},
    {ROW_BYTES, offsetof(db_sync_link_t, region)},
    {ROW_BYTES, offsetof(db_sync_link_t, device)},
    {ROW_STR, offsetof(db_sync_link_t, person)},
    {ROW_BYTES, offsetof(db_sync_link_t, token_hash)},
    {ROW_BYTES, offsetof(db_sync_link_t, label)},
    {ROW_BOOL, offsetof(db_sync_link_t, password)},
    {ROW_I64, offsetof(db_sync_link_t, openings)},
    {ROW_I64, offsetof(db_sync_link_t, opened)},
    {ROW_I64, offsetof(db_sync_link_t, wrong)},
    {ROW_I64, offsetof(db_sync_link_t, created_ms)},
    {ROW_I64, offsetof(db_sync_link_t, expires_ms)},
    {ROW_I64, offsetof(db_sync_link_t, last_ms)},
};
static const row_type_t listed_type = ROW_TYPE(listed_columns, db_sync_link_t);

static err_t *add_roots(db_conn_t *conn, bytes_t id, bytes_t roots) {
    for (size_t at = 0; at + ROOT <= roots.n; at += ROOT)
        TRY(db_exec(conn, "INSERT INTO sync_link_root (link, root) VALUES ($1, $2)", DB_BYTES(id),
                    DB_BYTES(bytes_slice(roots, at, ROOT))));
    return NULL;
}

/* Whether this very link is there already: a put whose answer was lost comes again. */
static err_t *is_there(db_conn_t *conn, const db_sync_link_t *row, bool *ret_there) {
    int64_t ids = 0, same = 0;
    TRY(row_number(conn, "SELECT COUNT(*) FROM sync_link WHERE id = $1", &ids, DB_BYTES(row->id)));
    TRY(row_number(conn,
                   "SELECT COUNT(*) FROM sync_link WHERE id = $1 AND region = $2 AND token_hash = "
                   "$3 AND list = $4",
                   &same, DB_BYTES(row->id), DB_BYTES(row->region), DB_BYTES(row->token_hash),
                   DB_BYTES(row->list)));
    if (ids != same) return err_new(ERR_EXISTS, "there is another link of this id");
    *ret_there = same != 0;
    return NULL;
}

err_t *db_sync_link_add(db_conn_t *conn, const db_sync_link_t *row, bytes_t roots, bool *ret_new) {
    bool there = false;
    int64_t links = 0;
    TRY(is_there(conn, row, &there));
    if (!there) {
        TRY(row_number(conn, "SELECT COUNT(*) FROM sync_link WHERE region = $1", &links,
                       DB_BYTES(row->region)));
        if (links >= LIMIT_SYNC_LINKS)
            return err_new(ERR_LIMIT, "there are %d links already: remove some", LIMIT_SYNC_LINKS);
        TRY(row_insert(conn,
                       "INSERT INTO sync_link (" LINK ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, "
                       "$9, $10, $11, $12, $13, $14)",
                       &link_type, row));
        TRY(add_roots(conn, row->id, roots));
    }
    *ret_new = !there;
    return NULL;
}

err_t *db_sync_link_find(db_conn_t *conn, arena_t *arena, bytes_t id, db_sync_link_t *ret_row,
                         bool *ret_found) {
    return row_find(conn, arena, &link_type, "SELECT " LINK " FROM sync_link WHERE id = $1",
                    ret_row, ret_found, DB_BYTES(id));
}

err_t *db_sync_link_list(db_conn_t *conn, arena_t *arena, bytes_t region, bytes_t after,
                         size_t limit, db_sync_link_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &listed_type,
                    "SELECT " LINK_LISTED " FROM sync_link WHERE region = $1 AND id > $2"
                    " ORDER BY id LIMIT $3",
                    ret_rows, ret_count, DB_BYTES(region), DB_BYTES(after), DB_I64((int64_t)limit));
}

err_t *db_sync_link_remove(db_conn_t *conn, bytes_t region, bytes_t id, bool *ret_found) {
    return row_change(conn, "DELETE FROM sync_link WHERE region = $1 AND id = $2", ret_found,
                      DB_BYTES(region), DB_BYTES(id));
}

/* ---- opening ---- */

static err_t *give_ticket(db_conn_t *conn, const db_sync_link_t *row, bytes_t ticket_hash,
                          int64_t now_ms) {
    TRY(db_exec(conn,
                "UPDATE sync_link SET opened = opened + 1, wrong = 0, last_ms = $2 WHERE id = $1",
                DB_BYTES(row->id), DB_I64(now_ms)));
    return db_exec(conn,
                   "INSERT INTO sync_link_ticket (hash, link, expires_ms) VALUES ($1, $2, $3)",
                   DB_BYTES(ticket_hash), DB_BYTES(row->id),
                   DB_I64(now_ms + (int64_t)LIMIT_SYNC_LINK_TICKET_S * 1000));
}

err_t *db_sync_link_open(db_conn_t *conn, arena_t *arena, bytes_t id, bytes_t token_hash,
                         bytes_t ticket_hash, int64_t now_ms, db_sync_link_t *ret_row,
                         db_link_open_t *ret_how) {
    bool found = false;
    int64_t tickets = 0;
    TRY(db_sync_link_find(conn, arena, id, ret_row, &found));
    if (!found) {
        *ret_how = DB_LINK_NONE;
        return NULL;
    }
    if (ret_row->password && ret_row->wrong >= LIMIT_SYNC_LINK_WRONG) {
        *ret_how = DB_LINK_LOCKED;
        return NULL;
    }
    if (!bytes_eq_ct(ret_row->token_hash, token_hash)) {
        *ret_how = DB_LINK_WRONG;
        return db_exec(conn, "UPDATE sync_link SET wrong = wrong + 1 WHERE id = $1", DB_BYTES(id));
    }
    if (ret_row->expires_ms <= now_ms ||
        (ret_row->openings && ret_row->opened >= ret_row->openings)) {
        *ret_how = DB_LINK_ENDED;
        return NULL;
    }
    TRY(row_number(conn,
                   "SELECT COUNT(*) FROM sync_link_ticket WHERE link = $1 AND expires_ms > $2",
                   &tickets, DB_BYTES(id), DB_I64(now_ms)));
    *ret_how = tickets < LIMIT_SYNC_LINK_TICKETS ? DB_LINK_OPEN : DB_LINK_BUSY;
    if (*ret_how == DB_LINK_BUSY) return NULL;
    return give_ticket(conn, ret_row, ticket_hash, now_ms);
}

err_t *db_sync_link_head(db_conn_t *conn, arena_t *arena, bytes_t id, db_sync_link_t *ret_row,
                         bool *ret_found) {
    return row_find(conn, arena, &listed_type,
                    "SELECT " LINK_LISTED " FROM sync_link WHERE id = $1", ret_row, ret_found,
                    DB_BYTES(id));
}

err_t *db_sync_link_may_fetch(db_conn_t *conn, arena_t *arena, bytes_t id, bytes_t ticket_hash,
                              bytes_t root, int64_t now_ms, db_sync_link_t *ret_row,
                              bool *ret_found) {
    return row_find(conn, arena, &listed_type,
                    "SELECT " LINK_LISTED " FROM sync_link WHERE id = $1 AND expires_ms > $4"
                    " AND EXISTS (SELECT 1 FROM sync_link_ticket t WHERE t.link = sync_link.id"
                    " AND t.hash = $2 AND t.expires_ms > $4)"
                    " AND EXISTS (SELECT 1 FROM sync_link_root r WHERE r.link = sync_link.id"
                    " AND r.root = $3)",
                    ret_row, ret_found, DB_BYTES(id), DB_BYTES(ticket_hash), DB_BYTES(root),
                    DB_I64(now_ms));
}

err_t *db_sync_link_needs(db_conn_t *conn, bytes_t root, int64_t now_ms, bool *ret_needed) {
    int64_t links = 0;
    TRY(row_number(conn,
                   "SELECT COUNT(*) FROM sync_link_root r JOIN sync_link l ON l.id = r.link"
                   " WHERE r.root = $1 AND l.expires_ms > $2",
                   &links, DB_BYTES(root), DB_I64(now_ms)));
    *ret_needed = links != 0;
    return NULL;
}

err_t *db_sync_link_purge(db_conn_t *conn, int64_t before_ms, int64_t now_ms, size_t limit) {
    TRY(db_exec(conn, "DELETE FROM sync_link_ticket WHERE expires_ms <= $1", DB_I64(now_ms)));
    return db_exec(conn,
                   "DELETE FROM sync_link WHERE id IN (SELECT id FROM sync_link WHERE expires_ms <"
                   " $1 ORDER BY expires_ms LIMIT $2)",
                   DB_I64(before_ms), DB_I64((int64_t)limit));
}
