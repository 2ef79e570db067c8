/*
 * What is to be done in the folder: removing, moving, fetching, one node after the other, each in
 * an order that finds its place free, and only where the file is still the one that was looked at.
 * Each is whole or not done; what both sides then have is noted. In the client; one thread.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "sync/engine/aside.h"
#include "sync/engine/conflict.h"
#include "sync/engine/engine_internal.h"

enum {
    SETTLING = 1,
    SETTLED = 2,
    CHAIN_MAX = 512,
    SAVE_EVERY = 512,
    AHEAD_FILES = 512,
    TEMP_NAME = 64
};

/* Bytes of contents that wait for each other. */
#define AHEAD_BYTES ((uint64_t)64 << 20)

typedef struct {
    sync_engine_t *engine;
    unsigned depth;
    unsigned unsaved;
} applier_t;

static err_t *settle(applier_t *a, uint32_t node);

static bool content_agrees(const sync_fact_t *local, const sync_fact_t *goal) {
    if (local->kind == SYNC_ENTRY_LINK) return bytes_eq(local->target, goal->target);
    return local->kind == SYNC_ENTRY_FOLDER ||
           memcmp(local->version, goal->version, SYNC_NODE) == 0;
}

/* Whether nothing is left to do in the folder. */
static bool agrees(const sync_node_t *it) {
    const sync_fact_t *l = it->side[SYNC_LOCAL], *goal = it->side[SYNC_GOAL];
    if (!l || !goal) return !l && !goal;
    return sync_same_place(l, goal) && content_agrees(l, goal) &&
           (l->mode == goal->mode || l->kind == SYNC_ENTRY_LINK);
}

static bool same_seen(const sync_stat_t *a, const sync_stat_t *b) {
    return a->inode == b->inode && a->size == b->size && a->mtime == b->mtime &&
           a->mtime_ns == b->mtime_ns && a->mode == b->mode && a->stamp == b->stamp;
}

static void agree(sync_engine_t *engine, uint32_t node) {
    sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *base = it->side[SYNC_BASE];
    if (it->away) {
        if (base) sync_tree_set(engine->tree, node, SYNC_BASE, NULL);
        it->changed |= base != NULL;
        return;
    }
    if (it->later || it->stuck || !agrees(it)) return;
    const sync_fact_t *goal = it->side[SYNC_GOAL];
    if (base == goal && (!goal || same_seen(&it->seen, &it->found))) return;
    sync_tree_set(engine->tree, node, SYNC_BASE, goal);
    it->seen = it->found;
    it->changed = true;
}

void apply_agreed(sync_engine_t *engine) {
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 1; i < n; i++) agree(engine, i);
}

/* ---- helpers ---- */

static err_t *path_of(sync_engine_t *engine, uint32_t node, buf_t *buf, const char **ret_path) {
    TRY(sync_tree_path(engine->tree, SYNC_LOCAL, node, buf));
    return buf_cstr(buf, ret_path);
}

/* Where the goal is, as the folder is now. */
static err_t *goal_path(sync_engine_t *engine, const sync_fact_t *goal, buf_t *buf,
                        const char **ret_path) {
    TRY(sync_tree_path(engine->tree, SYNC_LOCAL, goal->parent, buf));
    if (buf->n) TRY(buf_add_byte(buf, '/'));
    TRY(buf_add(buf, goal->name));
    return buf_cstr(buf, ret_path);
}

/* Another program was faster, or it may not be touched: next time. */
static err_t *put_off(sync_engine_t *engine, uint32_t node, const char *path, err_t *e) {
    err_code_t code = err_code(e);
    if (engine->alarm[0] || engine->from_service ||
        (code != ERR_BUSY && code != ERR_EXISTS && code != ERR_NOT_FOUND && code != ERR_DENIED &&
         code != ERR_INVALID))
        return e;
    sync_tree_node(engine->tree, node)->stuck = true;
    if (code != ERR_DENIED && code != ERR_INVALID) engine->report->again = true;
    engine_left(engine, path, e);
    return NULL;
}

static err_t *move_local(sync_engine_t *engine, uint32_t node, uint32_t parent, bytes_t name) {
    sync_fact_t fact = *sync_tree_node(engine->tree, node)->side[SYNC_LOCAL];
    const sync_fact_t *kept = NULL;
    fact.parent = parent;
    fact.name = name;
    fact.fold = BYTES_NONE;
    TRY(sync_tree_fact(engine->tree, &fact, &kept));
    sync_tree_set(engine->tree, node, SYNC_LOCAL, kept);
    return NULL;
}

