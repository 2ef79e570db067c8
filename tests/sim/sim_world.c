/*
 * The simulated world: see sim_world.h.
 */
#include "sim_world.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "sim_folder.h"

enum { NOW_MS = 1700000000, SETTLE_ROUNDS = 60, STEPS_AT_ONCE = 12 };

/* ---- plans ---- */

sim_plan_t sim_plan(uint64_t seed) {
    enum { KINDS = SIM_TWISTS - 1 + SIM_ATTACKS - 2 };
    sim_rnd_t rnd;
    sim_plan_t plan = {.seed = seed, .attack = SIM_ATTACK_NONE};
    sim_rnd_init(&rnd, seed * 2654435761u + 17);
    plan.clients = 2 + sim_rnd_below(&rnd, SIM_CLIENTS - 1);
    plan.rounds = 20 + sim_rnd_below(&rnd, 50);
    plan.loss = sim_rnd_percent(&rnd, 60) ? sim_rnd_below(&rnd, 15) : 0;
    plan.twice = sim_rnd_percent(&rnd, 50) ? 20 : 0;
    plan.crashes = sim_rnd_percent(&rnd, 60) ? 10 + sim_rnd_below(&rnd, 40) : 0;
    plan.meddling = sim_rnd_percent(&rnd, 50) ? 40 : 0;
    plan.big = sim_rnd_percent(&rnd, 8);
    plan.full = sim_rnd_percent(&rnd, 15);
    plan.clocks = sim_rnd_percent(&rnd, 25);
    plan.rotations = sim_rnd_percent(&rnd, 35);
    if (seed % 3) return plan;
    unsigned kind = (unsigned)(seed / 3 % KINDS);
    plan.attack = kind < SIM_TWISTS - 1
                      ? SIM_ATTACK_TWIST
                      : (sim_attack_t)(SIM_ATTACK_ROLLBACK + kind - (SIM_TWISTS - 1));
    plan.twist = kind < SIM_TWISTS - 1 ? (sim_twist_t)(kind + 1) : SIM_TWIST_NONE;
    plan.rounds = 12;
    plan.full = false;
    return plan;
}

const char *sim_plan_name(const sim_plan_t *plan) {
    static const char *const names[SIM_ATTACKS] = {"honest", "twist",    "roll-back",
                                                   "fork",   "withhold", "revoked-writer"};
    return plan->attack == SIM_ATTACK_TWIST ? sim_twist_name(plan->twist) : names[plan->attack];
}

static void tell(const sim_world_t *world, const sim_client_t *client, const char *what) {
    if (world->plan.told) (void)fprintf(stderr, "client %u: %s\n", client->number, what);
}

/* ---- clients ---- */

static void client_stop(sim_client_t *client) {
    sync_engine_free(client->engine);
    db_local_close(client->state);
    client->engine = NULL;
    client->state = NULL;
}

static err_t *client_start(sim_world_t *world, sim_client_t *client) {
    TRY_WRAP(db_local_open(client->state_path, &world->clk.clk, &client->state),
             "opening the state");
    sync_engine_config_t config = {.disk = &client->folder,
                                   .remote = &client->remote,
                                   .state = client->state,
                                   .clk = &world->clk.clk,
                                   .rnd = &world->rnd.rnd,
                                   .device = &client->key,
                                   .brake_percent = 100};
    memcpy(config.region, world->region, SYNC_HASH);
    return sync_engine_new(&config, &client->engine);
}

static err_t *client_make(sim_world_t *world, unsigned number) {
    sim_client_t *client = &world->client[number];
    char name[32], person[32];
    (void)snprintf(name, sizeof name, "device%u", number);
    (void)snprintf(person, sizeof person, "person-%u", number % 2);
    client->number = number;
    (void)snprintf(client->state_path, sizeof client->state_path, "%s/state%u", world->plan.folder,
                   number);
    TRY(sync_device_key_make(&world->rnd.rnd, name, person, NOW_MS / 1000, &client->key));
    TRY(sim_disk_new(&world->rnd, &world->clk, &client->disk));
    client->folder = sim_folder(client->disk);
    sim_net_init(&client->net, &world->rnd, world->service, client->disk);
    memcpy(client->net.device, client->key.id, SYNC_HASH);
    client->remote = sim_net_remote(&client->net);
    return NULL;
}

