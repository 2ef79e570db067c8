/*
 * Shares with people (docs/formats/sync-shares.md): a share is a region of its own, whose chain has
 * every device of every member. Who the members are, and by which region of their own their
 * devices are known, says the members' record, cofferYU, signed by a device that manages the share.
 * The server's word is not in it: a member is named by the hash that his own chain begins with,
 * which people compare as digits once. From that chain follow his devices, today's and those
 * to come; sync_share_judge compares them with the share's chain and says who can read now, what
 * is wrong, and what a managing device is to do. Pure.
 */
#ifndef COFFER_SYNC_SHARE_H
#define COFFER_SYNC_SHARE_H

#include "sync/chain.h"
#include "sync/device_key.h"

/* ---- digits that two people compare ---- */

enum { SYNC_SAFETY_TEXT = 48 }; /* eight groups of five digits, spaces between, NUL */

/* The same for both, whoever asks: of the regions that their devices are known by. */
err_t *sync_safety_text(const uint8_t one[SYNC_HASH], const uint8_t other[SYNC_HASH],
                        char ret_text[SYNC_SAFETY_TEXT]) WARN_UNUSED;

/* ---- members ---- */

typedef struct {
    uint8_t home[SYNC_HASH];            /* the region whose chain has the member's devices */
    char person[LIMIT_SYNC_PERSON + 1]; /* as the manager knows him: his mail address */
    char group[LIMIT_SYNC_PERSON + 1];  /* that he came with, or "" */
    uint8_t roles;                      /* SYNC_READ, and SYNC_WRITE, SYNC_MANAGE */
    bool compared;                      /* the digits, by people */
} sync_member_t;

typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH];   /* the share */
    uint64_t counter;            /* from 1 */
    uint8_t previous[SYNC_HASH]; /* hash of the record before; zeros in the first */
    bytes_t members;             /* packed; sync_members_next */
    uint32_t count;
    uint8_t device[SYNC_HASH];
    uint64_t position; /* the author's place in the share's chain */
    uint8_t head[SYNC_HASH];
    uint8_t signature[SYNC_SIGNATURE];
    bytes_t message; /* what the signature is over; borrowed; not for put */
} sync_members_t;

/* Appends packed members, ascending by home, each once; ERR_INVALID, ERR_LIMIT. */
err_t *sync_members_pack(const sync_member_t *members, size_t n, buf_t *out) WARN_UNUSED;
/* All of it, checked. *ret_list: mem_free. */
err_t *sync_members_unpack(const sync_members_t *members, sync_member_t **ret_list,
                           size_t *ret_n) WARN_UNUSED;

err_t *sync_members_put(const sync_members_t *members, buf_t *out) WARN_UNUSED;
err_t *sync_members_parse(bytes_t record, sync_members_t *ret_members) WARN_UNUSED;
/* SHA-256 of the record. */
err_t *sync_members_hash(const sync_members_t *members, uint8_t ret_hash[SYNC_HASH]) WARN_UNUSED;

/* What of it a device keeps for good. */
typedef struct {
    uint64_t counter; /* 0: none yet */
    uint8_t hash[SYNC_HASH];
    uint64_t position;
} sync_members_seen_t;

/* Fills region, counter, previous, device, place at the chain's head, signature. */
err_t *sync_members_sign(sync_members_t *members, const sync_members_seen_t *before,
                         const sync_chain_t *share, const sync_device_key_t *device) WARN_UNUSED;
/*
 * Signed at its place by a device with role manage, and follows what was seen; updates it.
 * ERR_EXISTS: it is the very one. ERR_VERIFY for one that is older or another of that number;
 * ERR_DENIED for its author; ERR_NOT_FOUND: those between are missing.
 */
err_t *sync_members_follow(const sync_members_t *members, const sync_chain_t *share,
                           sync_members_seen_t *seen) WARN_UNUSED;
/* The service's check of a new one: that, and its author still manages. */
err_t *sync_members_admit(const sync_members_t *members, const sync_chain_t *share,
                          sync_members_seen_t *seen) WARN_UNUSED;

/* ---- who can read now ---- */

typedef enum {
    SYNC_SHARE_FINE,    /* in the share, and active in his chain */
    SYNC_SHARE_ADD,     /* active in a member's chain, not in the share: add and approve it */
    SYNC_SHARE_APPROVE, /* added, not approved */
    SYNC_SHARE_REVOKE,  /* in the share, but no member's active device: revoke it */
    SYNC_SHARE_ROLES,   /* in the share with more rights than its member has */
    SYNC_SHARE_ENDED,   /* a member's, but the share ended it: it comes back with new keys only */
    SYNC_SHARE_UNKNOWN, /* in the share; its member's chain was not to be had, so nobody can tell */
    SYNC_SHARE_RECOVERY, /* the organisation's recovery, which the chain shows to everybody */
} sync_share_state_t;

/* "fine", "to add", ... for people and programs. */
const char *sync_share_state_name(sync_share_state_t state);

typedef struct {
    sync_share_state_t state;
    uint8_t device[SYNC_HASH];
    uint8_t roles;               /* in the share now; 0: none */
    uint8_t wanted;              /* what its member has; 0: no member */
    const sync_member_t *member; /* borrowed from the list; NULL: nobody's */
    const sync_card_t *card;     /* borrowed from a chain */
} sync_share_row_t;

/* A member's own chain, verified; NULL where it could not be had. Borrowed. */
typedef struct {
    const sync_chain_t *home;
} sync_share_home_t;

/*
 * One row for each device that is active in the share or should be: those of members in their
 * order, then all others. `homes` has one for each member, in that order; a chain that is not of
 * the member's home is ERR_VERIFY. *ret_rows: mem_free.
 */
err_t *sync_share_judge(const sync_chain_t *share, const sync_member_t *members, size_t n,
                        const sync_share_home_t *homes, sync_share_row_t **ret_rows,
                        size_t *ret_n) WARN_UNUSED;

#endif
