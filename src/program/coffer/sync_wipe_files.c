/*
 * Emptying a synced folder: see sync_wipe.h. Main thread.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/sync_wipe.h"
#include "sync/engine/scan.h"
#include "sync/engine/tree.h"

enum { TRIES = 3, DEPTH_MAX = 2048 /* as deep as a path of Linux goes */ };

/* Names in one folder, each with its end; gathered first, since removing upsets a listing. */
static err_t *gather(void *arg, const char *name, const sync_stat_t *stat) {
    buf_t *names = arg;
    (void)stat;
    return buf_add(names, bytes_make(name, strlen(name) + 1));
}

typedef struct {
    const sync_disk_t *disk;
    bytes_t rules;
    bool remove;
    uint64_t files;
} walk_t;

static err_t *walk(walk_t *w, const char *path, unsigned depth);

/* A folder that has something in it still stays; so does what is gone already. */
static err_t *take_away(const sync_disk_t *disk, const char *path) {
    for (int i = 0;; i++) {
        sync_stat_t stat;
        bool found = false;
        TRY(disk->stat(disk->ctx, path, &found, &stat));
        if (!found) return NULL;
        err_t *e = disk->remove(disk->ctx, path, &stat);
        if (!e) return NULL;
        bool gone = err_code(e) == ERR_NOT_FOUND, busy = err_code(e) == ERR_BUSY;
        if (!gone && !busy) return e;
        if (busy && stat.kind != SYNC_ENTRY_FOLDER && i + 1 == TRIES) return e;
        err_free(e);
        if (gone || stat.kind == SYNC_ENTRY_FOLDER) return NULL;
    }
}

static err_t *visit(walk_t *w, const char *path, const char *name, unsigned depth) {
    CLEANUP(mem_free) char *whole = mem_printf("%s%s%s", path, *path ? "/" : "", name);
    sync_stat_t stat;
    bool found = false;
    if (!whole) return err_nomem();
    TRY(w->disk->stat(w->disk->ctx, whole, &found, &stat));
    if (!found || sync_ignored(w->rules, whole, stat.kind == SYNC_ENTRY_FOLDER)) return NULL;
    if (stat.kind == SYNC_ENTRY_FOLDER) TRY(walk(w, whole, depth + 1));
    else w->files++;
    return w->remove ? take_away(w->disk, whole) : NULL;
}

static err_t *walk(walk_t *w, const char *path, unsigned depth) {
    CLEANUP(buf_done) buf_t names;
    buf_init(&names, LIMIT_SYNC_WIPE);
    if (depth > DEPTH_MAX) return err_new(ERR_LIMIT, "%s lies too deep", path);
    TRY(w->disk->list(w->disk->ctx, path, gather, &names));
    for (size_t at = 0; at < names.n;) {
        const char *name = (const char *)names.p + at;
        at += strlen(name) + 1;
        TRY(visit(w, path, name, depth));
    }
    return NULL;
}

err_t *sync_wipe_count(const sync_disk_t *disk, bytes_t rules, uint64_t *ret_files) {
    walk_t w = {.disk = disk, .rules = rules};
    TRY(walk(&w, "", 0));
    *ret_files = w.files;
    return NULL;
}

/* They, or a folder that they lie in. */
static bool kept_out(bytes_t rules, const char *path) {
    char part[SYNC_PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part) return false;
    for (size_t i = 1; i < n; i++) {
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (sync_ignored(rules, part, true)) return true;
    }
    return sync_ignored(rules, path, false);
}

err_t *sync_wipe_named(const sync_disk_t *disk, bytes_t rules, bytes_t paths, bool remove,
                       uint64_t *ret_files) {
    uint64_t files = 0;
    while (paths.n) {
        const char *path = (const char *)paths.p;
        sync_stat_t stat;
        bool found = false;
        paths = bytes_from(paths, strlen(path) + 1);
        if (!kept_out(rules, path)) continue;
        TRY(disk->stat(disk->ctx, path, &found, &stat));
        if (!found || stat.kind == SYNC_ENTRY_FOLDER) continue;
        files++;
        if (remove) TRY(take_away(disk, path));
    }
    *ret_files = files;
    return NULL;
}

static err_t *lasting(const sync_disk_t *disk) {
    return disk->lasting ? disk->lasting(disk->ctx) : NULL;
}

err_t *sync_wipe_files(const sync_disk_t *disk, bytes_t rules) {
    walk_t w = {.disk = disk, .rules = rules, .remove = true};
    uint64_t back = 0;
    TRY(disk->sweep(disk->ctx, NULL, NULL, &back));
    TRY(walk(&w, "", 0));
    return lasting(disk);
}

err_t *sync_wipe_own(const sync_disk_t *disk) {
    TRY(take_away(disk, SYNC_DISK_OWN "/folder"));
    TRY(take_away(disk, SYNC_DISK_OWN));
    return lasting(disk);
}
