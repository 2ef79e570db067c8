/*
 * coffer sync get: files and folders of a region, without a synced folder.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/sync_into.h"
#include "program/coffer/sync_say.h"
#include "sync/engine/look.h"

/* Something in the folder that is fetched. */
typedef struct {
    char *path; /* in the region */
    char *target;
    sync_entry_kind_t kind;
    uint32_t mode;
    uint64_t size;
    int64_t mtime;
} item_t;

/* What was put down in this run. */
typedef struct {
    dev_t device;
    ino_t inode;
    bool used;
} made_t;

typedef struct {
    cli_t *cli;
    sync_open_t open;
    sync_bar_t bar;
    const char *into;
    bool replace;
    size_t prefix; /* bytes of a path that are not in the folder */
    item_t *items; /* what lies above goes first */
    size_t n, room;
    made_t *made; /* a table of hashes that is half full at most */
    size_t made_room;
    uint64_t done, all; /* bytes */
    uint64_t files, folders, links, there;
} getting_t;

static void getting_done(getting_t *g) {
    for (size_t i = 0; i < g->n; i++) {
        mem_free(g->items[i].path);
        mem_free(g->items[i].target);
    }
    mem_free(g->items);
    mem_free(g->made);
    sync_open_done(&g->open);
}
DEFINE_CLEANUP_VALUE(getting_t, getting_done)

/* ---- one file ---- */

typedef struct {
    getting_t *getting;
    const char *path;
} file_t;

static err_t *read_file(void *ctx, const sync_sink_t *sink) {
    const file_t *file = ctx;
    getting_t *g = file->getting;
    sync_counted_t counted = {.bar = &g->bar, .sink = sink, .done = g->done, .all = g->all};
    err_t *e =
        sync_engine_read(g->open.engine, file->path, &(sync_sink_t){&counted, sync_counted_write});
    g->done = counted.done;
    return e;
}

static err_t *get_file(getting_t *g, const char *path) {
    CLEANUP(jso_free) json_t *json = NULL;
    err_t *e = sync_into_file(g->into, g->replace, NULL, read_file, &(file_t){g, path});
    sync_bar_end(&g->bar);
    TRY(e);
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "file", g->into));
    TRY(jso_set_int(json, "files", 1));
    TRY(jso_set_int(json, "bytes", (int64_t)g->done));
    return output_done(g->cli, json, "%s is in %s", path, g->into);
}

/* ---- a folder ---- */

static err_t *add_item(void *arg, const sync_look_t *look) {
    getting_t *g = arg;
    if (g->n == g->room) {
        size_t room = g->room * 2 + 64;
        item_t *grown = mem_resize(g->items, room * sizeof *grown);
        if (!grown) return err_nomem();
        g->items = grown;
        g->room = room;
    }
    item_t *item = &g->items[g->n++];
    *item =
        (item_t){.kind = look->kind, .mode = look->mode, .size = look->size, .mtime = look->mtime};
    item->path = mem_strdup(look->path);
    if (look->kind == SYNC_ENTRY_LINK)
        item->target = mem_strndup((const char *)look->target.p, look->target.n);
    if (!item->path || (look->kind == SYNC_ENTRY_LINK && !item->target)) return err_nomem();
    if (look->kind == SYNC_ENTRY_FILE) g->all += look->size;
    return NULL;
}

static int by_path(const void *a, const void *b) {
    const item_t *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* ---- names that are one on this disk ---- */

/* Its place in the table, or the one it gets. */
static made_t *made_at(const getting_t *g, const struct stat *st) {
    size_t at = (size_t)(st->st_ino * 0x9e3779b97f4a7c15U >> 20) % g->made_room;
    while (g->made[at].used &&
           (g->made[at].inode != st->st_ino || g->made[at].device != st->st_dev))
        at = (at + 1) % g->made_room;
    return &g->made[at];
}

/* ERR_EXISTS: what lies there came in this run, by a name that differs by case or composition. */
static err_t *check_made(const getting_t *g, const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0) return NULL;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) return NULL; /* a name more, of the person's own */
    if (!made_at(g, &st)->used) return NULL;
    return err_new(ERR_EXISTS, "%s is the name of something else of the region on this disk", path);
}

static err_t *note_made(const getting_t *g, const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0) return err_errno(errno, "%s", path);
    *made_at(g, &st) = (made_t){.device = st.st_dev, .inode = st.st_ino, .used = true};
    return NULL;
}

/* ---- its parts ---- */

/* It is the file of that time and size already, from a try before. */
static bool is_there(const char *path, const item_t *item) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == item->size &&
           st.st_mtim.tv_sec == item->mtime;
}

static err_t *get_one_file(getting_t *g, const item_t *item, const char *path) {
    const sync_into_t as = {.mode = item->mode, .mtime = item->mtime};
    if (g->replace && is_there(path, item)) {
        g->there++;
        g->done += item->size;
        return NULL;
    }
    TRY(sync_into_file(path, g->replace, &as, read_file, &(file_t){g, item->path}));
    g->files++;
    return NULL;
}

