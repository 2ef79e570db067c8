/*
 * A commit: the lists of folders that changed are written from the bottom up, long ones in pages of
 * which only the changed ones are, then the change and the root, by compare-and-swap. What the
 * service has only counts from then on. In the client; one thread.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "sync/engine/resume.h"

enum { PAGE_ENTRIES = 3000, PAGE_BYTES = 2 * 1024 * 1024, ENTRY_BYTES = 160 };

typedef struct {
    sync_engine_t *engine;
    unsigned depth;
} committer_t;

/* What the commit has a node as: one that waits stays as it is at the service. */
static const sync_fact_t *coming(const sync_node_t *node) {
    return node->later ? node->side[SYNC_REMOTE] : node->side[SYNC_GOAL];
}

static bool same_entry(const sync_fact_t *a, const sync_fact_t *b) {
    return a == b ||
           (a->kind == b->kind && sync_same_place(a, b) && a->mode == b->mode &&
            bytes_eq(a->target, b->target) && memcmp(a->version, b->version, SYNC_NODE) == 0 &&
            memcmp(a->package, b->package, SYNC_HASH) == 0);
}

/* ---- which lists ---- */

static void mark(sync_tree_t *tree, uint32_t folder) {
    for (;;) {
        sync_node_t *it = sync_tree_node(tree, folder);
        if (it->list) return;
        it->list = true;
        if (folder == SYNC_ROOT_NODE) return;
        const sync_fact_t *fact = coming(it);
        if (!fact) return;
        folder = fact->parent;
    }
}

static bool mark_lists(sync_tree_t *tree) {
    uint32_t n = sync_tree_count(tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(tree, i);
        const sync_fact_t *r = it->side[SYNC_REMOTE], *to = coming(it);
        if (r == to || (r && to && same_entry(r, to))) continue;
        if (r) mark(tree, r->parent);
        if (to) mark(tree, to->parent);
        if (to && !r && to->kind == SYNC_ENTRY_FOLDER) mark(tree, i);
    }
    return sync_tree_node(tree, SYNC_ROOT_NODE)->list;
}

/* ---- children in order ---- */

typedef struct {
    sync_tree_t *tree;
    uint32_t *nodes;
    size_t n;
} children_t;
static void children_done(children_t *children) { mem_free(children->nodes); }
DEFINE_CLEANUP_VALUE(children_t, children_done)

static int by_name(const void *a, const void *b, void *arg) {
    sync_tree_t *tree = arg;
    const sync_node_t *x = sync_tree_node(tree, *(const uint32_t *)a);
    const sync_node_t *y = sync_tree_node(tree, *(const uint32_t *)b);
    int order = sync_name_compare(coming(x)->name, coming(y)->name);
    if (order) return order;
    /* Who has the name at the service goes first: the other one waits. */
    return (int)y->later - (int)x->later;
}

static size_t walk_children(sync_tree_t *tree, uint32_t folder, uint32_t *out) {
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++) {
        sync_side_t side = pass ? SYNC_REMOTE : SYNC_GOAL;
        uint32_t at = sync_tree_node(tree, folder)->place[side].first;
        for (; at != SYNC_NO_NODE; at = sync_tree_node(tree, at)->place[side].next) {
            if (sync_tree_node(tree, at)->later != (pass == 1)) continue;
            if (out) out[n] = at;
            n++;
        }
    }
    return n;
}

static err_t *children_of(sync_tree_t *tree, uint32_t folder, children_t *ret_children) {
    size_t n = walk_children(tree, folder, NULL), kept = 0;
    uint32_t *nodes = mem_array(n + 1, sizeof *nodes);
    if (!nodes) return err_nomem();
    (void)walk_children(tree, folder, nodes);
    qsort_r(nodes, n, sizeof *nodes, by_name, tree);
    for (size_t i = 0; i < n; i++) {
        sync_node_t *it = sync_tree_node(tree, nodes[i]);
        bool twice =
            kept && bytes_eq(coming(it)->name, coming(sync_tree_node(tree, nodes[kept - 1]))->name);
        if (twice) it->later = true;
        else nodes[kept++] = nodes[i];
    }
    *ret_children = (children_t){tree, nodes, kept};
    return NULL;
}

/* ---- lists ---- */

