/*
 * Naming a data package: a device that seals while it sends learns the root at the end, so its
 * parts come under a random name, and this gives them the right one, when it is. Worker threads.
 */
#include "store/sync_data.h"
#include "store/sync_packages.h"
#include "sync/service/service_internal.h"

typedef struct {
    sync_call_t *call;
    bytes_t from, to;
} name_t;

/* The Merkle root of what is here, from the leaves that were kept of each part. */
static err_t *check_root(const name_t *n, db_conn_t *conn, const db_sync_data_t *data) {
    sync_call_t *call = n->call;
    db_sync_part_t *parts = NULL;
    uint8_t root[SYNC_HASH];
    merkle_t merkle;
    size_t parts_n = 0;
    TRY(db_sync_part_list(conn, call->arena, data->seq, &parts, &parts_n));
    if (parts_n != sync_parts((uint64_t)data->size))
        return sync_no(call, SYNC_WORD_DATA, "%zu of %u parts are here", parts_n,
                       sync_parts((uint64_t)data->size));
    merkle_init(&merkle);
    for (size_t i = 0; i < parts_n; i++)
        for (size_t at = 0; at + MERKLE_HASH <= parts[i].leaves.n; at += MERKLE_HASH)
            TRY(merkle_add(&merkle, parts[i].leaves.p + at));
    TRY(merkle_root(&merkle, root));
    if (!bytes_eq(n->to, BYTES_ARRAY(root)))
        return sync_no(call, SYNC_WORD_DATA, "the parts have another root");
    return NULL;
}

static bool is_whole(const db_sync_data_t *data) {
    return data->held >= (int64_t)sync_parts((uint64_t)data->size);
}

static err_t *name_fn(db_conn_t *conn, void *arg) {
    const name_t *n = arg;
    sync_call_t *call = n->call;
    db_sync_data_t from, to;
    bool found = false, there = false;
    int64_t now_ms = service_age_ms(call->service);
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, n->from, &from, &found));
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, n->to, &to, &there));
    if (!found && there && is_whole(&to)) return NULL; /* it was named before */
    if (!found) return sync_no(call, SYNC_WORD_ABSENT, "nothing of this package is here");
    TRY(check_root(n, conn, &from));
    if (there) {
        const db_sync_data_t *spare = is_whole(&to) ? &from : &to;
        TRY(db_sync_region_use(conn, call->region.seq, -spare->size));
        TRY(db_sync_data_remove(conn, spare, now_ms));
        if (spare == &from) return NULL;
    }
    return db_sync_data_rename(conn, call->arena, &from, n->to, now_ms);
}

err_t *sync_data_name(sync_call_t *call, const uint8_t from[SYNC_HASH],
                      const uint8_t root[SYNC_HASH]) {
    name_t n = {call, bytes_make(from, SYNC_HASH), bytes_make(root, SYNC_HASH)};
    if (!(call->roles & SYNC_WRITE)) return sync_no(call, SYNC_WORD_ROLE, "the device only reads");
    if (bytes_eq(n.from, n.to)) return sync_no(call, SYNC_WORD_MALFORMED, "it has that name");
    return db_write(call->service->o.db, name_fn, &n);
}

/* ---- an upload that nobody goes on with ---- */

static err_t *drop_fn(db_conn_t *conn, void *arg) {
    const name_t *n = arg;
    sync_call_t *call = n->call;
    db_sync_data_t data;
    bool found = false;
    int64_t packages = 0;
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, n->from, &data, &found));
    if (!found) return sync_no(call, SYNC_WORD_ABSENT, "nothing of this package is here");
    TRY(db_sync_package_of_root(conn, call->region.seq, n->from, &packages));
    if (packages) return sync_no(call, SYNC_WORD_DATA, "a package has this data");
    TRY(db_sync_region_use(conn, call->region.seq, -data.size));
    return db_sync_data_remove(conn, &data, service_age_ms(call->service));
}

err_t *sync_data_drop(sync_call_t *call, const uint8_t name[SYNC_HASH]) {
    name_t n = {call, bytes_make(name, SYNC_HASH), BYTES_NONE};
    if (!(call->roles & SYNC_WRITE)) return sync_no(call, SYNC_WORD_ROLE, "the device only reads");
    return db_write(call->service->o.db, drop_fn, &n);
}
