/*
 * One message, or a file of many, in a new envelope: see reencrypt.h.
 */
#include "program/coffer/reencrypt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/mbox.h"
#include "mail/reader.h"
#include "program/coffer/reencrypt_internal.h"

enum { CHUNK = 64 * 1024 };

/* ---- reading ---- */

err_t *range_read(range_t range, err_t *(*each)(void *arg, bytes_t data),
                  bool (*enough)(const void *arg), void *arg) {
    uint8_t chunk[CHUNK];
    while (range.from < range.to && !(enough && enough(arg))) {
        size_t wanted = range.to - range.from < CHUNK ? (size_t)(range.to - range.from) : CHUNK;
        ssize_t n =
            fault_io() ? (errno = EIO, -1) : pread(range.fd, chunk, wanted, (off_t)range.from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot read");
        if (n == 0) return err_new(ERR_BUSY, "the file became shorter while it was read");
        TRY(each(arg, bytes_make(chunk, (size_t)n)));
        range.from += (uint64_t)n;
    }
    return NULL;
}

static err_t *feed(void *arg, bytes_t data) { return reseal_feed(arg, data); }
static bool enough(const void *arg) { return reseal_is_done(arg); }

/* What is wrong with a message, in contrast to what is wrong here. */
static bool is_its_own(const err_t *e) {
    err_code_t code = err_code(e);
    return code == ERR_NOT_FOUND || code == ERR_VERIFY || code == ERR_INVALID || code == ERR_LIMIT;
}

static err_t *feed_reader(void *arg, bytes_t data) { return mail_reader_feed(arg, data); }

/*
 * A message that isn't encrypted as a whole may hold an envelope below a signature, or among its
 * parts: that stays, and may need an old key. *ret_why then; not if the new key opens it.
 */
static err_t *look_inside(const reencrypt_t *job, range_t range, err_t **ret_why) {
    const mail_reader_handler_t handler = {.find_key = job->proof.find_key, .arg = job->proof.arg};
    const mail_reader_options_t options = {
        .rnd = job->reseal.rnd, .look = MAIL_LOOK_SKIM, .max = job->reseal.max};
    mail_reader_t *reader CLEANUP(mail_reader_free) = NULL;
    const mail_verdict_t *verdict = NULL;
    TRY(mail_reader_new(&handler, &options, &reader));
    err_t *e = range_read(range, feed_reader, NULL, reader);
    if (!e) e = mail_reader_finish(reader, &verdict);
    if (e && !is_its_own(e)) return e;
    bool below = e && err_code(e) == ERR_NOT_FOUND;
    bool among = !e && verdict->problems[MAIL_NESTED_ENVELOPE];
    err_free(e);
    if (below) *ret_why = err_new(ERR_NOT_FOUND, "signed around its envelope, which stays");
    else if (among) *ret_why = err_new(ERR_NOT_FOUND, "encrypted parts among others, which stay");
    return NULL;
}

err_t *message_open(const reencrypt_t *job, range_t range, reseal_t **ret_reseal,
                    reseal_kind_t *ret_kind, err_t **ret_why) {
    CLEANUP(reseal_free) reseal_t *r = NULL;
    reseal_kind_t kind = RESEAL_PLAIN;
    *ret_kind = kind;
    TRY(reseal_new(&job->reseal, &r));
    err_t *e = range_read(range, feed, enough, r);
    if (!e) e = reseal_finish(r, &kind);
    if (e && !is_its_own(e)) return e;
    if (!e && kind == RESEAL_PLAIN) return look_inside(job, range, ret_why);
    *ret_why = e;
    *ret_kind = e ? RESEAL_PLAIN : kind;
    if (!e && kind == RESEAL_OPENED) *ret_reseal = STEAL(r);
    return NULL;
}

err_t *message_prove(const reencrypt_t *job, range_t range, const uint8_t digest[RESEAL_DIGEST]) {
    CLEANUP(reseal_free) reseal_t *r = NULL;
    reseal_kind_t kind = RESEAL_PLAIN;
    uint8_t again[RESEAL_DIGEST] = {0};
    TRY(reseal_new(&job->proof, &r));
    TRY(range_read(range, feed, enough, r));
    TRY(reseal_finish(r, &kind));
    if (kind == RESEAL_OPENED) reseal_digest(r, again);
    if (kind == RESEAL_OPENED && memcmp(again, digest, sizeof again) == 0) return NULL;
    return err_new(ERR_INTERNAL, "the new copy does not open to the same message");
}

static err_t *tell(const reencrypt_t *job, const char *path, uint64_t offset, reseal_kind_t kind,
                   const err_t *why) {
    return job->each ? job->each(job->arg, path, offset, kind, why) : NULL;
}

/* ---- the new copy ---- */

static err_t *fail_io(int number, const char *what, const char *path) {
    return err_errno(number, "cannot %s %s", what, path);
}

err_t *copy_begin(const char *path, const struct stat *old, copy_t *copy) {
    const char *slash = strrchr(path, '/');
    copy->dir =
        slash ? mem_strndup(path, (size_t)(slash - path) + (slash == path)) : mem_strdup(".");
    if (!copy->dir) return err_nomem();
    copy->path =
        mem_printf("%s/" REENCRYPT_TEMP "%llu", copy->dir, (unsigned long long)old->st_ino);
    if (!copy->path) return err_nomem();
    (void)unlink(copy->path); /* of a run that was cut off: what it would replace is still there */
    if (fault_io()) return fail_io(EIO, "make", copy->path);
    copy->fd = open(copy->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (copy->fd < 0) return fail_io(errno, "make", copy->path);
    if (fchown(copy->fd, old->st_uid, old->st_gid) != 0 && errno != EPERM)
        return fail_io(errno, "give away", copy->path);
    return NULL;
}

err_t *copy_write(void *arg, bytes_t data) {
    copy_t *copy = arg;
    if (fault_io()) return fail_io(ENOSPC, "write", copy->path);
    TRY_WRAP(file_write_fd(copy->fd, data), "cannot write %s", copy->path);
    copy->size += data.n;
    return NULL;
}

err_t *copy_sync(copy_t *copy, const struct stat *old) {
    const struct timespec times[] = {old->st_atim, old->st_mtim};
    if (fchmod(copy->fd, old->st_mode & 07777) != 0 || futimens(copy->fd, times) != 0)
        return fail_io(errno, "set mode and time of", copy->path);
    if (fault_io() || fsync(copy->fd) != 0) return fail_io(errno ? errno : EIO, "sync", copy->path);
    return NULL;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static err_t *sync_dir(const copy_t *copy) {
    CLEANUP(fd_close) int fd = open(copy->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) return fail_io(errno, "sync", copy->dir);
    return NULL;
}

/*
 * An exchange fails where a rename would make a second message: if the mail program gave the file
 * another name meanwhile. The old copy is gone only when the new one has its name on disk.
 */
err_t *copy_replace(copy_t *copy, const char *path, const struct stat *old) {
    struct stat now;
    if (fault_io()) return fail_io(EIO, "replace", path);
    if (lstat(path, &now) != 0 || !same_file(&now, old))
        return err_new(ERR_BUSY, "%s was changed by another program: run again", path);
    int done = renameat2(AT_FDCWD, copy->path, AT_FDCWD, path, RENAME_EXCHANGE);
    if (done != 0 && (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP))
        done = rename(copy->path, path);
    if (done != 0 && errno == ENOENT)
        return err_new(ERR_BUSY, "%s was moved by another program: run again", path);
    if (done != 0) return fail_io(errno, "replace", path);
    if (lstat(copy->path, &now) == 0 && !same_file(&now, old)) { /* somebody was in between */
        (void)renameat2(AT_FDCWD, copy->path, AT_FDCWD, path, RENAME_EXCHANGE);
        return err_new(ERR_BUSY, "%s was changed by another program: run again", path);
    }
    return sync_dir(copy);
}

void copy_done(copy_t *copy) {
    if (copy->fd > 0) fd_close(copy->fd);
    if (copy->path) (void)unlink(copy->path);
    mem_free(copy->path);
    mem_free(copy->dir);
    *copy = (copy_t){0};
}

/* ---- one message ---- */

static err_t *open_file(const char *path, int *ret_fd, struct stat *ret_stat) {
    if (fault_io()) return fail_io(EIO, "open", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return fail_io(errno, "open", path);
    *ret_fd = fd;
    if (fstat(fd, ret_stat) != 0) return fail_io(errno, "read", path);
    if (!S_ISREG(ret_stat->st_mode)) return err_new(ERR_INVALID, "%s is no file", path);
    return NULL;
}

err_t *reencrypt_message(const reencrypt_t *job, const char *path) {
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(reseal_free) reseal_t *r = NULL;
    CLEANUP(err_free) err_t *why = NULL;
    copy_t copy CLEANUP(copy_done) = {0};
    uint8_t digest[RESEAL_DIGEST];
    struct stat st;
    reseal_kind_t kind;
    TRY(open_file(path, &fd, &st));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return err_new(ERR_BUSY, "%s is in use by another program", path);
    TRY(message_open(job, (range_t){fd, 0, (uint64_t)st.st_size}, &r, &kind, &why));
    if (!r || job->dry_run) return tell(job, path, 0, kind, why);
    TRY(copy_begin(path, &st, &copy));
    TRY(reseal_write(r, copy_write, &copy));
    TRY(copy_sync(&copy, &st));
    reseal_digest(r, digest);
    TRY_WRAP(message_prove(job, (range_t){copy.fd, 0, copy.size}, digest), "%s", path);
    TRY(copy_replace(&copy, path, &st));
    return tell(job, path, 0, kind, NULL);
}

/* ---- a mailbox file ---- */

typedef struct {
    uint64_t from_line, data, end; /* offsets */
} place_t;

typedef struct {
    uint64_t from, to; /* in the new file */
    uint8_t digest[RESEAL_DIGEST];
} renewed_t;

typedef struct {
    const reencrypt_t *job;
    const char *path;
    int fd;
    struct stat st;
    uint64_t at; /* while it is taken apart */
    place_t *places;
    size_t n, room;
    renewed_t *renewed;
    size_t renewed_n, renewed_room;
    copy_t copy;
    char *lock; /* the dot lock, if it is ours */
} box_t;

static void box_done(box_t *b) {
    copy_done(&b->copy);
    if (b->lock) (void)unlink(b->lock);
    fd_close(b->fd);
    mem_free(b->lock);
    mem_free(b->places);
    mem_free(b->renewed);
}
DEFINE_CLEANUP_VALUE(box_t, box_done)

/* Room for one more element. */
static err_t *grow(void *list_p, size_t n, size_t *room, size_t size) {
    if (n < *room) return NULL;
    void *at = mem_resize(*(void **)list_p, (*room ? 2 * *room : 64) * size);
    if (!at) return err_nomem();
    *(void **)list_p = at;
    *room = *room ? 2 * *room : 64;
    return NULL;
}

static err_t *on_from(void *arg, bytes_t line) {
    box_t *b = arg;
    TRY(grow(&b->places, b->n, &b->room, sizeof *b->places));
    b->places[b->n++] = (place_t){b->at, b->at + line.n, b->at + line.n};
    b->at += line.n;
    return NULL;
}

static err_t *on_data(void *arg, bytes_t data) {
    box_t *b = arg;
    b->at += data.n;
    b->places[b->n - 1].end = b->at;
    return NULL;
}

static err_t *feed_mbox(void *arg, bytes_t data) { return mbox_feed(arg, data); }

static err_t *take_apart(box_t *b) {
    const mbox_handler_t handler = {.begin = on_from, .data = on_data, .arg = b};
    CLEANUP(mbox_free) mbox_t *mbox = NULL;
    TRY(mbox_new(&handler, &mbox));
    TRY(range_read((range_t){b->fd, 0, (uint64_t)b->st.st_size}, feed_mbox, NULL, mbox));
    return mbox_finish(mbox);
}

/* A run that was killed leaves its dot lock behind; it says whose it was. */
static bool is_stale(const char *path) {
    static const char ours[] = "coffer ";
    CLEANUP(buf_done) buf_t text;
    uint64_t pid = 0;
    buf_init(&text, 64);
    err_t *e = file_read(path, &text);
    if (!e && bytes_starts(buf_bytes(&text), bytes_str(ours)))
        e = text_u64(text_trim(bytes_from(buf_bytes(&text), sizeof ours - 1)), INT32_MAX, &pid);
    err_free(e);
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static err_t *dot_lock(box_t *b) {
    char text[64];
    CLEANUP(mem_free) char *path = mem_printf("%s.lock", b->path);
    if (!path) return err_nomem();
    if (is_stale(path)) (void)unlink(path);
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_new(ERR_BUSY, "%s is locked by another program (%s)", b->path, path);
    if (fd < 0) return fail_io(errno, "lock", b->path);
    b->lock = STEAL(path);
    (void)snprintf(text, sizeof text, "coffer %ld\n", (long)getpid());
    return file_write_fd(fd, bytes_str(text));
}

/* As mail servers do: fcntl, flock and the dot lock. */
static err_t *lock(box_t *b) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(b->fd, F_SETLK, &whole) != 0 || flock(b->fd, LOCK_EX | LOCK_NB) != 0)
        return err_new(ERR_BUSY, "%s is in use by another program", b->path);
    return dot_lock(b);
}

static err_t *copy_range(box_t *b, uint64_t from, uint64_t to) {
    return range_read((range_t){b->fd, from, to}, copy_write, NULL, &b->copy);
}

static err_t *renew(box_t *b, const place_t *p, reseal_t *r) {
    TRY(grow(&b->renewed, b->renewed_n, &b->renewed_room, sizeof *b->renewed));
    renewed_t *one = &b->renewed[b->renewed_n++];
    one->from = b->copy.size;
    TRY(reseal_write(r, copy_write, &b->copy));
    one->to = b->copy.size;
    reseal_digest(r, one->digest);
    if (p->end == (uint64_t)b->st.st_size && p == &b->places[b->n - 1]) return NULL;
    return copy_write(&b->copy, BYTES_LIT("\n")); /* the empty line before the next */
}

static err_t *write_box(box_t *b) {
    for (size_t i = 0; i < b->n; i++) {
        const place_t *p = &b->places[i];
        CLEANUP(reseal_free) reseal_t *r = NULL;
        CLEANUP(err_free) err_t *why = NULL;
        reseal_kind_t kind;
        TRY(message_open(b->job, (range_t){b->fd, p->data, p->end}, &r, &kind, &why));
        TRY(tell(b->job, b->path, p->from_line, kind, why));
        if (b->job->dry_run) continue;
        TRY(copy_range(b, p->from_line, p->data));
        TRY(r ? renew(b, p, r) : copy_range(b, p->data, p->end));
    }
    return NULL;
}

static err_t *prove_box(const box_t *b) {
    for (size_t i = 0; i < b->renewed_n; i++)
        TRY_WRAP(message_prove(b->job, (range_t){b->copy.fd, b->renewed[i].from, b->renewed[i].to},
                               b->renewed[i].digest),
                 "%s", b->path);
    return NULL;
}

err_t *reencrypt_mbox(const reencrypt_t *job, const char *path) {
    box_t b CLEANUP(box_done) = {.job = job, .path = path, .fd = -1};
    CLEANUP(fd_close) int seen = -1;
    TRY(open_file(path, &seen, &b.st));
    if (fault_io()) return fail_io(EIO, "open", path);
    b.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (b.fd < 0) return fail_io(errno, "open", path);
    TRY(lock(&b));
    if (fstat(b.fd, &b.st) != 0) return fail_io(errno, "read", path);
    TRY_WRAP(take_apart(&b), "%s", path);
    if (!job->dry_run) TRY(copy_begin(path, &b.st, &b.copy));
    TRY(write_box(&b));
    if (!b.renewed_n) return NULL; /* nothing to change: the copy is thrown away */
    TRY(copy_sync(&b.copy, &b.st));
    TRY(prove_box(&b));
    return copy_replace(&b.copy, path, &b.st);
}
