/*
 * What coffer sync put puts: files of this machine, and folders with all that is in them, as edits
 * of a region. Main thread.
 */
#ifndef COFFER_PROGRAM_COFFER_PUT_TREE_H
#define COFFER_PROGRAM_COFFER_PUT_TREE_H

#include "sync/client/put.h"
#include "sync/engine/edit.h"

/* Zeroed but for `source`, then done. */
typedef struct {
    sync_put_t *source; /* borrowed: what is read from */
    sync_edit_t *edits; /* owned, with their strings */
    size_t n, room;
    uint64_t files, folders, links, bytes;
    uint64_t others; /* neither file, folder nor link: left out */
    char first_other[256];
} put_tree_t;

void put_tree_done(put_tree_t *tree);
/* Any other edit; a copy of the path is kept. *ret_edit: until the next one. */
err_t *put_tree_add(put_tree_t *tree, sync_edit_kind_t kind, const char *path,
                    sync_edit_t **ret_edit) WARN_UNUSED;
/*
 * `file` becomes `path` of the region; a folder with all in it, links as links. A link that is
 * named itself is followed. ERR_USAGE for what is neither. With `parents` the folders above `path`
 * are made.
 */
err_t *put_tree_walk(put_tree_t *tree, const char *file, const char *path,
                     bool parents) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(put_tree_t, put_tree_done)

#endif
