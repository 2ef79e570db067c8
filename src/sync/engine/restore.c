/*
 * What was comes back as a new version: the packages of then are put into the tree again, nothing
 * of the contents is sent. See edit.h. In the client; one thread.
 */
#include "base/mem.h"
#include "sync/engine/edit_internal.h"
#include "sync/engine/scan.h"
#include "sync/engine/trace.h"

typedef struct {
    const char *path;
    uint64_t version;
    sync_restored_t *restored;
    trace_t *trace;
    sync_engine_t *engine;
    uint32_t scope; /* the folder that is brought back: what lies outside is left alone */
    buf_t at;       /* path, for messages */
} restore_t;

static sync_node_t *node_at(const restore_t *r, uint32_t node) {
    return sync_tree_node(r->engine->tree, node);
}

static bool alive(const restore_t *r, uint32_t node) {
    return node != SYNC_NO_NODE &&
           (node == SYNC_ROOT_NODE || node_at(r, node)->side[SYNC_GOAL] != NULL);
}

/* Whether it is the folder, or lies somewhere in it. */
static bool lies_in(const restore_t *r, uint32_t node, uint32_t folder) {
    for (size_t n = 0; n <= LIMIT_SYNC_DEPTH; n++) {
        if (node == folder) return true;
        const sync_fact_t *fact = node_at(r, node)->side[SYNC_GOAL];
        if (!fact || node == SYNC_ROOT_NODE) return false;
        node = fact->parent;
    }
    return false;
}

static bool in_scope(const restore_t *r, uint32_t node) { return lies_in(r, node, r->scope); }

static err_t *left(restore_t *r, bytes_t name, const char *why) {
    const char *path = NULL;
    size_t n = r->at.n;
    if (n) TRY(buf_add_byte(&r->at, '/'));
    TRY(buf_add(&r->at, name));
    TRY(buf_cstr(&r->at, &path));
    engine_left(r->engine, path, err_new(ERR_EXISTS, "%s", why));
    r->at.n = n;
    return NULL;
}

/* ---- one thing ---- */

static bool as_it_is(const sync_fact_t *a, const sync_fact_t *b) {
    return a && sync_same_place(a, b) && a->mode == b->mode && bytes_eq(a->target, b->target) &&
           memcmp(a->version, b->version, SYNC_NODE) == 0;
}

/* Files and links; whatever file has the place gives way, its versions are kept. */
static err_t *put_back(restore_t *r, const uint8_t id[SYNC_NODE], const sync_fact_t *fact) {
    sync_tree_t *tree = r->engine->tree;
    uint32_t node = 0, there = sync_tree_child(tree, SYNC_GOAL, fact->parent, fact->name);
    TRY(sync_tree_get(tree, id, &node));
    if (as_it_is(node_at(r, node)->side[SYNC_GOAL], fact)) return NULL;
    if (there != SYNC_NO_NODE && there != node) {
        if (node_at(r, there)->side[SYNC_GOAL]->kind == SYNC_ENTRY_FOLDER)
            return left(r, fact->name, "a folder has its place now");
        sync_tree_set(tree, there, SYNC_GOAL, NULL);
        r->restored->replaced++;
    }
    r->restored->files++;
    return edit_set(r->engine, node, fact);
}

static err_t *fresh_node(restore_t *r, uint32_t *ret_node) {
    uint8_t id[SYNC_NODE];
    TRY(rnd_fill(r->engine->c.rnd, id, sizeof id));
    return sync_tree_get(r->engine->tree, id, ret_node);
}