/* ---- removing ---- */

static err_t *settle_children(applier_t *a, uint32_t node) {
    sync_tree_t *tree = a->engine->tree;
    uint32_t at = sync_tree_node(tree, node)->place[SYNC_LOCAL].first;
    while (at != SYNC_NO_NODE) {
        uint32_t next = sync_tree_node(tree, at)->place[SYNC_LOCAL].next;
        /* Nodes that move while one settles may have been that next one. */
        TRY(settle(a, at));
        bool moved =
            next != SYNC_NO_NODE && (!sync_tree_node(tree, next)->side[SYNC_LOCAL] ||
                                     sync_tree_node(tree, next)->side[SYNC_LOCAL]->parent != node);
        at = moved ? sync_tree_node(tree, node)->place[SYNC_LOCAL].first : next;
        if (moved) {
            while (at != SYNC_NO_NODE && sync_tree_node(tree, at)->settling)
                at = sync_tree_node(tree, at)->place[SYNC_LOCAL].next;
        }
    }
    return NULL;
}

static err_t *remove_node(applier_t *a, uint32_t node) {
    sync_engine_t *engine = a->engine;
    const sync_disk_t *disk = engine->c.disk;
    const char *path = NULL;
    bool folder = sync_tree_node(engine->tree, node)->side[SYNC_LOCAL]->kind == SYNC_ENTRY_FOLDER;
    if (folder) TRY(settle_children(a, node));
    TRY(path_of(engine, node, &engine->path, &path));
    err_t *e = disk->remove(disk->ctx, path, &sync_tree_node(engine->tree, node)->found);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        e = NULL;
    }
    bool kept = e && folder && err_code(e) == ERR_BUSY, again = engine->report->again;
    if (e) {
        TRY(put_off(engine, node, path, e));
        /* What is ignored stays in it: trying once more changes nothing. */
        if (kept) engine->report->again = again;
        return NULL;
    }
    sync_tree_set(engine->tree, node, SYNC_LOCAL, NULL);
    if (!folder) engine->report->removed_here++;
    return NULL;
}

/* ---- moving ---- */

/* A rename has changed the stamp; if nothing else has changed, the new one is the file's. */
static err_t *renamed(sync_engine_t *engine, uint32_t node, const char *path) {
    const sync_disk_t *disk = engine->c.disk;
    sync_node_t *it = sync_tree_node(engine->tree, node);
    sync_stat_t now;
    bool found = false;
    TRY(disk->stat(disk->ctx, path, &found, &now));
    bool same = found && sync_aside_expected(&now, &it->found);
    it->found.stamp = same ? now.stamp : 0;
    return NULL;
}

/* Who lies where something else is to go, and can't go first, makes room under another name. */
static err_t *make_room(sync_engine_t *engine, uint32_t occupant) {
    const sync_disk_t *disk = engine->c.disk;
    CLEANUP(buf_done) buf_t name;
    const char *from = NULL, *to = NULL;
    sync_plan_config_t config = {.device = engine->c.device->card.name,
                                 .now = clk_unix(engine->c.clk)};
    buf_init(&name, LIMIT_SYNC_FILE_NAME);
    sync_fact_t fact = *sync_tree_node(engine->tree, occupant)->side[SYNC_LOCAL];
    TRY(sync_conflict_make(engine->tree, fact.parent, fact.name, &config, &name));
    TRY(path_of(engine, occupant, &engine->path, &from));
    fact.name = buf_bytes(&name);
    TRY(goal_path(engine, &fact, &engine->path2, &to));
    err_t *e = disk->rename(disk->ctx, from, to);
    if (e) return put_off(engine, occupant, from, e);
    TRY(renamed(engine, occupant, to));
    return move_local(engine, occupant, fact.parent, fact.name);
}

static err_t *free_place(applier_t *a, uint32_t node, bool *ret_free) {
    sync_engine_t *engine = a->engine;
    for (int tries = 0; tries < 2; tries++) {
        const sync_fact_t *goal = sync_tree_node(engine->tree, node)->side[SYNC_GOAL];
        uint32_t at = sync_tree_child(engine->tree, SYNC_LOCAL, goal->parent, goal->name);
        *ret_free = at == SYNC_NO_NODE || at == node;
        if (*ret_free) return NULL;
        if (tries == 0 && !sync_tree_node(engine->tree, at)->settling) TRY(settle(a, at));
        else TRY(make_room(engine, at));
    }
    const sync_fact_t *goal = sync_tree_node(engine->tree, node)->side[SYNC_GOAL];
    uint32_t at = sync_tree_child(engine->tree, SYNC_LOCAL, goal->parent, goal->name);
    *ret_free = at == SYNC_NO_NODE || at == node;
    return NULL;
}

