/*
 * What people do to their files: see sim_person.h.
 */
#include "sim_person.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

enum { HEAD = 40, PATHS = 256 };

/* ---- contents ---- */

static void content_fill(uint32_t number, buf_t *out, uint32_t size) {
    char head[HEAD + 1];
    sim_rnd_t filler;
    uint64_t letters = 0;
    (void)snprintf(head, sizeof head, SIM_CANARY "-%08" PRIx32 "-%08" PRIx32 "--------", number,
                   size);
    sim_rnd_init(&filler, 0xc0ffee00u + number);
    err_ignore(buf_reserve(out, size));
    for (uint32_t i = 0; i < size && out->room - out->n >= size - i; i++) {
        if (i % 8 == 0) letters = sim_rnd_next(&filler);
        out->p[out->n++] =
            i < HEAD ? (uint8_t)head[i] : (uint8_t)('a' + (letters >> i % 8 * 8 & 15));
    }
}

static uint32_t content_sized(sim_people_t *people, buf_t *out, uint32_t size) {
    uint32_t number = people->contents_n++;
    people->contents[number] = (sim_content_t){.size = size};
    if (people->told) (void)fprintf(stderr, "    content %" PRIu32 "\n", number);
    content_fill(number, out, size);
    return number;
}

static uint32_t content_new(sim_people_t *people, buf_t *out) {
    uint32_t size = HEAD + sim_rnd_below(people->rnd, 3000);
    if (people->big && sim_rnd_percent(people->rnd, 12))
        size = 1000000 + sim_rnd_below(people->rnd, 1600000);
    return content_sized(people, out, size);
}

