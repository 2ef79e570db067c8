/*
 * Files and folders that are put: see put_tree.h. Main thread.
 */
#include "program/coffer/put_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/sync_say.h"
#include "sync/client/disk.h"
#include "sync/engine/tree.h"

enum { NAMES_MAX = 256 * 1024 * 1024 };

void put_tree_done(put_tree_t *tree) {
    for (size_t i = 0; i < tree->n; i++) {
        mem_free((char *)(uintptr_t)tree->edits[i].path);
        mem_free((char *)(uintptr_t)tree->edits[i].target);
    }
    mem_free(tree->edits);
}

err_t *put_tree_add(put_tree_t *tree, sync_edit_kind_t kind, const char *path,
                    sync_edit_t **ret_edit) {
    char *plain = NULL;
    if (tree->n == tree->room) {
        size_t room = tree->room * 2 + 64;
        sync_edit_t *grown = mem_resize(tree->edits, room * sizeof *grown);
        if (!grown) return err_nomem();
        tree->edits = grown;
        tree->room = room;
    }
    TRY(sync_plain_path(path, &plain));
    tree->edits[tree->n] = (sync_edit_t){.kind = kind, .path = plain};
    *ret_edit = &tree->edits[tree->n++];
    return NULL;
}

/* ---- one thing ---- */

static err_t *put_file(put_tree_t *tree, const char *file, const char *path, bool parents) {
    sync_edit_t *edit = NULL;
    TRY(put_tree_add(tree, SYNC_EDIT_PUT, path, &edit));
    edit->parents = parents;
    TRY(sync_put_add(tree->source, file, edit->path, &edit->stat));
    tree->files++;
    tree->bytes += edit->stat.size;
    return NULL;
}

static err_t *put_link(put_tree_t *tree, const char *file, const char *path) {
    char target[LIMIT_SYNC_LINK_TARGET + 1];
    sync_edit_t *edit = NULL;
    ssize_t n = readlink(file, target, sizeof target);
    if (n < 0) return err_errno(errno, "%s", file);
    if (n == 0 || n > LIMIT_SYNC_LINK_TARGET) return err_new(ERR_LIMIT, "%s points too far", file);
    TRY(put_tree_add(tree, SYNC_EDIT_LINK, path, &edit));
    edit->target = mem_strndup(target, (size_t)n);
    if (!edit->target) return err_nomem();
    tree->links++;
    return NULL;
}

static err_t *put_folder(put_tree_t *tree, const struct stat *state, const char *path) {
    sync_edit_t *edit = NULL;
    TRY(put_tree_add(tree, SYNC_EDIT_FOLDER, path, &edit));
    edit->parents = edit->inside = true; /* one that is there is fine */
    (void)sync_disk_stat_of(state, &edit->stat);
    tree->folders++;
    return NULL;
}

/* ---- what is in a folder ---- */

/* Names, each with its end, in their order. */
static err_t *gather(const char *folder, bool top, buf_t *out) {
    err_t *e = NULL;
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0) return err_errno(errno, "%s", folder);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        bool own = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
                   (top && strcmp(name, SYNC_DISK_OWN) == 0);
        if (!e && !own) e = buf_add(out, bytes_make(name, strlen(name) + 1));
        free(entries[i]); /* house-rules: allow allocation: it is scandir's */
    }
    free(entries); /* house-rules: allow allocation: the same */
    return e;
}

static err_t *walk(put_tree_t *tree, const char *folder, const char *path, unsigned depth);

static err_t *visit(put_tree_t *tree, const char *file, const char *path, unsigned depth) {
    struct stat state;
    if (lstat(file, &state) != 0) return err_errno(errno, "%s", file);
    if (S_ISREG(state.st_mode)) return put_file(tree, file, path, false);
    if (S_ISLNK(state.st_mode)) return put_link(tree, file, path);
    if (S_ISDIR(state.st_mode)) {
        TRY(put_folder(tree, &state, path));
        return walk(tree, file, path, depth + 1);
    }
    if (tree->others++ == 0)
        (void)snprintf(tree->first_other, sizeof tree->first_other, "%s", file);
    return NULL;
}

/* No deeper than LIMIT_SYNC_DEPTH. */
static err_t *walk(put_tree_t *tree, const char *folder, const char *path, unsigned depth) {
    CLEANUP(buf_done) buf_t names;
    buf_init(&names, NAMES_MAX);
    if (depth > LIMIT_SYNC_DEPTH)
        return err_new(ERR_LIMIT, "%s: folders are nested too deep", path);
    TRY(gather(folder, depth == 1, &names));
    for (size_t at = 0; at < names.n;) {
        const char *name = (const char *)names.p + at;
        at += strlen(name) + 1;
        CLEANUP(mem_free) char *file = mem_printf("%s/%s", folder, name);
        CLEANUP(mem_free) char *place = mem_printf("%s/%s", path, name);
        if (!file || !place) return err_nomem();
        TRY(visit(tree, file, place, depth));
    }
    return NULL;
}

err_t *put_tree_walk(put_tree_t *tree, const char *file, const char *path, bool parents) {
    CLEANUP(mem_free) char *plain = NULL;
    struct stat state;
    if (stat(file, &state) != 0) return err_errno(errno, "%s", file);
    if (!S_ISDIR(state.st_mode)) return put_file(tree, file, path, parents);
    TRY(sync_plain_path(path, &plain));
    if (*plain) TRY(put_folder(tree, &state, plain));
    if (*plain) tree->edits[tree->n - 1].inside = !parents;
    return walk(tree, file, plain, 1);
}
