/*
 * What a path was before: see history.h. In the client; one thread.
 */
#include "sync/engine/history.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sync/engine/scan.h"
#include "sync/engine/trace.h"

enum { ITEMS_BYTES = 1024 * 1024 * 1024 };

/* ---- what lay in a folder ---- */

typedef struct {
    uint8_t node[SYNC_NODE], parent[SYNC_NODE], version[SYNC_NODE];
    sync_entry_kind_t kind;
    uint32_t mode;
    uint64_t size;
    int64_t mtime;
    bytes_t name, target;
    const char *path;
} item_t;

typedef struct {
    trace_t *trace;
    const past_root_t *root;
    bool (*in_set)(const past_root_t *root, const uint8_t package[SYNC_HASH]);
    arena_t *arena;
    item_t *items;
    size_t n, room;
    buf_t path;
    bool gone;
} items_t;

static void items_done(items_t *items) {
    mem_free(items->items);
    buf_done(&items->path);
}
DEFINE_CLEANUP_VALUE(items_t, items_done)

static err_t *add_item(items_t *items, const uint8_t parent[SYNC_NODE], const sync_entry_t *entry) {
    if (items->n == items->room) {
        size_t room = items->room * 2 + 64;
        item_t *grown = mem_resize(items->items, room * sizeof *grown);
        if (!grown) return err_nomem();
        items->items = grown;
        items->room = room;
    }
    item_t item = {
        .kind = entry->kind, .mode = entry->mode, .size = entry->size, .mtime = entry->mtime};
    bytes_t path = BYTES_NONE;
    memcpy(item.node, entry->node, SYNC_NODE);
    memcpy(item.parent, parent, SYNC_NODE);
    memcpy(item.version, entry->version, SYNC_NODE);
    TRY(arena_copy(items->arena, buf_bytes(&items->path), &path));
    TRY(arena_copy(items->arena, entry->name, &item.name));
    TRY(arena_copy(items->arena, entry->target, &item.target));
    item.path = (const char *)path.p;
    items->items[items->n++] = item;
    return NULL;
}

