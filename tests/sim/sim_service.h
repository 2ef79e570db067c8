/*
 * The sync service in memory: one region, judged by the rules that the real one uses
 * (sync_chain_append, sync_delivery_check, sync_package_admit, sync_root_admit). It keeps all it
 * was ever sent, so that the oracle can look for plain text in it. A copy of a service is a fork of
 * it. One thread.
 */
#ifndef COFFER_TESTS_SIM_SERVICE_H
#define COFFER_TESTS_SIM_SERVICE_H

#include "base/buf.h"
#include "sync/chain.h"
#include "sync/root.h"

/* A record under its hash. */
typedef struct {
    uint8_t id[SYNC_HASH];
    buf_t bytes;
    uint64_t size;  /* a data package: of the whole */
    uint32_t parts; /* that came so far, bit by bit: a simulated package has at most 32 */
} sim_record_t;

typedef struct {
    sim_record_t *p;
    size_t n, room;
} sim_table_t;

typedef struct {
    sync_chain_t *chain;
    sim_table_t entries;     /* of the chain, in order */
    sim_table_t deliveries;  /* by recipient */
    sim_table_t packages;    /* signature packages by id */
    sim_table_t data;        /* data packages by root, whole */
    sim_table_t coming;      /* the same in parts, by the caller's number of the upload */
    sim_table_t roots;       /* in order, by hash */
    sim_table_t changes;     /* in the order of roots */
    sync_root_seen_t newest; /* root */
    bool lenient;            /* hostile: takes what the rules refuse */
    uint64_t requests, bytes;
} sim_service_t;

err_t *sim_service_new(sim_service_t **ret_service) WARN_UNUSED;
void sim_service_free(sim_service_t *service); /* takes NULL */
/* Its state at this moment, as a service of its own. */
err_t *sim_service_copy(const sim_service_t *from, sim_service_t **ret_service) WARN_UNUSED;

const sim_record_t *sim_table_find(const sim_table_t *table, const uint8_t id[SYNC_HASH]);
err_t *sim_table_add(sim_table_t *table, const uint8_t id[SYNC_HASH], bytes_t bytes) WARN_UNUSED;

/* ---- requests: `device` is who is logged in ---- */

/* ERR_DENIED for one that the chain does not have as active. */
err_t *sim_service_login(const sim_service_t *service, const uint8_t device[SYNC_HASH]) WARN_UNUSED;

/* Entries from position `from` on, as runs. */
err_t *sim_service_chain(sim_service_t *service, uint64_t from, buf_t *out) WARN_UNUSED;
/* ERR_EXISTS if another one came first; ERR_VERIFY, ERR_DENIED ... from the rules. */
err_t *sim_service_chain_post(sim_service_t *service, bytes_t entry) WARN_UNUSED;
err_t *sim_service_deliver(sim_service_t *service, bytes_t delivery) WARN_UNUSED;
/* Those for the device, as runs. */
err_t *sim_service_deliveries(sim_service_t *service, const uint8_t device[SYNC_HASH],
                              buf_t *out) WARN_UNUSED;
err_t *sim_service_package_put(sim_service_t *service, bytes_t bytes) WARN_UNUSED;
/* ERR_NOT_FOUND. */
err_t *sim_service_package(sim_service_t *service, const uint8_t id[SYNC_HASH],
                           buf_t *out) WARN_UNUSED;
bool sim_service_has_data(const sim_service_t *service, const uint8_t root[SYNC_HASH]);
/* A whole package under its root; ERR_VERIFY if it has another. */
err_t *sim_service_data_put(sim_service_t *service, const uint8_t root[SYNC_HASH],
                            bytes_t bytes) WARN_UNUSED;
/* One part as sync_part() says, under the caller's number. */
err_t *sim_service_upload_put(sim_service_t *service, const uint8_t upload[SYNC_NODE],
                              uint64_t size, uint32_t part, bytes_t bytes) WARN_UNUSED;
/* Parts that are here, from the first on. */
uint32_t sim_service_upload_held(const sim_service_t *service, const uint8_t upload[SYNC_NODE]);
/* ERR_VERIFY if the whole has another root, ERR_INVALID if parts are missing. */
err_t *sim_service_upload_end(sim_service_t *service, const uint8_t upload[SYNC_NODE],
                              uint64_t size, const uint8_t root[SYNC_HASH]) WARN_UNUSED;
err_t *sim_service_data(sim_service_t *service, const uint8_t root[SYNC_HASH], uint64_t offset,
                        size_t n, buf_t *out) WARN_UNUSED;
/* The newest root and its change; *ret_found false before the first. */
err_t *sim_service_root(sim_service_t *service, buf_t *root, buf_t *change,
                        bool *ret_found) WARN_UNUSED;
/* The root of a number and its change; ERR_NOT_FOUND. */
err_t *sim_service_root_at(sim_service_t *service, uint64_t counter, buf_t *root,
                           buf_t *change) WARN_UNUSED;
/* ERR_EXISTS if it does not follow the newest (compare and swap); else from the rules. */
err_t *sim_service_root_post(sim_service_t *service, bytes_t root, bytes_t change) WARN_UNUSED;

/* ---- the oracle ---- */

/* Whether the needle stands anywhere in what it holds. */
bool sim_service_knows(const sim_service_t *service, bytes_t needle);

DEFINE_CLEANUP(sim_service_t, sim_service_free)

#endif
