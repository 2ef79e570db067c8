/*
 * What each node is to become: see plan.h. Pure. In the client.
 */
#include "sync/engine/plan.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sync/engine/conflict.h"

enum { FOLD_ROUNDS = 8 };

typedef struct {
    sync_tree_t *tree;
    const sync_plan_config_t *config;
    sync_plan_t counts;
} planner_t;

static bool same_content(const sync_fact_t *a, const sync_fact_t *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == SYNC_ENTRY_LINK) return bytes_eq(a->target, b->target);
    if (a->kind == SYNC_ENTRY_FOLDER) return true;
    return memcmp(a->version, b->version, SYNC_NODE) == 0;
}

/* Whether a file of the folder is, as far as can be told, what the service has. */
static bool looks_same(const sync_fact_t *local, const sync_fact_t *remote) {
    if (local->kind != remote->kind) return false;
    if (local->kind != SYNC_ENTRY_FILE) return same_content(local, remote);
    return local->size == remote->size && local->mtime == remote->mtime &&
           local->mtime_ns == remote->mtime_ns;
}

/* `content` with the place and mode of others. */
static err_t *mix(planner_t *p, uint32_t node, const sync_fact_t *content, const sync_fact_t *place,
                  uint32_t mode) {
    const sync_fact_t *fact = content;
    if (!sync_same_place(content, place) || content->mode != mode) {
        sync_fact_t mixed = *content;
        mixed.parent = place->parent;
        mixed.name = place->name;
        mixed.fold = place->fold;
        mixed.mode = mode;
        TRY(sync_tree_fact(p->tree, &mixed, &fact));
    }
    sync_tree_set(p->tree, node, SYNC_GOAL, fact);
    return NULL;
}

/* The file in the folder is taken for what the service has. */
static err_t *adopt(planner_t *p, uint32_t node) {
    const sync_fact_t *r = sync_tree_node(p->tree, node)->side[SYNC_REMOTE], *kept = NULL;
    sync_fact_t fact = *sync_tree_node(p->tree, node)->side[SYNC_LOCAL];
    fact.packed = r->packed;
    fact.index = r->index;
    memcpy(fact.version, r->version, SYNC_NODE);
    memcpy(fact.package, r->package, SYNC_HASH);
    TRY(sync_tree_fact(p->tree, &fact, &kept));
    sync_tree_set(p->tree, node, SYNC_LOCAL, kept);
    return NULL;
}

/* The copy of this very conflict that was committed before a crash, or SYNC_NO_NODE. */
static uint32_t earlier_copy(planner_t *p, uint32_t node) {
    const sync_fact_t *local = sync_tree_node(p->tree, node)->side[SYNC_LOCAL];
    uint32_t parent = sync_tree_node(p->tree, node)->side[SYNC_REMOTE]->parent;
    uint32_t at = sync_tree_node(p->tree, parent)->place[SYNC_REMOTE].first;
    for (; at != SYNC_NO_NODE; at = sync_tree_node(p->tree, at)->place[SYNC_REMOTE].next) {
        const sync_node_t *it = sync_tree_node(p->tree, at);
        if (!it->side[SYNC_BASE] && !it->side[SYNC_LOCAL] && !it->away &&
            looks_same(local, it->side[SYNC_REMOTE]) &&
            sync_conflict_of(it->side[SYNC_REMOTE]->name, local->name))
            return at;
    }
    return SYNC_NO_NODE;
}

