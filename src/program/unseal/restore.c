/*
 * The tree of a dump, written into a directory or listed. Works beneath directory descriptors and
 * follows no link that it made itself. Single-threaded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "program/unseal/unseal.h"

enum { MODE_KEPT = 0777 }; /* whose files these are may differ: no set-user-id bits */

/* A folder that is being restored. */
typedef struct {
    int fd; /* -1 while listing */
    unsigned depth, pages;
} place_t;

static err_t *walk(unseal_t *u, const place_t *place, bytes_t list, bytes_t from, bytes_t until);

static void cstr(bytes_t name, char out[LIMIT_SYNC_FILE_NAME + 1]) {
    bytes_put(out, name);
    out[name.n] = '\0';
}

static err_t *set_times(int fd, const char *name, const sync_entry_t *entry) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = entry->mtime_ns}};
    times[1].tv_sec = entry->mtime;
    if (utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW) != 0) return err_errno(errno, "its time");
    return NULL;
}

static err_t *to_file(void *ctx, bytes_t piece) { return file_write_fd(*(int *)ctx, piece); }
static err_t *to_nowhere(void *ctx, bytes_t piece) {
    (void)ctx;
    (void)piece;
    return NULL;
}

static err_t *file_content(unseal_t *u, const sync_entry_t *entry, const sync_sink_t *sink) {
    CLEANUP(buf_done) buf_t record;
    sync_package_t package;
    bytes_t content;
    uint64_t size = 0;
    buf_init(&record, SYNC_PACKAGE_MAX);
    if (entry->packed) {
        TRY(unseal_packed(u, entry, &content));
        return sink->write(sink->ctx, content);
    }
    TRY(unseal_package(u, entry->package, &record, &package));
    if (memcmp(package.node, entry->node, SYNC_NODE) != 0 ||
        memcmp(package.version, entry->version, SYNC_NODE) != 0)
        return err_new(ERR_VERIFY, "another file, or another version of it");
    TRY(unseal_content(u, &package, SYNC_META_FILE, sink, &size));
    if (size != entry->size) return err_new(ERR_VERIFY, "a file of another size");
    return NULL;
}

/* Written whole and right, or not there. */
static err_t *restore_file(unseal_t *u, const place_t *place, const sync_entry_t *entry,
                           const char *name) {
    sync_sink_t nowhere = {.write = to_nowhere};
    if (place->fd < 0) return file_content(u, entry, &nowhere);
    CLEANUP(fd_close)
    int fd = openat(place->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "cannot make it");
    sync_sink_t sink = {.ctx = &fd, .write = to_file};
    err_t *e = file_content(u, entry, &sink);
    if (!e && fchmod(fd, entry->mode & MODE_KEPT) != 0) e = err_errno(errno, "its mode");
    if (!e) e = set_times(place->fd, name, entry);
    if (e) (void)unlinkat(place->fd, name, 0);
    return e;
}

static err_t *restore_link(const place_t *place, const sync_entry_t *entry, const char *name) {
    CLEANUP(buf_done) buf_t target;
    const char *text = NULL;
    buf_init(&target, LIMIT_SYNC_LINK_TARGET + 1);
    if (place->fd < 0) return NULL;
    TRY(buf_add(&target, entry->target));
    TRY(buf_cstr(&target, &text));
    if (symlinkat(text, place->fd, name) != 0) return err_errno(errno, "cannot make the link");
    return set_times(place->fd, name, entry);
}

static err_t *restore_folder(unseal_t *u, const place_t *place, const sync_entry_t *entry,
                             const char *name) {
    CLEANUP(buf_done) buf_t list;
    place_t inner = {.fd = -1, .depth = place->depth + 1};
    buf_init(&list, LIMIT_SYNC_FOLDER);
    if (inner.depth > LIMIT_SYNC_DEPTH) return err_new(ERR_LIMIT, "folders nest too deep");
    if (place->fd >= 0 && mkdirat(place->fd, name, 0700) != 0)
        return err_errno(errno, "cannot make the directory");
    CLEANUP(fd_close) int fd = -1;
    if (place->fd >= 0) {
        fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return err_errno(errno, "cannot open the directory");
    }
    inner.fd = fd;
    TRY(unseal_folder(u, entry->package, entry->node, entry->version, &list));
    TRY(walk(u, &inner, buf_bytes(&list), BYTES_NONE, BYTES_NONE));
    if (fd < 0) return NULL;
    if (fchmod(fd, entry->mode & MODE_KEPT) != 0) return err_errno(errno, "its mode");
    return set_times(place->fd, name, entry);
}

