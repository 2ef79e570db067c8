/*
 * Attacks by the service on one client, the victim: each begins in peace and with news for the
 * victim, must be named by it in a word that fits, and must change nothing on its disk. When it is
 * over and a person pardoned, all is well again, but for those that leave two histories behind.
 * What follows is told by the table `twists`.
 */
#include <stdio.h>

#include "crypto/digest.h"
#include "crypto/pkey.h"
#include "ipc/wire.h"
#include "sim_folder.h"
#include "sim_world.h"
#include "sync/package.h"

enum { PATIENCE = 12 };

/* What the victim needs to be told of for the attack to take place. */
typedef enum { NEWS_ROOT, NEWS_ROOTS, NEWS_CHAIN, NEWS_OWN } news_t;

typedef struct {
    news_t news;
    const char *words; /* that fit, with spaces between */
    bool harmless;     /* or it may be passed over, if all goes right nonetheless */
    bool lasting;      /* two histories remain: the victim stays out */
} expect_t;

static const expect_t twists[SIM_TWISTS] = {
    [SIM_TWIST_FLIP_CHAIN] = {NEWS_CHAIN, "chain-invalid chain-forked chain-short", false, false},
    [SIM_TWIST_FLIP_ROOT] = {NEWS_ROOT, "root-invalid change-invalid chain-short chain-forked",
                             false, false},
    [SIM_TWIST_FLIP_PACKAGE] = {NEWS_ROOT, "package-invalid", false, false},
    [SIM_TWIST_FLIP_DATA] = {NEWS_ROOT, "data-invalid", false, false},
    [SIM_TWIST_CUT_CHAIN] = {NEWS_CHAIN, "chain-invalid chain-short", false, false},
    [SIM_TWIST_CUT_ROOT] = {NEWS_ROOT, "root-invalid", false, false},
    [SIM_TWIST_CUT_PACKAGE] = {NEWS_ROOT, "package-invalid", false, false},
    [SIM_TWIST_CUT_DATA] = {NEWS_ROOT, "data-invalid", false, false},
    [SIM_TWIST_MIX_DATA] = {NEWS_ROOT, "data-invalid", false, false},
    [SIM_TWIST_SWAP_DATA] = {NEWS_ROOT, "data-invalid", false, false},
    [SIM_TWIST_SWAP_PACKAGE] = {NEWS_ROOT, "package-invalid", false, false},
    [SIM_TWIST_SWAP_CHANGE] = {NEWS_ROOTS, "change-invalid", false, false},
    [SIM_TWIST_ORDER_CHAIN] = {NEWS_CHAIN, "chain-invalid chain-forked", false, false},
    [SIM_TWIST_ORDER_ROOTS] = {NEWS_ROOTS, "forked rolled-back root-invalid withheld", false,
                               false},
    [SIM_TWIST_REPLAY_ROOTS] = {NEWS_ROOTS, "rolled-back withheld", false, false},
    [SIM_TWIST_INSERT_DEVICE] = {NEWS_CHAIN, "chain-invalid", false, false},
    [SIM_TWIST_INSERT_KEY] = {NEWS_CHAIN, "key-invalid", false, false},
    [SIM_TWIST_SWAP_KEY] = {NEWS_CHAIN, "key-invalid", false, false},
    [SIM_TWIST_OLD_KEY] = {NEWS_CHAIN, "", true, false},
    [SIM_TWIST_HIDE_PACKAGE] = {NEWS_ROOT, "withheld", false, false},
    [SIM_TWIST_HIDE_DATA] = {NEWS_ROOT, "withheld", false, false},
    [SIM_TWIST_HIDE_CHAIN] = {NEWS_CHAIN, "chain-short", false, false},
    [SIM_TWIST_FAKE_COMMIT] = {NEWS_OWN, "rolled-back withheld", false, true},
    [SIM_TWIST_GARBAGE] = {NEWS_CHAIN,
                           "chain-invalid root-invalid change-invalid package-invalid data-invalid "
                           "key-invalid",
                           false, false},
};

/* ---- the stage ---- */

static sim_client_t *victim_of(sim_world_t *world) {
    sim_client_t *last = &world->client[world->plan.clients - 1];
    return last->gone ? last - 1 : last;
}

