/*
 * What a person is told of her leases: once a day at most, by mail, how often her mailboxes were
 * opened on which device while it was locked. The audit has a line for each person told, whether
 * there is a mail server or not. coffer-web's housekeeping.
 */
#ifndef COFFER_ESCROW_LEASE_DIGEST_H
#define COFFER_ESCROW_LEASE_DIGEST_H

#include "escrow/escrow.h"

/*
 * With the first call of a day (UTC): tells of the days before. Else nothing. A single opening
 * waits for others, for six days at most: it may have been for the last such mail itself.
 */
err_t *lease_digest_run(escrow_t *escrow) WARN_UNUSED;

#endif
