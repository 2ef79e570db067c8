/*
 * Rows of `mail_consent` and `mail_consent_answer`: what officers are asked before a person's mail
 * keys go to a new device of his, and what they said.
 */
#ifndef COFFER_STORE_MAIL_CONSENTS_H
#define COFFER_STORE_MAIL_CONSENTS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq;
    const char *id;
    const char *device_id;
    const char *person_id;
    const char *mailboxes; /* the person's, a space between two: what officers sign */
    bytes_t certificate;   /* fingerprint */
    int64_t epoch;
    int64_t expires;   /* seconds since 1970 UTC */
    const char *state; /* waiting, given, used, denied, void */
    int64_t consents;
    int64_t created_ms;
    int64_t decided_ms;
} db_mail_consent_t;

/* ERR_EXISTS for an id that is there. The row's seq is not looked at. */
err_t *db_mail_consents_add(db_conn_t *conn, const db_mail_consent_t *row) WARN_UNUSED;
err_t *db_mail_consents_get(db_conn_t *conn, arena_t *arena, const char *id,
                            db_mail_consent_t *ret_row, bool *ret_found) WARN_UNUSED;
/* The device's newest in this state. */
err_t *db_mail_consents_of_device(db_conn_t *conn, arena_t *arena, const char *device_id,
                                  const char *state, db_mail_consent_t *ret_row,
                                  bool *ret_found) WARN_UNUSED;
/* Newest first; state "": all; `before` a seq, 0: from the newest. */
err_t *db_mail_consents_list(db_conn_t *conn, arena_t *arena, const char *state, int64_t before,
                             size_t limit, db_mail_consent_t **ret_rows,
                             size_t *ret_count) WARN_UNUSED;
/* From one state to another; *ret_changed false: it is not in the first. */
err_t *db_mail_consents_decide(db_conn_t *conn, const char *id, const char *from, const char *to,
                               int64_t now_ms, bool *ret_changed) WARN_UNUSED;
/* What waits or was given for a device is void. */
err_t *db_mail_consents_void(db_conn_t *conn, const char *device_id, int64_t now_ms) WARN_UNUSED;

typedef struct {
    const char *consent_id;
    const char *officer_id;
    const char *person_id;
    bool approved;
    bytes_t record;
    const char *reason;
    int64_t created_ms;
} db_mail_consent_answer_t;

/* Counts an approval. ERR_EXISTS: this officer answered already. */
err_t *db_mail_consent_answers_add(db_conn_t *conn,
                                   const db_mail_consent_answer_t *row) WARN_UNUSED;
/* In the order in which they came. */
err_t *db_mail_consent_answers_list(db_conn_t *conn, arena_t *arena, const char *consent_id,
                                    db_mail_consent_answer_t **ret_rows,
                                    size_t *ret_count) WARN_UNUSED;

#endif
