/*
 * sync_remote_t of one simulated client: a net that loses requests and answers, sends twice, late
 * and in another order, and behind it a service that may be hostile. It looks for canaries in all
 * that a client sends. One thread.
 */
#ifndef COFFER_TESTS_SIM_NET_H
#define COFFER_TESTS_SIM_NET_H

#include "sim_disk.h"
#include "sim_service.h"
#include "sync/engine/remote.h"

/* What a hostile service does to one victim; what is done with whole services (roll back, fork) is
 * the world's. */
typedef enum {
    SIM_TWIST_NONE,
    SIM_TWIST_FLIP_CHAIN, /* a bit of the answer */
    SIM_TWIST_FLIP_ROOT,
    SIM_TWIST_FLIP_PACKAGE,
    SIM_TWIST_FLIP_DATA,
    SIM_TWIST_CUT_CHAIN, /* its end is missing */
    SIM_TWIST_CUT_ROOT,
    SIM_TWIST_CUT_PACKAGE,
    SIM_TWIST_CUT_DATA,
    SIM_TWIST_MIX_DATA,      /* two chunks, or two halves, in each other's place */
    SIM_TWIST_SWAP_DATA,     /* another package's */
    SIM_TWIST_SWAP_PACKAGE,  /* another one, good in itself */
    SIM_TWIST_SWAP_CHANGE,   /* another root's */
    SIM_TWIST_ORDER_CHAIN,   /* entries out of order */
    SIM_TWIST_ORDER_ROOTS,   /* roots out of order */
    SIM_TWIST_REPLAY_ROOTS,  /* old ones in the place of new */
    SIM_TWIST_INSERT_DEVICE, /* an entry that a stranger signed */
    SIM_TWIST_INSERT_KEY,    /* a stranger's key for the region */
    SIM_TWIST_SWAP_KEY,      /* another device's delivery */
    SIM_TWIST_OLD_KEY,       /* old deliveries, and no new one */
    SIM_TWIST_HIDE_PACKAGE,  /* says there is none */
    SIM_TWIST_HIDE_DATA,
    SIM_TWIST_HIDE_CHAIN,  /* roots name a place that it does not show */
    SIM_TWIST_FAKE_COMMIT, /* takes a root, and forgets it */
    SIM_TWIST_GARBAGE,     /* answers of noise */
    SIM_TWISTS,
} sim_twist_t;

enum { SIM_LATE = 16 };

typedef struct {
    sim_rnd_t *rnd;
    sim_service_t *service; /* borrowed; the one that this client talks to at present */
    sim_disk_t *disk;       /* borrowed: without power there is no net */
    uint8_t device[SYNC_HASH];
    unsigned loss;        /* percent of requests, and of answers, that get lost */
    unsigned twice;       /* percent that arrive twice */
    bool cut;             /* no net at all */
    sim_twist_t twist;    /* at present */
    unsigned twisted;     /* answers that were */
    buf_t inserted;       /* what INSERT_DEVICE and INSERT_KEY put in */
    buf_t late[SIM_LATE]; /* single data packages on their way: root, then data */
    unsigned late_n;
    bool lost_late; /* one of them got lost: the next call that waits says so */
    buf_t again;    /* an old root with its change, to come once more */
    bool leaked;    /* a canary came by */
    sync_refusal_t refusal;
    uint64_t meanwhile_in; /* requests until `meanwhile` runs, once: other clients go on too */
    void (*meanwhile)(void *ctx);
    void *meanwhile_ctx;
    void (*edit)(void *ctx, buf_t *answer,
                 size_t from); /* or NULL: what a fuzzer does to answers */
    void *edit_ctx;
    uint64_t calls;
} sim_net_t;

void sim_net_init(sim_net_t *net, sim_rnd_t *rnd, sim_service_t *service, sim_disk_t *disk);
void sim_net_done(sim_net_t *net);
/* `net` is borrowed and is the context. */
sync_remote_t sim_net_remote(sim_net_t *net);
const char *sim_twist_name(sim_twist_t twist);

#endif
