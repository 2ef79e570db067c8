/*
 * The service's side of the tree: from the signed root down, only the lists whose packages changed
 * are read, level by level. A list is whatever a writer of the region signed, so it is checked to
 * make a tree: each node once, no kinds that change, no folder below itself. In the client; one
 * thread.
 */
#include "base/mem.h"
#include "crypto/digest.h"
#include "sync/engine/engine_internal.h"

/* A list to be read: a folder's, or a page's of it. */
typedef struct {
    uint32_t folder;
    uint8_t package[SYNC_HASH], node[SYNC_NODE], version[SYNC_NODE];
    unsigned depth, level; /* folders above; pages above */
    bool root;             /* node and version are not known before */
} list_t;

typedef struct {
    sync_engine_t *engine;
    list_t *lists; /* a queue */
    size_t n, room, at;
    buf_t runs, fold;
} fetch_t;

static void fetch_done(fetch_t *fetch) {
    mem_free(fetch->lists);
    buf_done(&fetch->runs);
    buf_done(&fetch->fold);
}
DEFINE_CLEANUP_VALUE(fetch_t, fetch_done)

static err_t *enqueue(fetch_t *fetch, const list_t *list) {
    if (fetch->n == fetch->room) {
        size_t room = fetch->room * 2 + 64;
        list_t *grown = mem_resize(fetch->lists, room * sizeof *grown);
        if (!grown) return err_nomem();
        fetch->lists = grown;
        fetch->room = room;
    }
    fetch->lists[fetch->n++] = *list;
    return NULL;
}

static err_t *no_tree(const char *what) { return err_new(ERR_VERIFY, "%s", what); }

/* ---- children ---- */

static bool in_page(bytes_t name, const pages_t *pages, size_t i) {
    const page_t *page = &pages->pages[i], *next = i + 1 < pages->n ? page + 1 : NULL;
    return sync_name_compare(name, bytes_make(page->first, page->first_n)) >= 0 &&
           (!next || sync_name_compare(name, bytes_make(next->first, next->first_n)) < 0);
}

/* The children of a page that is what it was. */
static void keep_children(sync_engine_t *engine, const pages_t *pages, size_t i) {
    sync_tree_t *tree = engine->tree;
    uint32_t at = sync_tree_node(tree, pages->folder)->place[SYNC_REMOTE].first;
    for (; at != SYNC_NO_NODE; at = sync_tree_node(tree, at)->place[SYNC_REMOTE].next) {
        sync_node_t *child = sync_tree_node(tree, at);
        if (in_page(child->side[SYNC_REMOTE]->name, pages, i)) child->read = engine->fetch;
    }
}

/* Takes away the children that are in the folder's list no more. */
static void forget_children(sync_engine_t *engine, uint32_t folder) {
    sync_tree_t *tree = engine->tree;
    uint32_t at = sync_tree_node(tree, folder)->place[SYNC_REMOTE].first;
    while (at != SYNC_NO_NODE) {
        sync_node_t *child = sync_tree_node(tree, at);
        uint32_t next = child->place[SYNC_REMOTE].next;
        if (child->read != engine->fetch) {
            sync_tree_set(tree, at, SYNC_REMOTE, NULL);
            child->changed = true;
        }
        at = next;
    }
}

/* ---- entries ---- */

static bool same_fact(const sync_fact_t *a, const sync_fact_t *b) {
    return a->kind == b->kind && a->packed == b->packed && sync_same_place(a, b) &&
           a->mode == b->mode && a->mtime == b->mtime && a->mtime_ns == b->mtime_ns &&
           a->index == b->index && a->size == b->size && bytes_eq(a->fold, b->fold) &&
           bytes_eq(a->target, b->target) && memcmp(a->version, b->version, SYNC_NODE) == 0 &&
           memcmp(a->package, b->package, SYNC_HASH) == 0;
}

static err_t *set_remote(sync_engine_t *engine, uint32_t node, const sync_fact_t *fact) {
    sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *old = it->side[SYNC_REMOTE], *base = it->side[SYNC_BASE], *kept = NULL;
    if (old && same_fact(old, fact)) return NULL;
    if (base && same_fact(base, fact)) kept = base;
    else TRY(sync_tree_fact(engine->tree, fact, &kept));
    sync_tree_set(engine->tree, node, SYNC_REMOTE, kept);
    sync_tree_node(engine->tree, node)->changed = true;
    return NULL;
}