/* All of the lists that the root changed; no deeper than LIMIT_SYNC_DEPTH. */
static err_t *gather(items_t *items, const uint8_t package[SYNC_HASH],
                     const uint8_t node[SYNC_NODE], unsigned depth) {
    CLEANUP(past_release) past_list_t *list = NULL;
    if (depth > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders are nested too deep");
    TRY(past_list(&items->trace->past, package, &list));
    if (!list) items->gone = true;
    for (size_t i = 0; list && i < list->n && !items->gone; i++) {
        const sync_entry_t *entry = &list->entries[i];
        size_t n = items->path.n;
        if (n) TRY(buf_add_byte(&items->path, '/'));
        TRY(buf_add(&items->path, entry->name));
        TRY(add_item(items, node, entry));
        if (entry->kind == SYNC_ENTRY_FOLDER && items->in_set(items->root, entry->package))
            TRY(gather(items, entry->package, entry->node, depth + 1));
        items->path.n = n;
    }
    return NULL;
}

static int by_node(const void *a, const void *b) {
    const item_t *x = a, *y = b;
    return memcmp(x->node, y->node, SYNC_NODE);
}

static err_t *gather_place(items_t *items, const trace_place_t *place) {
    static const uint8_t none[SYNC_HASH];
    const uint8_t *package = trace_folder(place);
    const char *path = NULL;
    bool nothing = !trace_there(place) || memcmp(package, none, SYNC_HASH) == 0;
    if (nothing || place->kind != SYNC_ENTRY_FOLDER) return NULL;
    TRY(trace_path(place, &items->path, &path));
    TRY(gather(items, package, place->n ? place->hops[place->n - 1].node : none, 0));
    if (items->n) qsort(items->items, items->n, sizeof *items->items, by_node);
    return NULL;
}

/* ---- events ---- */

typedef struct {
    sync_engine_t *engine;
    sync_past_each_t each;
    void *arg;
    bool stop;
    sync_past_t *events; /* of one version, to be sorted */
    size_t n, room;
} teller_t;

static void teller_done(teller_t *teller) { mem_free(teller->events); }

static sync_past_t event_of(const teller_t *teller, const sync_root_t *root) {
    const sync_device_t *device = sync_chain_device(teller->engine->chain, root->device);
    return (sync_past_t){.version = root->counter,
                         .time = root->time,
                         .device = device ? device->card.name : "?",
                         .person = device ? device->card.person : "?"};
}

static err_t *note(teller_t *teller, const sync_root_t *root, sync_past_what_t what,
                   const item_t *item, const char *from) {
    if (teller->n == teller->room) {
        size_t room = teller->room * 2 + 64;
        sync_past_t *grown = mem_resize(teller->events, room * sizeof *grown);
        if (!grown) return err_nomem();
        teller->events = grown;
        teller->room = room;
    }
    sync_past_t event = event_of(teller, root);
    event.what = what;
    event.path = item->path;
    event.from = from;
    event.kind = item->kind;
    event.size = item->size;
    event.mtime = item->mtime;
    teller->events[teller->n++] = event;
    return NULL;
}

static bool same_item(const item_t *a, const item_t *b) {
    return a->mode == b->mode && bytes_eq(a->target, b->target) &&
           (a->kind == SYNC_ENTRY_FOLDER || memcmp(a->version, b->version, SYNC_NODE) == 0);
}

static err_t *compare_item(teller_t *teller, const sync_root_t *root, const item_t *old,
                           const item_t *now) {
    bool moved =
        !bytes_eq(old->name, now->name) || memcmp(old->parent, now->parent, SYNC_NODE) != 0;
    if (moved) return note(teller, root, SYNC_PAST_MOVED, now, old->path);
    return same_item(old, now) ? NULL : note(teller, root, SYNC_PAST_CHANGED, now, NULL);
}

static int by_path(const void *a, const void *b) {
    const sync_past_t *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* What the rules keep from this device is not told of. */
static err_t *tell_one(teller_t *teller, const sync_past_t *event) {
    if (!sync_allowed(sync_engine_allowed(teller->engine), event->path)) return NULL;
    return teller->each(teller->arg, event, &teller->stop);
}

static err_t *tell_events(teller_t *teller) {
    if (teller->n) qsort(teller->events, teller->n, sizeof *teller->events, by_path);
    for (size_t i = 0; i < teller->n && !teller->stop; i++)
        TRY(tell_one(teller, &teller->events[i]));
    teller->n = 0;
    return NULL;
}

static err_t *compare_items(teller_t *teller, const sync_root_t *root, const items_t *old,
                            const items_t *now) {
    size_t i = 0, j = 0;
    while (i < old->n || j < now->n) {
        const item_t *a = i < old->n ? &old->items[i] : NULL;
        const item_t *b = j < now->n ? &now->items[j] : NULL;
        int order = !a ? 1 : !b ? -1 : by_node(a, b);
        if (order < 0) TRY(note(teller, root, SYNC_PAST_DELETED, a, NULL));
        else if (order > 0) TRY(note(teller, root, SYNC_PAST_ADDED, b, NULL));
        else TRY(compare_item(teller, root, a, b));
        i += order <= 0;
        j += order >= 0;
    }
    return tell_events(teller);
}

/* The folder's own coming and going is told of, too. */
static err_t *tell_folder(teller_t *teller, trace_t *trace, const trace_step_t *step) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ITEMS_BYTES, &arena));
    CLEANUP(items_done)
    items_t now = {trace, step->root, past_added, arena, NULL, 0, 0, {0}, false};
    CLEANUP(items_done)
    items_t old = {trace, step->root, past_dropped, arena, NULL, 0, 0, {0}, false};
    buf_init(&now.path, SYNC_PATH_MAX + 1);
    buf_init(&old.path, SYNC_PATH_MAX + 1);
    TRY(gather_place(&now, step->place));
    if (!trace_there(step->place) || step->same) TRY(gather_place(&old, step->before));
    trace->gone = now.gone || old.gone;
    return trace->gone ? NULL : compare_items(teller, &step->root->root, &old, &now);
}

