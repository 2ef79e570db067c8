/*
 * One entry of a device chain, record cofferYC, as bytes. What makes it hold is in chain.h. Pure.
 */
#ifndef COFFER_SYNC_CHAIN_ENTRY_H
#define COFFER_SYNC_CHAIN_ENTRY_H

#include "sync/suite.h"

typedef enum {
    SYNC_CHAIN_ADD = 1,     /* puts a device's card on the chain, without any rights */
    SYNC_CHAIN_APPROVE = 2, /* gives it roles, after people compared its authentication string */
    SYNC_CHAIN_REVOKE = 3,  /* takes them for good; a new epoch */
    SYNC_CHAIN_ROTATE = 4,  /* a new epoch, and if there is a card new keys of the author */
    SYNC_CHAIN_RECOVER = 5, /* a new device, given all rights by the recovery key; a new epoch */
} sync_chain_kind_t;

typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH]; /* hash of the first entry; zeros in the first */
    uint64_t position;         /* from 0 */
    uint8_t previous[SYNC_HASH];
    sync_chain_kind_t kind;
    int64_t time;               /* seconds since 1970 UTC; informative */
    uint8_t author[SYNC_HASH];  /* device id */
    uint8_t subject[SYNC_HASH]; /* whom it is about; zeros: a new epoch alone */
    uint8_t roles;              /* given: add (first entry), approve, recover; else 0 */
    bytes_t card;               /* record cofferYJ: add, rotate, recover; borrowed */
    uint64_t epoch;             /* in force after this entry, from 1 */
    uint8_t commit[SYNC_HASH];  /* of that epoch's region key: see epoch.h */
    bytes_t history;            /* of a new epoch but the first: the key before, sealed; borrowed */
    uint8_t signature[SYNC_SIGNATURE];
    bytes_t message; /* what the signature is over; borrowed; not for put */
} sync_chain_entry_t;

/* Everything before the signature. */
err_t *sync_chain_entry_put(const sync_chain_entry_t *entry, buf_t *out) WARN_UNUSED;
err_t *sync_chain_entry_parse(bytes_t record, sync_chain_entry_t *ret_entry) WARN_UNUSED;
const char *sync_chain_kind_name(sync_chain_kind_t kind);

#endif