static err_t *move_node(sync_engine_t *engine, uint32_t node) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_fact_t *goal = sync_tree_node(engine->tree, node)->side[SYNC_GOAL];
    const char *from = NULL, *to = NULL;
    TRY(path_of(engine, node, &engine->path, &from));
    TRY(goal_path(engine, goal, &engine->path2, &to));
    err_t *e = disk->rename(disk->ctx, from, to);
    if (e) return put_off(engine, node, from, e);
    TRY(renamed(engine, node, to));
    engine->report->moved++;
    return move_local(engine, node, goal->parent, goal->name);
}

/* ---- fetching ---- */

typedef struct {
    sync_engine_t *engine;
    sync_disk_file_t *file;
    uint64_t at;
    bool failed; /* at the disk */
} fetching_t;

static void fetching_done(fetching_t *f) {
    f->engine->c.disk->close(f->engine->c.disk->ctx, f->file);
}
DEFINE_CLEANUP_VALUE(fetching_t, fetching_done)

static err_t *to_disk(void *ctx, bytes_t piece) {
    fetching_t *f = ctx;
    const sync_disk_t *disk = f->engine->c.disk;
    err_t *e = disk->write(disk->ctx, f->file, f->at, piece);
    f->failed = e != NULL;
    if (e) return e;
    f->at += piece.n;
    engine_progress(f->engine, NULL, piece.n, 0);
    return NULL;
}

static void temp_name(const sync_fact_t *goal, char out[TEMP_NAME]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SYNC_NODE; i++) {
        out[2 * i] = digits[goal->version[i] >> 4];
        out[2 * i + 1] = digits[goal->version[i] & 15];
    }
    out[(size_t)2 * SYNC_NODE] = '\0';
}

/* ---- what came of it before the connection broke ---- */

static err_t *read_here(void *ctx, uint64_t offset, uint8_t *p, size_t n) {
    const fetching_t *f = ctx;
    const sync_disk_t *disk = f->engine->c.disk;
    size_t got = 0;
    for (; n; offset += got, p += got, n -= got) {
        TRY(disk->read(disk->ctx, f->file, offset, p, n, &got));
        if (!got) return err_new(ERR_BUSY, "it became shorter");
    }
    return NULL;
}

static err_t *skip_here(void *ctx, uint64_t n) {
    fetching_t *f = ctx;
    f->at += n;
    engine_progress(f->engine, NULL, n, 0);
    return NULL;
}

/* An empty one, or with `go_on` one with the beginning of a large content. */
static err_t *open_temp(fetching_t *f, const char *temp, bool go_on, uint64_t *ret_here) {
    const sync_disk_t *disk = f->engine->c.disk;
    sync_stat_t stat = {0};
    *ret_here = 0;
    TRY(disk->temp(disk->ctx, temp, &f->file));
    TRY(disk->file_stat(disk->ctx, f->file, &stat));
    if (!stat.size) return NULL;
    if (go_on && stat.size >= 2 * (uint64_t)SYNC_PART_CHUNKS * SYNC_CHUNK) {
        *ret_here = stat.size;
        return NULL;
    }
    disk->close(disk->ctx, f->file);
    f->file = NULL;
    TRY(disk->discard(disk->ctx, temp));
    return disk->temp(disk->ctx, temp, &f->file);
}

static err_t *fetch_into(sync_engine_t *engine, uint32_t node, const char *temp, bool go_on) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *goal = it->side[SYNC_GOAL];
    CLEANUP(fetching_done) fetching_t f = {.engine = engine};
    pull_have_t have = {.ctx = &f, .read = read_here, .skip = skip_here};
    bool hollow = false;
    TRY(open_temp(&f, temp, go_on, &have.size));
    if (disk->hollow) TRY(disk->hollow(disk->ctx, f.file, &hollow));
    if (disk->hollow) have.size = 0;
    if (!hollow) TRY(pull_file_on(engine, it, goal, &(sync_sink_t){&f, to_disk}, &have));
    return disk->finish(disk->ctx, f.file, goal->size, goal->mode, goal->mtime, goal->mtime_ns);
}

