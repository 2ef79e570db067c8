/*
 * The tree in the local state: what both sides last agreed on and what the service had when it was
 * last read. In the client; one thread.
 */
#include "base/mem.h"
#include "sync/engine/engine_internal.h"

enum { HAS_BASE = 1, HAS_REMOTE = 2, ALIKE = 4 };
enum { ROW_MAX = 16 * 1024 };

static const uint8_t zeros[SYNC_NODE];

/* ---- rows ---- */

static err_t *put_fact(sync_tree_t *tree, const sync_fact_t *fact, buf_t *out) {
    const uint8_t *parent =
        fact->parent == SYNC_ROOT_NODE ? zeros : sync_tree_node(tree, fact->parent)->id;
    TRY(wire_put_u8(out, (uint8_t)fact->kind));
    TRY(wire_put_bool(out, fact->packed));
    TRY(record_put_raw(out, parent, SYNC_NODE));
    TRY(wire_put_u32(out, fact->mode));
    TRY(wire_put_u32(out, fact->mtime_ns));
    TRY(wire_put_u32(out, fact->index));
    TRY(wire_put_i64(out, fact->mtime));
    TRY(wire_put_u64(out, fact->size));
    TRY(wire_put_bytes(out, fact->name));
    TRY(wire_put_bytes(out, fact->fold));
    TRY(wire_put_bytes(out, fact->target));
    TRY(record_put_raw(out, fact->version, SYNC_NODE));
    return record_put_raw(out, fact->package, SYNC_HASH);
}

static err_t *get_fact(sync_tree_t *tree, wire_reader_t *r, const sync_fact_t **ret_fact) {
    sync_fact_t fact = {0};
    uint8_t kind = 0, parent[SYNC_NODE];
    TRY(wire_get_u8(r, &kind));
    TRY(wire_get_bool(r, &fact.packed));
    TRY(record_get_raw(r, SYNC_NODE, parent));
    TRY(wire_get_u32(r, &fact.mode));
    TRY(wire_get_u32(r, &fact.mtime_ns));
    TRY(wire_get_u32(r, &fact.index));
    TRY(wire_get_i64(r, &fact.mtime));
    TRY(wire_get_u64(r, &fact.size));
    TRY(wire_get_bytes(r, LIMIT_SYNC_FILE_NAME, &fact.name));
    TRY(wire_get_bytes(r, LIMIT_SYNC_FOLD, &fact.fold));
    TRY(wire_get_bytes(r, LIMIT_SYNC_LINK_TARGET, &fact.target));
    TRY(record_get_raw(r, SYNC_NODE, fact.version));
    TRY(record_get_raw(r, SYNC_HASH, fact.package));
    fact.kind = (sync_entry_kind_t)kind;
    if (memcmp(parent, zeros, SYNC_NODE) != 0) TRY(sync_tree_get(tree, parent, &fact.parent));
    return sync_tree_fact(tree, &fact, ret_fact);
}

static err_t *put_node(sync_tree_t *tree, const sync_node_t *node, buf_t *out) {
    const sync_fact_t *base = node->side[SYNC_BASE], *remote = node->side[SYNC_REMOTE];
    unsigned flags = (base ? (unsigned)HAS_BASE : 0) | (remote ? (unsigned)HAS_REMOTE : 0);
    if (base && base == remote) flags |= ALIKE;
    TRY(wire_put_u8(out, (uint8_t)flags));
    if (base) TRY(put_fact(tree, base, out));
    if (remote && remote != base) TRY(put_fact(tree, remote, out));
    TRY(wire_put_u64(out, node->seen.inode));
    TRY(wire_put_u64(out, node->seen.size));
    TRY(wire_put_u32(out, node->seen.mode));
    TRY(wire_put_i64(out, node->seen.mtime));
    TRY(wire_put_u32(out, node->seen.mtime_ns));
    return wire_put_u64(out, node->seen.stamp);
}

