/*
 * The engine's folder on a simulated disk: see sim_folder.h.
 */
#include "sim_folder.h"

#include <stdio.h>

#include "base/mem.h"
#include "sync/engine/aside.h"

struct sync_disk_file {
    uint64_t inode;
};

static const char own[] = SYNC_DISK_OWN;
static const char marker[] = SYNC_DISK_OWN "/marker";
enum { SECOND = 1000000000 };

bool sim_folder_ours(const char *path) {
    size_t n = sizeof own - 1;
    return strncmp(path, own, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static sync_stat_t convert(const sim_stat_t *from) {
    sync_stat_t to = {.size = from->kind == SIM_FILE ? from->size : 0};
    to.kind = from->kind == SIM_FILE     ? SYNC_ENTRY_FILE
              : from->kind == SIM_FOLDER ? SYNC_ENTRY_FOLDER
                                         : SYNC_ENTRY_LINK;
    to.mtime = from->mtime_ns / SECOND;
    to.mtime_ns = (uint32_t)(from->mtime_ns % SECOND);
    to.mode = from->mode;
    to.inode = from->inode;
    to.stamp = from->stamp;
    return to;
}

static bool same(const sync_stat_t *a, const sync_stat_t *b) {
    return a->kind == b->kind && a->inode == b->inode && a->size == b->size &&
           a->mtime == b->mtime && a->mtime_ns == b->mtime_ns &&
           (!a->stamp || !b->stamp || a->stamp == b->stamp);
}

static void temp_path(const char *temp, char ret_path[SIM_DISK_PATH]) {
    (void)snprintf(ret_path, SIM_DISK_PATH, "%s/%.900s", own, temp);
}

static err_t *look(sim_disk_t *disk, const char *path, bool *ret_found, sync_stat_t *ret_stat) {
    sim_stat_t stat;
    err_t *e = sim_disk_stat(disk, path, &stat);
    bool missing = e && err_code(e) == ERR_NOT_FOUND;
    if (e && !missing) return e;
    err_free(e);
    if (!missing) *ret_stat = convert(&stat);
    *ret_found = !missing;
    return NULL;
}

static err_t *present(void *ctx, bool first) {
    uint64_t inode = 0;
    bool found = false;
    sync_stat_t stat;
    TRY(look(ctx, marker, &found, &stat));
    if (found) return NULL;
    if (!first) return err_new(ERR_NOT_FOUND, "the folder is another one");
    TRY(look(ctx, own, &found, &stat));
    if (!found) TRY(sim_disk_mkdir(ctx, own, 0700));
    TRY(sim_disk_create(ctx, marker, 0600, &inode));
    return sim_disk_sync_folder(ctx, own);
}

typedef struct {
    bool root;
    sync_disk_each_t each;
    void *arg;
} list_t;

static err_t *list_one(void *ctx, bytes_t name, const sim_stat_t *stat) {
    const list_t *list_ctx = ctx;
    char text[SIM_DISK_PATH];
    sync_stat_t converted = convert(stat);
    (void)snprintf(text, sizeof text, "%.*s", (int)name.n, (const char *)name.p);
    if (list_ctx->root && strcmp(text, own) == 0) return NULL;
    return list_ctx->each(list_ctx->arg, text, &converted);
}

static err_t *list(void *ctx, const char *path, sync_disk_each_t each, void *arg) {
    list_t list_ctx = {.root = *path == 0, .each = each, .arg = arg};
    return sim_disk_list(ctx, path, list_one, &list_ctx);
}

static err_t *stat_path(void *ctx, const char *path, bool *ret_found, sync_stat_t *ret_stat) {
    return look(ctx, path, ret_found, ret_stat);
}

static err_t *read_link(void *ctx, const char *path, buf_t *out) {
    return sim_disk_readlink(ctx, path, out);
}

/* ---- reading ---- */

static err_t *file_new(uint64_t inode, sync_disk_file_t **ret_file) {
    sync_disk_file_t *file = mem_alloc(sizeof *file);
    if (!file) return err_nomem();
    file->inode = inode;
    *ret_file = file;
    return NULL;
}

static err_t *open_file(void *ctx, const char *path, sync_disk_file_t **ret_file) {
    sim_stat_t stat;
    TRY(sim_disk_stat(ctx, path, &stat));
    if (stat.kind != SIM_FILE) return err_new(ERR_INVALID, "%s: no file", path);
    if (stat.hollow) return err_new(ERR_UNAVAILABLE, "%s has not been fetched yet", path);
    return file_new(stat.inode, ret_file);
}

static err_t *file_stat(void *ctx, sync_disk_file_t *file, sync_stat_t *ret_stat) {
    sim_stat_t stat;
    TRY(sim_disk_stat_inode(ctx, file->inode, &stat));
    *ret_stat = convert(&stat);
    return NULL;
}

static err_t *read_file(void *ctx, sync_disk_file_t *file, uint64_t offset, void *p, size_t n,
                        size_t *ret_n) {
    CLEANUP(buf_done) buf_t bytes;
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    TRY(sim_disk_read_inode(ctx, file->inode, offset, n, &bytes));
    bytes_put(p, buf_bytes(&bytes));
    *ret_n = bytes.n;
    return NULL;
}

static void close_file(void *ctx, sync_disk_file_t *file) {
    (void)ctx;
    mem_free(file);
}

/* No two changes have one time here. */
static err_t *settle(void *ctx, const sync_stat_t *stat) {
    (void)ctx;
    (void)stat;
    return NULL;
}

/* ---- writing ---- */

static err_t *temp(void *ctx, const char *name, sync_disk_file_t **ret_file) {
    char path[SIM_DISK_PATH];
    sync_stat_t stat;
    bool found = false;
    uint64_t inode = 0;
    TRY(look(ctx, own, &found, &stat));
    if (!found) TRY(sim_disk_mkdir(ctx, own, 0700));
    temp_path(name, path);
    TRY(look(ctx, path, &found, &stat));
    if (found) return file_new(stat.inode, ret_file);
    TRY(sim_disk_create(ctx, path, 0600, &inode));
    return file_new(inode, ret_file);
}

static err_t *write_file(void *ctx, sync_disk_file_t *file, uint64_t offset, bytes_t data) {
    return sim_disk_write_inode(ctx, file->inode, offset, data);
}

/* Some of them: whoever mounts a drive may have had the folder before. */
static err_t *make_hollow(void *ctx, sync_disk_file_t *file, bool *ret_done) {
    sim_stat_t stat;
    TRY(sim_disk_stat_inode(ctx, file->inode, &stat));
    if (stat.inode % 4 == 0) return NULL;
    TRY(sim_disk_resize_inode(ctx, file->inode, 0));
    TRY(sim_disk_set_hollow(ctx, file->inode, true));
    *ret_done = true;
    return NULL;
}

static err_t *flush(void *ctx, sync_disk_file_t *file) {
    return sim_disk_sync_inode(ctx, file->inode);
}

static err_t *finish(void *ctx, sync_disk_file_t *file, uint64_t size, uint32_t mode, int64_t mtime,
                     uint32_t mtime_ns) {
    TRY(sim_disk_resize_inode(ctx, file->inode, size));
    TRY(sim_disk_set_inode(ctx, file->inode, mode, mtime * SECOND + mtime_ns));
    return flush(ctx, file);
}

static err_t *sync_parent(void *ctx, const char *path) {
    char parent[SIM_DISK_PATH];
    const char *slash = strrchr(path, '/');
    (void)snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
    return sim_disk_sync_folder(ctx, parent);
}

static err_t *expected(void *ctx, const char *path, const sync_stat_t *expect) {
    sync_stat_t stat;
    bool found = false;
    TRY(look(ctx, path, &found, &stat));
    if (!found || !same(&stat, expect)) return err_new(ERR_BUSY, "%s: is not what it was", path);
    return NULL;
}

/* What is taken out of the way tells by its name what it should be: sync/engine/aside.h. */
static void aside_path(const sync_stat_t *expect, uint64_t own_inode, char out[SIM_DISK_PATH]) {
    char name[SYNC_ASIDE_NAME];
    sync_aside_name(expect, own_inode, name);
    temp_path(name, out);
}

static err_t *replace(void *ctx, const char *from, uint64_t own_inode, const char *path,
                      const sync_stat_t *expect) {
    char aside[SIM_DISK_PATH];
    sync_stat_t stat;
    bool found = false;
    TRY(expected(ctx, path, expect));
    aside_path(expect, own_inode, aside);
    TRY(sim_disk_rename(ctx, from, aside, true));
    err_t *e = sim_disk_exchange(ctx, aside, path);
    if (e) {
        err_ignore(sim_disk_rename(ctx, aside, from, true));
        return err_code(e) == ERR_IO ? e : err_recode(e, ERR_BUSY);
    }
    TRY(look(ctx, aside, &found, &stat));
    if (found && sync_aside_expected(&stat, expect)) return sim_disk_unlink(ctx, aside);
    err_ignore(sim_disk_exchange(ctx, aside, path));
    TRY(look(ctx, aside, &found, &stat));
    if (found && stat.inode == own_inode) TRY(sim_disk_rename(ctx, aside, from, true));
    return err_new(ERR_BUSY, "%s: has changed meanwhile", path);
}

static err_t *place(void *ctx, const char *name, const char *path, const sync_stat_t *expect,
                    sync_stat_t *ret_placed) {
    char from[SIM_DISK_PATH];
    sync_stat_t stat;
    bool found = false;
    temp_path(name, from);
    TRY(look(ctx, from, &found, &stat));
    if (!found) return err_new(ERR_NOT_FOUND, "%s: is not there", from);
    if (expect) TRY(replace(ctx, from, stat.inode, path, expect));
    else TRY(sim_disk_rename(ctx, from, path, true));
    TRY(sync_parent(ctx, path));
    *ret_placed = stat;
    return NULL;
}

static err_t *forgive_missing(err_t *e) {
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    return NULL;
}

static err_t *discard(void *ctx, const char *name) {
    char path[SIM_DISK_PATH];
    temp_path(name, path);
    return forgive_missing(sim_disk_unlink(ctx, path));
}

typedef struct {
    sim_disk_t *disk;
    bool (*keep)(void *arg, const char *temp);
    void *arg;
    uint64_t back;
} sweep_t;

static err_t *sweep_one(void *ctx, bytes_t name, const sim_stat_t *stat) {
    sweep_t *sweep_ctx = ctx;
    char text[SIM_DISK_PATH], path[SIM_DISK_PATH], back[SYNC_ASIDE_NAME];
    sync_stat_t found = convert(stat);
    (void)snprintf(text, sizeof text, "%.*s", (int)name.n, (const char *)name.p);
    if (strcmp(text, "marker") == 0 || sweep_ctx->keep(sweep_ctx->arg, text)) return NULL;
    if (!sync_aside_lost(text, &found, back)) return discard(sweep_ctx->disk, text);
    temp_path(text, path);
    TRY(sim_disk_rename(sweep_ctx->disk, path, back, true));
    sweep_ctx->back++;
    return NULL;
}

static err_t *sweep(void *ctx, bool (*keep)(void *arg, const char *temp), void *arg,
                    uint64_t *ret_back) {
    sweep_t sweep_ctx = {.disk = ctx, .keep = keep, .arg = arg};
    TRY(forgive_missing(sim_disk_list(ctx, own, sweep_one, &sweep_ctx)));
    *ret_back = sweep_ctx.back;
    return NULL;
}

/* Another spelling of its own name is there already: by way of a third one. */
static err_t *respell(void *ctx, const char *from, const char *to) {
    char between[SIM_DISK_PATH];
    const char *slash = strrchr(from, '/');
    (void)snprintf(between, sizeof between, "%.*sbetween", slash ? (int)(slash - from) + 1 : 0,
                   from);
    TRY(sim_disk_rename(ctx, from, between, true));
    return sim_disk_rename(ctx, between, to, true);
}

static bool is_respelled(void *ctx, const char *from, const char *to) {
    sync_stat_t a, b;
    bool found = false, also = false;
    err_t *e = look(ctx, from, &found, &a);
    if (!e) e = look(ctx, to, &also, &b);
    bool same = !e && found && also && a.inode == b.inode && strcmp(from, to) != 0;
    err_free(e);
    return same;
}

static err_t *rename_path(void *ctx, const char *from, const char *to) {
    if (sim_disk_folds(ctx) && is_respelled(ctx, from, to)) TRY(respell(ctx, from, to));
    else TRY(sim_disk_rename(ctx, from, to, true));
    TRY(sync_parent(ctx, from));
    return sync_parent(ctx, to);
}

static err_t *make_folder(void *ctx, const char *path, uint32_t mode) {
    TRY(sim_disk_mkdir(ctx, path, mode));
    return sync_parent(ctx, path);
}

static err_t *make_link(void *ctx, const char *path, const char *target) {
    TRY(sim_disk_symlink(ctx, path, bytes_str(target)));
    return sync_parent(ctx, path);
}

static err_t *set_mode(void *ctx, const char *path, uint32_t mode) {
    sim_stat_t stat;
    TRY(sim_disk_stat(ctx, path, &stat));
    TRY(sim_disk_set(ctx, path, mode, stat.mtime_ns));
    if (stat.kind == SIM_FILE) return sim_disk_sync_inode(ctx, stat.inode);
    return stat.kind == SIM_FOLDER ? sim_disk_sync_folder(ctx, path) : NULL;
}

/* Taken aside and looked at there, so that no change of the last moment is lost. */
static err_t *remove_file(void *ctx, const char *path, const sync_stat_t *expect) {
    char aside[SIM_DISK_PATH];
    sync_stat_t stat;
    bool found = false;
    TRY(expected(ctx, path, expect));
    aside_path(expect, 0, aside);
    TRY(sim_disk_rename(ctx, path, aside, true));
    TRY(look(ctx, aside, &found, &stat));
    if (found && sync_aside_expected(&stat, expect)) return sim_disk_unlink(ctx, aside);
    err_ignore(sim_disk_rename(ctx, aside, path, true));
    return err_new(ERR_BUSY, "%s: has changed meanwhile", path);
}

static err_t *remove_path(void *ctx, const char *path, const sync_stat_t *expect) {
    sim_stat_t stat;
    TRY(sim_disk_stat(ctx, path, &stat));
    if (stat.kind != SIM_FOLDER) {
        TRY(remove_file(ctx, path, expect));
        return sync_parent(ctx, path);
    }
    err_t *e = sim_disk_rmdir(ctx, path);
    if (e && err_code(e) == ERR_EXISTS) e = err_recode(e, ERR_BUSY);
    if (e) return e;
    return sync_parent(ctx, path);
}

sync_disk_t sim_folder(sim_disk_t *disk) {
    return (sync_disk_t){
        .ctx = disk,
        .present = present,
        .list = list,
        .stat = stat_path,
        .read_link = read_link,
        .open = open_file,
        .file_stat = file_stat,
        .read = read_file,
        .close = close_file,
        .settle = settle,
        .temp = temp,
        .write = write_file,
        .finish = finish,
        .flush = flush,
        .place = place,
        .discard = discard,
        .sweep = sweep,
        .rename = rename_path,
        .make_folder = make_folder,
        .make_link = make_link,
        .set_mode = set_mode,
        .remove = remove_path,
    };
}

sync_disk_t sim_folder_hollow(sim_disk_t *disk) {
    sync_disk_t folder = sim_folder(disk);
    folder.hollow = make_hollow;
    return folder;
}