/* Once more from the beginning if what was here turns out to be something else. */
static err_t *fetch_content(sync_engine_t *engine, uint32_t node, const char *temp) {
    err_t *e = fetch_into(engine, node, temp, true);
    if (!e || err_code(e) != ERR_BUSY || engine->from_service || engine->alarm[0]) return e;
    err_free(e);
    return fetch_into(engine, node, temp, false);
}

static err_t *make_last(const sync_engine_t *engine) {
    const sync_disk_t *disk = engine->c.disk;
    return disk->lasting ? disk->lasting(disk->ctx) : NULL;
}

static err_t *fetch_file(sync_engine_t *engine, uint32_t node, sync_stat_t *ret_placed) {
    const sync_disk_t *disk = engine->c.disk;
    char temp[TEMP_NAME];
    const char *path = NULL;
    temp_name(sync_tree_node(engine->tree, node)->side[SYNC_GOAL], temp);
    engine->from_service = false;
    err_t *e = NULL;
    if (!sync_tree_node(engine->tree, node)->fetched) e = fetch_content(engine, node, temp);
    if (!e && !sync_tree_node(engine->tree, node)->fetched) e = make_last(engine);
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    if (!e) e = goal_path(engine, it->side[SYNC_GOAL], &engine->path2, &path);
    if (!e)
        e = disk->place(disk->ctx, temp, path, it->side[SYNC_LOCAL] ? &it->found : NULL,
                        ret_placed);
    if (!e) {
        engine->report->downloaded++;
        engine->report->bytes_down += it->side[SYNC_GOAL]->size;
        return NULL;
    }
    if (!engine->from_service) err_ignore(disk->discard(disk->ctx, temp));
    return e;
}

/* What the goal is and the folder has not. *ret_made: what it has to be then, of a file. */
static err_t *make_node(sync_engine_t *engine, uint32_t node, const char *path,
                        sync_stat_t *ret_made) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *goal = it->side[SYNC_GOAL];
    CLEANUP(buf_done) buf_t target;
    const char *text = NULL;
    buf_init(&target, LIMIT_SYNC_LINK_TARGET + 1);
    switch (goal->kind) {
    case SYNC_ENTRY_FOLDER: return disk->make_folder(disk->ctx, path, goal->mode);
    case SYNC_ENTRY_FILE: return fetch_file(engine, node, ret_made);
    case SYNC_ENTRY_LINK:
        TRY(buf_add(&target, goal->target));
        TRY(buf_cstr(&target, &text));
        if (it->side[SYNC_LOCAL]) TRY(disk->remove(disk->ctx, path, &it->found));
        return disk->make_link(disk->ctx, path, text);
    case SYNC_ENTRY_PAGE: break;
    }
    return err_new(ERR_INTERNAL, "a page in the tree");
}

/* It is there now: what it looks like is noted. A file that somebody has changed since, be it by as
 * many bytes or its mode alone, is looked at again. */
static err_t *made(sync_engine_t *engine, uint32_t node, const sync_stat_t *as_made) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_fact_t *goal = sync_tree_node(engine->tree, node)->side[SYNC_GOAL];
    const char *path = NULL;
    bool found = false;
    sync_stat_t stat = {0};
    TRY(goal_path(engine, goal, &engine->path, &path));
    TRY(disk->stat(disk->ctx, path, &found, &stat));
    if (!found || stat.kind != goal->kind ||
        (goal->kind == SYNC_ENTRY_FILE &&
         (stat.size != goal->size || !sync_aside_expected(&stat, as_made) ||
          (as_made->mode && as_made->mode != stat.mode)))) {
        sync_tree_node(engine->tree, node)->stuck = true;
        engine->report->again = true;
        return NULL;
    }
    sync_tree_node(engine->tree, node)->found = stat;
    sync_tree_set(engine->tree, node, SYNC_LOCAL, goal);
    return NULL;
}

/* Of the file that was looked at: one that was edited since is looked at again first. */
static err_t *set_mode(sync_engine_t *engine, uint32_t node, const char *path,
                       sync_stat_t *ret_made) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    bool found = false;
    sync_stat_t now = {0};
    if (it->side[SYNC_GOAL]->kind == SYNC_ENTRY_FILE) {
        TRY(disk->stat(disk->ctx, path, &found, &now));
        bool same = found && now.kind == SYNC_ENTRY_FILE && now.inode == it->found.inode &&
                    now.size == it->found.size && now.mtime == it->found.mtime &&
                    now.mtime_ns == it->found.mtime_ns &&
                    (!now.stamp || !it->found.stamp || now.stamp == it->found.stamp);
        if (!same) return err_new(ERR_BUSY, "%s has changed meanwhile", path);
        *ret_made = now;
        ret_made->mode = 0; /* is to change */
    }
    return disk->set_mode(disk->ctx, path, it->side[SYNC_GOAL]->mode);
}

