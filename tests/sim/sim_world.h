/*
 * The simulated world: some people, each with a device that runs the real engine over a simulated
 * disk and net, one service, one seed. A run is all chaos first, or an attack; then the faults stop
 * and the oracle looks:
 *
 *   - nothing that the service was ever sent has a canary, or a key of the region in it;
 *   - every file is one that somebody wrote, byte by byte, at all times;
 *   - nothing is lost that was not let go (see sim_person.h);
 *   - all clients come to the same tree and then to rest;
 *   - an attack is named, nothing is changed on disk from there on, and after a person's pardon
 *     and the attack's end all is well again.
 */
#ifndef COFFER_TESTS_SIM_WORLD_H
#define COFFER_TESTS_SIM_WORLD_H

#include "sim_net.h"
#include "sim_person.h"
#include "sync/chain_write.h"
#include "sync/engine/engine.h"

enum { SIM_CLIENTS = 4, SIM_EPOCHS = 16, SIM_PATH = 512 };

/* The attacks that are more than a twisted answer. */
typedef enum {
    SIM_ATTACK_NONE,
    SIM_ATTACK_TWIST,    /* see sim_net.h */
    SIM_ATTACK_ROLLBACK, /* a former state of the service */
    SIM_ATTACK_FORK,     /* two services, then one of them for all */
    SIM_ATTACK_WITHHOLD, /* nothing new for one of them, for a while */
    SIM_ATTACK_REVOKED,  /* a removed device goes on writing, and the service lets it */
    SIM_ATTACKS,
} sim_attack_t;

/* What the last client is, if it is not like the others. */
typedef enum {
    SIM_PART_NONE,
    SIM_PART_READER,  /* may read alone: another person's device in a share, say */
    SIM_PART_CHOOSER, /* has some of the folders */
    SIM_PART_HOLLOW,  /* a mapped drive: contents come when somebody opens a file */
    SIM_PART_LATE,    /* joins when there is much already */
    SIM_PARTS,
} sim_part_t;

typedef struct {
    uint64_t seed;
    sim_attack_t attack;
    sim_twist_t twist;
    sim_part_t part;
    unsigned clients, rounds;
    unsigned loss, twice; /* percent of requests */
    unsigned crashes;     /* percent of steps in which the power fails */
    unsigned meddling;    /* percent of steps in which somebody changes files meanwhile */
    unsigned hostile;     /* percent of steps in which the service does something, in the chaos */
    unsigned filling;     /* percent of steps in which the disk is full at some write */
    unsigned folding;     /* bits of clients whose disks fold names */
    unsigned stamps;      /* the same: disks that have stamps */
    bool big, full, clocks, rotations;
    bool wrong_clocks;  /* those of clients are off by up to two years */
    bool day;           /* two clients and one file, for a day */
    bool told;          /* print what happens */
    const char *folder; /* for the states' files; has no others */
} sim_plan_t;

/* What a seed does. */
sim_plan_t sim_plan(uint64_t seed);
const char *sim_plan_name(const sim_plan_t *plan);
/* The paths that the chooser has. */
extern const char *const sim_chosen[];

/* How often each attack was named, over many runs. */
typedef struct {
    unsigned twist[SIM_TWISTS], attack[SIM_ATTACKS];
} sim_named_t;
/* The name of one that was never named though it has to be, or NULL. */
const char *sim_never_named(const sim_named_t *named);

typedef struct {
    unsigned number;
    clk_fake_t clk;
    sim_disk_t *disk;
    sync_disk_t folder;
    sim_net_t net;
    sync_remote_t remote;
    sync_device_key_t key;
    db_local_t *state;
    char state_path[SIM_PATH];
    sync_engine_t *engine;
    sync_report_t report; /* of the last step */
    err_t *failure;       /* of the last step, or NULL */
    bool gone;            /* revoked */
    bool absent;          /* not in the region yet */
    bool acted;           /* somebody changed something on it */
} sim_client_t;

typedef struct {
    sim_plan_t plan;
    sim_rnd_t rnd;
    clk_fake_t clk;
    sim_people_t people;
    sim_service_t *service, *other; /* the second one is the attacker's */
    sync_chain_t *chain;            /* as device 0's person has it */
    secret_t *keys[SIM_EPOCHS];     /* of the region, by epoch from 1 */
    uint64_t epoch;
    uint8_t region[SYNC_HASH];
    sim_client_t client[SIM_CLIENTS];
    sim_client_t *other_turn; /* who steps in the middle of another's step */
    err_t *other_failure;     /* what the oracle said of it */
    sim_client_t *meddled;    /* whose files people change in the middle of a step */
    sync_device_key_t stranger;
    uint64_t steps, crashes, copies; /* for the line */
    char alarm[32];                  /* the attack's name, as the victim gave it */
    sim_named_t *named;
} sim_world_t;

/* Runs it; the error says what is wrong. *ret_line: one line about it. */
err_t *sim_run(const sim_plan_t *plan, sim_named_t *named, char *ret_line, size_t size) WARN_UNUSED;

/* For tests: a world in which nothing has happened yet. */
err_t *sim_world_new(const sim_plan_t *plan, sim_world_t **ret_world) WARN_UNUSED;

/*
 * For fuzzing: a world in which one client has written some files, and another one that begins anew
 * in each run and fetches them, while `edit` changes answers. The error: its disk has something
 * that nobody wrote.
 */
err_t *sim_edited_new(const sim_plan_t *plan, sim_world_t **ret_world) WARN_UNUSED;
err_t *sim_edited_run(sim_world_t *world, void (*edit)(void *ctx, buf_t *answer, size_t from),
                      void *ctx) WARN_UNUSED;
void sim_world_free(sim_world_t *world); /* takes NULL */

/* ---- for sim_attack.c ---- */

/* Time goes by, on all clocks. */
void sim_world_pass(sim_world_t *world, int64_t ms);
err_t *sim_world_step(sim_world_t *world, sim_client_t *client) WARN_UNUSED;
/* Its process ends, and begins again. */
err_t *sim_world_restart(sim_world_t *world, sim_client_t *client) WARN_UNUSED;
void sim_world_act(sim_world_t *world, sim_client_t *client);
/* All clients come to the same tree, and to rest. */
err_t *sim_world_settle(sim_world_t *world) WARN_UNUSED;
/* A new epoch, made by device 0's person: `gone` is revoked, or NULL. */
err_t *sim_world_rotate(sim_world_t *world, sim_client_t *gone) WARN_UNUSED;
err_t *sim_attack(sim_world_t *world) WARN_UNUSED;
/* Twists the answers to one client from now on. */
err_t *sim_attack_begin(sim_world_t *world, sim_client_t *victim, sim_twist_t twist) WARN_UNUSED;
/* Whether the word may be that of an alarm about it. */
bool sim_attack_fits(sim_twist_t twist, const char *word);

DEFINE_CLEANUP(sim_world_t, sim_world_free)

#endif
