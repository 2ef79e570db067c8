/*
 * See backup_walk.h.
 */
#include "backup/backup_walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/mem.h"

enum { DEPTH = 16 };

static const char *const excluded[] = {"store", "vault", "vault.new", "run", "log"};

void backup_walk_done(backup_walk_t *walk) {
    for (size_t i = 0; i < walk->n; i++) mem_free(walk->paths[i]);
    mem_free(walk->paths);
    *walk = (backup_walk_t){0};
}

static void dir_close_p(DIR **dir) {
    if (*dir) (void)closedir(*dir);
}

static bool is_excluded(const char *prefix, const char *name) {
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
    if (prefix[0]) return false;
    for (size_t i = 0; i < sizeof excluded / sizeof excluded[0]; i++)
        if (strcmp(name, excluded[i]) == 0) return true;
    return false;
}

static err_t *add(backup_walk_t *walk, const char *relative) {
    if (walk->n == LIMIT_BACKUP_FILES - 1)
        return err_new(ERR_LIMIT, "the instance has more than %d files", LIMIT_BACKUP_FILES);
    if (strlen(relative) > LIMIT_BACKUP_PATH)
        return err_new(ERR_LIMIT, "the path %s is too long for a backup", relative);
    walk->paths[walk->n] = mem_strdup(relative);
    if (!walk->paths[walk->n]) return err_nomem();
    walk->n++;
    return NULL;
}

static err_t *visit(const char *dir, const char *prefix, unsigned depth, backup_walk_t *walk);

static err_t *take(const char *dir, const char *prefix, const char *name, unsigned depth,
                   backup_walk_t *walk) {
    CLEANUP(mem_free)
    char *relative = prefix[0] ? mem_printf("%s/%s", prefix, name) : mem_strdup(name);
    CLEANUP(mem_free) char *path = relative ? mem_printf("%s/%s", dir, relative) : NULL;
    struct stat st;
    if (!path) return err_nomem();
    if (lstat(path, &st) != 0) return errno == ENOENT ? NULL : err_errno(errno, "%s", path);
    if (S_ISREG(st.st_mode)) return add(walk, relative);
    if (S_ISDIR(st.st_mode)) return visit(dir, relative, depth + 1, walk);
    walk->skipped++;
    return NULL;
}

static err_t *visit(const char *dir, const char *prefix, unsigned depth, backup_walk_t *walk) {
    if (depth > DEPTH) return err_new(ERR_LIMIT, "%s has directories too deep", dir);
    CLEANUP(mem_free) char *path = mem_printf("%s/%s", dir, prefix);
    if (!path) return err_nomem();
    CLEANUP(dir_close) DIR *open_dir = opendir(path);
    if (!open_dir) return err_errno(errno, "cannot read the directory %s", path);
    for (struct dirent *item; (item = readdir(open_dir));)
        if (!is_excluded(prefix, item->d_name)) TRY(take(dir, prefix, item->d_name, depth, walk));
    return NULL;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

err_t *backup_walk(const char *dir, backup_walk_t *ret_walk) {
    CLEANUP(backup_walk_done) backup_walk_t walk = {0};
    walk.paths = mem_array(LIMIT_BACKUP_FILES, sizeof *walk.paths);
    if (!walk.paths) return err_nomem();
    TRY(visit(dir, "", 0, &walk));
    qsort(walk.paths, walk.n, sizeof *walk.paths, compare);
    *ret_walk = walk;
    walk = (backup_walk_t){0};
    return NULL;
}
