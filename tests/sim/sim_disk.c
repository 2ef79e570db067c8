/*
 * A disk in memory that can lose power: see sim_disk.h. Two tables of names point to one table of
 * inodes: `now` is what programs see, `safe` what a crash leaves at least; `ops` lead from one to
 * the other.
 */
#include "sim_disk.h"

#include <stdio.h>

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "sync/name.h"

enum { ROOT = 1, NAME = 256 };

typedef struct {
    uint64_t parent; /* inode; 0: this place is free */
    uint64_t inode;
    uint16_t n;
    char name[NAME];
    uint64_t fold; /* hash of the folded name */
} dirent_t;

typedef struct {
    sim_kind_t kind; /* 0: free */
    uint32_t mode, safe_mode;
    int64_t mtime, safe_mtime;
    uint64_t stamp, safe_stamp, person_stamp;
    bool hollow, safe_hollow, patched;
    buf_t data, safe; /* content, or a link's target */
} inode_t;

/* A change of names: `from` and `under` go away, `to` and `also` come (each with parent 0: not). */
typedef struct {
    dirent_t from, under, to, also;
} op_t;

typedef struct {
    dirent_t entry[SIM_DISK_NODES];
} names_t;

struct sim_disk {
    sim_rnd_t *rnd;
    const clk_fake_t *clk;
    names_t now, safe;
    inode_t *inodes; /* by number; they are never used again */
    uint64_t inodes_n, inodes_room;
    op_t *ops;
    size_t ops_n;
    uint64_t crash_in, hook_in, changes, room;
    uint64_t full_in, full_for, stamp;
    uint64_t listed; /* stamp when the engine last looked at the folder */
    int64_t tick;    /* last time given; no two changes have the same */
    void (*hook)(void *ctx);
    void *hook_ctx;
    bool crashed, person, folds, stamps;
};

/* ---- life ---- */

static err_t *inode_new(sim_disk_t *disk, sim_kind_t kind, uint32_t mode, uint64_t *ret_inode);

err_t *sim_disk_new(sim_rnd_t *rnd, const clk_fake_t *clk, sim_disk_t **ret_disk) {
    CLEANUP(sim_disk_free) sim_disk_t *disk = mem_zalloc(sizeof *disk);
    uint64_t root = 0;
    if (!disk) return err_nomem();
    disk->rnd = rnd;
    disk->clk = clk;
    disk->room = UINT64_MAX;
    disk->inodes_n = ROOT;
    disk->ops = mem_array(SIM_DISK_OPS, sizeof *disk->ops);
    if (!disk->ops) return err_nomem();
    TRY(inode_new(disk, SIM_FOLDER, 0755, &root));
    *ret_disk = STEAL(disk);
    return NULL;
}

void sim_disk_free(sim_disk_t *disk) {
    if (!disk) return;
    for (uint64_t i = ROOT; i < disk->inodes_n; i++) {
        buf_done(&disk->inodes[i].data);
        buf_done(&disk->inodes[i].safe);
    }
    mem_free(disk->inodes);
    mem_free(disk->ops);
    mem_free(disk);
}

void sim_disk_crash_after(sim_disk_t *disk, uint64_t countdown) { disk->crash_in = countdown; }
bool sim_disk_crashed(const sim_disk_t *disk) { return disk->crashed; }
void sim_disk_room(sim_disk_t *disk, uint64_t bytes) { disk->room = bytes; }
void sim_disk_person_begin(sim_disk_t *disk) { disk->person = true; }
void sim_disk_fold(sim_disk_t *disk) { disk->folds = true; }
void sim_disk_stamps(sim_disk_t *disk) { disk->stamps = true; }
bool sim_disk_folds(const sim_disk_t *disk) { return disk->folds; }
bool sim_disk_has_stamps(const sim_disk_t *disk) { return disk->stamps; }

void sim_disk_full_after(sim_disk_t *disk, uint64_t countdown, uint64_t times) {
    disk->full_in = countdown;
    disk->full_for = times;
}