/* So many steps as are needed until there is nothing to do for this one. */
static err_t *bring(sim_world_t *world, sim_client_t *client) {
    for (unsigned i = 0; i < PATIENCE; i++) {
        TRY(sim_world_step(world, client));
        if (client->failure)
            return err_new(ERR_VERIFY, "client %u fails though nobody attacks it", client->number);
        if (!client->report.again && !client->report.left) return NULL;
    }
    return err_new(ERR_VERIFY, "client %u does not come to rest", client->number);
}

static err_t *write_and_bring(sim_world_t *world, sim_client_t *client, unsigned times,
                              uint32_t *ret_content) {
    for (unsigned i = 0; i < times; i++) {
        TRY(sim_people_write(&world->people, client->disk, ret_content));
        TRY(bring(world, client));
    }
    return NULL;
}

static bool fits(const char *words, const char *word) {
    size_t n = strlen(word);
    for (const char *at = words; n && (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == 0 || at[n] == ' ')) return true;
    return false;
}

/* Steps until there is an alarm, at most PATIENCE of them. */
static err_t *wait_alarm(sim_world_t *world, sim_client_t *victim) {
    for (unsigned i = 0; i < PATIENCE && !*victim->report.alarm; i++) {
        TRY(sim_world_step(world, victim));
        if (*victim->report.alarm && !victim->failure)
            return err_new(ERR_VERIFY, "an alarm, and yet the step went well");
    }
    (void)snprintf(world->alarm, sizeof world->alarm, "%s", victim->report.alarm);
    return NULL;
}

/* From the alarm on all steps refuse, restarts too, and the disk stays as it is. */
static err_t *check_refuses(sim_world_t *world, sim_client_t *victim) {
    for (unsigned i = 0; i < 2; i++) {
        (void)sim_disk_changes(victim->disk);
        TRY(sim_world_step(world, victim));
        if (!victim->failure || strcmp(victim->report.alarm, world->alarm) != 0)
            return err_new(ERR_VERIFY, "after \"%s\" another step was taken: \"%s\"", world->alarm,
                           victim->report.alarm);
        if (sim_disk_changes(victim->disk))
            return err_new(ERR_VERIFY, "after \"%s\" files were changed", world->alarm);
        TRY(sim_world_restart(world, victim));
    }
    return NULL;
}

static err_t *expect_alarm(sim_world_t *world, sim_client_t *victim, const char *words) {
    TRY(wait_alarm(world, victim));
    if (!fits(words, world->alarm))
        return err_new(ERR_VERIFY, "the alarm is \"%s\", and not one of: %s", world->alarm, words);
    return check_refuses(world, victim);
}

/* The attack is over, and somebody has looked. */
static err_t *peace(sim_world_t *world, sim_client_t *victim) {
    victim->net.twist = SIM_TWIST_NONE;
    victim->net.service = world->service;
    victim->net.twisted = 0;
    if (*victim->report.alarm) TRY(sync_engine_pardon(victim->engine));
    victim->report.alarm[0] = 0;
    return NULL;
}

/* It stays out: its own files lie where they lay. */
static err_t *part(sim_world_t *world, sim_client_t *victim, uint32_t content) {
    if (!sim_people_find(&world->people, victim->disk, content))
        return err_new(ERR_VERIFY, "what the victim wrote is gone from its own disk");
    victim->gone = true;
    return sim_world_settle(world);
}

/* ---- what a stranger makes ---- */

static err_t *strange_entry(sim_world_t *world, buf_t *out) {
    CLEANUP(buf_done) buf_t card;
    sync_chain_head_t head;
    sync_chain_entry_t entry = {.suite = SYNC_SUITE_1, .kind = SYNC_CHAIN_ADD};
    buf_init(&card, LIMIT_SYNC_ENTRY);
    TRY(sync_chain_head(world->chain, &head));
    TRY(sync_card_put(&world->stranger.card, &card));
    memcpy(entry.region, head.region, SYNC_HASH);
    memcpy(entry.previous, head.head, SYNC_HASH);
    memcpy(entry.author, world->client[0].key.id, SYNC_HASH);
    memcpy(entry.subject, world->stranger.id, SYNC_HASH);
    memcpy(entry.commit, head.commit, SYNC_HASH);
    entry.position = head.position + 1;
    entry.epoch = head.epoch;
    entry.card = buf_bytes(&card);
    TRY(sync_chain_entry_put(&entry, out));
    TRY(buf_reserve(out, SYNC_SIGNATURE)); /* what is signed must not move meanwhile */
    return pkey_sign(world->stranger.content, "coffer/v1/sync/chain", buf_bytes(out), out);
}

