/*
 * Rows of `credential_hand`: see hands.h.
 */
#include "store/hands.h"

#include <string.h>

#include "store/rows_internal.h"

/* UNION drops what was reached before, so that a circle ends. */
#define REACHED                                                                                    \
    "WITH RECURSIVE reached(hand) AS (SELECT hand FROM credential_hand WHERE person_id = $1"       \
    " UNION SELECT c.hand FROM credential_hand c JOIN reached r ON c.person_id = r.hand) "

err_t *db_hands_add(db_conn_t *conn, const db_hand_t *row) {
    if (!row->hand[0] || strcmp(row->hand, row->person_id) == 0) return NULL;
    return db_exec(conn,
                   "INSERT INTO credential_hand (person_id, hand, what, created_ms)"
                   " VALUES ($1, $2, $3, $4) ON CONFLICT (person_id, hand)"
                   " DO UPDATE SET what = excluded.what, created_ms = excluded.created_ms",
                   DB_STR(row->person_id), DB_STR(row->hand), DB_STR(row->what),
                   DB_I64(row->created_ms));
}

err_t *db_hands_reach(db_conn_t *conn, const char *person_id, const char *hand, bool *ret_reach) {
    int64_t count = 0;
    TRY(row_number(conn, REACHED "SELECT COUNT(*) FROM reached WHERE hand = $2", &count,
                   DB_STR(person_id), DB_STR(hand)));
    *ret_reach = count > 0;
    return NULL;
}

err_t *db_hands_of(db_conn_t *conn, arena_t *arena, const char *person_id, size_t limit,
                   const char ***ret_hands, size_t *ret_count) {
    static const row_column_t column = {ROW_STR, 0};
    static const row_type_t type = {&column, 1, sizeof(const char *)};
    return row_list(conn, arena, &type,
                    REACHED "SELECT hand FROM reached WHERE hand <> $1 ORDER BY hand LIMIT $2",
                    ret_hands, ret_count, DB_STR(person_id), DB_I64((int64_t)limit));
}
