/*
 * Shares with people at the service (docs/formats/sync-shares.md): the signed records of members,
 * and what members' devices are verified by, their chains. For coffer-web; safe on any worker
 * thread. All calls are ones that sync_call_device filled in.
 */
#ifndef COFFER_SYNC_SERVICE_SHARE_H
#define COFFER_SYNC_SERVICE_SHARE_H

#include "store/mail_book.h"
#include "sync/service/service.h"

/*
 * One more record cofferYU. SYNC_WORD_NEWER with the newest record when the race is lost;
 * SYNC_WORD_POLICY: sharing is not allowed. *ret_new false: it is the newest already.
 */
err_t *sync_members_write(sync_call_t *call, bytes_t record, bool *ret_new) WARN_UNUSED;
/* Appends runs: those after `after`. */
err_t *sync_members_read(sync_call_t *call, int64_t after, buf_t *out) WARN_UNUSED;
/* The regions that somebody's devices may be known by; SYNC_WORD_PERSON: nobody has the address. */
err_t *sync_homes_of(sync_call_t *call, const char *email, const char **ret_person,
                     db_sync_region_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* The addresses in a group of the organisation (mail group); SYNC_WORD_ABSENT if it has none,
 * SYNC_WORD_POLICY for who may not share. */
err_t *sync_group_of(sync_call_t *call, const char *group, db_mail_member_t **ret_rows,
                     size_t *ret_count) WARN_UNUSED;
/* Appends runs: entries of somebody's home. SYNC_WORD_ABSENT for what is a share or nothing. */
err_t *sync_home_chain(sync_call_t *call, const uint8_t home[SYNC_HASH], int64_t from, buf_t *out,
                       int64_t *ret_entries) WARN_UNUSED;

#endif