static void client_unlink(const sim_client_t *client) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[SIM_PATH + 16];
        (void)snprintf(path, sizeof path, "%s%s", client->state_path, ends[i]);
        if (*client->state_path) (void)unlink(path);
    }
}

static void client_done(sim_client_t *client) {
    client_stop(client);
    client_unlink(client);
    err_free(client->failure);
    sim_net_done(&client->net);
    sim_disk_free(client->disk);
    sync_device_key_done(&client->key);
}

/* ---- the region, as `coffer sync init`, `join` and `approve` make it ---- */

static sync_chain_writer_t writer(sim_world_t *world) {
    return (sync_chain_writer_t){
        .rnd = &world->rnd.rnd, .author = &world->client[0].key, .now = clk_unix(&world->clk.clk)};
}

static err_t *post(sim_world_t *world, buf_t *entry) {
    TRY(sim_service_chain_post(world->service, buf_bytes(entry)));
    buf_clear(entry);
    return NULL;
}

static err_t *deliver(sim_world_t *world) {
    for (unsigned i = 0; i < world->plan.clients; i++) {
        CLEANUP(buf_done) buf_t delivery;
        buf_init(&delivery, LIMIT_SYNC_DELIVERY);
        if (world->client[i].gone) continue;
        TRY(sync_delivery_seal(world->chain, &world->client[0].key, world->client[i].key.id,
                               world->keys[world->epoch], &delivery));
        TRY(sim_service_deliver(world->service, buf_bytes(&delivery)));
    }
    return NULL;
}

static err_t *region_make(sim_world_t *world) {
    CLEANUP(buf_done) buf_t entry;
    sync_chain_head_t head;
    sync_chain_writer_t first = writer(world);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    world->epoch = 1;
    TRY(sync_chain_new(&world->chain));
    TRY(sync_chain_begin(&first, world->chain, &entry, &world->keys[1]));
    TRY(post(world, &entry));
    TRY(sync_chain_head(world->chain, &head));
    memcpy(world->region, head.region, SYNC_HASH);
    for (unsigned i = 1; i < world->plan.clients; i++) {
        const sync_device_key_t *key = &world->client[i].key;
        TRY(sync_chain_add(&first, world->chain, &key->card, &entry));
        TRY(post(world, &entry));
        TRY(sync_chain_approve(&first, world->chain, key->id, SYNC_READ | SYNC_WRITE, &entry));
        TRY(post(world, &entry));
    }
    return deliver(world);
}

err_t *sim_world_rotate(sim_world_t *world, sim_client_t *gone) {
    CLEANUP(buf_done) buf_t entry;
    sync_chain_writer_t first = writer(world);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    if (world->epoch + 1 >= SIM_EPOCHS) return NULL;
    const secret_t *key = world->keys[world->epoch];
    secret_t **next = &world->keys[world->epoch + 1];
    if (gone) TRY(sync_chain_revoke(&first, world->chain, gone->key.id, key, &entry, next));
    else TRY(sync_chain_rotate(&first, world->chain, NULL, key, &entry, next));
    world->epoch++;
    if (gone) gone->gone = true;
    TRY(post(world, &entry));
    return deliver(world);
}

/* ---- what happens ---- */

void sim_world_act(sim_world_t *world, sim_client_t *client) {
    clk_fake_advance(&world->clk, 1 + sim_rnd_below(&world->rnd, 100000));
    sim_people_act(&world->people, client->number, client->disk);
}

/* In the middle of a step. */
static void meddle(void *ctx) {
    sim_world_t *world = ctx;
    bool large = world->plan.big && sim_rnd_percent(&world->rnd, 50);
    if (large) sim_people_overwrite(&world->people, world->meddled->number, world->meddled->disk);
    else sim_world_act(world, world->meddled);
}

