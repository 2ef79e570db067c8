/*
 * Edits of a region without a folder: see edit.h. In the client; one thread.
 */
#include "base/text.h"
#include "sync/engine/edit_internal.h"
#include "sync/name.h"

enum { TRIES = 32, FOLDER_MODE = 0755, LINK_MODE = 0777 };

/* ---- the goal ---- */

static const sync_fact_t *goal_of(const sync_engine_t *engine, uint32_t node) {
    return sync_tree_node(engine->tree, node)->side[SYNC_GOAL];
}

err_t *edit_set(sync_engine_t *engine, uint32_t node, const sync_fact_t *fact) {
    CLEANUP(buf_done) buf_t fold;
    const sync_fact_t *kept = NULL;
    sync_fact_t folded = *fact;
    buf_init(&fold, LIMIT_SYNC_FOLD);
    if (!folded.fold.n) {
        TRY(sync_name_fold(fact->name, &fold));
        folded.fold = buf_bytes(&fold);
    }
    TRY(sync_tree_fact(engine->tree, &folded, &kept));
    sync_tree_set(engine->tree, node, SYNC_GOAL, kept);
    return NULL;
}

err_t *edit_new_folder(sync_engine_t *engine, uint32_t node, uint32_t parent, bytes_t name,
                       uint32_t mode) {
    sync_fact_t fact = {.kind = SYNC_ENTRY_FOLDER,
                        .parent = parent,
                        .mode = mode,
                        .mtime = clk_unix(engine->c.clk),
                        .name = name};
    return edit_set(engine, node, &fact);
}

/* Depth is that of the tree, which fetch has bounded. */
void edit_remove(sync_engine_t *engine, uint32_t node) {
    uint32_t child = 0;
    while ((child = sync_tree_node(engine->tree, node)->place[SYNC_GOAL].first) != SYNC_NO_NODE)
        edit_remove(engine, child);
    sync_tree_set(engine->tree, node, SYNC_GOAL, NULL);
}

static err_t *new_node(sync_engine_t *engine, uint32_t *ret_node) {
    uint8_t id[SYNC_NODE];
    TRY(rnd_fill(engine->c.rnd, id, sizeof id));
    return sync_tree_get(engine->tree, id, ret_node);
}

/* ---- paths ---- */

static err_t *check_name(bytes_t name, const char *path, bool at_top) {
    if (!sync_name_valid(name)) return err_new(ERR_USAGE, "%s is no path of a region", path);
    if (at_top && bytes_eq(name, BYTES_LIT(SYNC_DISK_OWN)))
        return err_new(ERR_USAGE, "%s is Coffer's own and never synced", SYNC_DISK_OWN);
    return NULL;
}

static bool is_folder(const sync_engine_t *engine, uint32_t node) {
    return node == SYNC_ROOT_NODE || goal_of(engine, node)->kind == SYNC_ENTRY_FOLDER;
}

static err_t *enter(sync_engine_t *engine, const sync_edit_t *edit, bytes_t name, uint32_t *at) {
    uint32_t below = sync_tree_child(engine->tree, SYNC_GOAL, *at, name);
    if (below != SYNC_NO_NODE && !is_folder(engine, below))
        return err_new(ERR_EXISTS, "%s: a file is where a folder would be", edit->path);
    if (below == SYNC_NO_NODE && (!edit->parents || edit->inside))
        return err_new(ERR_NOT_FOUND, "%s: there is no such folder", edit->path);
    if (below == SYNC_NO_NODE) {
        TRY(new_node(engine, &below));
        TRY(edit_new_folder(engine, below, *at, name, FOLDER_MODE));
    }
    *at = below;
    return NULL;
}