static err_t *get_node(sync_tree_t *tree, uint32_t node, bytes_t value) {
    wire_reader_t r = wire_reader(value);
    const sync_fact_t *base = NULL, *remote = NULL;
    sync_stat_t seen = {0};
    uint8_t flags = 0;
    TRY(wire_get_u8(&r, &flags));
    if (flags & HAS_BASE) TRY(get_fact(tree, &r, &base));
    if (flags & ALIKE) remote = base;
    else if (flags & HAS_REMOTE) TRY(get_fact(tree, &r, &remote));
    TRY(wire_get_u64(&r, &seen.inode));
    TRY(wire_get_u64(&r, &seen.size));
    TRY(wire_get_u32(&r, &seen.mode));
    TRY(wire_get_i64(&r, &seen.mtime));
    TRY(wire_get_u32(&r, &seen.mtime_ns));
    TRY(wire_get_u64(&r, &seen.stamp));
    sync_tree_set(tree, node, SYNC_BASE, base);
    sync_tree_set(tree, node, SYNC_REMOTE, remote);
    sync_tree_node(tree, node)->seen = seen;
    return wire_done(&r);
}

/* ---- pages ---- */

pages_t *persist_pages(sync_engine_t *engine, uint32_t folder) {
    for (size_t i = 0; i < engine->pages_n; i++)
        if (engine->pages[i].folder == folder) return &engine->pages[i];
    return NULL;
}

err_t *persist_pages_new(sync_engine_t *engine, uint32_t folder, pages_t **ret_pages) {
    pages_t *pages = persist_pages(engine, folder);
    if (!pages && engine->pages_n == engine->pages_room) {
        size_t room = engine->pages_room * 2 + 8;
        pages_t *grown = mem_resize(engine->pages, room * sizeof *grown);
        if (!grown) return err_nomem();
        engine->pages = grown;
        engine->pages_room = room;
    }
    if (!pages) {
        pages = &engine->pages[engine->pages_n++];
        *pages = (pages_t){.folder = folder};
    }
    *ret_pages = pages;
    return NULL;
}

void persist_pages_done(sync_engine_t *engine) {
    for (size_t i = 0; i < engine->pages_n; i++) mem_free(engine->pages[i].pages);
    mem_free(engine->pages);
    engine->pages = NULL;
    engine->pages_n = engine->pages_room = 0;
}

static err_t *put_pages(const pages_t *pages, buf_t *out) {
    TRY(wire_put_u32(out, (uint32_t)pages->n));
    for (size_t i = 0; i < pages->n; i++) {
        const page_t *page = &pages->pages[i];
        TRY(wire_put_bytes(out, bytes_make(page->first, page->first_n)));
        TRY(record_put_raw(out, page->node, SYNC_NODE));
        TRY(record_put_raw(out, page->version, SYNC_NODE));
        TRY(record_put_raw(out, page->package, SYNC_HASH));
        TRY(record_put_raw(out, page->plain, SYNC_HASH));
    }
    return NULL;
}

static err_t *get_pages(pages_t *pages, bytes_t value) {
    wire_reader_t r = wire_reader(value);
    uint32_t n = 0;
    TRY(wire_get_u32(&r, &n));
    if (n == 0) return wire_done(&r);
    pages->pages = mem_array(n, sizeof *pages->pages);
    if (!pages->pages) return err_nomem();
    for (; pages->n < n; pages->n++) {
        page_t *page = &pages->pages[pages->n];
        bytes_t first;
        TRY(wire_get_bytes(&r, LIMIT_SYNC_FILE_NAME, &first));
        bytes_put(page->first, first);
        page->first_n = first.n;
        TRY(record_get_raw(&r, SYNC_NODE, page->node));
        TRY(record_get_raw(&r, SYNC_NODE, page->version));
        TRY(record_get_raw(&r, SYNC_HASH, page->package));
        TRY(record_get_raw(&r, SYNC_HASH, page->plain));
    }
    return wire_done(&r);
}

/* ---- all ---- */

static err_t *load_node(void *arg, bytes_t key, bytes_t value) {
    sync_engine_t *engine = arg;
    uint32_t node = 0;
    if (key.n != SYNC_NODE) return err_new(ERR_INVALID, "a node of the local state");
    TRY(sync_tree_get(engine->tree, key.p, &node));
    return get_node(engine->tree, node, value);
}

static err_t *load_pages(void *arg, bytes_t key, bytes_t value) {
    sync_engine_t *engine = arg;
    pages_t *pages = NULL;
    if (key.n != SYNC_NODE) return err_new(ERR_INVALID, "pages of the local state");
    uint32_t folder = sync_tree_find(engine->tree, key.p);
    if (folder == SYNC_NO_NODE) return NULL;
    TRY(persist_pages_new(engine, folder, &pages));
    return get_pages(pages, value);
}

/*
 * Several programs may work on one home, "run" and "status" say. A tree is only written if nobody
 * else has written one since it was loaded: rows of two trees must never be mixed.
 */
