/*
 * Following a path back: see trace.h. In the client; one thread.
 */
#include "sync/engine/trace.h"

#include "base/mem.h"
#include "base/text.h"

/* ---- life ---- */

void trace_done(trace_t *trace) {
    past_done(&trace->past);
    mem_free(trace->place);
    mem_free(trace->before);
    *trace = (trace_t){0};
}

bool trace_there(const trace_place_t *place) { return place->there == place->n; }

static err_t *add_hop(trace_place_t *place, bytes_t name) {
    if (place->n == LIMIT_SYNC_DEPTH + 1) return err_new(ERR_LIMIT, "a path too deep");
    trace_hop_t *hop = &place->hops[place->n];
    hop->name_n = name.n;
    hop->known = false;
    bytes_put(hop->name, name);
    place->n++;
    return NULL;
}

static err_t *parse_path(trace_place_t *place, const char *path) {
    bytes_t rest = bytes_str(path), name;
    while (text_split(&rest, '/', &name)) {
        if (name.n == 0) continue;
        if (!sync_name_valid(name)) return err_new(ERR_USAGE, "%s is no path of a region", path);
        TRY(add_hop(place, name));
    }
    return NULL;
}

err_t *trace_path(const trace_place_t *place, buf_t *out, const char **ret_path) {
    buf_clear(out);
    for (size_t i = 0; i < place->n; i++) {
        if (i) TRY(buf_add_byte(out, '/'));
        TRY(buf_add(out, bytes_make(place->hops[i].name, place->hops[i].name_n)));
    }
    return buf_cstr(out, ret_path);
}

const uint8_t *trace_folder(const trace_place_t *place) {
    size_t folders = place->there;
    if (trace_there(place) && place->n && place->kind != SYNC_ENTRY_FOLDER) folders--;
    return folders ? place->hops[folders - 1].package : place->top;
}

/* ---- where it is ---- */

static void take_hop(trace_place_t *place, size_t i, const sync_entry_t *entry) {
    trace_hop_t *hop = &place->hops[i];
    hop->name_n = entry->name.n;
    hop->known = true;
    hop->mode = entry->mode;
    bytes_put(hop->name, entry->name);
    memcpy(hop->node, entry->node, SYNC_NODE);
    memcpy(hop->package, entry->package, SYNC_HASH);
}

static void take_last(trace_place_t *place, const sync_entry_t *entry) {
    place->kind = entry->kind;
    place->packed = entry->packed;
    place->index = entry->index;
    place->mode = entry->mode;
    place->size = entry->size;
    place->mtime = entry->mtime;
    place->mtime_ns = entry->mtime_ns;
    place->target_n = entry->target.n;
    bytes_put(place->target, entry->target);
    memcpy(place->version, entry->version, SYNC_NODE);
}

static void at_top(trace_place_t *place, const uint8_t top[SYNC_HASH]) {
    memcpy(place->top, top, SYNC_HASH);
    memset(place->version, 0, SYNC_NODE);
    place->there = 0;
    place->kind = SYNC_ENTRY_FOLDER;
    place->size = 0;
    place->target_n = 0;
}

/* By nodes where they are known, else by names; as far as there is something. */
static err_t *resolve(trace_t *trace, const uint8_t top[SYNC_HASH], trace_place_t *place) {
    const uint8_t *package = top;
    at_top(place, top);
    for (size_t i = 0; i < place->n; i++) {
        CLEANUP(past_release) past_list_t *list = NULL;
        trace_hop_t *hop = &place->hops[i];
        TRY(past_list(&trace->past, package, &list));
        trace->gone = !list;
        if (!list) return NULL;
        const sync_entry_t *entry = hop->known
                                        ? past_by_node(list, hop->node)
                                        : past_by_name(list, bytes_make(hop->name, hop->name_n));
        if (!entry || (i + 1 < place->n && entry->kind != SYNC_ENTRY_FOLDER)) return NULL;
        take_hop(place, i, entry);
        if (i + 1 == place->n) take_last(place, entry);
        place->there++;
        package = hop->package;
    }
    return NULL;
}

/* ---- a node that moved ---- */

typedef bool (*in_set_t)(const past_root_t *root, const uint8_t package[SYNC_HASH]);