/* ---- one node ---- */

static err_t *fill_place(sync_engine_t *engine, uint32_t node) {
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *goal = it->side[SYNC_GOAL], *local = it->side[SYNC_LOCAL];
    const char *path = NULL;
    TRY(goal_path(engine, goal, &engine->path, &path));
    sync_stat_t as_made = {0};
    err_t *e = NULL;
    if (!local || !content_agrees(local, goal)) e = make_node(engine, node, path, &as_made);
    else if (local->mode != goal->mode && goal->kind != SYNC_ENTRY_LINK)
        e = set_mode(engine, node, path, &as_made);
    else return NULL;
    if (e) {
        TRY(goal_path(engine, sync_tree_node(engine->tree, node)->side[SYNC_GOAL], &engine->path,
                      &path));
        return put_off(engine, node, path, e);
    }
    return made(engine, node, &as_made);
}

static err_t *settle_goal(applier_t *a, uint32_t node) {
    sync_engine_t *engine = a->engine;
    bool is_free = false;
    uint32_t parent = sync_tree_node(engine->tree, node)->side[SYNC_GOAL]->parent;
    if (parent != SYNC_ROOT_NODE) TRY(settle(a, parent));
    if (parent != SYNC_ROOT_NODE && !sync_tree_node(engine->tree, parent)->side[SYNC_LOCAL]) {
        sync_tree_node(engine->tree, node)->stuck = true;
        return NULL;
    }
    TRY(free_place(a, node, &is_free));
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    if (it->stuck) return NULL;
    if (!is_free) {
        sync_tree_node(engine->tree, node)->stuck = true;
        engine->report->again = true;
        return NULL;
    }
    if (it->side[SYNC_LOCAL] && !sync_same_place(it->side[SYNC_LOCAL], it->side[SYNC_GOAL]))
        TRY(move_node(engine, node));
    if (sync_tree_node(engine->tree, node)->stuck) return NULL;
    return fill_place(engine, node);
}

static err_t *save(applier_t *a) {
    a->unsaved = 0;
    TRY(make_last(a->engine));
    return persist_save(a->engine);
}

static err_t *settle(applier_t *a, uint32_t node) {
    sync_engine_t *engine = a->engine;
    sync_node_t *it = sync_tree_node(engine->tree, node);
    if (it->settling || a->depth > CHAIN_MAX) return NULL;
    it->settling = SETTLING;
    if (it->later || it->stuck || it->away || agrees(it)) return NULL;
    a->depth++;
    err_t *e = NULL;
    if (it->side[SYNC_GOAL]) e = settle_goal(a, node);
    else e = remove_node(a, node);
    a->depth--;
    if (e) return e;
    sync_tree_node(engine->tree, node)->settling = SETTLED;
    agree(engine, node);
    return ++a->unsaved >= SAVE_EVERY ? save(a) : NULL;
}

/* ---- all ---- */

typedef struct {
    uint32_t node;
    const sync_fact_t *fact;
} job_t;

/* So that each pack is fetched once. */
static int by_package(const void *a, const void *b) {
    const job_t *x = a, *y = b;
    int order = memcmp(x->fact->package, y->fact->package, SYNC_HASH);
    if (order) return order;
    return x->fact->index < y->fact->index ? -1 : x->fact->index > y->fact->index;
}

static bool wants_fetch(const sync_node_t *it) {
    const sync_fact_t *l = it->side[SYNC_LOCAL], *goal = it->side[SYNC_GOAL];
    return goal && goal->kind == SYNC_ENTRY_FILE && !it->later && !it->away && !it->stuck &&
           (!l || !content_agrees(l, goal));
}

/*
 * The contents of as many as may wait for each other, so that they are made to last together. What
 * the disk refuses is tried again, and put off, when its turn comes.
 */