err_t *sim_world_step(sim_world_t *world, sim_client_t *client) {
    char text[512];
    if (!client->engine) TRY(client_start(world, client));
    err_free(client->failure);
    client->report = (sync_report_t){0};
    client->failure = sync_engine_step(client->engine, &client->report);
    fault_arm_io(0);
    world->steps++;
    world->copies += client->report.conflicts;
    if (client->failure) tell(world, client, err_text(client->failure, text, sizeof text));
    if (*client->report.alarm) tell(world, client, client->report.alarm);
    TRY_WRAP(sim_people_check_exact(&world->people, client->disk, sim_folder_ours),
             "client %u after a step", client->number);
    return NULL;
}

err_t *sim_world_restart(sim_world_t *world, sim_client_t *client) {
    client_stop(client);
    return client_start(world, client);
}

static bool no_attack_word(const char *word) {
    return *word == 0 || strcmp(word, SYNC_ALARM_REVOKED) == 0;
}

static err_t *check_alarm(const sim_client_t *client) {
    if (no_attack_word(client->report.alarm)) return NULL;
    return err_new(ERR_VERIFY, "client %u raised \"%s\" where nobody attacked", client->number,
                   client->report.alarm);
}

/* Between two requests of one client another one does a whole step: races for the root. */
static void other_turn(void *ctx) {
    sim_world_t *world = ctx;
    err_t *e = sim_world_step(world, world->other_turn);
    if (!e) e = check_alarm(world->other_turn);
    if (world->other_failure) err_free(e);
    else world->other_failure = e;
}

static void let_others(sim_world_t *world, sim_client_t *client) {
    sim_client_t *other = &world->client[sim_rnd_below(&world->rnd, world->plan.clients)];
    if (other == client || !other->engine || other->gone || !sim_rnd_percent(&world->rnd, 40))
        return;
    world->other_turn = other;
    client->net.meanwhile = other_turn;
    client->net.meanwhile_ctx = world;
    client->net.meanwhile_in = 1 + sim_rnd_below(&world->rnd, 14);
}

/* A step in which the power may fail, and people may meddle. */
static err_t *rough_step(sim_world_t *world, sim_client_t *client) {
    sim_rnd_t *rnd = &world->rnd;
    if (sim_rnd_percent(rnd, world->plan.crashes))
        sim_disk_crash_after(client->disk, 1 + sim_rnd_below(rnd, 150));
    if (sim_rnd_percent(rnd, world->plan.meddling)) {
        world->meddled = client;
        sim_disk_hook_after(client->disk, 1 + sim_rnd_below(rnd, 100), meddle, world);
    }
    if (sim_rnd_percent(rnd, world->plan.crashes / 3)) fault_arm_io(1 + sim_rnd_below(rnd, 12));
    if (world->plan.full) sim_disk_room(client->disk, sim_rnd_percent(rnd, 30) ? 8000 : UINT64_MAX);
    if (!client->engine) {
        err_t *e = client_start(world, client);
        if (e) tell(world, client, "could not start");
        if (e) client_stop(client);
        err_free(e);
        fault_arm_io(0);
    }
    let_others(world, client);
    if (client->engine) TRY(sim_world_step(world, client));
    client->net.meanwhile_in = 0;
    if (world->other_failure) return STEAL(world->other_failure);
    if (sim_disk_crashed(client->disk) || sim_rnd_percent(rnd, 5)) {
        tell(world, client, "is started again");
        world->crashes++;
        client_stop(client);
        sim_disk_power(client->disk);
    }
    sim_disk_crash_after(client->disk, 0);
    sim_disk_hook_after(client->disk, 0, NULL, NULL);
    sim_disk_room(client->disk, UINT64_MAX);
    return NULL;
}

static err_t *round_of(sim_world_t *world) {
    sim_rnd_t *rnd = &world->rnd;
    sim_client_t *client = &world->client[sim_rnd_below(rnd, world->plan.clients)];
    unsigned deeds = sim_rnd_below(rnd, 4);
    for (unsigned i = 0; i < deeds; i++) sim_world_act(world, client);
    client->net.cut = sim_rnd_percent(rnd, 10);
    if (world->plan.clocks && sim_rnd_percent(rnd, 10))
        clk_fake_advance(&world->clk, ((int64_t)sim_rnd_below(rnd, 2000) - 1000) * 3600000);
    if (world->plan.rotations && sim_rnd_percent(rnd, 6)) {
        sim_client_t *last = &world->client[world->plan.clients - 1];
        bool revoke = world->plan.clients > 2 && !last->gone && sim_rnd_percent(rnd, 20);
        TRY(sim_world_rotate(world, revoke ? last : NULL));
    }
    TRY(rough_step(world, client));
    return check_alarm(client);
}

