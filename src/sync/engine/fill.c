/*
 * Contents of hollow files, when somebody opens them: from the version that both sides agreed on
 * last. The tree is kept from one fill to the next, until a step. In the client; one thread.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "sync/engine/engine_internal.h"

static int by_inode(const void *a, const void *b) {
    const fill_index_t *x = a, *y = b;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static bool is_file(const sync_node_t *it) {
    const sync_fact_t *base = it->side[SYNC_BASE];
    return base && base->kind == SYNC_ENTRY_FILE && !it->away;
}

static err_t *make_index(sync_engine_t *engine) {
    uint32_t n = sync_tree_count(engine->tree);
    size_t files = 0;
    for (uint32_t i = 1; i < n; i++) files += is_file(sync_tree_node(engine->tree, i));
    engine->by_inode = mem_array(files + 1, sizeof *engine->by_inode);
    if (!engine->by_inode) return err_nomem();
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(engine->tree, i);
        if (is_file(it)) engine->by_inode[engine->by_inode_n++] = (fill_index_t){it->seen.inode, i};
    }
    qsort(engine->by_inode, engine->by_inode_n, sizeof *engine->by_inode, by_inode);
    return NULL;
}

static err_t *load(sync_engine_t *engine) {
    engine_rest(engine);
    TRY(persist_load(engine));
    return make_index(engine);
}

static err_t *fill(sync_engine_t *engine, uint64_t inode, const sync_sink_t *sink,
                   uint64_t *ret_size) {
    fill_index_t wanted = {.inode = inode};
    if (engine->alarm[0] && strcmp(engine->alarm, SYNC_ALARM_BRAKE) != 0)
        return err_new(ERR_VERIFY, "%s: stopped until somebody has looked at it", engine->alarm);
    if (!engine->by_inode) TRY(load(engine));
    const fill_index_t *found =
        bsearch(&wanted, engine->by_inode, engine->by_inode_n, sizeof *engine->by_inode, by_inode);
    if (!found) return err_new(ERR_NOT_FOUND, "the service has no content for this file");
    const sync_node_t *it = sync_tree_node(engine->tree, found->node);
    TRY(pull_file(engine, it, it->side[SYNC_BASE], sink));
    *ret_size = it->side[SYNC_BASE]->size;
    return NULL;
}

err_t *sync_engine_fill(sync_engine_t *engine, uint64_t inode, const sync_sink_t *sink,
                        uint64_t *ret_size) {
    sync_report_t report = {0};
    engine->report = &report;
    engine->from_service = false;
    err_t *e = fill(engine, inode, sink, ret_size);
    engine->report = NULL;
    return e;
}