static err_t *get_turn(sync_engine_t *engine, uint64_t *ret_turn) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, 16);
    *ret_turn = 0;
    TRY(db_local_get(engine->c.state, STATE_META, BYTES_LIT("turn"), &found, &value));
    if (!found) return NULL;
    wire_reader_t r = wire_reader(buf_bytes(&value));
    return wire_get_u64(&r, ret_turn);
}

err_t *persist_turn(sync_engine_t *engine, buf_t *changes) {
    CLEANUP(buf_done) buf_t value;
    uint64_t now = 0;
    buf_init(&value, 16);
    TRY(get_turn(engine, &now));
    if (now != engine->turn) {
        engine->report->again = true;
        return err_new(ERR_BUSY, "another program has worked on this device's state meanwhile");
    }
    engine->turn++;
    TRY(wire_put_u64(&value, engine->turn));
    return db_local_put(changes, STATE_META, BYTES_LIT("turn"), buf_bytes(&value));
}

err_t *persist_load(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    uint8_t id[SYNC_NODE];
    buf_init(&value, 1024);
    sync_tree_free(engine->tree); /* a fill's */
    engine->tree = NULL;
    persist_pages_done(engine);
    engine->unread = true;
    TRY(get_turn(engine, &engine->turn));
    TRY(sync_tree_new(&engine->tree));
    TRY(db_local_get(engine->c.state, STATE_META, BYTES_LIT("tree"), &found, &value));
    if (found) {
        wire_reader_t r = wire_reader(buf_bytes(&value));
        TRY(record_get_raw(&r, SYNC_NODE, id));
        TRY(record_get_raw(&r, SYNC_HASH, engine->read));
        TRY(wire_done(&r));
        TRY(sync_tree_name_root(engine->tree, id));
        engine->unread = false;
    }
    TRY_WRAP(db_local_each(engine->c.state, STATE_NODES, load_node, engine), "the local state");
    return db_local_each(engine->c.state, STATE_PAGES, load_pages, engine);
}

static err_t *gather_nodes(sync_engine_t *engine, buf_t *row, buf_t *changes) {
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 0; i < n; i++) {
        sync_node_t *node = sync_tree_node(engine->tree, i);
        bytes_t id = BYTES_ARRAY(node->id);
        if (!node->changed) continue;
        buf_clear(row);
        TRY(put_node(engine->tree, node, row));
        if (node->side[SYNC_BASE] || node->side[SYNC_REMOTE])
            TRY(db_local_put(changes, STATE_NODES, id, buf_bytes(row)));
        else TRY(db_local_drop(changes, STATE_NODES, id));
    }
    return NULL;
}

err_t *persist_gather(sync_engine_t *engine, buf_t *changes) {
    CLEANUP(buf_done) buf_t row;
    buf_init(&row, 4 * 1024 * 1024);
    TRY(persist_turn(engine, changes));
    TRY(gather_nodes(engine, &row, changes));
    for (size_t i = 0; i < engine->pages_n; i++) {
        if (!engine->pages[i].changed) continue;
        bytes_t id =
            bytes_make(sync_tree_node(engine->tree, engine->pages[i].folder)->id, SYNC_NODE);
        buf_clear(&row);
        TRY(put_pages(&engine->pages[i], &row));
        if (engine->pages[i].n) TRY(db_local_put(changes, STATE_PAGES, id, buf_bytes(&row)));
        else TRY(db_local_drop(changes, STATE_PAGES, id));
    }
    if (engine->unread) return NULL;
    buf_clear(&row);
    TRY(record_put_raw(&row, sync_tree_node(engine->tree, SYNC_ROOT_NODE)->id, SYNC_NODE));
    TRY(record_put_raw(&row, engine->read, SYNC_HASH));
    return db_local_put(changes, STATE_META, BYTES_LIT("tree"), buf_bytes(&row));
}

void persist_kept(sync_engine_t *engine) {
    uint32_t n = sync_tree_count(engine->tree);
    for (uint32_t i = 0; i < n; i++) sync_tree_node(engine->tree, i)->changed = false;
    for (size_t i = 0; i < engine->pages_n; i++) engine->pages[i].changed = false;
}

err_t *persist_save(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, CHANGES_MAX);
    TRY(persist_gather(engine, &changes));
    TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
    persist_kept(engine);
    return NULL;
}
