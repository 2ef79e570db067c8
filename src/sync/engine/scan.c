/*
 * The folder's side of the tree. A file is the node that it was: by its number on the disk, so
 * that a rename is one, or by its name, so that programs may replace it. What has another size or
 * time has another content. Nothing is read but names and states. In the client; one thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sync/engine/engine_internal.h"
#include "sync/engine/scan.h"
#include "sync/name.h"

typedef struct {
    uint32_t parent;  /* in the list of what was found; SYNC_NO_NODE: the folder itself */
    uint32_t node;    /* SYNC_NO_NODE: not known yet */
    uint32_t by_path; /* node that lies there in base or remote, or SYNC_NO_NODE */
    uint16_t name_n;
    bool unread;
    size_t name; /* offset among the names */
    sync_stat_t stat;
} found_t;

typedef struct {
    uint64_t inode;
    uint32_t node;
} inode_t;

typedef struct {
    sync_engine_t *engine;
    found_t *found;
    size_t n, room;
    buf_t names;
    uint32_t folder; /* being listed: in found */
    inode_t *inodes; /* of base, ascending */
    size_t inodes_n;
    buf_t fold, target;
    buf_t outside; /* numbers of folders that the rules keep out */
} scan_t;

static void scan_done(scan_t *scan) {
    mem_free(scan->found);
    mem_free(scan->inodes);
    buf_done(&scan->names);
    buf_done(&scan->fold);
    buf_done(&scan->target);
    buf_done(&scan->outside);
}
DEFINE_CLEANUP_VALUE(scan_t, scan_done)

static bytes_t name_of(const scan_t *scan, const found_t *found) {
    return bytes_slice(buf_bytes(&scan->names), found->name, found->name_n);
}

/* ---- listing ---- */

