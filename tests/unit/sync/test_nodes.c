/*
 * The tree of nodes: names are found on each side, whenever somebody first asks for one.
 */
#include "../unit.h"

#include <stdio.h>

#include "sync/engine/tree.h"

enum { NODES = 600, FOLDERS = 7, NAMES = 40, STEPS = 6000 };

typedef struct {
    sync_tree_t *tree;
    uint64_t chance;
    bool asked[SYNC_SIDES];
} fix_t;

static uint32_t chance(fix_t *f, uint32_t below) {
    f->chance = f->chance * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(f->chance >> 33) % below;
}

static void name_of(uint32_t n, char out[16]) { (void)snprintf(out, 16, "name %u", n); }

static void make_nodes(fix_t *f, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint8_t id[SYNC_NODE] = {1};
        uint32_t node = 0;
        for (size_t k = 1; k < sizeof id; k++) id[k] = (uint8_t)chance(f, 256);
        assert_ok(sync_tree_get(f->tree, id, &node));
    }
}

static bool is_it(const sync_fact_t *fact, uint32_t parent, bytes_t name) {
    return fact && fact->parent == parent && bytes_eq(fact->name, name);
}

/* What a walk over all nodes says: how many there are, and whether `node` is one. */
static uint32_t count(fix_t *f, sync_side_t side, uint32_t parent, bytes_t name) {
    uint32_t found = 0;
    for (uint32_t i = 1; i < sync_tree_count(f->tree); i++)
        if (is_it(sync_tree_node(f->tree, i)->side[side], parent, name)) found++;
    return found;
}

static void ask(fix_t *f, sync_side_t side) {
    char text[16];
    name_of(chance(f, NAMES), text);
    bytes_t name = bytes_str(text);
    uint32_t parent = chance(f, FOLDERS), all = count(f, side, parent, name);
    uint32_t node = sync_tree_child(f->tree, side, parent, name);
    assert_true((node == SYNC_NO_NODE) == (all == 0));
    f->asked[side] = true;
    if (!all) return;
    assert_true(is_it(sync_tree_node(f->tree, node)->side[side], parent, name));
    uint32_t rival = sync_tree_rival(f->tree, side, node);
    assert_true((rival == SYNC_NO_NODE) == (all == 1));
    if (all > 1) assert_int_not_equal(rival, node);
    if (all > 1) assert_true(is_it(sync_tree_node(f->tree, rival)->side[side], parent, name));
}

static void set(fix_t *f, sync_side_t side) {
    char text[16];
    const sync_fact_t *fact = NULL;
    uint32_t node = FOLDERS + chance(f, sync_tree_count(f->tree) - FOLDERS);
    name_of(chance(f, NAMES), text);
    sync_fact_t made = {.kind = SYNC_ENTRY_FILE, .parent = chance(f, FOLDERS)};
    made.name = bytes_str(text);
    if (chance(f, 4)) assert_ok(sync_tree_fact(f->tree, &made, &fact));
    sync_tree_set(f->tree, node, side, fact);
}

/* Siblings are linked whether names are kept or not. */
static void check_children(fix_t *f, sync_side_t side) {
    uint32_t linked = 0, all = 0;
    for (uint32_t parent = 0; parent < FOLDERS; parent++) {
        uint32_t at = sync_tree_node(f->tree, parent)->place[side].first;
        for (; at != SYNC_NO_NODE; at = sync_tree_node(f->tree, at)->place[side].next, linked++)
            assert_int_equal(sync_tree_node(f->tree, at)->side[side]->parent, parent);
    }
    for (uint32_t i = 1; i < sync_tree_count(f->tree); i++)
        if (sync_tree_node(f->tree, i)->side[side]) all++;
    assert_int_equal(linked, all);
}

static void test_tree__finds_names_whenever_it_is_asked_first(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        fix_t f = {.chance = seed};
        assert_ok(sync_tree_new(&f.tree));
        make_nodes(&f, 200); /* the table grows while it is in use, too */
        for (uint32_t step = 0; step < STEPS; step++) {
            sync_side_t side = (sync_side_t)chance(&f, SYNC_SIDES);
            if (step % (STEPS / 4) == 0) make_nodes(&f, (NODES - 200) / 4);
            /* Each side is first asked at another time, one of them never. */
            bool may = side != SYNC_REMOTE && step > (uint32_t)side * STEPS / 5;
            if (may && chance(&f, 4) == 0) ask(&f, side);
            else set(&f, side);
        }
        assert_false(f.asked[SYNC_REMOTE]);
        for (int side = 0; side < SYNC_SIDES; side++) check_children(&f, (sync_side_t)side);
        for (int i = 0; i < 200; i++) ask(&f, SYNC_REMOTE);
        sync_tree_free(f.tree);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__finds_names_whenever_it_is_asked_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
