/*
 * Folders of mail: see reencrypt.h. In "cur" and "new" every file is a message (maildir(5));
 * elsewhere those that begin with a From line are mailbox files, and *.eml are messages.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "program/coffer/reencrypt_internal.h"

enum { DEPTH_MAX = 32 };
#define LOCK ".coffer-reencrypt.lock"

typedef err_t *(visit_t)(const reencrypt_t *job, const char *path, bool mbox, uint64_t *count);

static void closedir_p(DIR **dir) {
    if (*dir) (void)closedir(*dir);
}

static bool begins_with_from(const char *path) {
    char head[5];
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
           memcmp(head, "From ", sizeof head) == 0;
}

static bool ends_with(const char *text, const char *ending) {
    size_t n = strlen(text), k = strlen(ending);
    return n >= k && strcmp(text + n - k, ending) == 0;
}

/* Of a run that was cut off: what it was to replace, or has replaced, is there without it. */
static bool is_leftover(const char *name) {
    size_t n = sizeof REENCRYPT_TEMP - 1;
    return strncmp(name, REENCRYPT_TEMP, n) == 0 && name[n] >= '0' && name[n] <= '9';
}

static err_t *at_file(const reencrypt_t *job, const char *path, const char *name, bool maildir,
                      visit_t *visit, uint64_t *count) {
    if (name[0] == '.') return NULL;
    if (maildir || ends_with(name, ".eml")) return visit(job, path, false, count);
    return begins_with_from(path) ? visit(job, path, true, count) : NULL;
}

static err_t *walk(const reencrypt_t *job, const char *path, bool maildir, unsigned depth,
                   visit_t *visit, uint64_t *count) {
    CLEANUP(closedir) DIR *dir = opendir(path);
    if (!dir) return err_errno(errno, "cannot read %s", path);
    if (depth > DEPTH_MAX) return err_new(ERR_LIMIT, "%s: folders too deep", path);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        CLEANUP(mem_free) char *below = NULL;
        struct stat st;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        TRY(file_path(path, name, &below));
        if (!count && is_leftover(name)) (void)unlink(below);
        if (lstat(below, &st) != 0) continue; /* moved by a mail program */
        if (S_ISDIR(st.st_mode) && strcmp(name, "tmp") != 0)
            TRY(walk(job, below, strcmp(name, "cur") == 0 || strcmp(name, "new") == 0, depth + 1,
                     visit, count));
        else if (S_ISREG(st.st_mode)) TRY(at_file(job, below, name, maildir, visit, count));
    }
    return NULL;
}

/* A message that was moved or changed meanwhile waits for the next run. */
static err_t *convert(const reencrypt_t *job, const char *path, bool mbox, uint64_t *count) {
    (void)count;
    err_t *e = mbox ? reencrypt_mbox(job, path) : reencrypt_message(job, path);
    if (!e || !job->each) return e;
    err_code_t code = err_code(e);
    if (code != ERR_BUSY && code != ERR_NOT_FOUND && code != ERR_DENIED && code != ERR_INVALID &&
        code != ERR_LIMIT)
        return e;
    err_t *told = job->each(job->arg, path, 0, RESEAL_PLAIN, e);
    err_free(e);
    return told;
}

static err_t *add_one(const reencrypt_t *job, const char *path, bool mbox, uint64_t *count) {
    (void)job;
    (void)path;
    (void)mbox;
    ++*count;
    return NULL;
}

err_t *reencrypt_tree(const reencrypt_t *job, const char *path) {
    CLEANUP(mem_free) char *lock = NULL;
    TRY(file_path(path, LOCK, &lock));
    CLEANUP(fd_close) int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_errno(errno, "cannot lock %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return err_new(ERR_BUSY, "%s is being re-encrypted already", path);
    bool maildir = ends_with(path, "/cur") || ends_with(path, "/new");
    return walk(job, path, maildir, 0, convert,
                NULL); /* the lock's file stays: names mean little */
}

err_t *reencrypt_file(const reencrypt_t *job, const char *path) {
    return begins_with_from(path) ? reencrypt_mbox(job, path) : reencrypt_message(job, path);
}

err_t *reencrypt_count(const char *path, uint64_t *ret_count) {
    struct stat st;
    uint64_t count = 0;
    if (stat(path, &st) != 0) return err_errno(errno, "cannot read %s", path);
    if (!S_ISDIR(st.st_mode)) count = 1;
    else TRY(walk(NULL, path, false, 0, add_one, &count));
    *ret_count = count;
    return NULL;
}