/* ---- the end ---- */

static err_t *calm(sim_world_t *world) {
    for (unsigned i = 0; i < world->plan.clients; i++) {
        sim_client_t *client = &world->client[i];
        client->net.cut = false;
        client->net.loss = client->net.twice = 0;
        client->net.twist = SIM_TWIST_NONE;
        if (client->failure && !client->gone) client_stop(client);
    }
    return NULL;
}

static err_t *failure_of(const sim_client_t *client) {
    char text[512];
    const sync_report_t *report = &client->report;
    if (!client->failure)
        return err_new(ERR_VERIFY, "client %u does not come to rest: %llu left (%s)",
                       client->number, (unsigned long long)report->left, report->first_left);
    return err_new(ERR_VERIFY, "client %u still fails: [%s] %s", client->number, report->alarm,
                   err_text(client->failure, text, sizeof text));
}

/* One step of each; whether none of them did anything. */
static err_t *sweep(sim_world_t *world, bool *ret_quiet, const sim_client_t **ret_busy) {
    bool quiet = true;
    uint64_t roots = world->service->roots.n;
    for (unsigned i = 0; i < world->plan.clients; i++) {
        sim_client_t *client = &world->client[i];
        if (client->gone) continue;
        clk_fake_advance(&world->clk, 60000);
        (void)sim_disk_changes(client->disk);
        TRY(sim_world_step(world, client));
        bool busy = client->failure || client->report.again || client->report.left ||
                    sim_disk_changes(client->disk) || world->service->roots.n != roots;
        if (busy) *ret_busy = client;
        quiet = quiet && !busy;
    }
    *ret_quiet = quiet;
    return NULL;
}

err_t *sim_world_settle(sim_world_t *world) {
    const sim_client_t *busy = &world->client[0];
    unsigned still = 0;
    for (unsigned i = 0; i < SETTLE_ROUNDS && still < 2; i++) {
        bool quiet = false;
        TRY(sweep(world, &quiet, &busy));
        still = quiet ? still + 1 : 0;
    }
    if (still < 2) return failure_of(busy);
    for (unsigned i = 1; i < world->plan.clients; i++) {
        if (world->client[i].gone) continue;
        TRY_WRAP(sim_people_compare(world->client[0].disk, world->client[i].disk, sim_folder_ours),
                 "client %u against client 0", i);
    }
    return NULL;
}

static err_t *check_secrets(const sim_world_t *world) {
    for (unsigned i = 0; i < world->plan.clients; i++)
        if (world->client[i].net.leaked) return err_new(ERR_VERIFY, "client %u sent plain text", i);
    for (uint64_t e = 1; e <= world->epoch; e++)
        if (sim_service_knows(world->service, secret_bytes(world->keys[e])))
            return err_new(ERR_VERIFY, "the service knows a key");
    return NULL;
}

/* What people wrote on a device that was revoked lies there still, and nowhere else perhaps. */
static err_t *check_all(sim_world_t *world) {
    TRY(check_secrets(world));
    for (unsigned i = 0; i < world->plan.clients; i++) {
        sim_client_t *client = &world->client[i];
        if (client->gone) TRY(sim_people_excuse(&world->people, client->disk));
    }
    return sim_people_check(&world->people, world->client[0].disk, sim_folder_ours);
}

static err_t *begin(sim_world_t *world) {
    const sim_plan_t *plan = &world->plan;
    TRY(sim_service_new(&world->service));
    for (unsigned i = 0; i < plan->clients; i++) TRY(client_make(world, i));
    TRY(sync_device_key_make(&world->rnd.rnd, "stranger", "nobody", NOW_MS / 1000,
                             &world->stranger));
    TRY(region_make(world));
    for (unsigned i = 0; i < plan->clients; i++) {
        world->client[i].net.loss = plan->loss;
        world->client[i].net.twice = plan->twice;
    }
    return NULL;
}

