/*
 * Leases end early when their device is erased, lost or not managed any more: that is noted in the
 * transaction of the event (store/lease_ends.h), and the keeper, which is never asked inside one,
 * is told in the background until it has forgotten them. Such a device has no leases until it
 * enrols anew.
 *
 * A key is given back for an event alone: somebody who may (a source of mail, an admin) says what
 * happened, and the device asks for the key for that. Each release is audited before it leaves;
 * puts and renewals, which come with every unlock, are in the keeper's log.
 */
#ifndef COFFER_ESCROW_LEASES_H
#define COFFER_ESCROW_LEASES_H

#include "escrow/escrow.h"
#include "keeper/client_lease.h"
#include "store/lease_events.h"

/* One step; *ret_more false: nothing more for now. On an error the rest waits for the next. */
err_t *leases_end_some(escrow_t *escrow, size_t *ret_count, bool *ret_more) WARN_UNUSED;

/* Which lease, and who asks; borrowed. */
typedef struct {
    const char *device_id;
    const char *account;
    const char *actor; /* for the audit */
    bool by_identity;  /* the device itself, by its identity certificate: it may change its push key
                        */
} lease_ref_t;

/*
 * Puts or renews it; lease->device and account are the reference's. As keeper_lease_put; ERR_DENIED
 * too for a device that is lost, erased or released, ERR_BUSY while its former leases end. What is
 * refused is audited.
 */
err_t *leases_put(escrow_t *escrow, const lease_ref_t *ref, const keeper_lease_t *lease,
                  bytes_t sealed) WARN_UNUSED;
/* Something happened for the lease: its device may ask for the key, as often as the cap allows. */
err_t *leases_note_event(escrow_t *escrow, const lease_ref_t *ref, const char *event) WARN_UNUSED;
/*
 * The key for this event: keeper_lease_release. ERR_NOT_FOUND if there was no such event, or it was
 * asked for the first time longer than LIMIT_LEASE_AGAIN_S ago.
 */
err_t *leases_release(escrow_t *escrow, const lease_ref_t *ref, const char *event,
                      keeper_lease_t *ret_lease, buf_t *ret_sealed) WARN_UNUSED;
/* `account` "": all of the device. */
err_t *leases_revoke(escrow_t *escrow, const lease_ref_t *ref, const char *reason) WARN_UNUSED;

/* Ends all leases of the device; the next put registers its push key anew. Audited. */
err_t *leases_reset(escrow_t *escrow, const lease_ref_t *ref) WARN_UNUSED;

typedef struct {
    keeper_lease_state_t list[LIMIT_LEASES_DEVICE];
    size_t count;
    db_lease_event_t *events; /* that wait, oldest first; in the arena */
    size_t events_n;
} lease_view_t;

err_t *leases_view(escrow_t *escrow, arena_t *arena, const char *device_id,
                   lease_view_t *ret_view) WARN_UNUSED;
/* Drops events nobody can ask for any more. Inside a db_write. */
err_t *leases_purge(db_conn_t *conn, int64_t now_ms) WARN_UNUSED;

#endif