void sim_disk_hook_after(sim_disk_t *disk, uint64_t countdown, void (*hook)(void *ctx), void *ctx) {
    disk->hook_in = countdown;
    disk->hook = hook;
    disk->hook_ctx = ctx;
}

uint64_t sim_disk_changes(sim_disk_t *disk) {
    uint64_t changes = disk->changes;
    disk->changes = 0;
    return changes;
}

/* Each call of the engine goes through here. */
static err_t *call(sim_disk_t *disk) {
    if (disk->person) return NULL;
    if (disk->hook_in && --disk->hook_in == 0) disk->hook(disk->hook_ctx);
    if (disk->crash_in && --disk->crash_in == 0) disk->crashed = true;
    if (disk->crashed) {
        fault_arm_io(1); /* nor has the state's file */
        return err_new(ERR_IO, "the simulated machine has no power");
    }
    return NULL;
}

static int64_t tick(sim_disk_t *disk) {
    int64_t now = clk_unix_ms(&disk->clk->clk) * 1000000;
    disk->tick = now > disk->tick ? now : disk->tick + 1;
    return disk->tick;
}

/* A call that needs room on the disk. */
static err_t *need_room(sim_disk_t *disk) {
    if (disk->person || disk->full_in == 0) return NULL;
    if (disk->full_in > 1) {
        disk->full_in--;
        return NULL;
    }
    if (disk->full_for == 0 || --disk->full_for == 0) disk->full_in = 0;
    return err_new(ERR_FULL, "the simulated disk is full");
}

/* ---- names and inodes ---- */

/* Names of one key count as one on a disk that folds them. */
static uint64_t fold_of(bytes_t name) {
    CLEANUP(buf_done) buf_t fold;
    uint64_t hash = 0xcbf29ce484222325u;
    buf_init(&fold, LIMIT_SYNC_FOLD);
    err_ignore(sync_name_fold(name, &fold));
    bytes_t key = fold.n ? buf_bytes(&fold) : name;
    for (size_t i = 0; i < key.n; i++) hash = (hash ^ key.p[i]) * 0x100000001b3u;
    return hash;
}

static err_t *inode_new(sim_disk_t *disk, sim_kind_t kind, uint32_t mode, uint64_t *ret_inode) {
    if (disk->inodes_n >= disk->inodes_room) {
        uint64_t room = disk->inodes_room ? disk->inodes_room * 2 : 256;
        inode_t *grown = mem_resize(disk->inodes, room * sizeof *grown);
        if (!grown) return err_nomem();
        disk->inodes = grown;
        disk->inodes_room = room;
    }
    inode_t *inode = &disk->inodes[disk->inodes_n];
    *inode = (inode_t){.kind = kind, .mode = mode, .safe_mode = mode, .mtime = tick(disk)};
    inode->safe_mtime = inode->mtime;
    inode->stamp = inode->safe_stamp = ++disk->stamp;
    buf_init(&inode->data, SIM_DISK_FILE_MAX);
    buf_init(&inode->safe, SIM_DISK_FILE_MAX);
    *ret_inode = disk->inodes_n++;
    return NULL;
}

static dirent_t *find(names_t *names, uint64_t parent, bytes_t name) {
    for (size_t i = 0; i < SIM_DISK_NODES; i++) {
        dirent_t *entry = &names->entry[i];
        if (entry->parent == parent && bytes_eq(bytes_make(entry->name, entry->n), name))
            return entry;
    }
    return NULL;
}

/* As the disk looks names up. */
static dirent_t *look_up(sim_disk_t *disk, uint64_t parent, bytes_t name) {
    dirent_t *exact = find(&disk->now, parent, name);
    if (exact || !disk->folds) return exact;
    uint64_t fold = fold_of(name);
    for (size_t i = 0; i < SIM_DISK_NODES; i++) {
        dirent_t *entry = &disk->now.entry[i];
        if (entry->parent == parent && entry->fold == fold) return entry;
    }
    return NULL;
}

