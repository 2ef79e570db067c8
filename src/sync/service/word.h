/*
 * The reasons for which the service of sync refuses: words that programs may rely on
 * (docs/formats/sync-api.md, "Refusals"), their HTTP statuses, and which word a check's failure is.
 * Pure; for the service and for whoever plays it in tests.
 */
#ifndef COFFER_SYNC_SERVICE_WORD_H
#define COFFER_SYNC_SERVICE_WORD_H

#include "sync/chain.h"
#include "sync/package.h"
#include "sync/root.h"

typedef enum {
    SYNC_WORD_NONE = 0, /* not refused, or for a reason that has no word */
    SYNC_WORD_SESSION,
    SYNC_WORD_REVOKED,
    SYNC_WORD_DISABLED,
    SYNC_WORD_WIPE,
    SYNC_WORD_PERSON,
    SYNC_WORD_POLICY,
    SYNC_WORD_ABSENT, /* "none" */
    SYNC_WORD_NEWER,
    SYNC_WORD_LIMIT,
    SYNC_WORD_MALFORMED,
    SYNC_WORD_REGION,
    SYNC_WORD_SUITE,
    SYNC_WORD_AUTHOR,
    SYNC_WORD_POSITION,
    SYNC_WORD_FORK,
    SYNC_WORD_ROLE,
    SYNC_WORD_EPOCH,
    SYNC_WORD_SIGNATURE,
    SYNC_WORD_DATA,
    SYNC_WORD_HEADER,
    SYNC_WORD_MISSING,
    SYNC_WORD_CHANGE,
    SYNC_WORD_SIZE,
    SYNC_WORD_RANGE,
    SYNC_WORD_BUSY,
    SYNC_WORD_QUOTA,
    SYNC_WORD_FULL,
} sync_word_t;

const char *sync_word_name(sync_word_t word);
/* Of the answer. */
unsigned sync_word_status(sync_word_t word);
/* Of the error that goes with it. */
err_code_t sync_word_code(sync_word_t word);

/*
 * What is wrong with a package that sync_package_admit refused, a root that sync_root_admit
 * refused, an entry that sync_chain_append refused, a delivery that sync_delivery_check did. Only
 * to explain: what is admitted is decided there alone.
 */
sync_word_t sync_word_package(const sync_package_t *package, const sync_chain_t *chain,
                              const sync_header_t *header, const uint8_t root[SYNC_HASH]);
sync_word_t sync_word_root(const sync_root_t *root, const sync_chain_t *chain,
                           const sync_root_seen_t *seen);
sync_word_t sync_word_entry(const sync_chain_entry_t *entry, const sync_chain_t *chain,
                            err_code_t code);
/* A record that did not parse, by the error's code. */
sync_word_t sync_word_parse(bytes_t record, err_code_t code);
/* Where somebody was in the chain when he signed. SYNC_WORD_NONE: nothing wrong with that. */
sync_word_t sync_word_place(const sync_chain_t *chain, const uint8_t device[SYNC_HASH],
                            uint64_t position, const uint8_t head[SYNC_HASH], uint8_t roles);

#endif