static err_t *put_entry(sync_folder_writer_t *writer, const sync_node_t *node) {
    const sync_fact_t *fact = coming(node);
    sync_entry_t entry = {.kind = fact->kind,
                          .name = fact->name,
                          .fold = fact->fold,
                          .mode = fact->mode,
                          .mtime = fact->mtime,
                          .mtime_ns = fact->mtime_ns,
                          .size = fact->kind == SYNC_ENTRY_FILE ? fact->size : 0,
                          .target = fact->target,
                          .packed = fact->packed,
                          .index = fact->packed ? fact->index : 0};
    memcpy(entry.node, node->id, SYNC_NODE);
    memcpy(entry.version, fact->version, SYNC_NODE);
    memcpy(entry.package, fact->package, SYNC_HASH);
    return sync_folder_add(writer, &entry);
}

static err_t *encode(const children_t *children, size_t from, size_t until, buf_t *out) {
    sync_folder_writer_t writer;
    buf_clear(out);
    TRY(sync_folder_begin(out, &writer));
    for (size_t i = from; i < until; i++)
        TRY(put_entry(&writer, sync_tree_node(children->tree, children->nodes[i])));
    return sync_folder_end(&writer);
}

static err_t *drop(sync_engine_t *engine, const uint8_t package[SYNC_HASH]) {
    return buf_add(&engine->out.dropped, bytes_make(package, SYNC_HASH));
}

static err_t *push_list(sync_engine_t *engine, const push_what_t *what, bytes_t plain,
                        uint8_t ret_package[SYNC_HASH]) {
    CLEANUP(push_free) push_t *push = NULL;
    TRY(push_begin(engine, what, &push));
    TRY(push_add(push, plain));
    TRY(push_end(push, ret_package));
    return buf_add(&engine->out.added, bytes_make(ret_package, SYNC_HASH));
}

static err_t *what_of(sync_engine_t *engine, const uint8_t node[SYNC_NODE],
                      const uint8_t folder[SYNC_NODE], size_t size, const uint8_t *replaces,
                      push_what_t *ret_what) {
    push_what_t what = {.kind = SYNC_META_FOLDER,
                        .size = size,
                        .mtime = clk_unix(engine->c.clk),
                        .replaces = replaces};
    memcpy(what.node, node, SYNC_NODE);
    memcpy(what.folder, folder, SYNC_NODE);
    TRY(rnd_fill(engine->c.rnd, what.version, SYNC_NODE));
    *ret_what = what;
    return NULL;
}

/* ---- pages ---- */

/* Where the page that begins at `from` ends: at an old page's border, or when it is full. */
static size_t page_end(const children_t *children, size_t from, const pages_t *old) {
    size_t bytes = 0, i = from;
    for (; i < children->n && i - from < PAGE_ENTRIES && bytes < PAGE_BYTES; i++) {
        const sync_fact_t *fact = coming(sync_tree_node(children->tree, children->nodes[i]));
        bytes += ENTRY_BYTES + fact->name.n + fact->fold.n + fact->target.n;
        for (size_t p = 0; old && i > from && p < old->n; p++)
            if (bytes_eq(fact->name, bytes_make(old->pages[p].first, old->pages[p].first_n)))
                return i;
    }
    return i;
}

static const page_t *same_page(const pages_t *old, const uint8_t plain[SYNC_HASH]) {
    for (size_t p = 0; old && p < old->n; p++)
        if (memcmp(old->pages[p].plain, plain, SYNC_HASH) == 0) return &old->pages[p];
    return NULL;
}

static err_t *write_page(sync_engine_t *engine, uint32_t folder, const pages_t *old, bytes_t name,
                         page_t *ret_page) {
    bytes_t plain = buf_bytes(&engine->list);
    page_t page = {.first_n = name.n};
    push_what_t what;
    TRY(digest_sha256(plain, page.plain));
    const page_t *same = same_page(old, page.plain);
    if (same) {
        *ret_page = *same;
    } else {
        TRY(rnd_fill(engine->c.rnd, page.node, SYNC_NODE));
        TRY(what_of(engine, page.node, sync_tree_node(engine->tree, folder)->id, plain.n, NULL,
                    &what));
        memcpy(page.version, what.version, SYNC_NODE);
        TRY(push_list(engine, &what, plain, page.package));
        *ret_page = page;
    }
    bytes_put(ret_page->first, name);
    ret_page->first_n = name.n;
    return NULL;
}