static bool has_children(names_t *names, uint64_t folder) {
    for (size_t i = 0; i < SIM_DISK_NODES; i++)
        if (names->entry[i].parent == folder) return true;
    return false;
}

static void put(names_t *names, const dirent_t *entry) {
    dirent_t *old = find(names, entry->parent, bytes_make(entry->name, entry->n));
    for (size_t i = 0; !old && i < SIM_DISK_NODES; i++)
        if (names->entry[i].parent == 0) old = &names->entry[i];
    if (old) *old = *entry;
}

static void drop(names_t *names, const dirent_t *entry) {
    dirent_t *old = find(names, entry->parent, bytes_make(entry->name, entry->n));
    if (old) *old = (dirent_t){0};
}

static void apply(names_t *names, const op_t *op) {
    if (op->from.parent) drop(names, &op->from);
    if (op->under.parent) drop(names, &op->under);
    if (op->to.parent) put(names, &op->to);
    if (op->also.parent) put(names, &op->also);
}

/* All changes of names up to now become safe. */
static void settle(sim_disk_t *disk, size_t n) {
    for (size_t i = 0; i < n; i++) apply(&disk->safe, &disk->ops[i]);
    for (size_t i = n; i < disk->ops_n; i++) disk->ops[i - n] = disk->ops[i];
    disk->ops_n -= n;
}

static err_t *change_three(sim_disk_t *disk, const op_t *op) {
    size_t used = 0;
    for (size_t i = 0; i < SIM_DISK_NODES; i++) used += disk->now.entry[i].parent != 0;
    if (used + 1 >= SIM_DISK_NODES)
        return err_new(ERR_FULL, "the simulated disk has no inodes left");
    if (disk->ops_n == SIM_DISK_OPS) settle(disk, SIM_DISK_OPS / 2);
    disk->ops[disk->ops_n++] = *op;
    apply(&disk->now, op);
    if (!disk->person) disk->changes++;
    if (disk->person) settle(disk, disk->ops_n);
    return NULL;
}

static err_t *change(sim_disk_t *disk, const dirent_t *from, const dirent_t *to) {
    op_t op = {0};
    if (from) op.from = *from;
    if (to) op.to = *to;
    return change_three(disk, &op);
}

static void keep_inode(inode_t *inode) {
    buf_clear(&inode->safe);
    err_ignore(buf_add(&inode->safe, buf_bytes(&inode->data)));
    inode->safe_mode = inode->mode;
    inode->safe_mtime = inode->mtime;
    inode->safe_stamp = inode->stamp;
    inode->safe_hollow = inode->hollow;
}

void sim_disk_person_end(sim_disk_t *disk) { disk->person = false; }

void sim_disk_power(sim_disk_t *disk) {
    settle(disk, sim_rnd_below(disk->rnd, (uint32_t)disk->ops_n + 1));
    disk->ops_n = 0;
    disk->now = disk->safe;
    for (uint64_t i = ROOT; i < disk->inodes_n; i++) {
        inode_t *inode = &disk->inodes[i];
        buf_clear(&inode->data);
        err_ignore(buf_add(&inode->data, buf_bytes(&inode->safe)));
        inode->mode = inode->safe_mode;
        inode->mtime = inode->safe_mtime;
        inode->stamp = inode->safe_stamp;
        inode->hollow = inode->safe_hollow;
    }
    fault_arm_io(0);
    disk->crashed = false;
    disk->crash_in = disk->hook_in = disk->full_in = 0;
}

/* ---- paths ---- */

typedef struct {
    uint64_t parent; /* inode; 0 for the root itself */
    bytes_t name;
    dirent_t *entry; /* NULL: there is none */
    uint64_t inode;  /* 0: there is none */
} place_t;