/* The folder that stands for it now: itself, or whatever folder has its place. */
static err_t *folder_back(restore_t *r, const uint8_t id[SYNC_NODE], uint32_t parent, bytes_t name,
                          uint32_t mode, uint32_t *ret_node) {
    sync_tree_t *tree = r->engine->tree;
    uint32_t there = sync_tree_child(tree, SYNC_GOAL, parent, name), node = 0;
    *ret_node = there;
    if (there != SYNC_NO_NODE && node_at(r, there)->side[SYNC_GOAL]->kind == SYNC_ENTRY_FOLDER)
        return NULL;
    *ret_node = SYNC_NO_NODE;
    if (there != SYNC_NO_NODE) return left(r, name, "a file has its place now");
    TRY(sync_tree_get(tree, id, &node));
    if (alive(r, node) && !in_scope(r, node)) return left(r, name, "it lies elsewhere now");
    /* It is a folder above by now, which can't go into itself: another one stands for it. */
    if (lies_in(r, parent, node)) TRY(fresh_node(r, &node));
    *ret_node = node;
    r->restored->folders++;
    if (!alive(r, node)) return edit_new_folder(r->engine, node, parent, name, mode);
    sync_fact_t fact = *node_at(r, node)->side[SYNC_GOAL];
    fact.parent = parent;
    fact.name = name;
    fact.fold = BYTES_NONE;
    return edit_set(r->engine, node, &fact);
}

/* ---- a folder ---- */

static err_t *restore_list(restore_t *r, const uint8_t package[SYNC_HASH], uint32_t folder,
                           unsigned depth);

/* Whether the rules leave this name at the top to this device. */
static err_t *may_be_back(const restore_t *r, bytes_t name, bool *ret_may) {
    CLEANUP(mem_free) char *path = mem_strndup((const char *)name.p, name.n);
    if (!path) return err_nomem();
    *ret_may = sync_allowed(sync_engine_allowed(r->engine), path);
    return NULL;
}

static err_t *restore_entry(restore_t *r, const sync_entry_t *entry, uint32_t folder,
                            unsigned depth) {
    sync_fact_t fact;
    uint32_t node = sync_tree_find(r->engine->tree, entry->node);
    bool may = true;
    if (folder == SYNC_ROOT_NODE) TRY(may_be_back(r, entry->name, &may));
    if (!may) return left(r, entry->name, "your organisation's rules keep it from this device");
    if (entry->kind != SYNC_ENTRY_FOLDER) {
        if (alive(r, node) && !in_scope(r, node))
            return left(r, entry->name, "it lies elsewhere now");
        sync_fact_of(entry, folder, &fact);
        return put_back(r, entry->node, &fact);
    }
    size_t n = r->at.n;
    TRY(folder_back(r, entry->node, folder, entry->name, entry->mode, &node));
    if (node == SYNC_NO_NODE) return NULL;
    if (n) TRY(buf_add_byte(&r->at, '/'));
    TRY(buf_add(&r->at, entry->name));
    TRY(restore_list(r, entry->package, node, depth + 1));
    r->at.n = n;
    return NULL;
}