typedef struct {
    trace_t *trace;
    const past_root_t *root;
    in_set_t in_set;
    const uint8_t *node;
    trace_place_t *place; /* its hops are the folders gone down */
    bool found;
} search_t;

/* No deeper than LIMIT_SYNC_DEPTH. */
static err_t *search_in(search_t *s, const uint8_t package[SYNC_HASH], size_t depth) {
    CLEANUP(past_release) past_list_t *list = NULL;
    if (depth > LIMIT_SYNC_DEPTH) return NULL;
    TRY(past_list(&s->trace->past, package, &list));
    if (!list) return NULL;
    const sync_entry_t *entry = past_by_node(list, s->node);
    s->found = entry != NULL;
    if (entry) {
        take_hop(s->place, depth, entry);
        take_last(s->place, entry);
        s->place->n = s->place->there = depth + 1;
        return NULL;
    }
    for (size_t i = 0; i < list->n && !s->found; i++) {
        entry = &list->entries[i];
        if (entry->kind != SYNC_ENTRY_FOLDER || !s->in_set(s->root, entry->package)) continue;
        take_hop(s->place, depth, entry);
        TRY(search_in(s, entry->package, depth + 1));
    }
    return NULL;
}

/* Only where the root changed something: a node that moved left and came into changed lists. */
static err_t *search(trace_t *trace, const past_root_t *root, in_set_t in_set,
                     const uint8_t top[SYNC_HASH], const uint8_t node[SYNC_NODE],
                     trace_place_t *place, bool *ret_found) {
    search_t s = {trace, root, in_set, node, place, false};
    at_top(place, top);
    TRY(search_in(&s, top, 0));
    *ret_found = s.found;
    return NULL;
}

/* ---- steps ---- */

static bool same_node(const trace_place_t *a, const trace_place_t *b) {
    if (!trace_there(a) || !trace_there(b)) return false;
    if (a->n == 0 || b->n == 0) return a->n == b->n;
    return memcmp(a->hops[a->n - 1].node, b->hops[b->n - 1].node, SYNC_NODE) == 0;
}

static bool same_place(const trace_place_t *a, const trace_place_t *b) {
    const trace_hop_t *x = &a->hops[a->n - 1], *y = &b->hops[b->n - 1];
    if (x->name_n != y->name_n || memcmp(x->name, y->name, x->name_n) != 0) return false;
    if (a->n == 1 || b->n == 1) return a->n == b->n;
    return memcmp(x[-1].node, y[-1].node, SYNC_NODE) == 0;
}

static bool same_file(const trace_place_t *a, const trace_place_t *b) {
    return a->mode == b->mode && memcmp(a->version, b->version, SYNC_NODE) == 0 &&
           a->target_n == b->target_n && memcmp(a->target, b->target, a->target_n) == 0;
}

/* What was at the path before, if not the node: nodes from where it ends on are forgotten. */
static err_t *resolve_by_name(trace_t *trace, const uint8_t top[SYNC_HASH]) {
    trace_place_t *before = trace->before;
    *before = *trace->place;
    for (size_t i = 0; i < before->n; i++) before->hops[i].known = false;
    return resolve(trace, top, before);
}

static err_t *find_before(trace_t *trace, const past_root_t *root, const uint8_t *top) {
    trace_place_t *before = trace->before, *place = trace->place;
    bool found = false;
    *before = *place;
    if (!top) {
        static const uint8_t none[SYNC_HASH];
        at_top(before, none);
        return NULL;
    }
    TRY(resolve(trace, top, before));
    if (trace->gone || trace_there(before) || !trace_there(place)) return NULL;
    TRY(search(trace, root, past_dropped, top, place->hops[place->n - 1].node, before, &found));
    return found ? NULL : resolve_by_name(trace, top);
}

/* Where the node that is here no more went to. */
static err_t *find_elsewhere(trace_t *trace, const past_root_t *root, buf_t *scratch,
                             const char **ret_elsewhere) {
    const trace_place_t *before = trace->before;
    CLEANUP(mem_free) trace_place_t *at = mem_zalloc(sizeof *at);
    bool found = false;
    if (!at) return err_nomem();
    TRY(search(trace, root, past_added, trace->place->top, before->hops[before->n - 1].node, at,
               &found));
    return found ? trace_path(at, scratch, ret_elsewhere) : NULL;
}

