/*
 * Looking at a region: see look.h. In the client; one thread.
 */
#include "sync/engine/look.h"

#include "base/text.h"
#include "sync/engine/engine_internal.h"
#include "sync/engine/scan.h"

static err_t *find_path(const sync_engine_t *engine, const char *path, uint32_t *ret_node) {
    bytes_t rest = bytes_str(path), name;
    uint32_t at = SYNC_ROOT_NODE;
    while (text_split(&rest, '/', &name)) {
        if (name.n == 0) continue;
        at = sync_tree_child(engine->tree, SYNC_REMOTE, at, name);
        if (at == SYNC_NO_NODE) return err_new(ERR_NOT_FOUND, "there is no %s", path);
    }
    *ret_node = at;
    return NULL;
}

static err_t *tell(sync_engine_t *engine, uint32_t node, sync_look_each_t each, void *arg) {
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *fact = it->side[SYNC_REMOTE], *base = it->side[SYNC_BASE];
    const char *path = NULL;
    TRY(sync_tree_path(engine->tree, SYNC_REMOTE, node, &engine->path));
    TRY(buf_cstr(&engine->path, &path));
    sync_look_t look = {.path = path,
                        .kind = fact->kind,
                        .size = fact->size,
                        .mtime = fact->mtime,
                        .mode = fact->mode,
                        .package = fact->package,
                        .here = base && memcmp(base->version, fact->version, SYNC_NODE) == 0,
                        .target = fact->target};
    return each(arg, &look);
}

static bool below(sync_tree_t *tree, uint32_t node, uint32_t folder, bool deep) {
    const sync_fact_t *fact = sync_tree_node(tree, node)->side[SYNC_REMOTE];
    if (!deep) return fact->parent == folder;
    for (size_t n = 0; node != folder && node != SYNC_ROOT_NODE && n <= LIMIT_SYNC_DEPTH; n++) {
        fact = sync_tree_node(tree, node)->side[SYNC_REMOTE];
        node = fact ? fact->parent : SYNC_ROOT_NODE;
    }
    return node == folder;
}

/* Whether the rules leave it to this device. */
static err_t *may_see(sync_engine_t *engine, uint32_t node, bool *ret_may) {
    const char *path = NULL;
    *ret_may = true;
    if (!engine->allowed) return NULL;
    TRY(sync_tree_path(engine->tree, SYNC_REMOTE, node, &engine->path));
    TRY(buf_cstr(&engine->path, &path));
    *ret_may = sync_allowed(sync_engine_allowed(engine), path);
    return NULL;
}

static err_t *look_below(sync_engine_t *engine, uint32_t folder, bool deep, sync_look_each_t each,
                         void *arg) {
    uint32_t n = sync_tree_count(engine->tree);
    bool may = false;
    for (uint32_t i = 1; i < n; i++) {
        if (i == folder || !sync_tree_node(engine->tree, i)->side[SYNC_REMOTE] ||
            !below(engine->tree, i, folder, deep))
            continue;
        TRY(may_see(engine, i, &may));
        if (may) TRY(tell(engine, i, each, arg));
    }
    return NULL;
}

static err_t *look_at(sync_engine_t *engine, const char *path, bool deep, sync_look_each_t each,
                      void *arg) {
    uint32_t folder = 0;
    TRY(engine_may_have(engine, path));
    TRY(persist_load(engine));
    TRY(find_path(engine, path, &folder));
    if (folder != SYNC_ROOT_NODE &&
        sync_tree_node(engine->tree, folder)->side[SYNC_REMOTE]->kind != SYNC_ENTRY_FOLDER)
        return tell(engine, folder, each, arg);
    return look_below(engine, folder, deep, each, arg);
}

static err_t *read_at(sync_engine_t *engine, const char *path, const sync_sink_t *sink) {
    uint32_t node = 0;
    TRY(engine_may_have(engine, path));
    TRY(persist_load(engine));
    TRY(find_path(engine, path, &node));
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *fact = it->side[SYNC_REMOTE];
    if (node == SYNC_ROOT_NODE || fact->kind != SYNC_ENTRY_FILE)
        return err_new(ERR_USAGE, "%s is no file", *path ? path : "/");
    return pull_file(engine, it, fact, sink);
}

static err_t *roots_of(sync_engine_t *engine, bytes_t packages, buf_t *ret_roots) {
    CLEANUP(buf_done) buf_t runs;
    buf_init(&runs, SYNC_REMOTE_ANSWER);
    while (packages.n) {
        bytes_t ids = bytes_slice(packages, 0, (size_t)SYNC_REMOTE_PACKAGES * SYNC_HASH), run;
        TRY(pull_packages(engine, ids, &runs));
        bytes_t rest = buf_bytes(&runs);
        if (rest.n == 0) return err_new(ERR_NOT_FOUND, "a package is not there");
        while (rest.n && packages.n) {
            sync_package_t package;
            TRY(keys_runs_next(&rest, SYNC_PACKAGE_MAX, &run));
            TRY(pull_check(engine, run, packages.p, &package));
            TRY(buf_add(ret_roots, BYTES_ARRAY(package.root)));
            packages = bytes_from(packages, SYNC_HASH);
        }
    }
    return NULL;
}

err_t *sync_look(sync_engine_t *engine, const char *path, bool deep, sync_look_each_t each,
                 void *arg) {
    err_t *e = look_at(engine, path, deep, each, arg);
    engine_rest(engine);
    return e;
}

static err_t *kind_at(sync_engine_t *engine, const char *path, sync_entry_kind_t *ret_kind) {
    uint32_t node = 0;
    TRY(persist_load(engine));
    TRY(find_path(engine, path, &node));
    *ret_kind = node == SYNC_ROOT_NODE
                    ? SYNC_ENTRY_FOLDER
                    : sync_tree_node(engine->tree, node)->side[SYNC_REMOTE]->kind;
    return NULL;
}

err_t *sync_look_kind(sync_engine_t *engine, const char *path, bool *ret_found,
                      sync_entry_kind_t *ret_kind) {
    err_t *e = kind_at(engine, path, ret_kind);
    engine_rest(engine);
    *ret_found = e == NULL;
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    return NULL;
}

err_t *sync_engine_read(sync_engine_t *engine, const char *path, const sync_sink_t *sink) {
    sync_report_t report = {0};
    engine->report = &report;
    err_t *e = read_at(engine, path, sink);
    engine_rest(engine);
    engine->report = NULL;
    return e;
}

err_t *sync_look_roots(sync_engine_t *engine, bytes_t packages, buf_t *ret_roots) {
    sync_report_t report = {0};
    engine->report = &report;
    err_t *e = roots_of(engine, packages, ret_roots);
    engine_rest(engine);
    engine->report = NULL;
    return e;
}