static err_t *path_of(const scan_t *scan, uint32_t at, buf_t *out, const char **ret_path) {
    uint32_t up[LIMIT_SYNC_DEPTH + 1];
    size_t n = 0;
    buf_clear(out);
    for (; at != SYNC_NO_NODE; at = scan->found[at].parent) {
        if (n > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders are nested too deep");
        up[n++] = at;
    }
    while (n--) {
        TRY(buf_add(out, name_of(scan, &scan->found[up[n]])));
        if (n) TRY(buf_add_byte(out, '/'));
    }
    return buf_cstr(out, ret_path);
}

static uint32_t node_by_path(const scan_t *scan, bytes_t name) {
    uint32_t parent = SYNC_ROOT_NODE;
    if (scan->folder != SYNC_NO_NODE) parent = scan->found[scan->folder].by_path;
    if (parent == SYNC_NO_NODE) return SYNC_NO_NODE;
    uint32_t at = sync_tree_child(scan->engine->tree, SYNC_BASE, parent, name);
    if (at == SYNC_NO_NODE) at = sync_tree_child(scan->engine->tree, SYNC_REMOTE, parent, name);
    return at;
}

/* A name at the top that the rules keep out: it stays as it is, and is told. */
static err_t *outside(scan_t *scan, const char *path, const sync_stat_t *stat) {
    sync_report_t *report = scan->engine->report;
    if (strcmp(path, ".coffer-ignore") == 0) return NULL; /* it is this device's then */
    if (report->outside++ == 0)
        (void)snprintf(report->first_outside, sizeof report->first_outside, "%s", path);
    if (stat->kind != SYNC_ENTRY_FOLDER) return NULL;
    return buf_add(&scan->outside, bytes_make(&stat->inode, sizeof stat->inode));
}

/* Whether it is to be synced at all. */
static err_t *wanted(scan_t *scan, bytes_t name, const sync_stat_t *stat, uint32_t by_path,
                     bool *ret_wanted) {
    sync_engine_t *engine = scan->engine;
    const char *path = NULL;
    *ret_wanted = true;
    bool all = !engine->c.folders && !engine->allowed;
    if (all && (engine->c.ignore.n == 0 || by_path != SYNC_NO_NODE)) return NULL;
    TRY(path_of(scan, scan->folder, &engine->path2, &path));
    if (engine->path2.n) TRY(buf_add_byte(&engine->path2, '/'));
    TRY(buf_add(&engine->path2, name));
    TRY(buf_cstr(&engine->path2, &path));
    *ret_wanted = sync_chosen(engine->c.folders, path) &&
                  (by_path != SYNC_NO_NODE ||
                   !sync_ignored(engine->c.ignore, path, stat->kind == SYNC_ENTRY_FOLDER));
    if (!*ret_wanted || sync_allowed(sync_engine_allowed(engine), path)) return NULL;
    *ret_wanted = false;
    return outside(scan, path, stat);
}

static err_t *take(void *arg, const char *text, const sync_stat_t *stat) {
    scan_t *scan = arg;
    bytes_t name = bytes_str(text);
    bool is_wanted = false;
    if (!sync_name_valid(name)) {
        engine_left(scan->engine, text, err_new(ERR_INVALID, "a name that can't be synced"));
        return NULL;
    }
    uint32_t by_path = node_by_path(scan, name);
    TRY(wanted(scan, name, stat, by_path, &is_wanted));
    if (!is_wanted) return NULL;
    if (scan->n == scan->room) {
        size_t room = scan->room * 2 + 256;
        found_t *grown = mem_resize(scan->found, room * sizeof *grown);
        if (!grown) return err_nomem();
        scan->found = grown;
        scan->room = room;
    }
    scan->found[scan->n++] = (found_t){.parent = scan->folder,
                                       .node = SYNC_NO_NODE,
                                       .by_path = by_path,
                                       .name = scan->names.n,
                                       .name_n = (uint16_t)name.n,
                                       .stat = *stat};
    return buf_add(&scan->names, name);
}

static err_t *list_one(scan_t *scan, uint32_t at) {
    sync_engine_t *engine = scan->engine;
    const sync_disk_t *disk = engine->c.disk;
    const char *path = NULL;
    scan->folder = at;
    err_t *e = path_of(scan, at, &engine->path, &path);
    if (!e) e = disk->list(disk->ctx, path, take, scan);
    if (!e || at == SYNC_NO_NODE) return e;
    err_code_t code = err_code(e);
    if (code != ERR_DENIED && code != ERR_NOT_FOUND && code != ERR_LIMIT && code != ERR_INVALID)
        return e;
    if (code == ERR_NOT_FOUND) engine->report->again = true;
    engine_left(engine, path ? path : "", e);
    scan->found[at].unread = true;
    return NULL;
}

static err_t *list_all(scan_t *scan) {
    TRY_WRAP(list_one(scan, SYNC_NO_NODE), "the synced folder");
    for (uint32_t i = 0; i < scan->n; i++)
        if (scan->found[i].stat.kind == SYNC_ENTRY_FOLDER) TRY(list_one(scan, i));
    return NULL;
}

/* ---- which node ---- */

static int by_inode(const void *a, const void *b) {
    const inode_t *x = a, *y = b;
    if (x->inode != y->inode) return x->inode < y->inode ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static err_t *index_inodes(scan_t *scan) {
    sync_tree_t *tree = scan->engine->tree;
    uint32_t n = sync_tree_count(tree);
    scan->inodes = mem_array((size_t)n + 1, sizeof *scan->inodes);
    if (!scan->inodes) return err_nomem();
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(tree, i);
        if (it->side[SYNC_BASE] && it->seen.inode)
            scan->inodes[scan->inodes_n++] = (inode_t){it->seen.inode, i};
    }
    qsort(scan->inodes, scan->inodes_n, sizeof *scan->inodes, by_inode);
    return NULL;
}

static size_t first_inode(const scan_t *scan, uint64_t inode) {
    size_t low = 0, high = scan->inodes_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (scan->inodes[middle].inode < inode) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool unmoved(const sync_stat_t *seen, const sync_stat_t *stat) {
    return seen->size == stat->size && seen->mtime == stat->mtime &&
           seen->mtime_ns == stat->mtime_ns;
}

/* An edit may keep size and time (containers, rsync --inplace -t); a new name or mode touches too.
 */
static bool touched(const sync_stat_t *seen, const sync_stat_t *stat) {
    return seen->stamp && stat->stamp && seen->stamp != stat->stamp;
}

static bool claim(scan_t *scan, found_t *found, uint32_t node) {
    sync_node_t *it = sync_tree_node(scan->engine->tree, node);
    if (it->settling || it->away) return false;
    it->settling = 1;
    found->node = node;
    return true;
}

/* A number may be used again for another file: one that changed too is not taken for it. */
static void claim_by_inode(scan_t *scan, found_t *found, bool same_path) {
    for (size_t i = first_inode(scan, found->stat.inode);
         i < scan->inodes_n && scan->inodes[i].inode == found->stat.inode; i++) {
        uint32_t node = scan->inodes[i].node;
        const sync_node_t *it = sync_tree_node(scan->engine->tree, node);
        if (same_path != (node == found->by_path) || it->side[SYNC_BASE]->kind != found->stat.kind)
            continue;
        if (!same_path && found->stat.kind != SYNC_ENTRY_FOLDER &&
            !unmoved(&it->seen, &found->stat))
            continue;
        if (claim(scan, found, node)) return;
    }
}

static bool claim_child(scan_t *scan, found_t *found, sync_side_t side, uint32_t parent) {
    uint32_t at = sync_tree_child(scan->engine->tree, side, parent, name_of(scan, found));
    if (at == SYNC_NO_NODE) return false;
    const sync_node_t *it = sync_tree_node(scan->engine->tree, at);
    if (it->side[side]->kind != found->stat.kind) return false;
    if (side == SYNC_REMOTE && it->side[SYNC_BASE]) return false;
    return claim(scan, found, at);
}

static err_t *claim_new(scan_t *scan, found_t *found) {
    sync_engine_t *engine = scan->engine;
    uint8_t id[SYNC_NODE];
    bool known = false;
    if (found->stat.kind == SYNC_ENTRY_FILE) TRY(upload_known(engine, &found->stat, &known, id));
    if (known) {
        uint32_t at = sync_tree_find(engine->tree, id);
        if (at == SYNC_NO_NODE) TRY(sync_tree_get(engine->tree, id, &at));
        const sync_node_t *it = sync_tree_node(engine->tree, at);
        const sync_fact_t *other =
            it->side[SYNC_REMOTE] ? it->side[SYNC_REMOTE] : it->side[SYNC_BASE];
        if ((!other || other->kind == SYNC_ENTRY_FILE) && claim(scan, found, at)) return NULL;
    }
    TRY(rnd_fill(engine->c.rnd, id, sizeof id));
    uint32_t node = 0;
    TRY(sync_tree_get(engine->tree, id, &node));
    (void)claim(scan, found, node);
    return NULL;
}

static uint32_t parent_of(const scan_t *scan, const found_t *found) {
    return found->parent == SYNC_NO_NODE ? SYNC_ROOT_NODE : scan->found[found->parent].node;
}

/* Parents stand before their children. */
static err_t *find_nodes(scan_t *scan) {
    TRY(index_inodes(scan));
    for (size_t i = 0; i < scan->n; i++) claim_by_inode(scan, &scan->found[i], true);
    for (size_t i = 0; i < scan->n; i++)
        if (scan->found[i].node == SYNC_NO_NODE) claim_by_inode(scan, &scan->found[i], false);
    for (size_t i = 0; i < scan->n; i++) {
        found_t *found = &scan->found[i];
        if (found->node != SYNC_NO_NODE) continue;
        uint32_t parent = parent_of(scan, found);
        if (claim_child(scan, found, SYNC_BASE, parent)) continue;
        if (claim_child(scan, found, SYNC_REMOTE, parent)) continue;
        TRY(claim_new(scan, found));
    }
    return NULL;
}

/* ---- facts ---- */

static err_t *read_target(scan_t *scan, uint32_t at) {
    sync_engine_t *engine = scan->engine;
    const char *path = NULL;
    buf_clear(&scan->target);
    TRY(path_of(scan, at, &engine->path, &path));
    return engine->c.disk->read_link(engine->c.disk->ctx, path, &scan->target);
}

static err_t *set_local(scan_t *scan, const found_t *found, const sync_fact_t *fact) {
    const sync_fact_t *kept = NULL;
    sync_fact_t folded = *fact;
    const sync_fact_t *base = sync_tree_node(scan->engine->tree, found->node)->side[SYNC_BASE];
    if (base && bytes_eq(base->name, fact->name)) {
        folded.fold = base->fold;
    } else {
        buf_clear(&scan->fold);
        TRY(sync_name_fold(fact->name, &scan->fold));
        folded.fold = buf_bytes(&scan->fold);
    }
    TRY(sync_tree_fact(scan->engine->tree, &folded, &kept));
    sync_tree_set(scan->engine->tree, found->node, SYNC_LOCAL, kept);
    return NULL;
}

/* What lies there, as far as it differs from what was agreed on. */
static err_t *compare(scan_t *scan, uint32_t at) {
    const found_t *found = &scan->found[at];
    sync_tree_t *tree = scan->engine->tree;
    sync_node_t *it = sync_tree_node(tree, found->node);
    const sync_fact_t *base = it->side[SYNC_BASE];
    const sync_stat_t *stat = &found->stat;
    sync_fact_t fact = {
        .kind = stat->kind, .mode = stat->mode, .mtime = stat->mtime, .mtime_ns = stat->mtime_ns};
    if (base) fact = *base;
    fact.parent = parent_of(scan, found);
    fact.name = name_of(scan, found);
    /* A file system may keep modes otherwise than it was told: only a change counts. */
    bool same_mode = base && (stat->kind == SYNC_ENTRY_LINK || it->seen.mode == stat->mode);
    fact.mode = same_mode ? base->mode : stat->mode;
    it->found = *stat;
    it->content = !base;
    bool stays = base && same_mode && sync_same_place(base, &fact);
    if (stat->kind == SYNC_ENTRY_FILE &&
        (!base || !unmoved(&it->seen, stat) || (stays && touched(&it->seen, stat)))) {
        it->content = true;
        fact.size = stat->size;
        fact.mtime = stat->mtime;
        fact.mtime_ns = stat->mtime_ns;
        fact.packed = false;
        fact.index = 0;
        memset(fact.version, 0, SYNC_NODE);
        memset(fact.package, 0, SYNC_HASH);
    }
    if (stat->kind == SYNC_ENTRY_LINK) {
        TRY(read_target(scan, at));
        fact.target = buf_bytes(&scan->target);
        it->content = !base || !bytes_eq(fact.target, base->target);
    }
    if (base && !it->content && sync_same_place(base, &fact) && base->mode == fact.mode) {
        sync_tree_set(tree, found->node, SYNC_LOCAL, base);
        return NULL;
    }
    return set_local(scan, found, &fact);
}

/* What lies in a folder that can't be read is taken to be what it was. */
static void assume(sync_tree_t *tree, uint32_t folder, unsigned depth) {
    sync_node_t *of = sync_tree_node(tree, folder);
    uint32_t at = of->place[SYNC_BASE].first;
    of->stuck = true;
    for (; at != SYNC_NO_NODE && depth <= LIMIT_SYNC_DEPTH;
         at = sync_tree_node(tree, at)->place[SYNC_BASE].next) {
        sync_node_t *it = sync_tree_node(tree, at);
        if (it->side[SYNC_LOCAL] || it->settling) continue;
        it->found = it->seen;
        it->stuck = true;
        sync_tree_set(tree, at, SYNC_LOCAL, it->side[SYNC_BASE]);
        if (it->side[SYNC_BASE]->kind == SYNC_ENTRY_FOLDER) assume(tree, at, depth + 1);
    }
}

/*
 * A folder that got a name which the rules keep out is not gone: what was in it is left where it is
 * at the service, and nothing of it is told to have been deleted.
 */
static err_t *find_renamed_out(scan_t *scan) {
    sync_engine_t *engine = scan->engine;
    sync_tree_t *tree = engine->tree;
    const char *path = NULL;
    for (size_t at = 0; at < scan->outside.n; at += sizeof(uint64_t)) {
        uint64_t inode = 0;
        memcpy(&inode, scan->outside.p + at, sizeof inode);
        for (size_t i = first_inode(scan, inode);
             i < scan->inodes_n && scan->inodes[i].inode == inode; i++) {
            uint32_t node = scan->inodes[i].node;
            sync_node_t *it = sync_tree_node(tree, node);
            if (it->settling || it->away || it->side[SYNC_BASE]->kind != SYNC_ENTRY_FOLDER)
                continue;
            it->found = it->seen;
            sync_tree_set(tree, node, SYNC_LOCAL, it->side[SYNC_BASE]);
            assume(tree, node, 0);
            TRY(sync_tree_path(tree, SYNC_BASE, node, &engine->path));
            TRY(buf_cstr(&engine->path, &path));
            engine_left(engine, path,
                        err_new(ERR_DENIED, "it has a name here that your organisation's rules "
                                            "keep from being synced: give it another one"));
        }
    }
    return NULL;
}

/* Nodes outside of what is chosen here. */
static err_t *find_away(sync_engine_t *engine) {
    const char *path = NULL;
    if (!engine->c.folders && !engine->allowed) return NULL;
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 1; i < n; i++) {
        sync_node_t *it = sync_tree_node(engine->tree, i);
        sync_side_t side = it->side[SYNC_REMOTE] ? SYNC_REMOTE : SYNC_BASE;
        if (!it->side[side] || !sync_tree_rooted(engine->tree, side, i)) continue;
        TRY(sync_tree_path(engine->tree, side, i, &engine->path));
        TRY(buf_cstr(&engine->path, &path));
        it->away = !engine_syncs(engine, path);
    }
    return NULL;
}

err_t *scan_folder(sync_engine_t *engine) {
    CLEANUP(scan_done) scan_t scan = {.engine = engine, .folder = SYNC_NO_NODE};
    buf_init(&scan.names, CHANGES_MAX);
    buf_init(&scan.fold, LIMIT_SYNC_FOLD);
    buf_init(&scan.target, LIMIT_SYNC_LINK_TARGET);
    buf_init(&scan.outside, CHANGES_MAX);
    TRY(find_away(engine));
    TRY(list_all(&scan));
    TRY(find_nodes(&scan));
    for (uint32_t i = 0; i < scan.n; i++) {
        err_t *e = compare(&scan, i);
        if (e && scan.found[i].stat.kind != SYNC_ENTRY_LINK) return e;
        if (!e) continue;
        engine->report->again = true; /* a link that went away meanwhile */
        engine_left(engine, "a symbolic link", e);
        sync_tree_node(engine->tree, scan.found[i].node)->stuck = true;
        const sync_fact_t *base = sync_tree_node(engine->tree, scan.found[i].node)->side[SYNC_BASE];
        sync_tree_set(engine->tree, scan.found[i].node, SYNC_LOCAL, base);
    }
    for (uint32_t i = 0; i < scan.n; i++)
        if (scan.found[i].unread) assume(engine->tree, scan.found[i].node, 0);
    TRY(find_renamed_out(&scan));
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 0; i < n; i++) sync_tree_node(engine->tree, i)->settling = 0;
    return NULL;
}