static err_t *write_pages(sync_engine_t *engine, uint32_t folder, const children_t *children,
                          const pages_t *old, pages_t *fresh) {
    size_t room = children->n + 1;
    for (size_t from = 0; from < children->n;) {
        size_t until = page_end(children, from, old);
        const sync_node_t *first = sync_tree_node(children->tree, children->nodes[from]);
        if (!fresh->pages) fresh->pages = mem_array(room < 4096 ? room : 4096, sizeof(page_t));
        if (!fresh->pages) return err_nomem();
        if (fresh->n == 4096) return err_new(ERR_LIMIT, "a folder of too many files");
        TRY(encode(children, from, until, &engine->list));
        TRY(write_page(engine, folder, old, coming(first)->name, &fresh->pages[fresh->n]));
        fresh->n++;
        from = until;
    }
    return NULL;
}

static err_t *encode_pages(const pages_t *pages, buf_t *out) {
    sync_folder_writer_t writer;
    buf_clear(out);
    TRY(sync_folder_begin(out, &writer));
    for (size_t i = 0; i < pages->n; i++) {
        const page_t *page = &pages->pages[i];
        sync_entry_t entry = {.kind = SYNC_ENTRY_PAGE,
                              .name = bytes_make(page->first, page->first_n)};
        memcpy(entry.node, page->node, SYNC_NODE);
        memcpy(entry.version, page->version, SYNC_NODE);
        memcpy(entry.package, page->package, SYNC_HASH);
        TRY(sync_folder_add(&writer, &entry));
    }
    return sync_folder_end(&writer);
}

/* Pages of before that are none any more leave the tree. */
static err_t *drop_pages(sync_engine_t *engine, const pages_t *old, const pages_t *fresh) {
    for (size_t i = 0; old && i < old->n; i++) {
        bool kept = false;
        for (size_t j = 0; fresh && j < fresh->n && !kept; j++)
            kept = memcmp(old->pages[i].package, fresh->pages[j].package, SYNC_HASH) == 0;
        if (!kept) TRY(drop(engine, old->pages[i].package));
    }
    return NULL;
}

static err_t *swap_pages(sync_engine_t *engine, uint32_t folder, pages_t *fresh) {
    pages_t *pages = persist_pages(engine, folder);
    if (!pages && fresh->n == 0) return NULL;
    if (!pages) TRY(persist_pages_new(engine, folder, &pages));
    mem_free(pages->pages);
    pages->pages = STEAL(fresh->pages);
    pages->n = fresh->n;
    pages->changed = true;
    return NULL;
}

/* The plain text of the folder's own list, in engine->list. */
static err_t *make_list(sync_engine_t *engine, uint32_t folder, const children_t *children) {
    pages_t fresh = {.folder = folder};
    const pages_t *old = persist_pages(engine, folder);
    err_t *e = NULL;
    if (page_end(children, 0, NULL) == children->n) {
        e = encode(children, 0, children->n, &engine->list);
    } else {
        e = write_pages(engine, folder, children, old, &fresh);
        if (!e) e = encode_pages(&fresh, &engine->list);
    }
    if (!e) e = drop_pages(engine, old, &fresh);
    if (!e) e = swap_pages(engine, folder, &fresh);
    mem_free(fresh.pages);
    return e;
}

/* ---- folders ---- */

static err_t *set_folder(sync_engine_t *engine, uint32_t folder, const push_what_t *what,
                         const uint8_t package[SYNC_HASH]) {
    const sync_fact_t *old = sync_tree_node(engine->tree, folder)->side[SYNC_GOAL], *kept = NULL;
    sync_fact_t fact = old ? *old : (sync_fact_t){.kind = SYNC_ENTRY_FOLDER};
    memcpy(fact.version, what->version, SYNC_NODE);
    memcpy(fact.package, package, SYNC_HASH);
    TRY(sync_tree_fact(engine->tree, &fact, &kept));
    sync_tree_set(engine->tree, folder, SYNC_GOAL, kept);
    return NULL;
}