/* Of a file, or of the folder as a thing in its parent. */
static err_t *tell_own(teller_t *teller, const trace_step_t *step, buf_t *scratch) {
    sync_past_t event = event_of(teller, &step->root->root);
    bool here = trace_there(step->place);
    const trace_place_t *at = here ? step->place : step->before;
    bool moved = step->elsewhere != NULL;
    if (at->n == 0) return NULL;
    if (at->kind == SYNC_ENTRY_FOLDER && step->same && !moved) return NULL;
    event.what = moved        ? SYNC_PAST_MOVED
                 : !here      ? SYNC_PAST_DELETED
                 : step->same ? SYNC_PAST_CHANGED
                              : SYNC_PAST_ADDED;
    event.kind = at->kind;
    event.size = at->size;
    event.mtime = at->mtime;
    TRY(trace_path(at, scratch, &event.path));
    event.from = moved ? step->elsewhere : NULL;
    if (moved && !here) {
        event.from = event.path;
        event.path = step->elsewhere;
    }
    return tell_one(teller, &event);
}

static err_t *tell_step(teller_t *teller, trace_t *trace, const trace_step_t *step,
                        buf_t *scratch) {
    bool here = trace_there(step->place);
    const trace_place_t *at = here ? step->place : step->before;
    bool moved_away = !here && step->elsewhere;
    TRY(tell_own(teller, step, scratch));
    if (at->kind != SYNC_ENTRY_FOLDER || teller->stop || moved_away) return NULL;
    return tell_folder(teller, trace, step);
}

/* ---- a path's history ---- */

typedef struct {
    teller_t teller;
    void (*look)(void *arg, uint64_t version);
    sync_past_reach_t reach;
} history_t;

/*
 * The version that is there, where the lists of before are gone: the root that brought its package
 * says who made it.
 */
static err_t *tell_kept(history_t *history, trace_t *trace, buf_t *scratch) {
    const trace_place_t *at = trace->place;
    if (!trace_there(at) || at->n == 0 || at->kind != SYNC_ENTRY_FILE) return NULL;
    for (; trace->version; trace->version--) {
        const past_root_t *root = NULL;
        TRY(past_root(&trace->past, trace->version, &root));
        if (!past_added(root, at->hops[at->n - 1].package)) continue;
        const trace_step_t step = {.root = root, .place = at, .before = at, .same = true};
        return tell_own(&history->teller, &step, scratch);
    }
    return NULL;
}

static err_t *walk(history_t *history, trace_t *trace) {
    CLEANUP(buf_done) buf_t elsewhere;
    CLEANUP(buf_done) buf_t scratch;
    trace_step_t step;
    bool found = true, any = trace_there(trace->place);
    buf_init(&elsewhere, SYNC_PATH_MAX + 1);
    buf_init(&scratch, SYNC_PATH_MAX + 1);
    while (!history->teller.stop) {
        if (history->look) history->look(history->teller.arg, trace->version);
        TRY(trace_back(trace, 0, &elsewhere, &step, &found));
        if (!found) break;
        any = true;
        TRY(tell_step(&history->teller, trace, &step, &scratch));
        if (trace->gone) break;
        trace_on(trace);
    }
    if (trace->gone) TRY(tell_kept(history, trace, &scratch));
    history->reach.oldest = trace->gone ? trace->version : 1;
    history->reach.stopped = history->teller.stop;
    return any ? NULL : err_new(ERR_NOT_FOUND, "there is no such path, and none is kept");
}

static err_t *history(sync_engine_t *engine, const char *path, history_t *h) {
    CLEANUP(trace_done) trace_t trace = {0};
    h->reach.newest = engine->seen.counter;
    TRY(trace_begin(engine, path, &trace));
    return walk(h, &trace);
}

/* ---- which version ---- */

static err_t *by_time(sync_engine_t *engine, int64_t time, uint64_t *ret_version) {
    past_t past;
    uint64_t counter = engine->seen.counter;
    const past_root_t *root = NULL;
    err_t *e = NULL;
    past_init(&past, engine);
    for (; counter; counter--) {
        e = past_root(&past, counter, &root);
        if (e || root->root.time <= time) break;
    }
    past_done(&past);
    if (e) return e;
    if (!counter) return err_new(ERR_NOT_FOUND, "the first version is younger than that");
    *ret_version = counter;
    return NULL;
}