/* A file, folder or link of a list. */
static err_t *take_entry(fetch_t *fetch, const list_t *list, const sync_entry_t *entry) {
    sync_engine_t *engine = fetch->engine;
    sync_fact_t fact;
    uint32_t node = 0;
    TRY(sync_tree_get(engine->tree, entry->node, &node));
    sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *old = it->side[SYNC_REMOTE], *base = it->side[SYNC_BASE];
    if (node == SYNC_ROOT_NODE) return no_tree("the root folder lies in a folder");
    if (it->read == engine->fetch) return no_tree("a file that lies in two places");
    if ((old && old->kind != entry->kind) || (base && base->kind != entry->kind))
        return no_tree("a file that became a folder");
    if (list->depth >= LIMIT_SYNC_DEPTH) return no_tree("folders are nested too deep");
    it->read = engine->fetch;
    bool unread = !old || memcmp(old->package, entry->package, SYNC_HASH) != 0;
    sync_fact_of(entry, list->folder, &fact);
    TRY(set_remote(engine, node, &fact));
    if (entry->kind != SYNC_ENTRY_FOLDER || !unread) return NULL;
    list_t below = {.folder = node, .depth = list->depth + 1};
    memcpy(below.package, entry->package, SYNC_HASH);
    memcpy(below.node, entry->node, SYNC_NODE);
    memcpy(below.version, entry->version, SYNC_NODE);
    return enqueue(fetch, &below);
}

/* ---- lists ---- */

static err_t *add_page(pages_t *pages, const sync_entry_t *entry) {
    page_t *grown = mem_resize(pages->pages, (pages->n + 1) * sizeof *grown);
    if (!grown) return err_nomem();
    pages->pages = grown;
    page_t *page = &grown[pages->n++];
    *page = (page_t){.first_n = entry->name.n};
    bytes_put(page->first, entry->name);
    memcpy(page->node, entry->node, SYNC_NODE);
    memcpy(page->version, entry->version, SYNC_NODE);
    memcpy(page->package, entry->package, SYNC_HASH);
    return NULL;
}

/* Reads the entries that are no pages; those are gathered. */
static err_t *read_list(fetch_t *fetch, const list_t *list, bytes_t plain, pages_t *pages) {
    sync_folder_reader_t reader;
    sync_entry_t entry;
    TRY(sync_folder_open(plain, &reader));
    for (bool found = false;;) {
        TRY(sync_folder_next(&reader, &found, &entry));
        if (!found) return NULL;
        if (entry.kind == SYNC_ENTRY_PAGE) TRY(add_page(pages, &entry));
        else TRY(take_entry(fetch, list, &entry));
    }
}

static err_t *enqueue_page(fetch_t *fetch, const list_t *list, const page_t *page) {
    list_t below = {.folder = list->folder, .depth = list->depth, .level = list->level + 1};
    if (list->level >= LIMIT_SYNC_PAGES) return no_tree("pages are nested too deep");
    memcpy(below.package, page->package, SYNC_HASH);
    memcpy(below.node, page->node, SYNC_NODE);
    memcpy(below.version, page->version, SYNC_NODE);
    return enqueue(fetch, &below);
}

/* Pages of the same package as before have the children that they had; others are read. */
static err_t *sort_pages(fetch_t *fetch, const list_t *list, pages_t *fresh) {
    const pages_t *old = persist_pages(fetch->engine, list->folder);
    for (size_t i = 0; i < fresh->n; i++) {
        page_t *page = &fresh->pages[i];
        size_t same = 0, old_n = old && list->level == 0 ? old->n : 0;
        while (same < old_n && memcmp(old->pages[same].package, page->package, SYNC_HASH) != 0)
            same++;
        if (same == old_n) {
            TRY(enqueue_page(fetch, list, page));
            continue;
        }
        memcpy(page->plain, old->pages[same].plain, SYNC_HASH);
        keep_children(fetch->engine, old, same);
    }
    return NULL;
}

/* The folder has these pages from now on. */
static err_t *set_pages(sync_engine_t *engine, uint32_t folder, pages_t *fresh) {
    pages_t *pages = persist_pages(engine, folder);
    if (!pages && fresh->n == 0) return NULL;
    if (!pages) TRY(persist_pages_new(engine, folder, &pages));
    mem_free(pages->pages);
    pages->pages = fresh->pages;
    pages->n = fresh->n;
    pages->changed = true;
    *fresh = (pages_t){0};
    return NULL;
}

/* The folder's own fact at the root, where no list has one. */
static err_t *take_root(sync_engine_t *engine, const sync_package_t *package,
                        const uint8_t id[SYNC_HASH]) {
    sync_fact_t fact = {.kind = SYNC_ENTRY_FOLDER};
    static const uint8_t none[SYNC_NODE];
    const uint8_t *known = sync_tree_node(engine->tree, SYNC_ROOT_NODE)->id;
    if (!engine->unread && memcmp(known, none, SYNC_NODE) != 0 &&
        memcmp(known, package->node, SYNC_NODE) != 0)
        return no_tree("another root folder");
    TRY(sync_tree_name_root(engine->tree, package->node));
    memcpy(fact.version, package->version, SYNC_NODE);
    memcpy(fact.package, id, SYNC_HASH);
    return set_remote(engine, SYNC_ROOT_NODE, &fact);
}

