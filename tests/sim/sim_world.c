/*
 * The simulated world: see sim_world.h.
 */
#include "sim_world.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "sim_folder.h"
#include "sync/engine/scan.h"

enum { NOW_MS = 1700000000, SETTLE_ROUNDS = 60, YEARS_H = 2 * 365 * 24, HOUR_MS = 3600000 };

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

static bool has_part(const sim_world_t *world, const sim_client_t *client, sim_part_t part) {
    return world->plan.part == part && client->number == world->plan.clients - 1;
}

void sim_world_pass(sim_world_t *world, int64_t ms) {
    clk_fake_advance(&world->clk, ms);
    for (unsigned i = 0; i < SIM_CLIENTS; i++) clk_fake_advance(&world->client[i].clk, ms);
}

static err_t *client_start(sim_world_t *world, sim_client_t *client) {
    TRY_WRAP(db_local_open(client->state_path, &client->clk.clk, &client->state),
             "opening the state");
    sync_engine_config_t config = {.disk = &client->folder,
                                   .remote = &client->remote,
                                   .state = client->state,
                                   .clk = &client->clk.clk,
                                   .rnd = &world->rnd.rnd,
                                   .device = &client->key,
                                   .brake_percent = 100,
                                   .fold_names = sim_disk_folds(client->disk)};
    if (has_part(world, client, SIM_PART_CHOOSER)) config.folders = sim_chosen;
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
    int64_t wrong_h = 0;
    if (world->plan.wrong_clocks)
        wrong_h = (int64_t)sim_rnd_below(&world->rnd, 2 * YEARS_H) - YEARS_H;
    clk_fake_init(&client->clk, (int64_t)NOW_MS * 1000 + wrong_h * HOUR_MS);
    TRY(sim_disk_new(&world->rnd, &client->clk, &client->disk));
    if (world->plan.folding >> number & 1) sim_disk_fold(client->disk);
    if (world->plan.stamps >> number & 1 && !has_part(world, client, SIM_PART_HOLLOW))
        sim_disk_stamps(client->disk);
    client->absent = has_part(world, client, SIM_PART_LATE);
    client->folder = has_part(world, client, SIM_PART_HOLLOW) ? sim_folder_hollow(client->disk)
                                                              : sim_folder(client->disk);
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
        if (world->client[i].gone || world->client[i].absent) continue;
        TRY(sync_delivery_seal(world->chain, &world->client[0].key, world->client[i].key.id,
                               world->keys[world->epoch], &delivery));
        TRY(sim_service_deliver(world->service, buf_bytes(&delivery)));
    }
    return NULL;
}

static err_t *admit(sim_world_t *world, sim_client_t *client) {
    CLEANUP(buf_done) buf_t entry;
    sync_chain_writer_t first = writer(world);
    bool reader = has_part(world, client, SIM_PART_READER);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    client->absent = false;
    TRY(sync_chain_add(&first, world->chain, &client->key.card, &entry));
    TRY(post(world, &entry));
    TRY(sync_chain_approve(&first, world->chain, client->key.id,
                           reader ? SYNC_READ : SYNC_READ | SYNC_WRITE, &entry));
    return post(world, &entry);
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
    for (unsigned i = 1; i < world->plan.clients; i++)
        if (!world->client[i].absent) TRY(admit(world, &world->client[i]));
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
    sim_world_pass(world, 1 + sim_rnd_below(&world->rnd, 100000));
    client->acted = true;
    sim_people_act(&world->people, client->number, client->disk);
}

/* In the middle of a step. */
static void meddle(void *ctx) {
    sim_world_t *world = ctx;
    bool large = world->plan.big && sim_rnd_percent(&world->rnd, 50);
    world->people.hurried = true;
    world->meddled->acted = true;
    if (large) sim_people_overwrite(&world->people, world->meddled->number, world->meddled->disk);
    else sim_world_act(world, world->meddled);
    world->people.hurried = false;
}

