/*
 * Rows of sync_link, sync_link_root and sync_link_ticket: links for outsiders (sync/link_terms.h).
 * An opening is counted in the transaction that gives out its ticket, so a link opens no more often
 * than its maker allowed, whoever asks at once.
 */
#ifndef COFFER_STORE_SYNC_LINKS_H
#define COFFER_STORE_SYNC_LINKS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    bytes_t id, region, device;
    const char *person;
    bytes_t token_hash, list, label;
    bool password;
    int64_t openings; /* 0: any number */
    int64_t opened, wrong;
    int64_t created_ms, expires_ms, last_ms;
} db_sync_link_t;

/*
 * A new link with the data packages it may fetch (32 bytes each, one behind the other). Again with
 * the same token and list is fine and changes nothing: *ret_new tells. ERR_EXISTS: the id is
 * another link's. ERR_LIMIT past LIMIT_SYNC_LINKS of the region.
 */
err_t *db_sync_link_add(db_conn_t *conn, const db_sync_link_t *row, bytes_t roots,
                        bool *ret_new) WARN_UNUSED;
err_t *db_sync_link_find(db_conn_t *conn, arena_t *arena, bytes_t id, db_sync_link_t *ret_row,
                         bool *ret_found) WARN_UNUSED;
/* Of a region, in order of id after `after`; the lists are left out. */
err_t *db_sync_link_list(db_conn_t *conn, arena_t *arena, bytes_t region, bytes_t after,
                         size_t limit, db_sync_link_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* With its tickets: whoever downloads is cut off. */
err_t *db_sync_link_remove(db_conn_t *conn, bytes_t region, bytes_t id,
                           bool *ret_found) WARN_UNUSED;

typedef enum {
    DB_LINK_NONE,   /* no such link */
    DB_LINK_WRONG,  /* the token is wrong: so is the password, or the secret */
    DB_LINK_LOCKED, /* LIMIT_SYNC_LINK_WRONG passwords were wrong */
    DB_LINK_ENDED,  /* expired, or opened as often as allowed */
    DB_LINK_BUSY,   /* LIMIT_SYNC_LINK_TICKETS are good already */
    DB_LINK_OPEN,
} db_link_open_t;

/*
 * Compares the token's hash in constant time; counts the opening, or the wrong token. With
 * DB_LINK_OPEN `ticket_hash` is good for LIMIT_SYNC_LINK_TICKET_S and *ret_row is the link with
 * its list; it is filled in for every answer but DB_LINK_NONE.
 */
err_t *db_sync_link_open(db_conn_t *conn, arena_t *arena, bytes_t id, bytes_t token_hash,
                         bytes_t ticket_hash, int64_t now_ms, db_sync_link_t *ret_row,
                         db_link_open_t *ret_how) WARN_UNUSED;
/* Without its list. */
err_t *db_sync_link_head(db_conn_t *conn, arena_t *arena, bytes_t id, db_sync_link_t *ret_row,
                         bool *ret_found) WARN_UNUSED;
/* The link without its list, if the ticket is its own and good, and it may fetch the root. */
err_t *db_sync_link_may_fetch(db_conn_t *conn, arena_t *arena, bytes_t id, bytes_t ticket_hash,
                              bytes_t root, int64_t now_ms, db_sync_link_t *ret_row,
                              bool *ret_found) WARN_UNUSED;
/* Whether a link that still lives needs this data package. */
err_t *db_sync_link_needs(db_conn_t *conn, bytes_t root, int64_t now_ms,
                          bool *ret_needed) WARN_UNUSED;
/* Drops up to `limit` links that ended before `before_ms`, and tickets that did before now. */
err_t *db_sync_link_purge(db_conn_t *conn, int64_t before_ms, int64_t now_ms,
                          size_t limit) WARN_UNUSED;

#endif
