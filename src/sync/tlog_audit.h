/*
 * One device's own look at the log of chain heads: it reads every leaf in its order, so that the
 * tree is its own and not the service's, and holds those of its region against the chain that it
 * was shown. What it read is kept, and the next time it goes on from there: a tree that begins
 * otherwise can't come to the same root. Pure.
 *
 * Messages of ERR_VERIFY begin with a word, as the alarms of sync/engine do.
 */
#ifndef COFFER_SYNC_TLOG_AUDIT_H
#define COFFER_SYNC_TLOG_AUDIT_H

#include "sync/chain.h"
#include "sync/tlog.h"

typedef struct {
    merkle_t tree; /* of all leaves that were read */
    uint64_t own;  /* of them of the region's chain: its entries 0 to own - 1 */
} tlog_audit_t;

/* For the local state; ERR_INVALID for what is none. */
err_t *tlog_audit_put(const tlog_audit_t *audit, buf_t *out) WARN_UNUSED;
err_t *tlog_audit_parse(bytes_t text, tlog_audit_t *ret_audit) WARN_UNUSED;

/*
 * Takes the leaves of an entry bundle behind those that were read (audit->tree.n of the log), up
 * to `size` leaves in all. ERR_VERIFY "chain-forked": the log has another entry at a place of the
 * chain; "log-invalid": one twice, or out of order, or what is no leaf. ERR_NOT_FOUND: it has one
 * that the chain has not (fetch the chain, and go on with the same bundle; what was taken stays).
 */
err_t *tlog_audit_take(tlog_audit_t *audit, const sync_chain_t *chain, uint64_t size,
                       bytes_t bundle) WARN_UNUSED;
/* All was read and it is the tree that was signed; else ERR_VERIFY "log-invalid". */
err_t *tlog_audit_check(const tlog_audit_t *audit, const tlog_checkpoint_t *checkpoint) WARN_UNUSED;

#endif