/* A key of the stranger's, as if the region's chain knew the stranger. */
static err_t *strange_key(sim_world_t *world, const sim_client_t *victim, buf_t *out) {
    CLEANUP(buf_done) buf_t scratch, record;
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    CLEANUP(secret_free) secret_t *key = NULL;
    sync_chain_writer_t writer = {.rnd = &world->rnd.rnd, .author = &world->stranger};
    sync_chain_head_t head;
    sync_delivery_t delivery;
    const uint8_t *device = victim->key.id;
    buf_init(&scratch, 4 * LIMIT_SYNC_ENTRY);
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    TRY(sync_chain_new(&chain));
    TRY(sync_chain_begin(&writer, chain, &scratch, &key));
    TRY(sync_chain_add(&writer, chain, &victim->key.card, &scratch));
    TRY(sync_chain_approve(&writer, chain, device, SYNC_READ, &scratch));
    buf_clear(&scratch);
    TRY(sync_delivery_seal(chain, &world->stranger, device, key, &scratch));
    TRY(sync_delivery_parse(buf_bytes(&scratch), &delivery));
    TRY(sync_chain_head(world->chain, &head));
    memcpy(delivery.region, head.region, SYNC_HASH);
    memcpy(delivery.head, head.head, SYNC_HASH);
    delivery.position = head.position;
    delivery.epoch = head.epoch;
    TRY(sync_delivery_put(&delivery, &record));
    TRY(buf_reserve(&record, SYNC_SIGNATURE));
    TRY(pkey_sign(world->stranger.content, "coffer/v1/sync/delivery", buf_bytes(&record), &record));
    return buf_add(out, buf_bytes(&record));
}

/* ---- attacks ---- */

static err_t *make_news(sim_world_t *world, sim_client_t *victim, news_t news,
                        uint32_t *ret_content) {
    sim_client_t *author = &world->client[0];
    switch (news) {
    case NEWS_ROOT: return write_and_bring(world, author, 1, ret_content);
    case NEWS_ROOTS:
        /* After one that the victim has seen. */
        TRY(write_and_bring(world, author, 1, ret_content));
        TRY(bring(world, victim));
        return write_and_bring(world, author, 3, ret_content);
    case NEWS_CHAIN:
        TRY(sim_world_rotate(world, NULL));
        TRY(sim_world_rotate(world, NULL));
        return write_and_bring(world, author, 1, ret_content);
    case NEWS_OWN: return sim_people_write(&world->people, victim->disk, ret_content);
    }
    return err_new(ERR_INTERNAL, "no such news");
}

err_t *sim_attack_begin(sim_world_t *world, sim_client_t *victim, sim_twist_t twist) {
    buf_clear(&victim->net.inserted);
    victim->net.twisted = 0;
    victim->net.twist = twist;
    if (twist == SIM_TWIST_INSERT_DEVICE) return strange_entry(world, &victim->net.inserted);
    if (twist == SIM_TWIST_INSERT_KEY) return strange_key(world, victim, &victim->net.inserted);
    return NULL;
}

bool sim_attack_fits(sim_twist_t twist, const char *word) {
    return fits(twists[twist].words, word);
}

static err_t *attack_twist(sim_world_t *world) {
    sim_client_t *victim = victim_of(world);
    const expect_t *expect = &twists[world->plan.twist];
    uint32_t content = 0;
    TRY(make_news(world, victim, expect->news, &content));
    TRY(sim_attack_begin(world, victim, world->plan.twist));
    if (expect->harmless) {
        TRY(wait_alarm(world, victim));
        if (*world->alarm && !fits(expect->words, world->alarm))
            return err_new(ERR_VERIFY, "the alarm is \"%s\"", world->alarm);
        if (!*world->alarm) (void)snprintf(world->alarm, sizeof world->alarm, "(passed over)");
    } else {
        TRY(expect_alarm(world, victim, expect->words));
    }
    if (!victim->net.twisted) return err_new(ERR_VERIFY, "the attack did not take place");
    TRY(peace(world, victim));
    return expect->lasting ? part(world, victim, content) : sim_world_settle(world);
}