/* The file in the folder becomes a node of its own; the old one is no more there. */
static err_t *split(planner_t *p, uint32_t node) {
    uint8_t id[SYNC_NODE];
    uint32_t copy = earlier_copy(p, node);
    if (copy != SYNC_NO_NODE) {
        const sync_fact_t *local = sync_tree_node(p->tree, node)->side[SYNC_LOCAL];
        sync_tree_node(p->tree, copy)->found = sync_tree_node(p->tree, node)->found;
        sync_tree_set(p->tree, node, SYNC_LOCAL, NULL);
        sync_tree_set(p->tree, copy, SYNC_LOCAL, local);
        sync_tree_set(p->tree, copy, SYNC_GOAL, sync_tree_node(p->tree, copy)->side[SYNC_REMOTE]);
        return adopt(p, copy);
    }
    TRY(rnd_fill(p->config->rnd, id, sizeof id));
    TRY(sync_tree_get(p->tree, id, &copy));
    sync_node_t *old = sync_tree_node(p->tree, node), *new = sync_tree_node(p->tree, copy);
    const sync_fact_t *fact = old->side[SYNC_LOCAL];
    new->found = old->found;
    new->content = true;
    new->upload = true;
    sync_tree_set(p->tree, node, SYNC_LOCAL, NULL);
    sync_tree_set(p->tree, copy, SYNC_LOCAL, fact);
    p->counts.conflicts++;
    /* Beside the one that it was, wherever that goes. */
    const sync_fact_t *place = sync_tree_node(p->tree, node)->side[SYNC_GOAL];
    CLEANUP(buf_done) buf_t name;
    buf_init(&name, LIMIT_SYNC_FILE_NAME);
    TRY(sync_conflict_make(p->tree, place->parent, place->name, p->config, &name));
    sync_fact_t moved = *fact;
    moved.parent = place->parent;
    moved.name = buf_bytes(&name);
    return sync_conflict_set(p->tree, copy, &moved);
}

/* Both have it. */
static err_t *merge(planner_t *p, uint32_t node) {
    const sync_node_t *it = sync_tree_node(p->tree, node);
    const sync_fact_t *b = it->side[SYNC_BASE], *r = it->side[SYNC_REMOTE],
                      *l = it->side[SYNC_LOCAL];
    bool remote_new = b ? !same_content(b, r) : true;
    /* Size and time tell that the service has it already, if both are new; else an edit may have
     * kept them. */
    bool same = looks_same(l, r) && (!b || it->content == remote_new);
    bool local_new = !same && (b ? it->content : true);
    bool place_local = b && !sync_same_place(b, l) && sync_same_place(b, r);
    uint32_t mode = b && b->mode == l->mode ? r->mode : b ? l->mode : r->mode;
    const sync_fact_t *place = place_local ? l : r;
    if (local_new && remote_new && l->kind != SYNC_ENTRY_FOLDER) {
        TRY(mix(p, node, r, r, r->mode));
        return split(p, node);
    }
    if (same && l->kind == SYNC_ENTRY_FILE && !same_content(l, r)) TRY(adopt(p, node));
    TRY(mix(p, node, local_new ? l : r, place, mode));
    sync_tree_node(p->tree, node)->upload = local_new;
    return NULL;
}

static err_t *decide(planner_t *p, uint32_t node) {
    sync_node_t *it = sync_tree_node(p->tree, node);
    const sync_fact_t *b = it->side[SYNC_BASE], *r = it->side[SYNC_REMOTE],
                      *l = it->side[SYNC_LOCAL];
    if (b && b->kind == SYNC_ENTRY_FILE) p->counts.files++;
    if (it->away) {
        sync_tree_set(p->tree, node, SYNC_GOAL, r);
        return NULL;
    }
    if (r && l) return merge(p, node);
    if (r) {
        bool kept =
            !b || (b->kind != SYNC_ENTRY_FOLDER && (!same_content(b, r) || !sync_same_place(b, r)));
        if (!kept && b->kind == SYNC_ENTRY_FILE) p->counts.removed_there++;
        sync_tree_set(p->tree, node, SYNC_GOAL, kept ? r : NULL);
        return NULL;
    }
    if (l) {
        bool kept = !b || (b->kind != SYNC_ENTRY_FOLDER && (it->content || !sync_same_place(b, l)));
        if (!kept && b->kind == SYNC_ENTRY_FILE) p->counts.removed_here++;
        sync_tree_set(p->tree, node, SYNC_GOAL, kept ? l : NULL);
        it->upload = kept;
    }
    return NULL;
}