/* ERR_NOT_FOUND if a folder on the way is missing or no folder. */
static err_t *walk(sim_disk_t *disk, const char *path, place_t *ret_place) {
    place_t place = {.inode = ROOT};
    for (bytes_t rest = bytes_str(path); rest.n;) {
        size_t n = bytes_find(rest, '/');
        if (place.inode == 0 || disk->inodes[place.inode].kind != SIM_FOLDER)
            return err_new(ERR_NOT_FOUND, "%s: no such folder on the way", path);
        place.parent = place.inode;
        place.name = bytes_make(rest.p, n);
        if (n == 0 || n >= NAME || bytes_eq_str(place.name, ".") || bytes_eq_str(place.name, ".."))
            return err_new(ERR_INVALID, "%s: no path", path);
        place.entry = look_up(disk, place.parent, place.name);
        place.inode = place.entry ? place.entry->inode : 0;
        rest = bytes_from(rest, n + 1);
    }
    *ret_place = place;
    return NULL;
}

static err_t *walk_existing(sim_disk_t *disk, const char *path, place_t *ret_place) {
    place_t place = {0};
    TRY(walk(disk, path, &place));
    if (!place.inode) return err_new(ERR_NOT_FOUND, "%s: no such file", path);
    *ret_place = place;
    return NULL;
}

static dirent_t dirent_of(const place_t *place, uint64_t inode) {
    dirent_t entry = {.parent = place->parent, .inode = inode, .n = (uint16_t)place->name.n};
    bytes_put(entry.name, place->name);
    entry.fold = fold_of(place->name);
    return entry;
}

/* The entry that is there, under the name that it was made by. */
static dirent_t dirent_there(const place_t *place) { return *place->entry; }

static sim_stat_t stat_of(const sim_disk_t *disk, uint64_t number) {
    const inode_t *inode = &disk->inodes[number];
    return (sim_stat_t){.kind = inode->kind,
                        .inode = number,
                        .size = inode->data.n,
                        .mode = inode->mode,
                        .mtime_ns = inode->mtime,
                        .stamp = disk->stamps ? inode->stamp : 0,
                        .hollow = inode->hollow};
}

static err_t *inode_at(sim_disk_t *disk, uint64_t number, inode_t **ret_inode) {
    if (number < ROOT || number >= disk->inodes_n || !disk->inodes[number].kind)
        return err_new(ERR_NOT_FOUND, "no inode %llu", (unsigned long long)number);
    *ret_inode = &disk->inodes[number];
    return NULL;
}

/* ---- reading ---- */

err_t *sim_disk_stat(sim_disk_t *disk, const char *path, sim_stat_t *ret_stat) {
    place_t place = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, path, &place));
    *ret_stat = stat_of(disk, place.inode);
    return NULL;
}

err_t *sim_disk_stat_inode(sim_disk_t *disk, uint64_t number, sim_stat_t *ret_stat) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    *ret_stat = stat_of(disk, number);
    return NULL;
}

err_t *sim_disk_list(sim_disk_t *disk, const char *path, sim_disk_each_fn each, void *ctx) {
    place_t place = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, path, &place));
    if (disk->inodes[place.inode].kind != SIM_FOLDER)
        return err_new(ERR_NOT_FOUND, "%s: no folder", path);
    if (!disk->person && place.inode == ROOT) disk->listed = disk->stamp;
    CLEANUP(mem_free) names_t *copy = mem_alloc(sizeof *copy);
    if (!copy) return err_nomem();
    *copy = disk->now;
    size_t start = sim_rnd_below(disk->rnd, SIM_DISK_NODES);
    for (size_t i = 0; i < SIM_DISK_NODES; i++) {
        const dirent_t *entry = &copy->entry[(start + i) % SIM_DISK_NODES];
        if (entry->parent != place.inode) continue;
        sim_stat_t stat = stat_of(disk, entry->inode);
        TRY(each(ctx, bytes_make(entry->name, entry->n), &stat));
    }
    return NULL;
}

static err_t *read_inode(const inode_t *inode, uint64_t offset, size_t n, buf_t *out) {
    return buf_add(out, bytes_slice(buf_bytes(&inode->data), (size_t)offset, n));
}

