/*
 * From what sources say to what devices are told, inside a transaction: old news is dropped, mail
 * that comes in quick succession is gathered into one event, and each enrolled device of the
 * mailbox's person gets it: a row that its stream shows, and a row that lets it ask for the key of
 * its lease (store/lease_events.h). That mail arrived is not audited; each release of a key is.
 */
#ifndef COFFER_ARRIVAL_RECORD_H
#define COFFER_ARRIVAL_RECORD_H

#include "arrival/hook.h"
#include "store/mailboxes.h"

enum {
    ARRIVAL_GATHER_MS = 2000, /* after an event, so long until the next of the same mailbox */
    ARRIVAL_EVENT_SIZE = 40,  /* "mail-", 32 hex digits and NUL */
    ARRIVAL_KEY_SIZE = 32,
};

typedef enum {
    ARRIVAL_TOLD,    /* an event went out */
    ARRIVAL_WAITS,   /* gathered: it goes out soon */
    ARRIVAL_OLD,     /* heard before */
    ARRIVAL_UNKNOWN, /* nobody watches this mailbox */
} arrival_end_t;

/*
 * The key of the names of events, of this instance, random, made at the first event and kept in the
 * table meta. Inside a db_write. The caller wipes it.
 */
err_t *arrival_event_key(db_conn_t *conn, arena_t *arena,
                         uint8_t ret_key[ARRIVAL_KEY_SIZE]) WARN_UNUSED;
/*
 * The name of an event, the same whenever the same is heard: HMAC-SHA-256 (RFC 2104) under `key`
 * over account, folder, uidvalidity, uid, modseq. Pushes carry it in the clear: a bare hash would
 * tell the push service the address, by trying.
 */
err_t *arrival_event_name(bytes_t key, const char *account, const arrival_t *arrival,
                          char ret_name[ARRIVAL_EVENT_SIZE]) WARN_UNUSED;

/* Whether it is old news; inside a db_read or db_write. */
err_t *arrival_is_old(db_conn_t *conn, arena_t *arena, const char *account,
                      const arrival_t *arrival, bool *ret_old) WARN_UNUSED;
/* Inside a db_write. `box` as it is in the database now. */
err_t *arrival_record(db_conn_t *conn, arena_t *arena, const db_mailbox_t *box,
                      const arrival_t *arrival, int64_t now_ms, arrival_end_t *ret_end) WARN_UNUSED;
/*
 * The same for what a source says of a folder because it was asked: of one that was not heard of
 * before it is remembered, and is no news.
 */
err_t *arrival_settle(db_conn_t *conn, arena_t *arena, const db_mailbox_t *box,
                      const arrival_t *arrival, int64_t now_ms, arrival_end_t *ret_end) WARN_UNUSED;
/* Sends out what was gathered and is due, at most `limit`. Inside a db_write. */
err_t *arrival_flush(db_conn_t *conn, arena_t *arena, int64_t now_ms, size_t limit,
                     size_t *ret_count) WARN_UNUSED;

#endif