/* The folder that it lies in, the last name, and what is there now or SYNC_NO_NODE. */
static err_t *find_place(sync_engine_t *engine, const sync_edit_t *edit, uint32_t *ret_parent,
                         bytes_t *ret_name, uint32_t *ret_node) {
    bytes_t rest = bytes_str(edit->path), name = BYTES_NONE, next;
    uint32_t at = SYNC_ROOT_NODE;
    TRY(engine_may_have(engine, edit->path));
    for (unsigned depth = 0; text_split(&rest, '/', &next);) {
        if (!next.n) continue;
        if (name.n) TRY(enter(engine, edit, name, &at));
        if (++depth > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders are nested too deep");
        TRY(check_name(next, edit->path, depth == 1));
        name = next;
    }
    if (!name.n) return err_new(ERR_USAGE, "that is the region itself");
    *ret_parent = at;
    *ret_name = name;
    *ret_node = sync_tree_child(engine->tree, SYNC_GOAL, at, name);
    return NULL;
}

/* ---- edits ---- */

/* The node that it was uploaded as before, or a new one. */
static err_t *node_for(sync_engine_t *engine, const sync_stat_t *stat, uint32_t *ret_node) {
    uint8_t id[SYNC_NODE];
    bool known = false;
    TRY(upload_known(engine, stat, &known, id));
    if (known && sync_tree_find(engine->tree, id) == SYNC_NO_NODE)
        return sync_tree_get(engine->tree, id, ret_node);
    return new_node(engine, ret_node);
}

/* Uploads find a file by its place in the folder: here the goal's. */
static void show_place(sync_engine_t *engine, uint32_t node) {
    for (; node != SYNC_ROOT_NODE; node = goal_of(engine, node)->parent) {
        if (sync_tree_node(engine->tree, node)->side[SYNC_LOCAL]) return;
        sync_tree_set(engine->tree, node, SYNC_LOCAL, goal_of(engine, node));
    }
}

static err_t *put_file(sync_engine_t *engine, const sync_edit_t *edit) {
    uint32_t parent = 0, node = 0;
    bytes_t name;
    TRY(find_place(engine, edit, &parent, &name, &node));
    bool fresh = node == SYNC_NO_NODE;
    if (!fresh && goal_of(engine, node)->kind != SYNC_ENTRY_FILE)
        return err_new(ERR_EXISTS, "%s is no file in the region", edit->path);
    if (fresh) TRY(node_for(engine, &edit->stat, &node));
    if (sync_tree_node(engine->tree, node)->upload)
        return err_new(ERR_USAGE, "%s is put twice", edit->path);
    sync_fact_t fact = {.kind = SYNC_ENTRY_FILE,
                        .parent = parent,
                        .mode = edit->stat.mode,
                        .mtime = edit->stat.mtime,
                        .mtime_ns = edit->stat.mtime_ns,
                        .size = edit->stat.size,
                        .name = name};
    TRY(edit_set(engine, node, &fact));
    show_place(engine, node);
    sync_node_t *it = sync_tree_node(engine->tree, node);
    it->found = edit->stat;
    it->upload = true;
    engine->progress.bytes_all += edit->stat.size;
    engine->progress.files_all++;
    return NULL;
}

static err_t *make_link(sync_engine_t *engine, const sync_edit_t *edit) {
    uint32_t parent = 0, node = 0;
    bytes_t name;
    TRY(find_place(engine, edit, &parent, &name, &node));
    bool fresh = node == SYNC_NO_NODE;
    if (!fresh && goal_of(engine, node)->kind != SYNC_ENTRY_LINK)
        return err_new(ERR_EXISTS, "%s is no symbolic link in the region", edit->path);
    if (fresh) TRY(new_node(engine, &node));
    sync_fact_t fact = {.kind = SYNC_ENTRY_LINK,
                        .parent = parent,
                        .mode = LINK_MODE,
                        .mtime = clk_unix(engine->c.clk),
                        .name = name,
                        .target = bytes_str(edit->target)};
    return edit_set(engine, node, &fact);
}

static err_t *make_folder(sync_engine_t *engine, const sync_edit_t *edit) {
    uint32_t parent = 0, node = 0;
    bytes_t name;
    TRY(find_place(engine, edit, &parent, &name, &node));
    if (node != SYNC_NO_NODE) {
        if (edit->parents && is_folder(engine, node)) return NULL;
        return err_new(ERR_EXISTS, "%s is there already", edit->path);
    }
    TRY(new_node(engine, &node));
    uint32_t mode = edit->stat.mode ? edit->stat.mode : FOLDER_MODE;
    return edit_new_folder(engine, node, parent, name, mode);
}

static err_t *remove_path(sync_engine_t *engine, const sync_edit_t *edit) {
    uint32_t parent = 0, node = 0;
    bytes_t name;
    TRY(find_place(engine, edit, &parent, &name, &node));
    if (node == SYNC_NO_NODE) return err_new(ERR_NOT_FOUND, "there is no %s", edit->path);
    if (!edit->deep && sync_tree_node(engine->tree, node)->place[SYNC_GOAL].first != SYNC_NO_NODE)
        return err_new(ERR_USAGE, "%s is a folder with something in it", edit->path);
    edit_remove(engine, node);
    return NULL;
}

typedef struct {
    const sync_edit_t *edits;
    size_t n;
} edits_t;

static err_t *make_edits(sync_engine_t *engine, void *arg) {
    const edits_t *edits = arg;
    for (size_t i = 0; i < edits->n; i++) {
        const sync_edit_t *edit = &edits->edits[i];
        switch (edit->kind) {
        case SYNC_EDIT_PUT: TRY(put_file(engine, edit)); break;
        case SYNC_EDIT_LINK: TRY(make_link(engine, edit)); break;
        case SYNC_EDIT_FOLDER: TRY(make_folder(engine, edit)); break;
        case SYNC_EDIT_REMOVE: TRY(remove_path(engine, edit)); break;
        }
    }
    return NULL;
}

/* ---- a commit ---- */

static err_t *begin(sync_engine_t *engine) {
    TRY(engine_may_go_on(engine));
    memset(engine->alarm, 0, sizeof engine->alarm);
    engine->from_service = false;
    TRY(engine_fetch_all(engine));
    if (!engine_writes(engine)) return err_new(ERR_DENIED, "this device may only read");
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 0; i < n; i++)
        sync_tree_set(engine->tree, i, SYNC_GOAL,
                      sync_tree_node(engine->tree, i)->side[SYNC_REMOTE]);
    return engine_find_uploads(engine);
}

