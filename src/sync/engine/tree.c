/*
 * Nodes and their sides: see tree.h. Pure. In the client.
 */
#include "sync/engine/tree.h"

#include "base/mem.h"

/* Ids have a second bucket each: every step of a chain is a line of memory that is far away. */
enum { FACTS_MAX = 0x7fffffff, FIRST_NODES = 256, IDS_LOAD = 2 };

struct sync_tree {
    arena_t *arena;
    sync_node_t *nodes;
    uint32_t n, room;
    uint32_t *ids;               /* heads of chains; IDS_LOAD * `buckets` of them */
    uint32_t *names[SYNC_SIDES]; /* the same by side, parent and name; once `named` */
    bool named[SYNC_SIDES];      /* somebody asked for a name there: it is kept up from then on */
    uint32_t buckets;            /* a power of two */
};

void sync_tree_free(sync_tree_t *tree) {
    if (!tree) return;
    arena_free(tree->arena);
    mem_free(tree->nodes);
    mem_free(tree->ids);
    for (int side = 0; side < SYNC_SIDES; side++) mem_free(tree->names[side]);
    mem_free(tree);
}

uint32_t sync_tree_count(const sync_tree_t *tree) { return tree->n; }
sync_node_t *sync_tree_node(sync_tree_t *tree, uint32_t node) { return &tree->nodes[node]; }

