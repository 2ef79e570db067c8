/*
 * Leases end early when their device is erased, lost or not managed any more: that is noted in the
 * transaction of the event (store/lease_ends.h), and the keeper, which is never asked inside one,
 * is told in the background until it has forgotten them.
 */
#ifndef COFFER_ESCROW_LEASES_H
#define COFFER_ESCROW_LEASES_H

#include "escrow/escrow.h"

/* One step; *ret_more false: nothing more for now. On an error the rest waits for the next. */
err_t *leases_end_some(escrow_t *escrow, size_t *ret_count, bool *ret_more) WARN_UNUSED;

#endif