err_t *sim_disk_read_inode(sim_disk_t *disk, uint64_t number, uint64_t offset, size_t n,
                           buf_t *out) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    return read_inode(inode, offset, n, out);
}

err_t *sim_disk_read(sim_disk_t *disk, const char *path, uint64_t offset, size_t n, buf_t *out) {
    place_t place = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, path, &place));
    if (disk->inodes[place.inode].kind != SIM_FILE)
        return err_new(ERR_INVALID, "%s: no file", path);
    return read_inode(&disk->inodes[place.inode], offset, n, out);
}

err_t *sim_disk_readlink(sim_disk_t *disk, const char *path, buf_t *out) {
    place_t place = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, path, &place));
    if (disk->inodes[place.inode].kind != SIM_SYMLINK)
        return err_new(ERR_INVALID, "%s: no symbolic link", path);
    return buf_add(out, buf_bytes(&disk->inodes[place.inode].data));
}

/* ---- writing ---- */

static err_t *make(sim_disk_t *disk, const char *path, sim_kind_t kind, uint32_t mode,
                   uint64_t *ret_inode) {
    place_t place = {0};
    uint64_t number = 0;
    TRY(call(disk));
    TRY(walk(disk, path, &place));
    if (place.inode) return err_new(ERR_EXISTS, "%s: exists", path);
    TRY(need_room(disk));
    TRY(inode_new(disk, kind, mode, &number));
    dirent_t entry = dirent_of(&place, number);
    TRY(change(disk, NULL, &entry));
    disk->inodes[place.parent].mtime = tick(disk);
    *ret_inode = number;
    return NULL;
}

err_t *sim_disk_create(sim_disk_t *disk, const char *path, uint32_t mode, uint64_t *ret_inode) {
    return make(disk, path, SIM_FILE, mode, ret_inode);
}

err_t *sim_disk_mkdir(sim_disk_t *disk, const char *path, uint32_t mode) {
    uint64_t number = 0;
    return make(disk, path, SIM_FOLDER, mode, &number);
}

err_t *sim_disk_symlink(sim_disk_t *disk, const char *path, bytes_t target) {
    uint64_t number = 0;
    TRY(make(disk, path, SIM_SYMLINK, 0777, &number));
    TRY(buf_add(&disk->inodes[number].data, target));
    keep_inode(&disk->inodes[number]); /* short links lie in the inode */
    return NULL;
}

/* Bytes of all files that have a name. */
static uint64_t used(const sim_disk_t *disk) {
    uint64_t sum = 0;
    for (size_t i = 0; i < SIM_DISK_NODES; i++)
        if (disk->now.entry[i].parent) sum += disk->inodes[disk->now.entry[i].inode].data.n;
    return sum;
}

static err_t *resize(sim_disk_t *disk, inode_t *inode, size_t size) {
    if (size > inode->data.n) {
        uint64_t more = size - inode->data.n;
        TRY(need_room(disk));
        if (!disk->person && disk->room != UINT64_MAX && used(disk) + more > disk->room)
            return err_new(ERR_FULL, "the simulated disk is full");
        TRY(buf_reserve(&inode->data, (size_t)more));
        memset(inode->data.p + inode->data.n, 0, (size_t)more);
    }
    inode->data.n = size;
    return NULL;
}

static void touched(sim_disk_t *disk, inode_t *inode) {
    inode->mtime = tick(disk);
    inode->stamp = ++disk->stamp;
    if (!disk->person) disk->changes++;
    if (disk->person) keep_inode(inode);
}

err_t *sim_disk_write_inode(sim_disk_t *disk, uint64_t number, uint64_t offset, bytes_t data) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    if (offset > SIM_DISK_FILE_MAX || data.n > SIM_DISK_FILE_MAX - offset)
        return err_new(ERR_FULL, "a file that is too long for the simulated disk");
    size_t end = (size_t)offset + data.n;
    if (end > inode->data.n) TRY(resize(disk, inode, end));
    if (data.n) bytes_put(inode->data.p + offset, data);
    touched(disk, inode);
    return NULL;
}