/* A folder lives as long as anything in it does. */
static void raise_parents(sync_tree_t *tree) {
    uint32_t n = sync_tree_count(tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_fact_t *fact = sync_tree_node(tree, i)->side[SYNC_GOAL];
        while (fact && fact->parent != SYNC_ROOT_NODE) {
            uint32_t parent = fact->parent;
            const sync_node_t *it = sync_tree_node(tree, parent);
            if (it->side[SYNC_GOAL]) break;
            fact = it->side[SYNC_REMOTE];
            if (!fact) fact = it->side[SYNC_LOCAL];
            if (!fact) fact = it->side[SYNC_BASE];
            sync_tree_set(tree, parent, SYNC_GOAL, fact);
        }
    }
}

/* ---- circles ---- */

static err_t *place_at(sync_tree_t *tree, uint32_t node, uint32_t parent,
                       const sync_fact_t *named) {
    sync_fact_t fact = *sync_tree_node(tree, node)->side[SYNC_GOAL];
    const sync_fact_t *placed = NULL;
    fact.parent = parent;
    fact.name = named->name;
    fact.fold = named->fold;
    TRY(sync_tree_fact(tree, &fact, &placed));
    sync_tree_set(tree, node, SYNC_GOAL, placed);
    return NULL;
}

/* A node of the circle that `node` hangs in, or SYNC_NO_NODE. Walks at two speeds. */
static uint32_t up(sync_tree_t *tree, uint32_t node) {
    return node == SYNC_ROOT_NODE ? SYNC_ROOT_NODE
                                  : sync_tree_node(tree, node)->side[SYNC_GOAL]->parent;
}

static uint32_t circle_of(sync_tree_t *tree, uint32_t node) {
    uint32_t slow = node, fast = node;
    do {
        slow = up(tree, slow);
        fast = up(tree, up(tree, fast));
    } while (slow != fast);
    return slow == SYNC_ROOT_NODE ? SYNC_NO_NODE : slow;
}

static err_t *break_circle(sync_tree_t *tree, uint32_t begin) {
    uint32_t at = begin;
    do {
        const sync_node_t *it = sync_tree_node(tree, at);
        const sync_fact_t *r = it->side[SYNC_REMOTE];
        if (r && r->parent != it->side[SYNC_GOAL]->parent && !(it->away))
            return place_at(tree, at, r->parent, r);
        at = up(tree, at);
    } while (at != begin);
    return place_at(tree, at, SYNC_ROOT_NODE, sync_tree_node(tree, at)->side[SYNC_GOAL]);
}

static err_t *break_circles(sync_tree_t *tree) {
    uint32_t n = sync_tree_count(tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(tree, i);
        const sync_fact_t *goal = it->side[SYNC_GOAL], *r = it->side[SYNC_REMOTE];
        /* Only a folder that moved can close one. */
        if (!goal || goal->kind != SYNC_ENTRY_FOLDER || (r && r->parent == goal->parent)) continue;
        for (uint32_t in = circle_of(tree, i); in != SYNC_NO_NODE; in = circle_of(tree, i)) {
            TRY(break_circle(tree, in));
            raise_parents(tree);
        }
    }
    return NULL;
}

/* ---- names ---- */

/* Who has a name at the service keeps it, so all devices come to the same tree. */
static bool keeps_name(const sync_node_t *it) {
    const sync_fact_t *r = it->side[SYNC_REMOTE], *goal = it->side[SYNC_GOAL];
    return !goal || it->away || (r && sync_same_place(r, goal));
}

static err_t *give_way(planner_t *p, uint32_t node) {
    CLEANUP(buf_done) buf_t name;
    sync_fact_t fact = *sync_tree_node(p->tree, node)->side[SYNC_GOAL];
    buf_init(&name, LIMIT_SYNC_FILE_NAME);
    TRY(sync_conflict_make(p->tree, fact.parent, fact.name, p->config, &name));
    fact.name = buf_bytes(&name);
    TRY(sync_conflict_set(p->tree, node, &fact));
    p->counts.conflicts++;
    return NULL;
}

static err_t *settle_names(planner_t *p) {
    uint32_t n = sync_tree_count(p->tree);
    for (uint32_t i = 1; i < n; i++)
        if (!keeps_name(sync_tree_node(p->tree, i)) &&
            sync_tree_rival(p->tree, SYNC_GOAL, i) != SYNC_NO_NODE)
            TRY(give_way(p, i));
    return NULL;
}

