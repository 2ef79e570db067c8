/*
 * What a seed does: see sim_world.h.
 */
#include "sim_world.h"

const char *const sim_chosen[] = {SIM_CANARY_NAME "a0", SIM_CANARY_NAME "b0", SIM_CANARY_NAME "d1",
                                  SIM_CANARY_NAME "c0/" SIM_CANARY_NAME "a1", NULL};

enum { DAY_ROUNDS = 288 };

/* By a chance of its own, so that what came later does not change what a seed did before. */
static void widen(sim_plan_t *plan) {
    sim_rnd_t rnd;
    sim_rnd_init(&rnd, plan->seed * 0x9e3779b97f4a7c15u + 5);
    if (sim_rnd_percent(&rnd, 50)) plan->stamps = (unsigned)sim_rnd_next(&rnd);
    plan->wrong_clocks = sim_rnd_percent(&rnd, 20);
    if (sim_rnd_percent(&rnd, 25)) plan->filling = 10 + sim_rnd_below(&rnd, 30);
    if (plan->attack != SIM_ATTACK_NONE) return;
    if (sim_rnd_percent(&rnd, 25)) plan->hostile = 10 + sim_rnd_below(&rnd, 20);
    if (sim_rnd_percent(&rnd, 40))
        plan->part = (sim_part_t)(1 + sim_rnd_below(&rnd, SIM_PARTS - 1));
    plan->day = plan->seed % 97 == 1;
    if (!plan->day) return;
    plan->clients = 2;
    plan->rounds = DAY_ROUNDS;
    plan->part = SIM_PART_NONE;
    plan->big = false;
}

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
    if (seed % 3 == 0) {
        unsigned kind = (unsigned)(seed / 3 % KINDS);
        bool twist = kind < SIM_TWISTS - 1;
        plan.attack = twist ? SIM_ATTACK_TWIST
                            : (sim_attack_t)(SIM_ATTACK_ROLLBACK + kind - (SIM_TWISTS - 1));
        plan.twist = twist ? (sim_twist_t)(kind + 1) : SIM_TWIST_NONE;
        plan.rounds = 12;
        plan.full = false;
    }
    widen(&plan);
    /* Not beside one who has some folders: a conflict name takes things out of what he has. */
    if (seed % 4 == 1 && plan.part != SIM_PART_CHOOSER) plan.folding = 2;
    return plan;
}

const char *sim_plan_name(const sim_plan_t *plan) {
    static const char *const names[SIM_ATTACKS] = {"honest", "twist",    "roll-back",
                                                   "fork",   "withhold", "revoked-writer"};
    static const char *const parts[SIM_PARTS] = {"honest", "reader", "chooser", "hollow", "late"};
    if (plan->attack == SIM_ATTACK_TWIST) return sim_twist_name(plan->twist);
    if (plan->attack != SIM_ATTACK_NONE) return names[plan->attack];
    if (plan->day) return "day";
    return plan->hostile ? "hostile" : parts[plan->part];
}

const char *sim_never_named(const sim_named_t *named) {
    for (unsigned twist = 1; twist < SIM_TWISTS; twist++) {
        /* Nobody can tell it from a delivery that is not there yet. */
        if (twist == SIM_TWIST_OLD_KEY) continue;
        if (!named->twist[twist]) return sim_twist_name((sim_twist_t)twist);
    }
    for (unsigned attack = SIM_ATTACK_ROLLBACK; attack < SIM_ATTACKS; attack++) {
        sim_plan_t plan = {.attack = (sim_attack_t)attack};
        /* Nor this from a quiet day. */
        if (attack != SIM_ATTACK_WITHHOLD && !named->attack[attack]) return sim_plan_name(&plan);
    }
    return NULL;
}