static err_t *restore_list(restore_t *r, const uint8_t package[SYNC_HASH], uint32_t folder,
                           unsigned depth) {
    CLEANUP(past_release) past_list_t *list = NULL;
    if (depth > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders are nested too deep");
    TRY(past_list(&r->trace->past, package, &list));
    if (!list)
        return err_new(ERR_NOT_FOUND, "version %llu is not kept any more",
                       (unsigned long long)r->version);
    for (size_t i = 0; i < list->n; i++) TRY(restore_entry(r, &list->entries[i], folder, depth));
    return NULL;
}

/* ---- the path ---- */

static bytes_t hop_name(const trace_hop_t *hop) { return bytes_make(hop->name, hop->name_n); }

/* The folder above it as it stands now; what is missing of the way comes back without contents. */
static err_t *find_parent(restore_t *r, const trace_place_t *at, uint32_t *ret_parent) {
    uint32_t parent = SYNC_ROOT_NODE;
    for (size_t i = 0; i + 1 < at->n; i++) {
        const trace_hop_t *hop = &at->hops[i];
        uint32_t node = sync_tree_find(r->engine->tree, hop->node);
        if (!alive(r, node))
            TRY(folder_back(r, hop->node, parent, hop_name(hop), hop->mode, &node));
        if (node == SYNC_NO_NODE) return err_new(ERR_EXISTS, "%s", r->engine->report->first_left);
        parent = node;
    }
    *ret_parent = parent;
    return NULL;
}

static void fact_of_place(const trace_place_t *at, sync_fact_t *ret_fact) {
    const trace_hop_t *last = &at->hops[at->n - 1];
    *ret_fact = (sync_fact_t){.kind = at->kind,
                              .packed = at->packed,
                              .mode = at->mode,
                              .mtime_ns = at->mtime_ns,
                              .index = at->index,
                              .mtime = at->mtime,
                              .size = at->size,
                              .name = hop_name(last),
                              .target = bytes_make(at->target, at->target_n)};
    memcpy(ret_fact->version, at->version, SYNC_NODE);
    if (at->kind == SYNC_ENTRY_FILE) memcpy(ret_fact->package, last->package, SYNC_HASH);
}

/* A file that is there keeps the place and name that it has now. */
static err_t *restore_file(restore_t *r, const trace_place_t *at) {
    const trace_hop_t *last = &at->hops[at->n - 1];
    uint32_t node = sync_tree_find(r->engine->tree, last->node);
    sync_fact_t fact;
    fact_of_place(at, &fact);
    if (alive(r, node)) {
        const sync_fact_t *now = node_at(r, node)->side[SYNC_GOAL];
        fact.parent = now->parent;
        fact.name = now->name;
        fact.fold = now->fold;
    } else {
        TRY(find_parent(r, at, &fact.parent));
    }
    uint64_t before = r->engine->report->left;
    TRY(put_back(r, last->node, &fact));
    if (r->engine->report->left > before)
        return err_new(ERR_EXISTS, "%s", r->engine->report->first_left);
    return NULL;
}

static err_t *restore_folder(restore_t *r, const trace_place_t *at) {
    const trace_hop_t *last = at->n ? &at->hops[at->n - 1] : NULL;
    uint32_t node = SYNC_ROOT_NODE, parent = 0;
    const char *path = NULL;
    if (last) node = sync_tree_find(r->engine->tree, last->node);
    if (!alive(r, node)) {
        TRY(find_parent(r, at, &parent));
        TRY(folder_back(r, last->node, parent, hop_name(last), last->mode, &node));
        if (node == SYNC_NO_NODE) return err_new(ERR_EXISTS, "%s", r->engine->report->first_left);
    }
    r->scope = node;
    TRY(trace_path(at, &r->at, &path));
    return restore_list(r, trace_folder(at), node, 0);
}

static err_t *find_and_restore(restore_t *r) {
    TRY(engine_may_have(r->engine, r->path));
    TRY(trace_begin(r->engine, r->path, r->trace));
    TRY(trace_to(r->trace, r->version));
    const trace_place_t *at = r->trace->place;
    const char *then = NULL;
    TRY(trace_path(at, &r->at, &then));
    TRY(engine_may_have(r->engine, then));
    buf_clear(&r->at);
    return at->kind == SYNC_ENTRY_FOLDER ? restore_folder(r, at) : restore_file(r, at);
}

static err_t *restore(sync_engine_t *engine, void *arg) {
    CLEANUP(trace_done) trace_t trace = {0};
    restore_t *r = arg;
    r->engine = engine;
    r->trace = &trace;
    r->scope = SYNC_ROOT_NODE;
    *r->restored = (sync_restored_t){0};
    buf_init(&r->at, SYNC_PATH_MAX + 1);
    engine->looking_back = true;
    err_t *e = find_and_restore(r);
    engine->looking_back = false;
    buf_done(&r->at);
    return e;
}

err_t *sync_engine_restore(sync_engine_t *engine, const char *path, uint64_t version,
                           sync_report_t *ret_report, sync_restored_t *ret_restored) {
    sync_restored_t restored = {0};
    restore_t r = {.path = path, .version = version, .restored = &restored};
    TRY(edit_run(engine, NULL, restore, &r, ret_report));
    *ret_restored = restored;
    return NULL;
}