static err_t *make_step(trace_t *trace, const past_root_t *root, buf_t *scratch,
                        trace_step_t *ret_step, bool *ret_found) {
    const trace_place_t *place = trace->place, *before = trace->before;
    trace_step_t step = {.root = root, .place = place, .before = before};
    bool here = trace_there(place), was = trace_there(before);
    step.same = same_node(place, before);
    if (!here && !was) return NULL;
    if (step.same && place->kind != SYNC_ENTRY_FOLDER && same_place(place, before) &&
        same_file(place, before))
        return NULL;
    if (step.same && place->n && !same_place(place, before))
        TRY(trace_path(before, scratch, &step.elsewhere));
    if (!here) TRY(find_elsewhere(trace, root, scratch, &step.elsewhere));
    *ret_step = step;
    *ret_found = true;
    return NULL;
}

void trace_on(trace_t *trace) {
    trace_place_t *spare = trace->place;
    trace->place = trace->before;
    trace->before = spare;
    trace->version--;
}

/* Folders above may have had other names then; where that is kept no more, the later ones stay. */
static err_t *name_again(trace_t *trace, const uint8_t top[SYNC_HASH]) {
    trace_place_t *spare = trace->before;
    *spare = *trace->place;
    TRY(resolve(trace, top, spare));
    bool better = !trace->gone && spare->there >= trace->place->there;
    trace->gone = false;
    if (!better) return NULL;
    trace->before = trace->place;
    trace->place = spare;
    return NULL;
}

err_t *trace_back(trace_t *trace, uint64_t until, buf_t *scratch, trace_step_t *ret_step,
                  bool *ret_found) {
    bool renamed = false;
    *ret_found = false;
    while (trace->version > until && !trace->gone) {
        const past_root_t *root = NULL, *older = NULL;
        TRY(past_root(&trace->past, trace->version, &root));
        if (!past_added(root, trace_folder(trace->place))) {
            trace->version--;
            renamed = true;
            continue;
        }
        if (renamed) TRY(name_again(trace, root->root.folder));
        renamed = false;
        if (trace->version > 1) TRY(past_root(&trace->past, trace->version - 1, &older));
        TRY(find_before(trace, root, older ? older->root.folder : NULL));
        if (trace->gone) return NULL;
        TRY(make_step(trace, root, scratch, ret_step, ret_found));
        if (*ret_found) return NULL;
        trace_on(trace);
    }
    return NULL;
}

err_t *trace_to(trace_t *trace, uint64_t version) {
    CLEANUP(buf_done) buf_t scratch;
    trace_step_t step;
    bool found = true;
    buf_init(&scratch, SYNC_PATH_MAX + 1);
    for (;;) {
        TRY(trace_back(trace, version, &scratch, &step, &found));
        if (trace->gone)
            return err_new(ERR_NOT_FOUND, "version %llu is not kept any more; the oldest is %llu",
                           (unsigned long long)version, (unsigned long long)trace->version);
        if (!found) break;
        trace_on(trace);
    }
    if (trace_there(trace->place)) return NULL;
    return err_new(ERR_NOT_FOUND, "version %llu had no such path", (unsigned long long)version);
}

err_t *trace_begin(sync_engine_t *engine, const char *path, trace_t *ret_trace) {
    CLEANUP(trace_done) trace_t trace = {.version = engine->seen.counter};
    const past_root_t *root = NULL;
    if (!trace.version) return err_new(ERR_NOT_FOUND, "nothing was committed yet");
    past_init(&trace.past, engine);
    trace.place = mem_zalloc(sizeof *trace.place);
    trace.before = mem_zalloc(sizeof *trace.before);
    if (!trace.place || !trace.before) return err_nomem();
    TRY(parse_path(trace.place, path));
    TRY(past_root(&trace.past, trace.version, &root));
    TRY(resolve(&trace, root->root.folder, trace.place));
    if (trace.gone) return err_new(ERR_NOT_FOUND, "the newest version is not there");
    *ret_trace = trace;
    trace = (trace_t){0};
    return NULL;
}