err_t *sim_disk_resize_inode(sim_disk_t *disk, uint64_t number, uint64_t size) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    if (size > SIM_DISK_FILE_MAX) return err_new(ERR_FULL, "too long for the simulated disk");
    TRY(resize(disk, inode, (size_t)size));
    touched(disk, inode);
    return NULL;
}

err_t *sim_disk_sync_inode(sim_disk_t *disk, uint64_t number) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    keep_inode(inode);
    return NULL;
}

err_t *sim_disk_sync_folder(sim_disk_t *disk, const char *path) {
    place_t place = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, path, &place));
    settle(disk, disk->ops_n);
    keep_inode(&disk->inodes[place.inode]);
    return NULL;
}

err_t *sim_disk_set_inode(sim_disk_t *disk, uint64_t number, uint32_t mode, int64_t mtime_ns) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    inode->mode = mode;
    inode->mtime = disk->person && inode->patched ? tick(disk) : mtime_ns;
    inode->stamp = ++disk->stamp;
    if (!disk->person) disk->changes++;
    if (disk->person) inode->person_stamp = inode->stamp;
    if (disk->person) keep_inode(inode);
    return NULL;
}

err_t *sim_disk_set_hollow(sim_disk_t *disk, uint64_t number, bool hollow) {
    inode_t *inode = NULL;
    TRY(call(disk));
    TRY(inode_at(disk, number, &inode));
    inode->hollow = hollow;
    inode->stamp = ++disk->stamp;
    if (disk->person) keep_inode(inode);
    return NULL;
}

bool sim_disk_patch(sim_disk_t *disk, uint64_t number) {
    if (number >= disk->inodes_n || disk->inodes[number].person_stamp > disk->listed) return false;
    disk->inodes[number].patched = true;
    return true;
}

err_t *sim_disk_set(sim_disk_t *disk, const char *path, uint32_t mode, int64_t mtime_ns) {
    place_t place = {0};
    TRY(walk_existing(disk, path, &place));
    return sim_disk_set_inode(disk, place.inode, mode, mtime_ns);
}

/* Whether `inode` is `folder` or lies below it. */
static bool below(sim_disk_t *disk, uint64_t inode, uint64_t folder) {
    while (inode != folder && inode != ROOT) {
        uint64_t parent = 0;
        for (size_t i = 0; i < SIM_DISK_NODES && !parent; i++)
            if (disk->now.entry[i].parent && disk->now.entry[i].inode == inode)
                parent = disk->now.entry[i].parent;
        if (!parent) return false;
        inode = parent;
    }
    return inode == folder;
}

static err_t *may_replace(sim_disk_t *disk, const place_t *from, const place_t *to, bool keep) {
    sim_kind_t kind = disk->inodes[from->inode].kind;
    if (kind == SIM_FOLDER && below(disk, to->parent, from->inode))
        return err_new(ERR_INVALID, "a folder cannot go into itself");
    if (!to->inode) return NULL;
    bool folder = disk->inodes[to->inode].kind == SIM_FOLDER;
    if (keep || folder != (kind == SIM_FOLDER) || (folder && has_children(&disk->now, to->inode)))
        return err_new(ERR_EXISTS, "%.*s: exists", (int)to->name.n, (const char *)to->name.p);
    return NULL;
}