static err_t *restore_page(unseal_t *u, const place_t *place, const sync_entry_t *entry,
                           bytes_t until) {
    CLEANUP(buf_done) buf_t list;
    place_t inner = *place;
    buf_init(&list, LIMIT_SYNC_FOLDER);
    if (++inner.pages > LIMIT_SYNC_PAGES) return err_new(ERR_LIMIT, "pages nest too deep");
    TRY_WRAP(unseal_folder(u, entry->package, entry->node, entry->version, &list),
             "a page of the folder");
    return walk(u, &inner, buf_bytes(&list), entry->name, until);
}

static void tell(unseal_t *u, const sync_entry_t *entry) {
    char time[TEXT_TIME_SIZE];
    char kind = entry->kind == SYNC_ENTRY_FOLDER ? 'd' : entry->kind == SYNC_ENTRY_LINK ? 'l' : '-';
    if (!u->list) return;
    (void)printf("%c%03o %12llu %s ", kind, entry->mode & MODE_KEPT,
                 (unsigned long long)entry->size, text_time(entry->mtime, time));
    bytes_t path = buf_bytes(&u->path);
    bool plain = text_printable(path);
    for (size_t i = 0; i < path.n; i++) {
        if (plain || (path.p[i] >= ' ' && path.p[i] < 0x7f)) (void)putchar(path.p[i]);
        else (void)printf("\\x%02x", path.p[i]);
    }
    (void)putchar('\n');
}

static err_t *restore_entry(unseal_t *u, const place_t *place, const sync_entry_t *entry,
                            bytes_t until) {
    char name[LIMIT_SYNC_FILE_NAME + 1];
    cstr(entry->name, name);
    switch (entry->kind) {
    case SYNC_ENTRY_FOLDER:
        tell(u, entry);
        TRY(restore_folder(u, place, entry, name));
        u->folders++;
        return NULL;
    case SYNC_ENTRY_FILE:
        tell(u, entry);
        if (!u->list) TRY(restore_file(u, place, entry, name));
        u->files++;
        u->bytes += entry->size;
        return NULL;
    case SYNC_ENTRY_LINK:
        tell(u, entry);
        TRY(restore_link(place, entry, name));
        u->files++;
        return NULL;
    case SYNC_ENTRY_PAGE: return restore_page(u, place, entry, until);
    }
    return err_new(ERR_INTERNAL, "an entry of no kind");
}

/* One entry, with its name in the path while it lasts; its trouble is told and passed over. */
static err_t *step(unseal_t *u, const place_t *place, const sync_entry_t *entry, bytes_t until) {
    size_t before = u->path.n;
    if (entry->kind != SYNC_ENTRY_PAGE) {
        if (before) TRY(buf_add_byte(&u->path, '/'));
        TRY(buf_add(&u->path, entry->name));
    }
    err_t *e = restore_entry(u, place, entry, until);
    if (e && (err_code(e) == ERR_FULL || err_code(e) == ERR_NOMEM)) return e;
    unseal_problem(u, e);
    u->path.n = before;
    return NULL;
}

/* Of a page: names from `from` up to `until` (none: no bound). */
static err_t *check_bounds(const sync_entry_t *entry, bytes_t from, bytes_t until) {
    if ((from.n && sync_name_compare(entry->name, from) < 0) ||
        (until.n && sync_name_compare(entry->name, until) >= 0))
        return err_new(ERR_VERIFY, "a page has names of another");
    return NULL;
}

static err_t *walk(unseal_t *u, const place_t *place, bytes_t list, bytes_t from, bytes_t until) {
    sync_folder_reader_t reader;
    sync_entry_t entry, next;
    bool found = false, more = false;
    TRY(sync_folder_open(list, &reader));
    TRY(sync_folder_next(&reader, &found, &entry));
    while (found) {
        TRY(check_bounds(&entry, from, until));
        TRY(sync_folder_next(&reader, &more, &next));
        TRY(step(u, place, &entry, more ? next.name : until));
        entry = next;
        found = more;
    }
    return NULL;
}

/* Nothing may lie there that could be taken for restored. */
static err_t *open_target(const char *directory, int *ret_fd) {
    TRY(file_mkdir(directory, 0700));
    CLEANUP(fd_close) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", directory);
    int copy = dup(fd);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        fd_close(copy);
        return err_errno(errno, "cannot read %s", directory);
    }
    bool empty = true;
    for (const struct dirent *d; (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) empty = false;
    (void)closedir(dir);
    if (!empty) return err_new(ERR_EXISTS, "%s is not empty", directory);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

err_t *unseal_restore(unseal_t *u, const char *directory) {
    CLEANUP(buf_done) buf_t list;
    CLEANUP(fd_close) int fd = -1;
    place_t place = {.fd = -1};
    buf_init(&list, LIMIT_SYNC_FOLDER);
    TRY_WRAP(unseal_folder(u, u->folder, NULL, NULL, &list), "the root folder");
    if (!u->list) TRY(open_target(directory, &fd));
    place.fd = fd;
    return walk(u, &place, buf_bytes(&list), BYTES_NONE, BYTES_NONE);
}
