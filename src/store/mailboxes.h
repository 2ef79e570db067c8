/*
 * Rows of `mail_hook`, `mailbox`, `mailbox_folder`, `mailbox_wait` and `mail_event`: mailboxes that
 * are watched for new mail, and what their devices are told.
 */
#ifndef COFFER_STORE_MAILBOXES_H
#define COFFER_STORE_MAILBOXES_H

#include "base/arena.h"
#include "store/db.h"

/* ---- mail servers that tell ---- */

typedef struct {
    const char *name;
    bytes_t hash; /* SHA-256 of its secret */
    const char *created_by;
    int64_t created_ms;
    int64_t heard_ms;
} db_mail_hook_t;

/* Another secret takes the place of the one before. */
err_t *db_mail_hooks_put(db_conn_t *conn, const db_mail_hook_t *row) WARN_UNUSED;
err_t *db_mail_hooks_find(db_conn_t *conn, arena_t *arena, bytes_t hash, db_mail_hook_t *ret_row,
                          bool *ret_found) WARN_UNUSED;
err_t *db_mail_hooks_by_name(db_conn_t *conn, arena_t *arena, const char *name,
                             db_mail_hook_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_mail_hooks_list(db_conn_t *conn, arena_t *arena, size_t limit, db_mail_hook_t **ret_rows,
                          size_t *ret_count) WARN_UNUSED;
err_t *db_mail_hooks_heard(db_conn_t *conn, const char *name, int64_t now_ms) WARN_UNUSED;
/* ERR_EXISTS while mailboxes name it; *ret_found false: there is none. */
err_t *db_mail_hooks_remove(db_conn_t *conn, const char *name, bool *ret_found) WARN_UNUSED;

/* ---- mailboxes ---- */

#define MAILBOX_EWS_ALL "ews:all" /* at Exchange, all folders and not only the inbox */

typedef struct {
    const char *account; /* address, lower case */
    const char *person_id;
    const char *source; /* "hook:NAME", "graph:NAME", "imap", "ews" or MAILBOX_EWS_ALL */
    const char *login;
    const char *server; /* of imap and ews, else "" */
    bytes_t sealed;     /* of imap and ews, else none */
    const char *state;  /* waiting, watched, failed */
    const char *problem;
    int64_t event_ms;
    int64_t heard_ms;
    const char *created_by;
    int64_t created_ms;
} db_mailbox_t;

/* ERR_EXISTS: the address, or this login of this source, is there. */
err_t *db_mailboxes_add(db_conn_t *conn, const db_mailbox_t *row) WARN_UNUSED;
err_t *db_mailboxes_find(db_conn_t *conn, arena_t *arena, const char *account,
                         db_mailbox_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Of a source that is no IMAP server. */
err_t *db_mailboxes_by_login(db_conn_t *conn, arena_t *arena, const char *source, const char *login,
                             db_mailbox_t *ret_row, bool *ret_found) WARN_UNUSED;
/* In order of account, those after `after`; `source` "" is all. */
err_t *db_mailboxes_list(db_conn_t *conn, arena_t *arena, const char *source, const char *after,
                         size_t limit, db_mailbox_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* The same of those that we watch ourselves: imap, ews. */
err_t *db_mailboxes_watched(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                            db_mailbox_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *db_mailboxes_remove(db_conn_t *conn, const char *account, bool *ret_found) WARN_UNUSED;
/* What is known of its source; state and problem, and now. */
err_t *db_mailboxes_heard(db_conn_t *conn, const char *account, const char *state,
                          const char *problem, int64_t now_ms) WARN_UNUSED;
/* Another login at the same source, of which nothing was heard yet. ERR_EXISTS: another's. */
err_t *db_mailboxes_login(db_conn_t *conn, const char *account, const char *login) WARN_UNUSED;
err_t *db_mailboxes_told(db_conn_t *conn, const char *account, int64_t now_ms) WARN_UNUSED;
err_t *db_mailboxes_count(db_conn_t *conn, int64_t *ret_count) WARN_UNUSED;

/* ---- what was heard of a folder ---- */

typedef struct {
    const char *account;
    const char *folder;
    int64_t uidvalidity;
    int64_t uid;
    int64_t modseq;
    int64_t due_ms; /* of a wait; else 0 */
} db_mail_mark_t;

err_t *db_mailbox_folders_find(db_conn_t *conn, arena_t *arena, const char *account,
                               const char *folder, db_mail_mark_t *ret_mark,
                               bool *ret_found) WARN_UNUSED;
err_t *db_mailbox_folders_put(db_conn_t *conn, const db_mail_mark_t *mark) WARN_UNUSED;
err_t *db_mailbox_folders_count(db_conn_t *conn, const char *account,
                                int64_t *ret_count) WARN_UNUSED;

/* One a mailbox: a later one replaces it, but for when it is due. */
err_t *db_mailbox_waits_put(db_conn_t *conn, const db_mail_mark_t *mark) WARN_UNUSED;
/* Also those due after `latest_ms`, which only a clock that ran ahead can have said. */
err_t *db_mailbox_waits_due(db_conn_t *conn, arena_t *arena, int64_t now_ms, int64_t latest_ms,
                            size_t limit, db_mail_mark_t **ret_marks,
                            size_t *ret_count) WARN_UNUSED;
err_t *db_mailbox_waits_remove(db_conn_t *conn, const char *account) WARN_UNUSED;
/* When the next is due; *ret_found false: none waits. */
err_t *db_mailbox_waits_next(db_conn_t *conn, int64_t *ret_due_ms, bool *ret_found) WARN_UNUSED;

/* ---- what devices are told ---- */

typedef struct {
    int64_t seq; /* set by the database */
    const char *device_id;
    const char *account;
    const char *event;
    const char *folder;
    int64_t uidvalidity;
    int64_t uid;
    int64_t modseq;
    int64_t created_ms;
} db_mail_event_t;

/* The enrolled devices of the mailbox's person that may have leases; their ids, in the arena. */
err_t *db_mail_devices(db_conn_t *conn, arena_t *arena, const char *account, size_t limit,
                       const char ***ret_ids, size_t *ret_count) WARN_UNUSED;
err_t *db_mail_events_add(db_conn_t *conn, const db_mail_event_t *row) WARN_UNUSED;
/* All devices' after `seq`. */
err_t *db_mail_events_after(db_conn_t *conn, arena_t *arena, int64_t seq, size_t limit,
                            db_mail_event_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* One device's after `seq`, up to `last`. */
err_t *db_mail_events_of(db_conn_t *conn, arena_t *arena, const char *device_id, int64_t seq,
                         int64_t last, size_t limit, db_mail_event_t **ret_rows,
                         size_t *ret_count) WARN_UNUSED;
/* The first and the last number; 0: there never was one. */
err_t *db_mail_events_span(db_conn_t *conn, int64_t *ret_first, int64_t *ret_last) WARN_UNUSED;
err_t *db_mail_events_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

/* ---- what came of it ---- */

typedef struct {
    const char *device_id;
    const char *account;
    const char *event;
    int64_t released_ms;
} db_mail_release_t;

/* Releases of a lease of this account, newest first. */
err_t *db_mail_releases(db_conn_t *conn, arena_t *arena, const char *account, size_t limit,
                        db_mail_release_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* How many there were since then. */
err_t *db_mail_releases_count(db_conn_t *conn, const char *account, int64_t since_ms,
                              int64_t *ret_count) WARN_UNUSED;

#endif