/* Its folders first; no deeper than LIMIT_SYNC_DEPTH. */
static err_t *write_folder(committer_t *c, uint32_t folder) {
    sync_engine_t *engine = c->engine;
    CLEANUP(children_done) children_t children = {0};
    push_what_t what;
    uint8_t package[SYNC_HASH];
    TRY(children_of(engine->tree, folder, &children));
    if (c->depth > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders are nested too deep");
    c->depth++;
    for (size_t i = 0; i < children.n; i++) {
        const sync_node_t *child = sync_tree_node(engine->tree, children.nodes[i]);
        if (child->list && coming(child)->kind == SYNC_ENTRY_FOLDER)
            TRY(write_folder(c, children.nodes[i]));
    }
    c->depth--;
    TRY(make_list(engine, folder, &children));
    const sync_node_t *it = sync_tree_node(engine->tree, folder);
    const sync_fact_t *before = it->side[SYNC_REMOTE];
    TRY(what_of(engine, it->id, it->id, engine->list.n, before ? before->version : NULL, &what));
    TRY(push_list(engine, &what, buf_bytes(&engine->list), package));
    if (before) TRY(drop(engine, before->package));
    return set_folder(engine, folder, &what, package);
}

/* ---- the change ---- */

static int by_id(const void *a, const void *b) { return memcmp(a, b, SYNC_HASH); }

/* Ascending, each once. */
static void sort_ids(buf_t *ids) {
    size_t n = ids->n / SYNC_HASH, kept = 0;
    if (n) qsort(ids->p, n, SYNC_HASH, by_id);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *id = ids->p + i * SYNC_HASH;
        if (kept && memcmp(ids->p + (kept - 1) * SYNC_HASH, id, SYNC_HASH) == 0) continue;
        memmove(ids->p + kept++ * SYNC_HASH, id, SYNC_HASH);
    }
    ids->n = kept * SYNC_HASH;
}

static bool has_id(const buf_t *ids, const uint8_t id[SYNC_HASH]) {
    return ids->n && bsearch(id, ids->p, ids->n / SYNC_HASH, SYNC_HASH, by_id);
}

/* Removes from `ids` what `others` has; both sorted. */
static void subtract(buf_t *ids, const buf_t *others) {
    size_t kept = 0;
    for (size_t i = 0; i < ids->n; i += SYNC_HASH) {
        if (has_id(others, ids->p + i)) continue;
        memmove(ids->p + kept, ids->p + i, SYNC_HASH);
        kept += SYNC_HASH;
    }
    ids->n = kept;
}

static err_t *gather_packs(sync_tree_t *tree, sync_side_t side, buf_t *out) {
    uint32_t n = sync_tree_count(tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(tree, i);
        const sync_fact_t *fact = side == SYNC_REMOTE ? it->side[SYNC_REMOTE] : coming(it);
        if (fact && fact->packed) TRY(buf_add(out, bytes_make(fact->package, SYNC_HASH)));
    }
    sort_ids(out);
    return NULL;
}

/* Packages of files that come and go; of folders those that go as a whole. */
static err_t *gather_files(sync_engine_t *engine) {
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(engine->tree, i);
        const sync_fact_t *r = it->side[SYNC_REMOTE], *to = coming(it);
        bool is_folder = (r ? r : to ? to : &(sync_fact_t){0})->kind == SYNC_ENTRY_FOLDER;
        bool is_link = (r ? r : to ? to : &(sync_fact_t){0})->kind == SYNC_ENTRY_LINK;
        if (r == to || is_link || (is_folder && to)) continue;
        bool same = r && to && memcmp(r->package, to->package, SYNC_HASH) == 0;
        if (r && !same) TRY(drop(engine, r->package));
        if (r && is_folder) TRY(drop_pages(engine, persist_pages(engine, i), NULL));
        if (to && !same) TRY(buf_add(&engine->out.added, bytes_make(to->package, SYNC_HASH)));
    }
    return NULL;
}

static err_t *gather_change(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t before;
    CLEANUP(buf_done) buf_t after;
    buf_init(&before, CHANGES_MAX);
    buf_init(&after, CHANGES_MAX);
    TRY(gather_files(engine));
    TRY(gather_packs(engine->tree, SYNC_REMOTE, &before));
    TRY(gather_packs(engine->tree, SYNC_GOAL, &after));
    sort_ids(&engine->out.added);
    sort_ids(&engine->out.dropped);
    subtract(&engine->out.added, &before);
    subtract(&engine->out.dropped, &after);
    subtract(&engine->out.dropped, &engine->out.added);
    return NULL;
}

/* ---- the root ---- */

static err_t *sign_root(sync_engine_t *engine, bytes_t change, sync_root_t *root, buf_t *out) {
    memcpy(root->folder, sync_tree_node(engine->tree, SYNC_ROOT_NODE)->side[SYNC_GOAL]->package,
           SYNC_HASH);
    TRY(digest_sha256(change, root->change));
    root->time = clk_unix(engine->c.clk);
    TRY(sync_root_sign(root, &engine->seen, engine->chain, engine->c.device));
    return sync_root_put(root, out);
}