/* Eight bytes at a time: ids are random, and names that collide cost their own writer's time. */
static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return hash ^ hash >> 32;
}
static uint32_t id_bucket(const sync_tree_t *tree, const uint8_t id[SYNC_NODE]) {
    uint64_t words[2];
    memcpy(words, id, SYNC_NODE);
    return (uint32_t)mix(mix(0, words[0]), words[1]) & (tree->buckets * IDS_LOAD - 1);
}
static uint32_t name_bucket(const sync_tree_t *tree, uint32_t parent, bytes_t name) {
    uint64_t hash = mix(parent + 1ULL, name.n), word = 0;
    for (; name.n > sizeof word; name = bytes_from(name, sizeof word)) {
        memcpy(&word, name.p, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    bytes_put(&word, name);
    return (uint32_t)mix(hash, word) & (tree->buckets - 1);
}

static void link_name(sync_tree_t *tree, sync_side_t side, uint32_t node) {
    const sync_fact_t *fact = tree->nodes[node].side[side];
    uint32_t *head = &tree->names[side][name_bucket(tree, fact->parent, fact->name)];
    tree->nodes[node].place[side].chain = *head;
    *head = node;
}

/* Most steps of most regions ask for no name on most sides: a million files are then a million
 * lines of far memory less. */
static void name_side(sync_tree_t *tree, sync_side_t side) {
    for (uint32_t i = 0; i < tree->buckets; i++) tree->names[side][i] = SYNC_NO_NODE;
    for (uint32_t i = SYNC_ROOT_NODE + 1; i < tree->n; i++)
        if (tree->nodes[i].side[side]) link_name(tree, side, i);
    tree->named[side] = true;
}

static void rehash(sync_tree_t *tree) {
    for (uint32_t i = 0; i < tree->buckets * IDS_LOAD; i++) tree->ids[i] = SYNC_NO_NODE;
    for (uint32_t i = 0; i < tree->n; i++) {
        uint32_t *head = &tree->ids[id_bucket(tree, tree->nodes[i].id)];
        tree->nodes[i].chain = *head;
        *head = i;
    }
    for (int side = 0; side < SYNC_SIDES; side++)
        if (tree->named[side]) name_side(tree, (sync_side_t)side);
}

static err_t *grow_table(uint32_t **table, uint32_t n) {
    uint32_t *grown = mem_resize(*table, (size_t)n * sizeof *grown);
    if (!grown) return err_nomem();
    *table = grown;
    return NULL;
}

static err_t *grow(sync_tree_t *tree) {
    uint32_t room = tree->room ? tree->room * 2 : FIRST_NODES;
    if (room > SYNC_NO_NODE / 4) return err_new(ERR_LIMIT, "more files than one region may have");
    sync_node_t *nodes = mem_resize(tree->nodes, (size_t)room * sizeof *nodes);
    if (!nodes) return err_nomem();
    tree->nodes = nodes;
    TRY(grow_table(&tree->ids, room * IDS_LOAD));
    for (int side = 0; side < SYNC_SIDES; side++) TRY(grow_table(&tree->names[side], room));
    tree->room = room;
    tree->buckets = room;
    rehash(tree);
    return NULL;
}

uint32_t sync_tree_find(const sync_tree_t *tree, const uint8_t id[SYNC_NODE]) {
    uint32_t at = tree->ids[id_bucket(tree, id)];
    while (at != SYNC_NO_NODE && memcmp(tree->nodes[at].id, id, SYNC_NODE) != 0)
        at = tree->nodes[at].chain;
    return at;
}

static err_t *add(sync_tree_t *tree, const uint8_t id[SYNC_NODE], uint32_t *ret_node) {
    if (tree->n == tree->room) TRY(grow(tree));
    sync_node_t *node = &tree->nodes[tree->n];
    *node = (sync_node_t){0};
    memcpy(node->id, id, SYNC_NODE);
    for (int side = 0; side < SYNC_SIDES; side++)
        node->place[side] = (sync_place_t){SYNC_NO_NODE, SYNC_NO_NODE, SYNC_NO_NODE, SYNC_NO_NODE};
    uint32_t *head = &tree->ids[id_bucket(tree, id)];
    node->chain = *head;
    *head = tree->n;
    *ret_node = tree->n++;
    return NULL;
}

err_t *sync_tree_get(sync_tree_t *tree, const uint8_t id[SYNC_NODE], uint32_t *ret_node) {
    uint32_t found = sync_tree_find(tree, id);
    if (found == SYNC_NO_NODE) return add(tree, id, ret_node);
    *ret_node = found;
    return NULL;
}

err_t *sync_tree_name_root(sync_tree_t *tree, const uint8_t id[SYNC_NODE]) {
    if (memcmp(tree->nodes[SYNC_ROOT_NODE].id, id, SYNC_NODE) == 0) return NULL;
    if (sync_tree_find(tree, id) != SYNC_NO_NODE)
        return err_new(ERR_VERIFY, "the root folder is one of its own folders");
    memcpy(tree->nodes[SYNC_ROOT_NODE].id, id, SYNC_NODE);
    rehash(tree);
    return NULL;
}

err_t *sync_tree_new(sync_tree_t **ret_tree) {
    static const uint8_t zeros[SYNC_NODE];
    uint32_t root = 0;
    CLEANUP(sync_tree_free) sync_tree_t *tree = mem_zalloc(sizeof *tree);
    if (!tree) return err_nomem();
    TRY(arena_new(FACTS_MAX, &tree->arena));
    TRY(add(tree, zeros, &root));
    *ret_tree = STEAL(tree);
    return NULL;
}

/* ---- sides ---- */

err_t *sync_tree_fact(sync_tree_t *tree, const sync_fact_t *fact, const sync_fact_t **ret_fact) {
    sync_fact_t *copy = NULL;
    TRY(arena_alloc(tree->arena, sizeof *copy, &copy));
    *copy = *fact;
    TRY(arena_copy(tree->arena, fact->name, &copy->name));
    copy->fold = copy->target = BYTES_NONE;
    if (bytes_eq(fact->fold, fact->name)) copy->fold = copy->name;
    else if (fact->fold.n) TRY(arena_copy(tree->arena, fact->fold, &copy->fold));
    if (fact->target.n) TRY(arena_copy(tree->arena, fact->target, &copy->target));
    *ret_fact = copy;
    return NULL;
}

static void unlink_name(sync_tree_t *tree, sync_side_t side, uint32_t node) {
    const sync_fact_t *fact = tree->nodes[node].side[side];
    uint32_t *at = &tree->names[side][name_bucket(tree, fact->parent, fact->name)];
    while (*at != node) at = &tree->nodes[*at].place[side].chain;
    *at = tree->nodes[node].place[side].chain;
}

static void unlink_node(sync_tree_t *tree, sync_side_t side, uint32_t node) {
    const sync_fact_t *fact = tree->nodes[node].side[side];
    sync_place_t *place = &tree->nodes[node].place[side];
    if (tree->named[side]) unlink_name(tree, side, node);
    if (place->previous != SYNC_NO_NODE)
        tree->nodes[place->previous].place[side].next = place->next;
    else tree->nodes[fact->parent].place[side].first = place->next;
    if (place->next != SYNC_NO_NODE)
        tree->nodes[place->next].place[side].previous = place->previous;
    place->next = place->previous = place->chain = SYNC_NO_NODE;
}

void sync_tree_set(sync_tree_t *tree, uint32_t node, sync_side_t side, const sync_fact_t *fact) {
    sync_node_t *it = &tree->nodes[node];
    if (it->side[side] && node != SYNC_ROOT_NODE) unlink_node(tree, side, node);
    it->side[side] = fact;
    if (!fact || node == SYNC_ROOT_NODE) return;
    if (tree->named[side]) link_name(tree, side, node);
    uint32_t *first = &tree->nodes[fact->parent].place[side].first;
    it->place[side].next = *first;
    it->place[side].previous = SYNC_NO_NODE;
    if (*first != SYNC_NO_NODE) tree->nodes[*first].place[side].previous = node;
    *first = node;
}

uint32_t sync_tree_child(sync_tree_t *tree, sync_side_t side, uint32_t parent, bytes_t name) {
    if (!tree->named[side]) name_side(tree, side);
    uint32_t at = tree->names[side][name_bucket(tree, parent, name)];
    for (; at != SYNC_NO_NODE; at = tree->nodes[at].place[side].chain) {
        const sync_fact_t *fact = tree->nodes[at].side[side];
        if (fact->parent == parent && bytes_eq(fact->name, name)) return at;
    }
    return SYNC_NO_NODE;
}

uint32_t sync_tree_rival(sync_tree_t *tree, sync_side_t side, uint32_t node) {
    if (!tree->named[side]) name_side(tree, side);
    const sync_fact_t *mine = tree->nodes[node].side[side];
    uint32_t at = tree->names[side][name_bucket(tree, mine->parent, mine->name)];
    for (; at != SYNC_NO_NODE; at = tree->nodes[at].place[side].chain)
        if (at != node && sync_same_place(tree->nodes[at].side[side], mine)) return at;
    return SYNC_NO_NODE;
}

err_t *sync_tree_path(const sync_tree_t *tree, sync_side_t side, uint32_t node, buf_t *out) {
    uint32_t up[LIMIT_SYNC_DEPTH + 1];
    size_t n = 0;
    buf_clear(out);
    for (; node != SYNC_ROOT_NODE; node = tree->nodes[node].side[side]->parent) {
        if (n > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders are nested too deep");
        if (!tree->nodes[node].side[side]) return err_new(ERR_INTERNAL, "a node without a place");
        up[n++] = node;
    }
    while (n--) {
        TRY(buf_add(out, tree->nodes[up[n]].side[side]->name));
        if (n) TRY(buf_add_byte(out, '/'));
    }
    return NULL;
}

bool sync_tree_rooted(const sync_tree_t *tree, sync_side_t side, uint32_t node) {
    for (size_t n = 0; node != SYNC_ROOT_NODE; n++) {
        const sync_fact_t *fact = tree->nodes[node].side[side];
        if (!fact || n > LIMIT_SYNC_DEPTH) return false;
        if (fact->parent != SYNC_ROOT_NODE) {
            const sync_fact_t *parent = tree->nodes[fact->parent].side[side];
            if (!parent || parent->kind != SYNC_ENTRY_FOLDER) return false;
        }
        node = fact->parent;
    }
    return true;
}

void sync_tree_sweep(sync_tree_t *tree, sync_side_t side) {
    for (uint32_t i = 1; i < tree->n; i++)
        if (tree->nodes[i].side[side] && !sync_tree_rooted(tree, side, i)) {
            sync_tree_set(tree, i, side, NULL);
            tree->nodes[i].changed = true;
        }
}

void sync_fact_of(const sync_entry_t *entry, uint32_t parent, sync_fact_t *ret_fact) {
    *ret_fact = (sync_fact_t){.kind = entry->kind,
                              .packed = entry->packed,
                              .parent = parent,
                              .mode = entry->mode,
                              .mtime_ns = entry->mtime_ns,
                              .index = entry->index,
                              .mtime = entry->mtime,
                              .size = entry->size,
                              .name = entry->name,
                              .fold = entry->fold,
                              .target = entry->target};
    memcpy(ret_fact->version, entry->version, SYNC_NODE);
    memcpy(ret_fact->package, entry->package, SYNC_HASH);
}