/* ---- names that are one here ---- */

/* How much it is the one that keeps its name: it lies here by it, or the service has it so. */
static int claim_of(const sync_node_t *it) {
    const sync_fact_t *l = it->side[SYNC_LOCAL], *goal = it->side[SYNC_GOAL];
    return (l && sync_same_place(l, goal) ? 2 : 0) + (keeps_name(it) ? 1 : 0);
}

static int compare_bytes(bytes_t a, bytes_t b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

/* By what they are one by; who keeps the name goes first. */
static int by_fold(const void *a, const void *b, void *arg) {
    sync_tree_t *tree = arg;
    const sync_node_t *x = sync_tree_node(tree, *(const uint32_t *)a);
    const sync_node_t *y = sync_tree_node(tree, *(const uint32_t *)b);
    const sync_fact_t *f = x->side[SYNC_GOAL], *g = y->side[SYNC_GOAL];
    if (f->parent != g->parent) return f->parent < g->parent ? -1 : 1;
    int order = compare_bytes(f->fold, g->fold);
    if (!order) order = claim_of(y) - claim_of(x);
    return order ? order : compare_bytes(f->name, g->name);
}

static bool one_here(const sync_fact_t *a, const sync_fact_t *b) {
    return a->parent == b->parent && bytes_eq(a->fold, b->fold);
}

static err_t *settle_folds_once(planner_t *p, bool *ret_changed) {
    sync_tree_t *tree = p->tree;
    uint32_t all = sync_tree_count(tree), n = 0, kept = 0;
    CLEANUP(mem_free) uint32_t *nodes = mem_array(all, sizeof *nodes);
    if (!nodes) return err_nomem();
    for (uint32_t i = 1; i < all; i++) {
        const sync_node_t *it = sync_tree_node(tree, i);
        const sync_fact_t *goal = it->side[SYNC_GOAL];
        if (goal && goal->fold.n && !it->away) nodes[n++] = i;
    }
    qsort_r(nodes, n, sizeof *nodes, by_fold, tree);
    *ret_changed = false;
    for (uint32_t i = 1; i < n; i++) {
        const sync_fact_t *first = sync_tree_node(tree, nodes[kept])->side[SYNC_GOAL];
        const sync_fact_t *goal = sync_tree_node(tree, nodes[i])->side[SYNC_GOAL];
        if (!one_here(first, goal)) {
            kept = i;
            continue;
        }
        TRY(give_way(p, nodes[i]));
        *ret_changed = true;
    }
    return NULL;
}

/*
 * Two names of which the folder can have one: the other file gets a conflict name, at the service
 * too. A new name may be one with another one again.
 */
static err_t *settle_folds(planner_t *p) {
    bool changed = p->config->fold_names;
    for (int round = 0; changed && round < FOLD_ROUNDS; round++)
        TRY(settle_folds_once(p, &changed));
    return NULL;
}

static void count_uploads(planner_t *p) {
    uint32_t n = sync_tree_count(p->tree);
    for (uint32_t i = 1; i < n; i++) {
        sync_node_t *it = sync_tree_node(p->tree, i);
        const sync_fact_t *goal = it->side[SYNC_GOAL];
        it->upload = it->upload && goal && goal->kind == SYNC_ENTRY_FILE;
        if (!it->upload) continue;
        p->counts.uploads++;
        p->counts.upload_bytes += goal->size;
    }
}

err_t *sync_plan(sync_tree_t *tree, const sync_plan_config_t *config, sync_plan_t *ret_plan) {
    planner_t p = {.tree = tree, .config = config};
    uint32_t n = sync_tree_count(tree); /* conflict copies come behind, with goals of their own */
    for (uint32_t i = 1; i < n; i++) TRY(decide(&p, i));
    raise_parents(tree);
    TRY(break_circles(tree));
    TRY(settle_names(&p));
    TRY(settle_folds(&p));
    count_uploads(&p);
    *ret_plan = p.counts;
    return NULL;
}