/* So that a commit knows whether the page's list is the same still. */
static err_t *note_plain(sync_engine_t *engine, const list_t *list, bytes_t plain) {
    pages_t *pages = persist_pages(engine, list->folder);
    for (size_t i = 0; pages && i < pages->n; i++)
        if (memcmp(pages->pages[i].package, list->package, SYNC_HASH) == 0)
            TRY(digest_sha256(plain, pages->pages[i].plain));
    return NULL;
}

static err_t *check_list(sync_engine_t *engine, const list_t *list, const sync_package_t *package,
                         bytes_t plain, fetch_t *fetch) {
    if (list->root) TRY(take_root(engine, package, list->package));
    else if (memcmp(package->node, list->node, SYNC_NODE) != 0 ||
             memcmp(package->version, list->version, SYNC_NODE) != 0)
        return no_tree("a list of another folder, or another version of it");
    pages_t fresh = {.folder = list->folder};
    err_t *e = read_list(fetch, list, plain, &fresh);
    if (!e) e = sort_pages(fetch, list, &fresh);
    if (!e && list->level == 0) e = set_pages(engine, list->folder, &fresh);
    if (!e && list->level == 1) e = note_plain(engine, list, plain);
    mem_free(fresh.pages);
    return e;
}

static err_t *take_list(fetch_t *fetch, list_t list, bytes_t run) {
    sync_engine_t *engine = fetch->engine;
    sync_package_t package;
    TRY(pull_check(engine, run, list.package, &package));
    TRY(pull_plain(engine, &package, SYNC_META_FOLDER, &engine->list));
    memset(engine->pack, 0, SYNC_HASH);
    err_t *e = check_list(engine, &list, &package, buf_bytes(&engine->list), fetch);
    buf_clear(&engine->list);
    if (e && (err_code(e) == ERR_VERIFY || err_code(e) == ERR_INVALID || err_code(e) == ERR_LIMIT))
        return engine_alarm(engine, SYNC_ALARM_TREE, e);
    return e;
}

/* As many as one answer has. */
static err_t *take_batch(fetch_t *fetch) {
    CLEANUP(buf_done) buf_t ids;
    size_t n = fetch->n - fetch->at;
    buf_init(&ids, (size_t)SYNC_REMOTE_PACKAGES * SYNC_HASH);
    if (n > SYNC_REMOTE_PACKAGES) n = SYNC_REMOTE_PACKAGES;
    for (size_t i = 0; i < n; i++)
        TRY(buf_add(&ids, bytes_make(fetch->lists[fetch->at + i].package, SYNC_HASH)));
    TRY(pull_packages(fetch->engine, buf_bytes(&ids), &fetch->runs));
    bytes_t rest = buf_bytes(&fetch->runs), run;
    if (rest.n == 0) return pull_check(fetch->engine, BYTES_NONE, ids.p, &(sync_package_t){0});
    for (size_t i = 0; i < n && rest.n; i++) {
        err_t *e = keys_runs_next(&rest, SYNC_PACKAGE_MAX, &run);
        if (e) return engine_alarm(fetch->engine, SYNC_ALARM_PACKAGE, e);
        TRY(take_list(fetch, fetch->lists[fetch->at++], run));
    }
    return NULL;
}

err_t *fetch_tree(sync_engine_t *engine) {
    if (!engine->unread && memcmp(engine->read, engine->folder, SYNC_HASH) == 0) return NULL;
    if (engine->seen.counter == 0) return NULL;
    CLEANUP(fetch_done) fetch_t fetch = {.engine = engine};
    list_t root = {.folder = SYNC_ROOT_NODE, .root = true};
    buf_init(&fetch.runs, SYNC_REMOTE_ANSWER);
    buf_init(&fetch.fold, LIMIT_SYNC_FOLD);
    engine->fetch++;
    memcpy(root.package, engine->folder, SYNC_HASH);
    TRY(enqueue(&fetch, &root));
    while (fetch.at < fetch.n) TRY(take_batch(&fetch));
    for (size_t i = 0; i < fetch.n; i++)
        if (fetch.lists[i].level == 0) forget_children(engine, fetch.lists[i].folder);
    sync_tree_sweep(engine->tree, SYNC_REMOTE);
    memcpy(engine->read, engine->folder, SYNC_HASH);
    engine->unread = false;
    return engine->c.aside ? NULL : persist_save(engine);
}
