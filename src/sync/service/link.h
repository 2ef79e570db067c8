/*
 * Links for outsiders at the service (docs/formats/sync-shares.md): devices leave, list and remove
 * them; whoever has the URL opens them and fetches what they name, and nothing else. Every deed and
 * every opening is in the audit log. For coffer-web; safe on any worker thread.
 */
#ifndef COFFER_SYNC_SERVICE_LINK_H
#define COFFER_SYNC_SERVICE_LINK_H

#include "store/sync_links.h"
#include "sync/service/service.h"

enum { SYNC_TICKET = 32, SYNC_TICKET_TEXT = 2 * SYNC_TICKET + 1 };

/* ---- by a device of the region: a call that sync_call_device filled in ---- */

/*
 * The record cofferYT for the link `id`. SYNC_WORD_POLICY: sharing outside is not allowed;
 * SYNC_WORD_MISSING: data that isn't held; SYNC_WORD_ROLE: needs write; SYNC_WORD_LIMIT: it lives
 * too long, or there are too many. *ret_new false: it was there.
 */
err_t *sync_link_put(sync_call_t *call, const uint8_t id[SYNC_NODE], bytes_t record,
                     bool *ret_new) WARN_UNUSED;
err_t *sync_link_list(sync_call_t *call, bytes_t after, size_t limit, db_sync_link_t **ret_rows,
                      size_t *ret_count) WARN_UNUSED;
/* SYNC_WORD_ABSENT. */
err_t *sync_link_remove(sync_call_t *call, const uint8_t id[SYNC_NODE]) WARN_UNUSED;
/* "open", "ended" or "locked". */
const char *sync_link_state(const db_sync_link_t *row, int64_t now_ms);

/* ---- by anybody: of the call only service and arena are filled in ---- */

/*
 * `peer` is for the audit. ERR_DENIED: a wrong token; SYNC_WORD_ABSENT: no such link, or it has
 * ended; SYNC_WORD_BUSY: too many openings at once. ret_ticket is hex with its NUL; *ret_list is in
 * the arena.
 */
err_t *sync_link_open_by(sync_call_t *call, const uint8_t id[SYNC_NODE],
                         const uint8_t token[SYNC_KEY], const char *peer,
                         char ret_ticket[SYNC_TICKET_TEXT], bytes_t *ret_list) WARN_UNUSED;
/* As sync_data_read, for who has a ticket; ERR_AUTH if it is none, or not for this. */
err_t *sync_link_data(sync_call_t *call, const uint8_t id[SYNC_NODE], bytes_t ticket,
                      const uint8_t root[SYNC_HASH], uint64_t from, uint64_t to, buf_t *out,
                      uint64_t *ret_size) WARN_UNUSED;

#endif
