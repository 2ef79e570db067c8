/*
 * Mail of sources that have no UIDs (Microsoft Graph, Exchange's web services): an opaque number
 * made of a message's id takes the place of a UIDVALIDITY, above all of IMAP's, so that what comes
 * twice is told once. Devices are told of the mailbox alone. Pure.
 */
#ifndef COFFER_ARRIVAL_OPAQUE_H
#define COFFER_ARRIVAL_OPAQUE_H

#include "arrival/hook.h"

/* Of a message's id: 62 bits of its hash. */
err_t *arrival_opaque(bytes_t id, int64_t *ret_opaque) WARN_UNUSED;
/* Of what was lost on the way, the same within that time. */
err_t *arrival_opaque_missed(int64_t now_ms, int64_t within_ms, int64_t *ret_opaque) WARN_UNUSED;
/*
 * The arrival of an opaque number. Its folder is one of a few places in which the last number is
 * remembered.
 */
err_t *arrival_opaque_arrival(arena_t *arena, int64_t opaque, arrival_t *ret_arrival) WARN_UNUSED;

#endif