static err_t *get_link(getting_t *g, const item_t *item, const char *path) {
    struct stat st;
    if (g->replace && lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && unlink(path) != 0)
        return err_errno(errno, "%s", path);
    if (symlink(item->target, path) != 0) return err_errno(errno, "%s", path);
    g->links++;
    return NULL;
}

/* Its owner must be able to fill it. */
static err_t *get_folder(getting_t *g, const char *path, uint32_t mode) {
    struct stat st;
    if (mkdir(path, S_IRWXU) == 0) {
        g->folders++;
        /* Whatever the umask is. */
        return chmod(path, (mode & 0777) | S_IRWXU) == 0 ? NULL : err_errno(errno, "%s", path);
    }
    if (errno != EEXIST) return err_errno(errno, "%s", path);
    if (!g->replace)
        return err_new(ERR_EXISTS, "%s is there already; --replace puts the files into it", path);
    if (lstat(path, &st) != 0) return err_errno(errno, "%s", path);
    return S_ISDIR(st.st_mode) ? NULL : err_new(ERR_EXISTS, "%s is no folder", path);
}

static err_t *get_kind(getting_t *g, const item_t *item, const char *path) {
    switch (item->kind) {
    case SYNC_ENTRY_FILE: return get_one_file(g, item, path);
    case SYNC_ENTRY_FOLDER: return get_folder(g, path, item->mode);
    case SYNC_ENTRY_LINK: return get_link(g, item, path);
    case SYNC_ENTRY_PAGE: break;
    }
    return err_new(ERR_INTERNAL, "a page in the tree");
}

/* Names come from other devices, but none can lead out: they are checked when they are read. */
static err_t *get_item(getting_t *g, const item_t *item) {
    CLEANUP(mem_free) char *path = mem_printf("%s/%s", g->into, item->path + g->prefix);
    if (!path) return err_nomem();
    TRY(check_made(g, path));
    TRY(get_kind(g, item, path));
    return note_made(g, path);
}

/* No link on the way: all folders below were made or looked at, and links come last. */
static err_t *get_items(getting_t *g) {
    g->made_room = g->n * 2 + 1;
    g->made = mem_array(g->made_room, sizeof *g->made);
    if (!g->made) return err_nomem();
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i].kind != SYNC_ENTRY_LINK) TRY(get_item(g, &g->items[i]));
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i].kind == SYNC_ENTRY_LINK) TRY(get_item(g, &g->items[i]));
    return NULL;
}

static err_t *get_tree(getting_t *g, const char *path) {
    CLEANUP(jso_free) json_t *json = NULL;
    g->prefix = *path ? strlen(path) + 1 : 0;
    TRY(sync_look(g->open.engine, path, true, add_item, g));
    if (g->n) qsort(g->items, g->n, sizeof *g->items, by_path);
    TRY(get_folder(g, g->into, S_IRWXU));
    err_t *e = get_items(g);
    sync_bar_end(&g->bar);
    TRY(e);
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "folder", g->into));
    TRY(jso_set_int(json, "files", (int64_t)g->files));
    TRY(jso_set_int(json, "folders", (int64_t)g->folders));
    TRY(jso_set_int(json, "links", (int64_t)g->links));
    TRY(jso_set_int(json, "there", (int64_t)g->there));
    TRY(jso_set_int(json, "bytes", (int64_t)g->done));
    return output_done(g->cli, json, "%s is in %s: %llu file%s, %llu were there already",
                       *path ? path : "The region", g->into, (unsigned long long)g->files,
                       g->files == 1 ? "" : "s", (unsigned long long)g->there);
}

static err_t *run_get(cli_t *cli, const args_t *args) {
    CLEANUP(getting_done)
    getting_t g = {.cli = cli, .bar = {.cli = cli}, .replace = args_flag(args, "replace")};
    CLEANUP(mem_free) char *path = NULL;
    sync_entry_kind_t kind = SYNC_ENTRY_FILE;
    bool found = false;
    TRY(sync_plain_path(args->operands[0], &path));
    const char *slash = strrchr(path, '/');
    g.into = args->operands_n > 1 ? args->operands[1] : slash ? slash + 1 : path;
    if (!*g.into) return err_new(ERR_USAGE, "where to? Give DIR");
    TRY(sync_open_fetched(cli, NULL, &g.open));
    TRY(sync_look_kind(g.open.engine, path, &found, &kind));
    return found && kind == SYNC_ENTRY_FOLDER ? get_tree(&g, path) : get_file(&g, path);
}

static const option_t get_options[] = {
    SYNC_HOME_OPTIONS,
    SYNC_RATE_OPTIONS,
    {"replace", NULL, "overwrite what is there; of a folder fetch what differs"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_GET = {
    .group = "sync",
    .name = "get",
    .operands = "PATH [FILE]",
    .summary = "Fetch a file or folder of the region",
    .notes =
        "A folder comes with all that is in it, with modes and times. If it was broken off, give\n"
        "the command again with --replace: files of the same size and time are not fetched\n"
        "again. Nothing that is there besides is removed.",
    .examples = "  coffer sync get Work/report.txt\n"
                "  coffer sync get Work/report.txt /tmp/report.txt --replace\n"
                "  coffer sync get Photos/2026 ~/Pictures/2026",
    .min = 1,
    .max = 2,
    .options = get_options,
    .run = run_get,
};