static err_t *run(sim_world_t *world) {
    const sim_plan_t *plan = &world->plan;
    TRY(begin(world));
    for (unsigned i = 0; i < plan->rounds; i++) TRY_WRAP(round_of(world), "round %u", i);
    TRY(calm(world));
    TRY_WRAP(sim_world_settle(world), "after the faults stopped");
    TRY(check_all(world));
    if (plan->attack == SIM_ATTACK_NONE) return NULL;
    TRY_WRAP(sim_attack(world), "attack %s", sim_plan_name(plan));
    return check_all(world);
}

void sim_world_free(sim_world_t *world) {
    if (!world) return;
    for (unsigned i = 0; i < SIM_CLIENTS; i++) client_done(&world->client[i]);
    sim_service_free(world->service);
    sim_service_free(world->other);
    sync_chain_free(world->chain);
    for (unsigned i = 0; i < SIM_EPOCHS; i++) secret_free(world->keys[i]);
    sync_device_key_done(&world->stranger);
    err_free(world->other_failure);
    mem_free(world);
}
DEFINE_CLEANUP(sim_world_t, sim_world_free)

static err_t *world_new(const sim_plan_t *plan, sim_world_t **ret_world) {
    sim_world_t *world = mem_zalloc(sizeof *world);
    if (!world) return err_nomem();
    world->plan = *plan;
    sim_rnd_init(&world->rnd, plan->seed);
    clk_fake_init(&world->clk, (int64_t)NOW_MS * 1000);
    sim_people_init(&world->people, &world->rnd);
    world->people.big = plan->big;
    world->people.told = plan->told;
    world->people.stress = sim_rnd_below(&world->rnd, 100);
    *ret_world = world;
    return NULL;
}

err_t *sim_edited_new(const sim_plan_t *plan, sim_world_t **ret_world) {
    CLEANUP(sim_world_free) sim_world_t *world = NULL;
    uint32_t content = 0;
    TRY(world_new(plan, &world));
    TRY(begin(world));
    for (unsigned i = 0; i < 3; i++) {
        TRY(sim_people_write(&world->people, world->client[0].disk, &content));
        TRY(sim_world_step(world, &world->client[0]));
    }
    *ret_world = STEAL(world);
    return NULL;
}

err_t *sim_edited_run(sim_world_t *world, void (*edit)(void *ctx, buf_t *answer, size_t from),
                      void *ctx) {
    sim_client_t *reader = &world->client[1];
    sim_rnd_init(&world->rnd, world->plan.seed);
    client_stop(reader);
    client_unlink(reader);
    sim_disk_free(reader->disk);
    reader->disk = NULL;
    TRY(sim_disk_new(&world->rnd, &world->clk, &reader->disk));
    reader->folder = sim_folder(reader->disk);
    reader->net.disk = reader->disk;
    reader->net.edit = edit;
    reader->net.edit_ctx = ctx;
    for (unsigned i = 0; i < 2; i++) TRY(sim_world_step(world, reader));
    return NULL;
}

err_t *sim_run(const sim_plan_t *plan, char *ret_line, size_t size) {
    CLEANUP(sim_world_free) sim_world_t *world = NULL;
    TRY(world_new(plan, &world));
    err_t *e = run(world);
    fault_arm_io(0);
    (void)snprintf(ret_line, size,
                   "seed %llu %s clients %u steps %llu restarts %llu roots %zu packages %zu copies "
                   "%llu contents %u%s%s",
                   (unsigned long long)plan->seed, sim_plan_name(plan), plan->clients,
                   (unsigned long long)world->steps, (unsigned long long)world->crashes,
                   world->service ? world->service->roots.n : 0,
                   world->service ? world->service->packages.n : 0,
                   (unsigned long long)world->copies, world->people.contents_n,
                   *world->alarm ? " alarm " : "", world->alarm);
    return e;
}