static err_t *before_last(sync_engine_t *engine, const char *path, uint64_t *ret_version) {
    CLEANUP(trace_done) trace_t trace = {0};
    CLEANUP(buf_done) buf_t scratch;
    trace_step_t step = {0};
    bool found = false;
    buf_init(&scratch, SYNC_PATH_MAX + 1);
    TRY(trace_begin(engine, path, &trace));
    if (trace_there(trace.place) && trace.place->kind == SYNC_ENTRY_FOLDER)
        return err_new(ERR_USAGE, "a folder that is there: say which version of it");
    TRY(trace_back(&trace, 0, &scratch, &step, &found));
    if (!found || !trace_there(step.before))
        return err_new(ERR_NOT_FOUND, "no earlier version of it is kept");
    *ret_version = trace.version - 1;
    return NULL;
}

static err_t *which_version(sync_engine_t *engine, const sync_past_which_t *which,
                            uint64_t *ret_version) {
    if (which->version > engine->seen.counter)
        return err_new(ERR_NOT_FOUND, "the newest version is %llu",
                       (unsigned long long)engine->seen.counter);
    if (which->by_time) return by_time(engine, which->time, ret_version);
    if (!which->version) return before_last(engine, which->path, ret_version);
    *ret_version = which->version;
    return NULL;
}

/* ---- a version's content ---- */

static err_t *read_version(sync_engine_t *engine, const char *path, uint64_t version,
                           const sync_sink_t *sink) {
    CLEANUP(trace_done) trace_t trace = {0};
    sync_node_t node = {0};
    TRY(trace_begin(engine, path, &trace));
    TRY(trace_to(&trace, version));
    const trace_place_t *at = trace.place;
    if (at->n == 0 || at->kind != SYNC_ENTRY_FILE)
        return err_new(ERR_USAGE, "%s is no file in version %llu", path,
                       (unsigned long long)version);
    const trace_hop_t *last = &at->hops[at->n - 1];
    sync_fact_t fact = {
        .kind = SYNC_ENTRY_FILE, .packed = at->packed, .index = at->index, .size = at->size};
    memcpy(node.id, last->node, SYNC_NODE);
    memcpy(fact.version, at->version, SYNC_NODE);
    memcpy(fact.package, last->package, SYNC_HASH);
    engine->from_service = false;
    return pull_file(engine, &node, &fact, sink);
}

/* ---- between steps ---- */

static void look_back(sync_engine_t *engine, sync_report_t *report) {
    *report = (sync_report_t){0};
    engine_rest(engine);
    engine->report = report;
    engine->looking_back = true;
}

static err_t *looked_back(sync_engine_t *engine, err_t *e) {
    engine_rest(engine);
    engine->looking_back = false;
    engine->report = NULL;
    return e;
}

err_t *sync_history(sync_engine_t *engine, const char *path, sync_past_each_t each,
                    void (*look)(void *arg, uint64_t version), void *arg,
                    sync_past_reach_t *ret_reach) {
    sync_report_t report;
    history_t h = {.teller = {.engine = engine, .each = each, .arg = arg}, .look = look};
    TRY(engine_may_go_on(engine));
    TRY(engine_may_have(engine, path));
    look_back(engine, &report);
    err_t *e = looked_back(engine, history(engine, path, &h));
    teller_done(&h.teller);
    if (!e) *ret_reach = h.reach;
    return e;
}

err_t *sync_past_version(sync_engine_t *engine, const sync_past_which_t *which,
                         uint64_t *ret_version) {
    sync_report_t report;
    TRY(engine_may_go_on(engine));
    TRY(engine_may_have(engine, which->path));
    look_back(engine, &report);
    return looked_back(engine, which_version(engine, which, ret_version));
}

err_t *sync_past_read(sync_engine_t *engine, const char *path, uint64_t version,
                      const sync_sink_t *sink) {
    sync_report_t report;
    TRY(engine_may_go_on(engine));
    TRY(engine_may_have(engine, path));
    look_back(engine, &report);
    return looked_back(engine, read_version(engine, path, version, sink));
}
