/*
 * Who can read a share now, and what its manager is to do: see share.h. Pure; one thread.
 */
#include "base/mem.h"
#include "sync/share.h"

typedef struct {
    const sync_chain_t *share;
    sync_share_row_t *rows;
    size_t n, room;
} judge_t;

const char *sync_share_state_name(sync_share_state_t state) {
    switch (state) {
    case SYNC_SHARE_FINE: return "fine";
    case SYNC_SHARE_ADD: return "to add";
    case SYNC_SHARE_APPROVE: return "to approve";
    case SYNC_SHARE_REVOKE: return "to revoke";
    case SYNC_SHARE_ROLES: return "too many rights";
    case SYNC_SHARE_ENDED: return "needs new keys";
    case SYNC_SHARE_UNKNOWN: return "cannot be told";
    case SYNC_SHARE_RECOVERY: return "recovery";
    }
    return "?";
}

static err_t *add_row(judge_t *judge, const sync_share_row_t *row) {
    if (judge->n == judge->room) return err_new(ERR_LIMIT, "more devices than a share can have");
    judge->rows[judge->n++] = *row;
    return NULL;
}

static bool has_row(const judge_t *judge, const uint8_t device[SYNC_HASH]) {
    for (size_t i = 0; i < judge->n; i++)
        if (memcmp(judge->rows[i].device, device, SYNC_HASH) == 0) return true;
    return false;
}

/* What a device that a member's chain has active is in the share. */
static sync_share_state_t state_of(const sync_device_t *there, uint8_t wanted) {
    if (!there) return SYNC_SHARE_ADD;
    switch (there->state) {
    case SYNC_DEVICE_ADDED: return SYNC_SHARE_APPROVE;
    case SYNC_DEVICE_ENDED: return SYNC_SHARE_ENDED;
    case SYNC_DEVICE_ACTIVE: break;
    }
    return there->roles & ~wanted ? SYNC_SHARE_ROLES : SYNC_SHARE_FINE;
}

static err_t *judge_member(judge_t *judge, const sync_member_t *member, const sync_chain_t *home) {
    const sync_device_t *devices = NULL;
    sync_chain_head_t head;
    TRY(sync_chain_head(home, &head));
    if (memcmp(head.region, member->home, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the chain of %s is another one than was agreed on",
                       member->person);
    size_t n = sync_chain_devices(home, &devices);
    for (size_t i = 0; i < n; i++) {
        /* Recovery keys of his own region are not his devices. */
        if (devices[i].state != SYNC_DEVICE_ACTIVE || !(devices[i].roles & SYNC_READ)) continue;
        if (has_row(judge, devices[i].id)) continue;
        const sync_device_t *there = sync_chain_device(judge->share, devices[i].id);
        sync_share_row_t row = {.state = state_of(there, member->roles),
                                .wanted = member->roles,
                                .member = member,
                                .card = &devices[i].card};
        if (there && there->state == SYNC_DEVICE_ACTIVE) row.roles = there->roles;
        memcpy(row.device, devices[i].id, SYNC_HASH);
        TRY(add_row(judge, &row));
    }
    return NULL;
}

/* Whether a member whose chain could not be had might be the device's person. */
static const sync_member_t *maybe_of(const sync_device_t *device, const sync_member_t *members,
                                     size_t n, const sync_share_home_t *homes) {
    for (size_t i = 0; i < n; i++)
        if (!homes[i].home && strcmp(members[i].person, device->card.person) == 0)
            return &members[i];
    return NULL;
}

static err_t *judge_rest(judge_t *judge, const sync_member_t *members, size_t n,
                         const sync_share_home_t *homes) {
    const sync_device_t *devices = NULL;
    size_t all = sync_chain_devices(judge->share, &devices);
    for (size_t i = 0; i < all; i++) {
        if (devices[i].state != SYNC_DEVICE_ACTIVE || has_row(judge, devices[i].id)) continue;
        sync_share_row_t row = {.roles = devices[i].roles, .card = &devices[i].card};
        row.member = maybe_of(&devices[i], members, n, homes);
        row.state = devices[i].roles == SYNC_RECOVER ? SYNC_SHARE_RECOVERY
                    : row.member                     ? SYNC_SHARE_UNKNOWN
                                                     : SYNC_SHARE_REVOKE;
        if (row.member) row.wanted = row.member->roles;
        memcpy(row.device, devices[i].id, SYNC_HASH);
        TRY(add_row(judge, &row));
    }
    return NULL;
}

err_t *sync_share_judge(const sync_chain_t *share, const sync_member_t *members, size_t n,
                        const sync_share_home_t *homes, sync_share_row_t **ret_rows,
                        size_t *ret_n) {
    const sync_device_t *devices = NULL;
    judge_t judge = {.share = share, .room = sync_chain_devices(share, &devices)};
    for (size_t i = 0; i < n; i++)
        if (homes[i].home) judge.room += sync_chain_devices(homes[i].home, &devices);
    CLEANUP(mem_free) sync_share_row_t *rows = mem_array(judge.room ? judge.room : 1, sizeof *rows);
    if (!rows) return err_nomem();
    judge.rows = rows;
    for (size_t i = 0; i < n; i++)
        if (homes[i].home) TRY(judge_member(&judge, &members[i], homes[i].home));
    TRY(judge_rest(&judge, members, n, homes));
    *ret_rows = STEAL(rows);
    *ret_n = judge.n;
    return NULL;
}