static void tell_step(sim_world_t *world, const sim_client_t *client) {
    const sync_report_t *r = &client->report;
    (void)fprintf(stderr,
                  "client %u: a step: up %llu down %llu moved %llu removed %llu here %llu there "
                  "copies %llu commits %llu left %llu%s %s; has",
                  client->number, (unsigned long long)r->uploaded,
                  (unsigned long long)r->downloaded, (unsigned long long)r->moved,
                  (unsigned long long)r->removed_here, (unsigned long long)r->removed_there,
                  (unsigned long long)r->conflicts, (unsigned long long)r->commits,
                  (unsigned long long)r->left, r->again ? " again" : "", r->first_left);
    for (uint32_t i = 0; i < world->people.contents_n; i++)
        if (sim_people_find(&world->people, client->disk, i)) (void)fprintf(stderr, " %u", i);
    (void)fprintf(stderr, "\n");
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
    if (world->plan.told) tell_step(world, client);
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

/* What a twist may be called, in the chaos; somebody looks, and goes on. */
static err_t *check_alarm(sim_world_t *world, sim_client_t *client) {
    if (no_attack_word(client->report.alarm)) return NULL;
    if (client->net.twisted && sim_attack_fits(client->net.twist, client->report.alarm)) {
        world->named->twist[client->net.twist]++;
        client->net.twist = SIM_TWIST_NONE;
        return client->engine ? sync_engine_pardon(client->engine) : NULL;
    }
    return err_new(ERR_VERIFY, "client %u raised \"%s\" where nobody attacked", client->number,
                   client->report.alarm);
}

/* Between two requests of one client another one does a whole step: races for the root. */
static void other_turn(void *ctx) {
    sim_world_t *world = ctx;
    err_t *e = sim_world_step(world, world->other_turn);
    if (!e) e = check_alarm(world, world->other_turn);
    if (world->other_failure) err_free(e);
    else world->other_failure = e;
}

static void let_others(sim_world_t *world, sim_client_t *client) {
    sim_client_t *other = &world->client[sim_rnd_below(&world->rnd, world->plan.clients)];
    if (other == client || !other->engine || other->gone || other->absent ||
        !sim_rnd_percent(&world->rnd, 40))
        return;
    world->other_turn = other;
    client->net.meanwhile = other_turn;
    client->net.meanwhile_ctx = world;
    client->net.meanwhile_in = 1 + sim_rnd_below(&world->rnd, 14);
}

/* All but what leaves two histories behind. */
static err_t *be_hostile(sim_world_t *world, sim_client_t *client) {
    sim_twist_t twist = (sim_twist_t)(1 + sim_rnd_below(&world->rnd, SIM_TWISTS - 1));
    return twist == SIM_TWIST_FAKE_COMMIT ? NULL : sim_attack_begin(world, client, twist);
}

/* A step in which the power may fail, and people may meddle. */
static err_t *rough_step(sim_world_t *world, sim_client_t *client) {
    sim_rnd_t *rnd = &world->rnd;
    if (sim_rnd_percent(rnd, world->plan.crashes))
        sim_disk_crash_after(client->disk, 1 + sim_rnd_below(rnd, 150));
    if (sim_rnd_percent(rnd, world->plan.meddling) && !has_part(world, client, SIM_PART_HOLLOW)) {
        world->meddled = client;
        sim_disk_hook_after(client->disk, 1 + sim_rnd_below(rnd, 100), meddle, world);
    }
    if (sim_rnd_percent(rnd, world->plan.crashes / 3)) fault_arm_io(1 + sim_rnd_below(rnd, 12));
    if (world->plan.full) sim_disk_room(client->disk, sim_rnd_percent(rnd, 30) ? 8000 : UINT64_MAX);
    if (sim_rnd_percent(rnd, world->plan.filling))
        sim_disk_full_after(client->disk, 1 + sim_rnd_below(rnd, 12), sim_rnd_below(rnd, 30));
    if (!client->engine) {
        err_t *e = client_start(world, client);
        if (e) tell(world, client, "could not start");
        if (e) client_stop(client);
        err_free(e);
        fault_arm_io(0);
    }
    let_others(world, client);
    if (sim_rnd_percent(rnd, world->plan.hostile)) TRY(be_hostile(world, client));
    if (client->engine) TRY(sim_world_step(world, client));
    client->net.meanwhile_in = 0;
    if (world->other_failure) return STEAL(world->other_failure);
    if (client->engine) TRY(check_alarm(world, client));
    client->net.twist = SIM_TWIST_NONE;
    if (sim_disk_crashed(client->disk) || sim_rnd_percent(rnd, 5)) {
        tell(world, client, "is started again");
        world->crashes++;
        client->acted = true; /* what it had done and not noted looks like somebody's deeds */
        client_stop(client);
        sim_disk_power(client->disk);
    }
    sim_disk_crash_after(client->disk, 0);
    sim_disk_hook_after(client->disk, 0, NULL, NULL);
    sim_disk_room(client->disk, UINT64_MAX);
    sim_disk_full_after(client->disk, 0, 0);
    return NULL;
}

/* The same file, again and again, on both sides. */
static void edit_one(sim_world_t *world, sim_client_t *client) {
    enum { FIVE_MINUTES_MS = 300000 };
    sim_world_pass(world, FIVE_MINUTES_MS);
    if (sim_rnd_percent(&world->rnd, 80))
        sim_people_edit(&world->people, client->number, client->disk, SIM_CANARY_NAME "log");
}

static void act(sim_world_t *world, sim_client_t *client) {
    unsigned deeds = sim_rnd_below(&world->rnd, 4);
    if (world->plan.day) edit_one(world, client);
    /* One who may only read and changes nothing has just what the others have. */
    bool idle = has_part(world, client, SIM_PART_READER) && world->plan.seed & 1;
    for (unsigned i = 0; i < deeds && !idle && !world->plan.day; i++) sim_world_act(world, client);
}

static err_t *round_of(sim_world_t *world, unsigned round) {
    sim_rnd_t *rnd = &world->rnd;
    sim_client_t *client = &world->client[sim_rnd_below(rnd, world->plan.clients)];
    sim_client_t *last = &world->client[world->plan.clients - 1];
    if (last->absent && round >= world->plan.rounds / 2) {
        TRY(admit(world, last));
        TRY(deliver(world));
    }
    act(world, client);
    if (client->absent) return NULL;
    client->net.cut = sim_rnd_percent(rnd, 10);
    if (world->plan.clocks && sim_rnd_percent(rnd, 10))
        sim_world_pass(world, ((int64_t)sim_rnd_below(rnd, 2000) - 1000) * HOUR_MS);
    if (world->plan.rotations && sim_rnd_percent(rnd, 6)) {
        bool revoke = world->plan.clients > 2 && !last->gone && world->plan.part == SIM_PART_NONE &&
                      sim_rnd_percent(rnd, 20);
        TRY(sim_world_rotate(world, revoke ? last : NULL));
    }
    return rough_step(world, client);
}

/* ---- the end ---- */

/* All are there, and nothing goes wrong any more. */
static err_t *calm(sim_world_t *world) {
    sim_client_t *last = &world->client[world->plan.clients - 1];
    if (last->absent) {
        TRY(admit(world, last));
        TRY(deliver(world));
    }
    for (unsigned i = 0; i < world->plan.clients; i++) {
        sim_client_t *client = &world->client[i];
        client->net.cut = false;
        client->net.loss = client->net.twice = 0;
        client->net.twist = SIM_TWIST_NONE;
        if (client->failure && !client->gone) client_stop(client);
    }
    return NULL;
}

typedef struct {
    sim_disk_t *disk;
    uint64_t inode, at;
} filling_t;

static err_t *fill_piece(void *ctx, bytes_t piece) {
    filling_t *filling = ctx;
    TRY(sim_disk_write_inode(filling->disk, filling->inode, filling->at, piece));
    filling->at += piece.n;
    return NULL;
}

/* As the mapped drive does when a program opens a hollow file. */
static err_t *fill_one(sim_client_t *client, uint64_t inode) {
    filling_t filling = {.disk = client->disk, .inode = inode};
    sim_stat_t stat;
    uint64_t size = 0;
    TRY(sim_disk_stat_inode(client->disk, inode, &stat));
    if (!stat.hollow) return NULL;
    err_t *e = sync_engine_fill(client->engine, inode, &(sync_sink_t){&filling, fill_piece}, &size);
    if (!e && (filling.at != size || size != stat.size))
        e = err_new(ERR_VERIFY, "a hollow file has another length than its content");
    err_t *back = sim_disk_set_inode(client->disk, inode, stat.mode, stat.mtime_ns);
    if (e) {
        err_free(back);
        return e;
    }
    TRY(back);
    TRY(sim_disk_sync_inode(client->disk, inode));
    return sim_disk_set_hollow(client->disk, inode, false);
}

static bool fill(void *ctx, unsigned who, uint64_t inode) {
    sim_world_t *world = ctx;
    sim_client_t *client = &world->client[who];
    if (!client->engine) return false;
    err_t *e = fill_one(client, inode);
    bool done = e == NULL;
    err_free(e);
    return done;
}

typedef struct {
    sim_client_t *client;
    unsigned filled;
} fill_all_t;

static err_t *fill_found(void *ctx, const char *path, const sim_stat_t *stat, bytes_t content) {
    fill_all_t *all = ctx;
    (void)content;
    if (!stat->hollow) return NULL;
    TRY_WRAP(fill_one(all->client, stat->inode), "opening %s", path);
    all->filled++;
    return NULL;
}

static err_t *fill_all(sim_world_t *world, sim_client_t *client) {
    fill_all_t all = {.client = client};
    char line[64];
    TRY(sim_disk_walk(client->disk, fill_found, &all));
    (void)snprintf(line, sizeof line, "%u files were opened", all.filled);
    tell(world, client, line);
    return sim_people_check_exact(&world->people, client->disk, sim_folder_ours);
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

/* A folder that is gone elsewhere stays while something lies in it that is not synced here. */
static bool keeps_own(const sim_world_t *world, const sim_client_t *client) {
    return has_part(world, client, SIM_PART_CHOOSER) &&
           strstr(client->report.first_left, "not empty");
}

/* One step of each; whether none of them did anything. */
static err_t *sweep(sim_world_t *world, bool *ret_quiet, const sim_client_t **ret_busy) {
    bool quiet = true;
    uint64_t roots = world->service->roots.n;
    for (unsigned i = 0; i < world->plan.clients; i++) {
        sim_client_t *client = &world->client[i];
        if (client->gone) continue;
        sim_world_pass(world, 60000);
        (void)sim_disk_changes(client->disk);
        TRY(sim_world_step(world, client));
        /* What a reader has changed is left for ever. */
        bool left = client->report.left && !has_part(world, client, SIM_PART_READER) &&
                    !keeps_own(world, client);
        bool busy = client->failure || client->report.again || left ||
                    sim_disk_changes(client->disk) || world->service->roots.n != roots;
        if (busy) *ret_busy = client;
        quiet = quiet && !busy;
    }
    *ret_quiet = quiet;
    return NULL;
}

/* What lies above a chosen path may stay for what is not synced in it. */
static bool not_chosen(const char *path) {
    return sim_folder_ours(path) || !sync_chosen(sim_chosen, path) ||
           strcmp(path, SIM_CANARY_NAME "c0") == 0;
}

static err_t *compare(sim_world_t *world, sim_client_t *client) {
    bool chooser = has_part(world, client, SIM_PART_CHOOSER);
    if (client->gone || (has_part(world, client, SIM_PART_READER) && client->acted)) return NULL;
    if (has_part(world, client, SIM_PART_HOLLOW)) TRY(fill_all(world, client));
    TRY_WRAP(sim_people_compare(world->client[0].disk, client->disk,
                                chooser ? not_chosen : sim_folder_ours),
             "client %u against client 0", client->number);
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
    for (unsigned i = 1; i < world->plan.clients; i++) TRY(compare(world, &world->client[i]));
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

static bool is_chosen(const char *path) { return !not_chosen(path); }

/* What people wrote on a device that was revoked lies there still, and nowhere else perhaps. */
static err_t *check_all(sim_world_t *world) {
    TRY(check_secrets(world));
    for (unsigned i = 0; i < world->plan.clients; i++) {
        const sim_client_t *client = &world->client[i];
        bool reader = has_part(world, client, SIM_PART_READER);
        if (client->gone || reader) TRY(sim_people_excuse(&world->people, client->disk, NULL));
        if (has_part(world, client, SIM_PART_CHOOSER))
            TRY(sim_people_excuse(&world->people, client->disk, is_chosen));
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

static bool is_word(const char *alarm) { return *alarm && *alarm != '('; }

static err_t *run(sim_world_t *world) {
    const sim_plan_t *plan = &world->plan;
    TRY(begin(world));
    for (unsigned i = 0; i < plan->rounds; i++) TRY_WRAP(round_of(world, i), "round %u", i);
    TRY(calm(world));
    TRY_WRAP(sim_world_settle(world), "after the faults stopped");
    TRY(check_all(world));
    if (plan->attack == SIM_ATTACK_NONE) return NULL;
    TRY_WRAP(sim_attack(world), "attack %s", sim_plan_name(plan));
    if (plan->attack == SIM_ATTACK_TWIST) world->named->twist[plan->twist] += is_word(world->alarm);
    else world->named->attack[plan->attack] += is_word(world->alarm);
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

static err_t *world_new(const sim_plan_t *plan, sim_world_t **ret_world) {
    sim_world_t *world = mem_zalloc(sizeof *world);
    if (!world) return err_nomem();
    world->plan = *plan;
    sim_rnd_init(&world->rnd, plan->seed);
    clk_fake_init(&world->clk, (int64_t)NOW_MS * 1000);
    sim_people_init(&world->people, &world->rnd);
    world->people.big = plan->big;
    world->people.told = plan->told;
    world->people.fill = fill;
    world->people.fill_ctx = world;
    world->people.stress = sim_rnd_below(&world->rnd, 100);
    *ret_world = world;
    return NULL;
}

err_t *sim_world_new(const sim_plan_t *plan, sim_world_t **ret_world) {
    CLEANUP(sim_world_free) sim_world_t *world = NULL;
    TRY(world_new(plan, &world));
    TRY(begin(world));
    *ret_world = STEAL(world);
    return NULL;
}

err_t *sim_edited_new(const sim_plan_t *plan, sim_world_t **ret_world) {
    CLEANUP(sim_world_free) sim_world_t *world = NULL;
    uint32_t content = 0;
    TRY(sim_world_new(plan, &world));
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
    TRY(sim_disk_new(&world->rnd, &reader->clk, &reader->disk));
    reader->folder = sim_folder(reader->disk);
    reader->net.disk = reader->disk;
    reader->net.edit = edit;
    reader->net.edit_ctx = ctx;
    for (unsigned i = 0; i < 2; i++) TRY(sim_world_step(world, reader));
    return NULL;
}

err_t *sim_run(const sim_plan_t *plan, sim_named_t *named, char *ret_line, size_t size) {
    CLEANUP(sim_world_free) sim_world_t *world = NULL;
    TRY(world_new(plan, &world));
    world->named = named;
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
