/*
 * sync_tree_t: all nodes of a region with their sides: what device and service last agreed on,
 * what the service has, what lies in the folder, and where all of it is to go. A side of a node is
 * a fact, which never changes and is shared by sides that agree; so a tree where nothing happened
 * costs one fact a node. Children are found by name in constant time, and may be re-linked.
 *
 * One thread at a time.
 */
#ifndef COFFER_SYNC_ENGINE_TREE_H
#define COFFER_SYNC_ENGINE_TREE_H

#include "base/arena.h"
#include "sync/engine/disk.h"
#include "sync/folder.h"

typedef enum {
    SYNC_BASE,   /* what both sides last agreed on; not for folders that are not synced here */
    SYNC_REMOTE, /* the newest root's tree */
    SYNC_LOCAL,  /* the folder */
    SYNC_GOAL,   /* what both shall be */
    SYNC_SIDES,
} sync_side_t;

enum { SYNC_NO_NODE = 0xffffffffU, SYNC_ROOT_NODE = 0 };

/* A node as one side has it. */
typedef struct {
    sync_entry_kind_t kind; /* never a page */
    bool packed;
    uint32_t parent; /* node */
    uint32_t mode, mtime_ns, index;
    int64_t mtime;
    uint64_t size;
    bytes_t name, fold, target; /* the tree's */
    uint8_t version[SYNC_NODE]; /* zeros: content that is not uploaded yet */
    uint8_t package[SYNC_HASH];
} sync_fact_t;

/* Its place among the children of its parent on one side. */
typedef struct {
    uint32_t first, next, previous; /* first child; siblings */
    uint32_t chain;                 /* in the table of names */
} sync_place_t;

typedef struct {
    uint8_t id[SYNC_NODE];
    const sync_fact_t *side[SYNC_SIDES];
    sync_place_t place[SYNC_SIDES];
    sync_stat_t seen;  /* of the file on disk when base was agreed on */
    sync_stat_t found; /* of the file on disk now, with local */
    uint32_t chain;    /* in the table of ids */
    uint32_t read;     /* number of the fetch that read it, or 0 */
    uint32_t settling; /* apply's */
    bool content;      /* local: the content is another than base's */
    bool upload;       /* goal: the content is the folder's, to be uploaded */
    bool later;        /* goal: not in this commit */
    bool away;         /* not synced here: outside of the chosen folders */
    bool changed;      /* base, remote or seen: to be written to the state */
    bool list;         /* goal: its list of children is to be written anew */
    bool fetched;      /* its content lies in its temporary file */
    bool stuck;        /* its local part could not be done this time */
} sync_node_t;

typedef struct sync_tree sync_tree_t;

err_t *sync_tree_new(sync_tree_t **ret_tree) WARN_UNUSED;
void sync_tree_free(sync_tree_t *tree); /* takes NULL */

/* Nodes from SYNC_ROOT_NODE, the synced folder itself, on; pointers hold until one is made. */
uint32_t sync_tree_count(const sync_tree_t *tree);
sync_node_t *sync_tree_node(sync_tree_t *tree, uint32_t node);
uint32_t sync_tree_find(const sync_tree_t *tree, const uint8_t id[SYNC_NODE]);
/* Finds or makes it. */
err_t *sync_tree_get(sync_tree_t *tree, const uint8_t id[SYNC_NODE],
                     uint32_t *ret_node) WARN_UNUSED;
/* The id of the synced folder itself; it has zeros until it is known. */
err_t *sync_tree_name_root(sync_tree_t *tree, const uint8_t id[SYNC_NODE]) WARN_UNUSED;

/* A copy of the fact, with its runs, that lives as long as the tree. */
err_t *sync_tree_fact(sync_tree_t *tree, const sync_fact_t *fact,
                      const sync_fact_t **ret_fact) WARN_UNUSED;
/* Makes `fact` (the tree's, or NULL) the node's on that side. */
void sync_tree_set(sync_tree_t *tree, uint32_t node, sync_side_t side, const sync_fact_t *fact);
/* The first question for a name on a side makes its table of names, in time of all nodes; from then
 * on it is kept up. */
uint32_t sync_tree_child(sync_tree_t *tree, sync_side_t side, uint32_t parent, bytes_t name);
/* Another node of the same parent and name, or SYNC_NO_NODE. */
uint32_t sync_tree_rival(sync_tree_t *tree, sync_side_t side, uint32_t node);
/* "a/b/c" into out, which is cleared; ERR_LIMIT past LIMIT_SYNC_DEPTH folders. */
err_t *sync_tree_path(const sync_tree_t *tree, sync_side_t side, uint32_t node,
                      buf_t *out) WARN_UNUSED;
/* Whether the node hangs under the root on that side. */
bool sync_tree_rooted(const sync_tree_t *tree, sync_side_t side, uint32_t node);
/* Takes the side from all nodes that do not. */
void sync_tree_sweep(sync_tree_t *tree, sync_side_t side);

static inline bool sync_same_place(const sync_fact_t *a, const sync_fact_t *b) {
    return a->parent == b->parent && bytes_eq(a->name, b->name);
}

enum { SYNC_PATH_MAX = (LIMIT_SYNC_DEPTH + 1) * (LIMIT_SYNC_FILE_NAME + 1) };

/* What a list says of a node, under its folder; texts are borrowed from the entry. */
void sync_fact_of(const sync_entry_t *entry, uint32_t parent, sync_fact_t *ret_fact);

DEFINE_CLEANUP(sync_tree_t, sync_tree_free)

#endif
