/*
 * What the files of the service share: see service.h.
 */
#ifndef COFFER_SYNC_SERVICE_SERVICE_INTERNAL_H
#define COFFER_SYNC_SERVICE_SERVICE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "sync/service/service.h"
#include "sync/tlog.h"

enum { SERVICE_ARENA = 64 * 1024 * 1024, SERVICE_TRIES = 4 };

/* The chain of one region in memory. */
typedef struct held_chain held_chain_t;
struct held_chain {
    uint8_t region[SYNC_HASH];
    pthread_mutex_t lock; /* guards chain */
    sync_chain_t *chain;
    unsigned refs; /* under the service's lock, as the rest */
    uint64_t used; /* when, for who must go */
    held_chain_t *next;
};

enum { CHAIN_ROWS = 1024 };

struct sync_service {
    sync_options_t o;
    char *host;                /* owned */
    uint8_t key[32];           /* of nonces and tokens; random at each start */
    _Atomic int64_t looked_at; /* data package, by whoever collects */
    pthread_mutex_t lock;      /* guards what follows */
    held_chain_t *rows[CHAIN_ROWS];
    size_t held;
    uint64_t clock;
};

/*
 * The region's chain, read up to `entries` and locked until it is closed. The database decides:
 * what the chain in memory lacks is fetched and checked.
 */
err_t *chain_open(sync_call_t *call, held_chain_t **ret_chain) WARN_UNUSED;
/* Unlocks it; `drop`: it went on and what it took was not kept. Takes NULL. */
void chain_close(sync_service_t *service, held_chain_t *held, bool drop);

/* For CLEANUP. */
typedef struct {
    sync_service_t *service;
    held_chain_t *held;
    bool drop;
} chain_lock_t;
static inline void chain_lock_done(chain_lock_t *lock) {
    chain_close(lock->service, lock->held, lock->drop);
}
DEFINE_CLEANUP_VALUE(chain_lock_t, chain_lock_done)

/* For what says since when something is there, or not: ms of the clock of ages. */
static inline int64_t service_age_ms(const sync_service_t *service) {
    return clk_unix_ms(service->o.ages);
}

/* The region's row as it is now, into call->region. SYNC_WORD_ABSENT. */
err_t *call_region(sync_call_t *call, db_conn_t *conn, const uint8_t region[SYNC_HASH]) WARN_UNUSED;
/* Inside a write: another entry came since the chain was read? ERR_BUSY then: try again. */
err_t *call_same_chain(sync_call_t *call, db_conn_t *conn) WARN_UNUSED;
/* Whether to try again. Frees e then. */
bool call_again(err_t **e, unsigned *tries);

/* Tells those who wait what is newest; after the write. */
void call_changed(const sync_call_t *call, int64_t root, int64_t entries, int64_t joins);

/* The person that a card is of, by id or address. SYNC_WORD_PERSON. */
err_t *call_card_person(sync_call_t *call, db_conn_t *conn, const sync_card_t *card,
                        db_person_t *ret_person) WARN_UNUSED;
err_t *call_policy(sync_call_t *call, db_conn_t *conn, const db_person_t *person,
                   const uint8_t *device, sync_policy_t *ret_policy) WARN_UNUSED;

/* Appends an entry to the log of heads, in the chain's transaction. */
err_t *log_append(sync_call_t *call, db_conn_t *conn, const sync_leaf_t *leaf,
                  db_sync_entry_t *row) WARN_UNUSED;

/* Lower-case hex in the arena, for audit notes. */
err_t *call_hex(sync_call_t *call, bytes_t data, const char **ret_hex) WARN_UNUSED;
/* "region:HEX" */
err_t *call_object(sync_call_t *call, const char **ret_object) WARN_UNUSED;

#endif
