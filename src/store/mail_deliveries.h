/*
 * Rows of `mail_delivery`: how far a person's mail keys came on each of his devices.
 */
#ifndef COFFER_STORE_MAIL_DELIVERIES_H
#define COFFER_STORE_MAIL_DELIVERIES_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *device_id;
    const char *person_id;
    const char *state; /* due, queued, sent, delivered, waiting, refused, failed */
    const char *why;
    const char *command_uuid;
    int64_t wanted_seq; /* keys by the number of their escrow object's row */
    int64_t sent_seq, sent_keys;
    int64_t held_seq, held_keys;
    bytes_t profile;     /* as it was sent; empty when no command is open */
    bytes_t certificate; /* fingerprint; whom it is encrypted to */
    int64_t tries;
    int64_t due_ms; /* 0: never */
    int64_t changed_ms;
} db_mail_delivery_t;

/* A new key of this person: each of his enrolled devices is due. Inside the key's transaction. */
err_t *db_mail_deliveries_want(db_conn_t *conn, const char *person_id, int64_t key_seq,
                               int64_t now_ms) WARN_UNUSED;
/* The person's newest key that devices get; 0: none. */
err_t *db_mail_deliveries_newest(db_conn_t *conn, const char *person_id,
                                 int64_t *ret_seq) WARN_UNUSED;
/* Inserts, or replaces the device's row. */
err_t *db_mail_deliveries_put(db_conn_t *conn, const db_mail_delivery_t *row) WARN_UNUSED;
err_t *db_mail_deliveries_get(db_conn_t *conn, arena_t *arena, const char *device_id,
                              db_mail_delivery_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Due by now, without profiles, the longest first; person_id "": anybody's. */
err_t *db_mail_deliveries_due(db_conn_t *conn, arena_t *arena, const char *person_id,
                              int64_t now_ms, size_t limit, db_mail_delivery_t **ret_rows,
                              size_t *ret_count) WARN_UNUSED;
/*
 * In order of device after `after`, without profiles; person_id "": anybody's; `unfinished`: only
 * those whose device lacks a key.
 */
err_t *db_mail_deliveries_list(db_conn_t *conn, arena_t *arena, const char *person_id,
                               bool unfinished, const char *after, size_t limit,
                               db_mail_delivery_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Makes all of a person's devices due, whatever they have. *ret_changed: there is one. */
err_t *db_mail_deliveries_again(db_conn_t *conn, const char *person_id, int64_t now_ms,
                                bool *ret_changed) WARN_UNUSED;
/* One device is due at once; and one that officers said no to, until there is a new key. */
err_t *db_mail_deliveries_due_now(db_conn_t *conn, const char *device_id,
                                  int64_t now_ms) WARN_UNUSED;
err_t *db_mail_deliveries_denied(db_conn_t *conn, const char *device_id, const char *why,
                                 int64_t now_ms) WARN_UNUSED;
/* The device is not managed any more. */
err_t *db_mail_deliveries_remove(db_conn_t *conn, const char *device_id) WARN_UNUSED;

#endif