/* Which content these bytes are; false: nobody's. Empty files are nobody's in particular. */
static bool content_find(const sim_people_t *people, bytes_t bytes, uint32_t *ret_number) {
    CLEANUP(buf_done) buf_t whole;
    uint32_t number = 0;
    buf_init(&whole, SIM_DISK_FILE_MAX);
    if (bytes.n < HEAD || !bytes_starts(bytes, BYTES_LIT(SIM_CANARY "-"))) return false;
    for (size_t i = 0; i < 8; i++) {
        char c = (char)bytes.p[sizeof SIM_CANARY + i];
        number = number << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (number >= people->contents_n || people->contents[number].size != bytes.n) return false;
    content_fill(number, &whole, people->contents[number].size);
    if (!bytes_eq(bytes, buf_bytes(&whole))) return false;
    *ret_number = number;
    return true;
}

/* ---- where ---- */

typedef struct {
    char path[PATHS][SIM_DISK_PATH];
    sim_kind_t kind[PATHS];
    uint32_t n;
} listing_t;

static err_t *list_one(void *ctx, const char *path, const sim_stat_t *stat, bytes_t content) {
    listing_t *listing = ctx;
    (void)content;
    /* What lies in an engine's own hidden folder is not a person's business. */
    if (path[0] == '.' || strstr(path, "/.")) return NULL;
    if (listing->n == PATHS) return NULL;
    (void)snprintf(listing->path[listing->n], SIM_DISK_PATH, "%s", path);
    listing->kind[listing->n++] = stat->kind;
    return NULL;
}

static const char *pick(sim_people_t *people, const listing_t *listing, sim_kind_t kind) {
    uint32_t matching = 0;
    for (uint32_t i = 0; i < listing->n; i++) matching += listing->kind[i] == kind;
    if (matching == 0) return NULL;
    uint32_t wanted = sim_rnd_below(people->rnd, matching);
    for (uint32_t i = 0; i < listing->n; i++)
        if (listing->kind[i] == kind && wanted-- == 0) return listing->path[i];
    return NULL;
}

/* A new path in some folder: of few names, so that people meet; some differ by case alone. */
static void new_path(sim_people_t *people, const listing_t *listing, char ret_path[SIM_DISK_PATH]) {
    static const char *const names[] = {"a",        "b",         "c",   "d",  "A",
                                        "\xc3\xa9", "e\xcc\x81", "x y", "-n", "long"};
    const char *folder =
        sim_rnd_percent(people->rnd, 60) ? pick(people, listing, SIM_FOLDER) : NULL;
    uint32_t n = people->stress > 50 ? 6 : 10;
    const char *name = names[sim_rnd_below(people->rnd, n)];
    int number = (int)sim_rnd_below(people->rnd, people->stress > 50 ? 2 : 6);
    (void)snprintf(ret_path, SIM_DISK_PATH, "%.900s%s" SIM_CANARY_NAME "%s%d", folder ? folder : "",
                   folder ? "/" : "", name, number);
}

static bool exists(sim_disk_t *disk, const char *path) {
    sim_stat_t stat;
    err_t *e = sim_disk_stat(disk, path, &stat);
    bool there = e == NULL;
    err_free(e);
    return there;
}

/* ---- deeds ---- */

typedef struct {
    sim_people_t *people;
    unsigned who;
    sim_disk_t *disk;
    listing_t *all;
} scene_t;

static void tell(const scene_t *s, const char *deed, const char *path, const char *other) {
    if (s->people->told)
        (void)fprintf(stderr, "  person %u: %s %s%s%s\n", s->who, deed, path, other ? " -> " : "",
                      other ? other : "");
}

/* Whoever writes over a file or removes it has seen what was in it. False if he can't. */
static bool let_go(const scene_t *s, const char *path) {
    CLEANUP(buf_done) buf_t bytes;
    uint32_t number = 0;
    sim_stat_t stat = {0};
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    err_t *e = sim_disk_stat(s->disk, path, &stat);
    if (!e && stat.hollow) {
        sim_disk_person_end(s->disk);
        bool filled = s->people->fill(s->people->fill_ctx, s->who, stat.inode);
        sim_disk_person_begin(s->disk);
        if (!filled) return false;
    }
    if (!e) e = sim_disk_read(s->disk, path, 0, SIM_DISK_FILE_MAX, &bytes);
    if (!e && content_find(s->people, buf_bytes(&bytes), &number)) {
        s->people->contents[number].let_go = true;
        if (s->people->told) (void)fprintf(stderr, "    lets go of %" PRIu32 "\n", number);
    }
    err_free(e);
    return true;
}

static void write_new(const scene_t *s, const char *path) {
    CLEANUP(buf_done) buf_t bytes;
    uint64_t inode = 0;
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    err_t *e = sim_disk_create(s->disk, path, 0644, &inode);
    if (!e && sim_rnd_percent(s->people->rnd, 95)) {
        (void)content_new(s->people, &bytes);
        e = sim_disk_write_inode(s->disk, inode, 0, buf_bytes(&bytes));
    }
    err_free(e);
}

static void deed_create(const scene_t *s) {
    char path[SIM_DISK_PATH];
    new_path(s->people, s->all, path);
    if (exists(s->disk, path)) return;
    tell(s, "creates", path, NULL);
    write_new(s, path);
}

/* In place, as a log or a database does. */
static void edit(const scene_t *s, const char *path) {
    CLEANUP(buf_done) buf_t bytes;
    sim_stat_t stat;
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    if (!let_go(s, path)) return;
    tell(s, "edits", path, NULL);
    err_t *e = sim_disk_stat(s->disk, path, &stat);
    /* By as many bytes, at times. */
    if (!e && stat.size >= HEAD && sim_rnd_percent(s->people->rnd, 30))
        (void)content_sized(s->people, &bytes, (uint32_t)stat.size);
    else (void)content_new(s->people, &bytes);
    if (!e) e = sim_disk_resize_inode(s->disk, stat.inode, 0);
    if (!e) e = sim_disk_write_inode(s->disk, stat.inode, 0, buf_bytes(&bytes));
    err_free(e);
}

static void deed_edit(const scene_t *s) {
    const char *path = pick(s->people, s->all, SIM_FILE);
    if (path) edit(s, path);
}

/* Beside it, then renamed over it, as editors do. */
static void deed_save(const scene_t *s) {
    const char *path = pick(s->people, s->all, SIM_FILE);
    char beside[SIM_DISK_PATH + 8];
    if (!path) return;
    tell(s, "saves", path, NULL);
    (void)snprintf(beside, sizeof beside, "%s~", path);
    if (exists(s->disk, beside)) return;
    if (!let_go(s, path)) return;
    write_new(s, beside);
    err_ignore(sim_disk_rename(s->disk, beside, path, false));
}

static void deed_remove(const scene_t *s) {
    const char *path = pick(s->people, s->all, SIM_FILE);
    if (!path) return;
    if (!let_go(s, path)) return;
    tell(s, "removes", path, NULL);
    err_ignore(sim_disk_unlink(s->disk, path));
}

static void rename_to(const scene_t *s, sim_kind_t kind) {
    char to[SIM_DISK_PATH];
    const char *path = pick(s->people, s->all, kind);
    new_path(s->people, s->all, to);
    if (!path || exists(s->disk, to)) return;
    tell(s, "renames", path, to);
    err_ignore(sim_disk_rename(s->disk, path, to, true));
}

static void deed_rename(const scene_t *s) { rename_to(s, SIM_FILE); }
static void deed_move_folder(const scene_t *s) { rename_to(s, SIM_FOLDER); }

/* a -> b where b is: b's content goes. */
static void deed_replace(const scene_t *s) {
    const char *from = pick(s->people, s->all, SIM_FILE), *to = pick(s->people, s->all, SIM_FILE);
    if (!from || !to || strcmp(from, to) == 0) return;
    if (!let_go(s, to)) return;
    tell(s, "moves", from, to);
    err_ignore(sim_disk_rename(s->disk, from, to, false));
}

static void deed_swap(const scene_t *s) {
    const char *a = pick(s->people, s->all, SIM_FILE), *b = pick(s->people, s->all, SIM_FILE);
    char beside[SIM_DISK_PATH + 8];
    if (!a || !b || strcmp(a, b) == 0) return;
    (void)snprintf(beside, sizeof beside, "%s-", a);
    if (exists(s->disk, beside)) return;
    tell(s, "swaps", a, b);
    err_t *e = sim_disk_rename(s->disk, a, beside, true);
    if (!e) e = sim_disk_rename(s->disk, b, a, true);
    if (!e) e = sim_disk_rename(s->disk, beside, b, true);
    err_free(e);
}

static void deed_mkdir(const scene_t *s) {
    char path[SIM_DISK_PATH];
    new_path(s->people, s->all, path);
    if (exists(s->disk, path)) return;
    tell(s, "makes folder", path, NULL);
    err_ignore(sim_disk_mkdir(s->disk, path, 0755));
}

/* A folder with all that is in it. */
static void deed_remove_folder(const scene_t *s) {
    const char *folder = pick(s->people, s->all, SIM_FOLDER);
    if (!folder) return;
    size_t n = strlen(folder);
    tell(s, "removes folder", folder, NULL);
    for (uint32_t i = s->all->n; i-- > 0;) {
        const char *path = s->all->path[i];
        if (strncmp(path, folder, n) != 0 || (path[n] && path[n] != '/')) continue;
        if (s->all->kind[i] == SIM_FILE && !let_go(s, path)) continue;
        err_ignore(s->all->kind[i] == SIM_FOLDER ? sim_disk_rmdir(s->disk, path)
                                                 : sim_disk_unlink(s->disk, path));
    }
}

/* In place, as many bytes, and the time put back: containers, rsync -t --inplace. */
static void deed_patch(const scene_t *s) {
    CLEANUP(buf_done) buf_t bytes;
    const char *path = pick(s->people, s->all, SIM_FILE);
    sim_stat_t stat = {0};
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    if (!path || s->people->hurried || !sim_disk_has_stamps(s->disk)) return;
    err_t *e = sim_disk_stat(s->disk, path, &stat);
    if (!e && (stat.size < HEAD || !sim_disk_patch(s->disk, stat.inode) || !let_go(s, path)))
        return;
    if (!e) {
        tell(s, "patches", path, NULL);
        (void)content_sized(s->people, &bytes, (uint32_t)stat.size);
        e = sim_disk_write_inode(s->disk, stat.inode, 0, buf_bytes(&bytes));
    }
    if (!e) e = sim_disk_set_inode(s->disk, stat.inode, stat.mode, stat.mtime_ns);
    err_free(e);
}

/* A name changes its case alone. */
static void deed_change_case(const scene_t *s) {
    const char *path =
        pick(s->people, s->all, sim_rnd_percent(s->people->rnd, 60) ? SIM_FILE : SIM_FOLDER);
    char to[SIM_DISK_PATH], beside[SIM_DISK_PATH + 8];
    if (!path) return;
    (void)snprintf(to, sizeof to, "%s", path);
    char *letter = strrchr(to, '/');
    letter = (letter ? letter + 1 : to) + sizeof SIM_CANARY_NAME - 1;
    if (*letter != 'a' && *letter != 'A') return;
    *letter ^= 'a' ^ 'A';
    (void)snprintf(beside, sizeof beside, "%s-", path);
    if (exists(s->disk, beside) || (!sim_disk_folds(s->disk) && exists(s->disk, to))) return;
    tell(s, "changes the case of", path, to);
    err_t *e = sim_disk_rename(s->disk, path, beside, true);
    if (!e) e = sim_disk_rename(s->disk, beside, to, true);
    err_free(e);
}

static void deed_symlink(const scene_t *s) {
    char path[SIM_DISK_PATH];
    new_path(s->people, s->all, path);
    if (exists(s->disk, path)) return;
    tell(s, "links", path, NULL);
    err_ignore(sim_disk_symlink(s->disk, path, BYTES_LIT("../" SIM_CANARY_NAME "elsewhere")));
}

static void deed_chmod(const scene_t *s) {
    static const uint32_t modes[] = {0600, 0640, 0755, 0644};
    const char *path = pick(s->people, s->all, SIM_FILE);
    sim_stat_t stat;
    if (!path || !exists(s->disk, path)) return;
    tell(s, "changes the mode of", path, NULL);
    err_t *e = sim_disk_stat(s->disk, path, &stat);
    if (!e) e = sim_disk_set(s->disk, path, modes[sim_rnd_below(s->people->rnd, 4)], stat.mtime_ns);
    err_free(e);
}

/* A file goes, and a folder or link of its name comes. */
static void deed_change_kind(const scene_t *s) {
    const char *path = pick(s->people, s->all, SIM_FILE);
    if (!path) return;
    if (!let_go(s, path)) return;
    tell(s, "makes a folder of", path, NULL);
    err_ignore(sim_disk_unlink(s->disk, path));
    err_ignore(sim_disk_mkdir(s->disk, path, 0755));
}

void sim_people_init(sim_people_t *people, sim_rnd_t *rnd) { *people = (sim_people_t){.rnd = rnd}; }

void sim_people_act(sim_people_t *people, unsigned who, sim_disk_t *disk) {
    typedef void (*deed_fn)(const scene_t *s);
    static const deed_fn deeds[] = {
        deed_create,      deed_create,      deed_create,        deed_create, deed_edit,
        deed_edit,        deed_edit,        deed_save,          deed_save,   deed_remove,
        deed_rename,      deed_rename,      deed_rename,        deed_mkdir,  deed_mkdir,
        deed_swap,        deed_replace,     deed_move_folder,   deed_chmod,  deed_symlink,
        deed_move_folder, deed_change_kind, deed_remove_folder, deed_patch,  deed_change_case,
    };
    CLEANUP(mem_free) listing_t *all = mem_zalloc(sizeof *all);
    if (!all || people->contents_n + 4 > SIM_CONTENTS) return;
    scene_t scene = {.people = people, .who = who, .disk = disk, .all = all};
    sim_disk_person_begin(disk);
    err_ignore(sim_disk_walk(disk, list_one, all));
    deeds[sim_rnd_below(people->rnd, sizeof deeds / sizeof *deeds)](&scene);
    sim_disk_person_end(disk);
}

void sim_people_edit(sim_people_t *people, unsigned who, sim_disk_t *disk, const char *path) {
    scene_t scene = {.people = people, .who = who, .disk = disk};
    if (people->contents_n + 4 > SIM_CONTENTS) return;
    sim_stat_t stat = {.kind = SIM_FILE};
    sim_disk_person_begin(disk);
    if (!exists(disk, path)) write_new(&scene, path);
    err_ignore(sim_disk_stat(disk, path, &stat));
    if (stat.kind == SIM_FILE) edit(&scene, path);
    sim_disk_person_end(disk);
}

void sim_people_overwrite(sim_people_t *people, unsigned who, sim_disk_t *disk) {
    CLEANUP(mem_free) listing_t *all = mem_zalloc(sizeof *all);
    const char *largest = NULL;
    uint64_t size = 0;
    if (!all || people->contents_n + 4 > SIM_CONTENTS) return;
    scene_t scene = {.people = people, .who = who, .disk = disk, .all = all};
    sim_disk_person_begin(disk);
    err_ignore(sim_disk_walk(disk, list_one, all));
    for (uint32_t i = 0; i < all->n; i++) {
        sim_stat_t stat = {0};
        err_ignore(sim_disk_stat(disk, all->path[i], &stat));
        if (stat.kind != SIM_FILE || stat.size < size) continue;
        size = stat.size;
        largest = all->path[i];
    }
    if (largest) edit(&scene, largest);
    sim_disk_person_end(disk);
}

err_t *sim_people_write(sim_people_t *people, sim_disk_t *disk, uint32_t *ret_content) {
    CLEANUP(buf_done) buf_t bytes;
    char path[64];
    uint64_t inode = 0;
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    if (people->contents_n + 4 > SIM_CONTENTS) return err_new(ERR_LIMIT, "too many contents");
    uint32_t number = content_new(people, &bytes);
    (void)snprintf(path, sizeof path, SIM_CANARY_NAME "new%" PRIu32, number);
    sim_disk_person_begin(disk);
    err_t *e = sim_disk_create(disk, path, 0644, &inode);
    if (!e) e = sim_disk_write_inode(disk, inode, 0, buf_bytes(&bytes));
    sim_disk_person_end(disk);
    if (!e) *ret_content = number;
    return e;
}

/* ---- what they may rely on ---- */

typedef struct {
    sim_people_t *people;
    bool (*ours)(const char *path);
} check_t;

static err_t *check_one(void *ctx, const char *path, const sim_stat_t *stat, bytes_t content) {
    check_t *check = ctx;
    uint32_t number = 0;
    if (stat->kind != SIM_FILE || content.n == 0 || stat->hollow ||
        (check->ours && check->ours(path)))
        return NULL;
    if (!content_find(check->people, content, &number))
        return err_new(ERR_VERIFY, "%s: torn, or nobody's: %zu bytes", path, content.n);
    check->people->contents[number].found = true;
    return NULL;
}

err_t *sim_people_check_exact(sim_people_t *people, sim_disk_t *disk,
                              bool (*ours)(const char *path)) {
    check_t check = {.people = people, .ours = ours};
    for (uint32_t i = 0; i < people->contents_n; i++) people->contents[i].found = false;
    return sim_disk_walk(disk, check_one, &check);
}

static err_t *excuse_one(void *ctx, const char *path, const sim_stat_t *stat, bytes_t content) {
    check_t *check = ctx;
    uint32_t number = 0;
    if (check->ours && check->ours(path)) return NULL;
    if (stat->kind == SIM_FILE && content_find(check->people, content, &number))
        check->people->contents[number].let_go = true;
    return NULL;
}

err_t *sim_people_excuse(sim_people_t *people, sim_disk_t *disk, bool (*not )(const char *path)) {
    check_t check = {.people = people, .ours = not };
    return sim_disk_walk(disk, excuse_one, &check);
}

err_t *sim_people_check(sim_people_t *people, sim_disk_t *disk, bool (*ours)(const char *path)) {
    TRY(sim_people_check_exact(people, disk, ours));
    for (uint32_t i = 0; i < people->contents_n; i++)
        if (!people->contents[i].found && !people->contents[i].let_go)
            return err_new(ERR_VERIFY, "content %u of %u bytes is lost", i,
                           people->contents[i].size);
    return NULL;
}

bool sim_people_find(sim_people_t *people, sim_disk_t *disk, uint32_t content) {
    err_t *e = sim_people_check_exact(people, disk, NULL);
    bool found = !e && people->contents[content].found;
    err_free(e);
    return found;
}

typedef struct {
    sim_disk_t *other;
    bool (*ours)(const char *path);
} compare_t;

static err_t *compare_one(void *ctx, const char *path, const sim_stat_t *stat, bytes_t content) {
    compare_t *compare = ctx;
    CLEANUP(buf_done) buf_t bytes;
    sim_stat_t other;
    buf_init(&bytes, SIM_DISK_FILE_MAX);
    if (compare->ours && compare->ours(path)) return NULL;
    TRY_WRAP(err_recode(sim_disk_stat(compare->other, path, &other), ERR_VERIFY), "%s: here alone",
             path);
    if (other.kind != stat->kind || (stat->kind == SIM_FILE && other.mode != stat->mode))
        return err_new(ERR_VERIFY, "%s: another kind or mode", path);
    if (stat->kind != SIM_FILE || stat->hollow || other.hollow) return NULL;
    TRY(sim_disk_read(compare->other, path, 0, SIM_DISK_FILE_MAX, &bytes));
    if (!bytes_eq(content, buf_bytes(&bytes)))
        return err_new(ERR_VERIFY, "%s: other content", path);
    return NULL;
}

err_t *sim_people_compare(sim_disk_t *a, sim_disk_t *b, bool (*ours)(const char *path)) {
    compare_t there = {.other = b, .ours = ours}, back = {.other = a, .ours = ours};
    sim_disk_person_begin(a);
    sim_disk_person_begin(b);
    err_t *e = sim_disk_walk(a, compare_one, &there);
    if (!e) e = sim_disk_walk(b, compare_one, &back);
    sim_disk_person_end(a);
    sim_disk_person_end(b);
    return e;
}