static err_t *fetch_ahead(sync_engine_t *engine, const job_t *jobs, size_t n, size_t *ret_n) {
    uint64_t bytes = 0;
    size_t i = 0;
    for (; i < n && i < AHEAD_FILES && (i == 0 || bytes + jobs[i].fact->size <= AHEAD_BYTES); i++) {
        char temp[TEMP_NAME];
        bytes += jobs[i].fact->size;
        if (sync_tree_node(engine->tree, jobs[i].node)->settling) continue;
        temp_name(jobs[i].fact, temp);
        engine->from_service = false;
        err_t *e = fetch_content(engine, jobs[i].node, temp);
        if (e && (engine->alarm[0] || engine->from_service || err_code(e) == ERR_NOMEM)) return e;
        sync_tree_node(engine->tree, jobs[i].node)->fetched = !e;
        err_free(e);
    }
    *ret_n = i;
    return make_last(engine);
}

static err_t *fetch_batch(applier_t *a, const job_t *jobs, size_t n, size_t *ret_n) {
    TRY(fetch_ahead(a->engine, jobs, n, ret_n));
    for (size_t i = 0; i < *ret_n; i++) {
        char temp[TEMP_NAME];
        TRY(settle(a, jobs[i].node));
        const sync_node_t *it = sync_tree_node(a->engine->tree, jobs[i].node);
        temp_name(jobs[i].fact, temp);
        if (it->fetched && it->stuck)
            err_ignore(a->engine->c.disk->discard(a->engine->c.disk->ctx, temp));
        engine_progress(a->engine, NULL, 0, 1);
    }
    return NULL;
}

static err_t *fetch_all(applier_t *a) {
    sync_tree_t *tree = a->engine->tree;
    uint32_t n = sync_tree_count(tree);
    size_t jobs_n = 0;
    for (uint32_t i = 1; i < n; i++) jobs_n += wants_fetch(sync_tree_node(tree, i));
    if (jobs_n == 0) return NULL;
    CLEANUP(mem_free) job_t *jobs = mem_array(jobs_n, sizeof *jobs);
    if (!jobs) return err_nomem();
    size_t at = 0;
    for (uint32_t i = 1; i < n; i++)
        if (wants_fetch(sync_tree_node(tree, i)))
            jobs[at++] = (job_t){i, sync_tree_node(tree, i)->side[SYNC_GOAL]};
    qsort(jobs, jobs_n, sizeof *jobs, by_package);
    for (size_t i = 0, n_done = 0; i < jobs_n; i += n_done)
        TRY(fetch_batch(a, &jobs[i], jobs_n - i, &n_done));
    return NULL;
}

static bool from_hex(const char *text, uint8_t ret_version[SYNC_NODE]) {
    for (size_t i = 0; i < (size_t)2 * SYNC_NODE; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) return false;
        uint8_t half = (uint8_t)(digit ? c - '0' : c - 'a' + 10);
        ret_version[i / 2] = i % 2 ? (uint8_t)(ret_version[i / 2] << 4 | half) : half;
    }
    return text[(size_t)2 * SYNC_NODE] == '\0';
}

/* Whether the temporary file is of a content that is still to come. */
static bool is_wanted(void *arg, const char *temp) {
    sync_engine_t *engine = arg;
    uint8_t version[SYNC_NODE];
    if (!from_hex(temp, version)) return false;
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(engine->tree, i);
        if (wants_fetch(it) && memcmp(it->side[SYNC_GOAL]->version, version, SYNC_NODE) == 0)
            return true;
    }
    return false;
}

err_t *apply_sweep(sync_engine_t *engine) {
    uint64_t back = 0;
    TRY(engine->c.disk->sweep(engine->c.disk->ctx, is_wanted, engine, &back));
    engine->report->recovered += back;
    if (back) engine->report->again = true; /* the next step sends them */
    return NULL;
}

/* Removals first, since they make room; then folders and moves, last what is fetched. */
static err_t *settle_all(applier_t *a) {
    sync_tree_t *tree = a->engine->tree;
    uint32_t n = sync_tree_count(tree);
    for (uint32_t i = 1; i < n; i++)
        if (!sync_tree_node(tree, i)->side[SYNC_GOAL]) TRY(settle(a, i));
    for (uint32_t i = 1; i < n; i++)
        if (!wants_fetch(sync_tree_node(tree, i))) TRY(settle(a, i));
    return fetch_all(a);
}

err_t *apply_goal(sync_engine_t *engine) {
    applier_t a = {.engine = engine};
    apply_agreed(engine);
    err_t *e = settle_all(&a);
    if (!e) return save(&a);
    /* What was done so far is noted, or it would look like somebody's own changes. */
    err_ignore(save(&a));
    return e;
}