static err_t *attack_rollback(sim_world_t *world) {
    sim_client_t *victim = victim_of(world);
    uint32_t content = 0;
    TRY(sim_service_copy(world->service, &world->other));
    TRY(write_and_bring(world, &world->client[0], 2, &content));
    if (world->plan.seed & 1) TRY(sim_world_rotate(world, NULL));
    TRY(bring(world, victim));
    victim->net.service = world->other;
    TRY(expect_alarm(world, victim, "rolled-back chain-short"));
    TRY(peace(world, victim));
    return sim_world_settle(world);
}

static err_t *attack_fork(sim_world_t *world) {
    sim_client_t *victim = victim_of(world);
    uint32_t content = 0, own = 0;
    TRY(sim_service_copy(world->service, &world->other));
    victim->net.service = world->other;
    TRY(write_and_bring(world, &world->client[0], 2, &content));
    TRY(write_and_bring(world, victim, 1, &own));
    victim->net.service = world->service;
    TRY(expect_alarm(world, victim, "forked"));
    TRY(peace(world, victim));
    return part(world, victim, own);
}

/* Nobody can tell this from a quiet day; but nothing breaks, and it ends well. */
static err_t *attack_withhold(sim_world_t *world) {
    sim_client_t *victim = victim_of(world);
    uint32_t content = 0;
    TRY(sim_service_copy(world->service, &world->other));
    victim->net.service = world->other;
    TRY(write_and_bring(world, &world->client[0], 2, &content));
    TRY(bring(world, victim));
    if (sim_people_find(&world->people, victim->disk, content))
        return err_new(ERR_VERIFY, "the victim has what was withheld");
    TRY(peace(world, victim));
    TRY(sim_world_settle(world));
    if (!sim_people_find(&world->people, victim->disk, content))
        return err_new(ERR_VERIFY, "the victim has not what was withheld any more");
    return NULL;
}

/* Who was revoked signs a root at its former place, on top of the newest one. */
static err_t *back_date(sim_world_t *world, const sim_client_t *removed) {
    CLEANUP(sync_chain_free) sync_chain_t *before = NULL;
    CLEANUP(buf_done) buf_t record, change;
    const sim_service_t *service = world->service;
    sync_root_t root = {.time = clk_unix(&world->clk.clk)}, newest;
    buf_init(&record, SYNC_ROOT_MAX);
    buf_init(&change, SYNC_ROOT_MAX);
    TRY(sync_chain_new(&before));
    for (size_t i = 0; i + 1 < service->entries.n; i++)
        TRY(sync_chain_append(before, buf_bytes(&service->entries.p[i].bytes)));
    TRY(sync_root_parse(buf_bytes(&service->roots.p[service->roots.n - 1].bytes), &newest));
    memcpy(root.folder, newest.folder, SYNC_HASH);
    sync_change_t none = {.added = BYTES_NONE};
    TRY(sync_change_put(&none, &change));
    TRY(digest_sha256(buf_bytes(&change), root.change));
    TRY(sync_root_sign(&root, &service->newest, before, &removed->key));
    TRY(sync_root_put(&root, &record));
    world->service->lenient = true;
    err_t *e = sim_service_root_post(world->service, buf_bytes(&record), buf_bytes(&change));
    world->service->lenient = false;
    return e;
}

static err_t *attack_revoked(sim_world_t *world) {
    sim_client_t *removed = victim_of(world), *victim = &world->client[0];
    uint32_t content = 0;
    if (removed == victim) return err_new(ERR_INTERNAL, "nobody can be removed");
    TRY(sim_world_rotate(world, removed));
    TRY(write_and_bring(world, victim, 1, &content));
    TRY(sim_service_copy(world->service, &world->other));
    TRY(back_date(world, removed));
    TRY(expect_alarm(world, victim, "root-invalid"));
    /* The service comes to its senses. */
    for (unsigned i = 0; i < world->plan.clients; i++) world->client[i].net.service = world->other;
    sim_service_t *bad = world->service;
    world->service = world->other;
    world->other = bad;
    TRY(peace(world, victim));
    return sim_world_settle(world);
}

err_t *sim_attack(sim_world_t *world) {
    switch (world->plan.attack) {
    case SIM_ATTACK_NONE:
    case SIM_ATTACKS: break;
    case SIM_ATTACK_TWIST: return attack_twist(world);
    case SIM_ATTACK_ROLLBACK: return attack_rollback(world);
    case SIM_ATTACK_FORK: return attack_fork(world);
    case SIM_ATTACK_WITHHOLD: return attack_withhold(world);
    case SIM_ATTACK_REVOKED: return attack_revoked(world);
    }
    return NULL;
}