/* Of an edit nothing is kept but that it was seen: the next step reads it as another's. */
static err_t *keep_seen(sync_engine_t *engine, const sync_root_t *root) {
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(buf_done) buf_t value;
    sync_root_seen_t seen = engine->seen;
    buf_init(&changes, 4096);
    buf_init(&value, 1024);
    TRY(sync_root_follow(root, engine->chain, &seen));
    TRY(roots_encode(&seen, root->folder, &value));
    TRY(db_local_put(&changes, STATE_META, BYTES_LIT("seen"), buf_bytes(&value)));
    TRY(db_local_clear(&changes, STATE_PUTS));
    TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
    memcpy(engine->folder, root->folder, SYNC_HASH);
    engine->seen = seen;
    return NULL;
}

/* The service has it: so does the state, in one piece. */
static err_t *keep(sync_engine_t *engine, const sync_root_t *root) {
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(buf_done) buf_t value;
    sync_root_seen_t seen = engine->seen;
    buf_init(&changes, CHANGES_MAX);
    buf_init(&value, 1024);
    TRY(sync_root_follow(root, engine->chain, &seen));
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 0; i < n; i++) {
        sync_node_t *it = sync_tree_node(engine->tree, i);
        const sync_fact_t *to = coming(it);
        if (it->side[SYNC_REMOTE] == to) continue;
        sync_tree_set(engine->tree, i, SYNC_REMOTE, to);
        it->changed = true;
    }
    memcpy(engine->read, root->folder, SYNC_HASH);
    memcpy(engine->folder, root->folder, SYNC_HASH);
    engine->unread = false;
    engine->seen = seen;
    apply_agreed(engine);
    TRY(roots_encode(&seen, root->folder, &value));
    TRY(db_local_put(&changes, STATE_META, BYTES_LIT("seen"), buf_bytes(&value)));
    TRY(db_local_clear(&changes, STATE_UPLOADS));
    TRY(persist_gather(engine, &changes));
    TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
    persist_kept(engine);
    return NULL;
}

/* What was uploaded for a root that is refused may be gone there: it is sent again. */
static void forget_uploads(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    err_t *e = db_local_clear(&changes, engine_uploads(engine));
    if (!e) e = db_local_apply(engine->c.state, buf_bytes(&changes));
    err_free(e); /* the next refusal does it */
}

static err_t *post(sync_engine_t *engine, bool *ret_done) {
    CLEANUP(buf_done) buf_t change;
    CLEANUP(buf_done) buf_t record;
    sync_root_t root = {0};
    bool lost = false;
    const sync_remote_t *remote = engine->c.remote;
    buf_init(&change, CHANGES_MAX);
    buf_init(&record, SYNC_ROOT_MAX);
    TRY(sync_change_put(
        &(sync_change_t){buf_bytes(&engine->out.added), buf_bytes(&engine->out.dropped)}, &change));
    TRY(sign_root(engine, buf_bytes(&change), &root, &record));
    err_t *e = engine_judge(
        engine, remote->root_post(remote->ctx, buf_bytes(&record), buf_bytes(&change), &lost));
    if (e && err_code(e) == ERR_VERIFY) forget_uploads(engine);
    TRY(e);
    *ret_done = !lost;
    if (lost) return NULL;
    return engine->editing ? keep_seen(engine, &root) : keep(engine, &root);
}

err_t *commit_tree(sync_engine_t *engine, bool *ret_done) {
    committer_t c = {.engine = engine};
    static const uint8_t none[SYNC_NODE];
    uint8_t id[SYNC_NODE];
    *ret_done = true;
    if (!mark_lists(engine->tree)) return NULL;
    if (memcmp(sync_tree_node(engine->tree, SYNC_ROOT_NODE)->id, none, SYNC_NODE) == 0) {
        TRY(rnd_fill(engine->c.rnd, id, sizeof id));
        TRY(sync_tree_name_root(engine->tree, id));
    }
    TRY(write_folder(&c, SYNC_ROOT_NODE));
    TRY(push_flush(engine));
    TRY(gather_change(engine));
    TRY(post(engine, ret_done));
    if (*ret_done) {
        engine->report->commits++;
        /*
         * An edit's table is that of all edits, and another one may be sending just now: what no
         * edit goes on with is the service's to collect.
         */
        if (!engine->editing) err_ignore(resume_forget_all(engine)); /* else after the next one */
    }
    if (!*ret_done) engine->report->again = true;
    return NULL;
}