static err_t *once(sync_engine_t *engine, edit_fn_t fn, void *arg, bool *ret_done) {
    engine->progress = (sync_progress_t){0};
    TRY(begin(engine));
    TRY(fn(engine, arg));
    engine_progress(engine, NULL, 0, 0);
    uint64_t left = engine->report->left;
    TRY(upload_files(engine));
    TRY(push_flush(engine));
    if (engine->report->left > left)
        return err_new(ERR_UNAVAILABLE, "%s", engine->report->first_left);
    return commit_tree(engine, ret_done);
}

static void begin_again(sync_report_t *report) {
    sync_report_t sent = {.uploaded = report->uploaded, .bytes_up = report->bytes_up};
    *report = sent;
}

err_t *edit_run(sync_engine_t *engine, const sync_disk_t *source, edit_fn_t fn, void *arg,
                sync_report_t *ret_report) {
    const sync_disk_t *disk = engine->c.disk;
    err_t *e = NULL;
    bool done = false;
    *ret_report = (sync_report_t){0};
    engine->report = ret_report;
    engine->editing = true;
    engine->c.disk = source;
    for (int tries = 0; tries < TRIES && !done; tries++) {
        engine_rest(engine);
        begin_again(ret_report);
        err_free(e);
        e = once(engine, fn, arg, &done);
        /* Another program wrote this device's state meanwhile. */
        if (e && err_code(e) != ERR_BUSY) break;
        if (!e && !done) e = err_new(ERR_BUSY, "others were faster each time");
        else if (!e) break;
    }
    memcpy(ret_report->alarm, engine->alarm, sizeof ret_report->alarm);
    engine_rest(engine);
    engine->c.disk = disk;
    engine->editing = false;
    engine->report = NULL;
    return e;
}

err_t *sync_engine_edit(sync_engine_t *engine, const sync_disk_t *source, const sync_edit_t *edits,
                        size_t n, sync_report_t *ret_report) {
    edits_t all = {edits, n};
    return edit_run(engine, source, make_edits, &all, ret_report);
}