err_t *sim_disk_rename(sim_disk_t *disk, const char *from, const char *to, bool keep) {
    place_t old = {0}, new = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, from, &old));
    TRY(walk(disk, to, &new));
    if (!old.parent || !new.parent) return err_new(ERR_INVALID, "the root stays");
    bool same_name = old.parent == new.parent &&bytes_eq(old.name, new.name);
    if (old.inode == new.inode && same_name) return NULL;
    /* As Linux has it: the new name, folded, is there. */
    if (old.inode == new.inode && keep) return err_new(ERR_EXISTS, "%s: exists", to);
    if (old.inode != new.inode) TRY(may_replace(disk, &old, &new, keep));
    op_t op = {.from = dirent_there(&old), .to = dirent_of(&new, old.inode)};
    /* What lay there goes, whatever case its name had. */
    if (new.entry &&new.inode != old.inode) op.under = dirent_there(&new);
    TRY(change_three(disk, &op));
    inode_t *moved = &disk->inodes[old.inode];
    moved->stamp = ++disk->stamp;
    if (disk->person) moved->safe_stamp = moved->person_stamp = moved->stamp;
    if (disk->person && moved->patched) moved->mtime = moved->safe_mtime = tick(disk);
    disk->inodes[old.parent].mtime = tick(disk);
    disk->inodes[new.parent].mtime = tick(disk);
    return NULL;
}

err_t *sim_disk_exchange(sim_disk_t *disk, const char *a, const char *b) {
    place_t one = {0}, two = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, a, &one));
    TRY(walk_existing(disk, b, &two));
    if (!one.parent || !two.parent || disk->inodes[one.inode].kind == SIM_FOLDER ||
        disk->inodes[two.inode].kind == SIM_FOLDER)
        return err_new(ERR_INVALID, "only files change places");
    op_t op = {.from = dirent_there(&one), .under = dirent_there(&two)};
    op.to = op.under;
    op.to.inode = one.inode;
    op.also = op.from;
    op.also.inode = two.inode;
    TRY(change_three(disk, &op));
    disk->inodes[one.inode].stamp = ++disk->stamp;
    disk->inodes[two.inode].stamp = ++disk->stamp;
    return NULL;
}

static err_t *take_away(sim_disk_t *disk, const char *path, bool folder) {
    place_t place = {0};
    TRY(call(disk));
    TRY(walk_existing(disk, path, &place));
    if (!place.parent || (disk->inodes[place.inode].kind == SIM_FOLDER) != folder)
        return err_new(ERR_INVALID, "%s: not what is removed this way", path);
    if (folder && has_children(&disk->now, place.inode))
        return err_new(ERR_EXISTS, "%s: not empty", path);
    dirent_t gone = dirent_there(&place);
    disk->inodes[place.parent].mtime = tick(disk);
    return change(disk, &gone, NULL);
}

err_t *sim_disk_unlink(sim_disk_t *disk, const char *path) { return take_away(disk, path, false); }
err_t *sim_disk_rmdir(sim_disk_t *disk, const char *path) { return take_away(disk, path, true); }

/* ---- the oracle ---- */

static err_t *walk_folder(sim_disk_t *disk, uint64_t folder, const char *prefix,
                          sim_disk_walk_fn fn, void *ctx, unsigned depth) {
    if (depth > 32) return err_new(ERR_LIMIT, "folders too deep");
    for (size_t i = 0; i < SIM_DISK_NODES; i++) {
        const dirent_t *entry = &disk->now.entry[i];
        char path[SIM_DISK_PATH];
        if (entry->parent != folder) continue;
        int n = snprintf(path, sizeof path, "%s%s%.*s", prefix, *prefix ? "/" : "", (int)entry->n,
                         entry->name);
        if (n < 0 || (size_t)n >= sizeof path) return err_new(ERR_LIMIT, "a path too long");
        sim_stat_t stat = stat_of(disk, entry->inode);
        uint64_t inode = entry->inode;
        TRY(fn(ctx, path, &stat, buf_bytes(&disk->inodes[inode].data)));
        if (stat.kind == SIM_FOLDER) TRY(walk_folder(disk, inode, path, fn, ctx, depth + 1));
    }
    return NULL;
}

err_t *sim_disk_walk(sim_disk_t *disk, sim_disk_walk_fn fn, void *ctx) {
    return walk_folder(disk, ROOT, "", fn, ctx, 0);
}
