/*
 * An anchor in a file: for devices without a TPM. Weaker, and labelled so: who copies the disk has
 * it, can put an old one back, and guesses passcodes elsewhere at the cost of Argon2id. Format in
 * docs/formats/keybag.md. On the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "keybag/anchor.h"

enum { FILE_MAX = 256, SLOTS = 2 };

typedef struct {
    anchor_t anchor;
    char *path;
    secret_t *uid;
    uint64_t count;
    secret_t *slots[SLOTS]; /* or NULL */
} in_file_t;

static void free_it(anchor_t *anchor) {
    in_file_t *a = (in_file_t *)anchor;
    for (unsigned i = 0; i < SLOTS; i++) secret_free(a->slots[i]);
    secret_free(a->uid);
    mem_free(a->path);
    mem_free(a);
}

static err_t *save(const in_file_t *a) {
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, FILE_MAX);
    TRY(buf_add(&out, BYTES_LIT("COFUIDK1")));
    TRY(buf_add(&out, secret_bytes(a->uid)));
    TRY(wire_put_u64(&out, a->count));
    for (unsigned i = 0; i < SLOTS; i++)
        TRY(wire_put_bytes(&out, a->slots[i] ? secret_bytes(a->slots[i]) : BYTES_NONE));
    return file_write(a->path, buf_bytes(&out), 0600);
}

static err_t *ready(anchor_t *anchor) {
    (void)anchor;
    return NULL;
}

static err_t *uid(anchor_t *anchor, secret_t **ret_uid) {
    return secret_copy(secret_bytes(((in_file_t *)anchor)->uid), ret_uid);
}

static err_t *count(anchor_t *anchor, uint64_t *ret_count) {
    *ret_count = ((in_file_t *)anchor)->count;
    return NULL;
}

static err_t *raise_count(anchor_t *anchor, uint64_t *ret_count) {
    in_file_t *a = (in_file_t *)anchor;
    if (a->count == UINT64_MAX) return err_new(ERR_LIMIT, "the count is at its end");
    a->count++;
    err_t *e = save(a);
    if (e) {
        a->count--;
        return e;
    }
    *ret_count = a->count;
    return NULL;
}

/* Takes over `secret`. */
static err_t *set_slot(in_file_t *a, unsigned slot, secret_t *secret) {
    secret_t *old = a->slots[slot];
    a->slots[slot] = secret;
    err_t *e = save(a);
    if (e) a->slots[slot] = old;
    secret_free(e ? secret : old);
    return e;
}

static err_t *put(anchor_t *anchor, unsigned slot, bytes_t auth, bytes_t secret) {
    secret_t *copy = NULL;
    (void)auth;
    if (slot >= SLOTS || secret.n != KEYBAG_KEY) return err_new(ERR_USAGE, "no such slot");
    TRY(secret_copy(secret, &copy));
    return set_slot((in_file_t *)anchor, slot, copy);
}

static err_t *get(anchor_t *anchor, unsigned slot, bytes_t auth, secret_t **ret_secret) {
    in_file_t *a = (in_file_t *)anchor;
    (void)auth;
    if (slot >= SLOTS || !a->slots[slot])
        return err_new(ERR_NOT_FOUND, "the device has no secret for this keybag any more");
    return secret_copy(secret_bytes(a->slots[slot]), ret_secret);
}

static err_t *drop(anchor_t *anchor, unsigned slot) {
    in_file_t *a = (in_file_t *)anchor;
    if (slot >= SLOTS) return err_new(ERR_USAGE, "no such slot");
    return a->slots[slot] ? set_slot(a, slot, NULL) : NULL;
}

static void forget(in_file_t *a) {
    for (unsigned i = 0; i < SLOTS; i++) secret_free(STEAL(a->slots[i]));
    mem_wipe(secret_data(a->uid), secret_size(a->uid));
}

/* Over the very bytes, for a name that is gone may leave its blocks behind. Best effort: what is
 * below may write elsewhere (flash, copy on write). */
static err_t *overwrite(const char *path) {
    static const uint8_t zeros[FILE_MAX];
    struct stat st;
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) return err_errno(errno, "%s", path);
    size_t n = st.st_size < FILE_MAX ? (size_t)st.st_size : FILE_MAX;
    if (pwrite(fd, zeros, n, 0) != (ssize_t)n || fsync(fd) != 0)
        return err_errno(errno, "cannot overwrite %s", path);
    return NULL;
}

static err_t *destroy(anchor_t *anchor) {
    in_file_t *a = (in_file_t *)anchor;
    forget(a);
    err_ignore(overwrite(a->path));
    return unlink(a->path) == 0 || errno == ENOENT ? NULL
                                                   : err_errno(errno, "cannot remove %s", a->path);
}

static const anchor_ops_t ops = {KEYBAG_DISK, ready, uid,  count,   raise_count,
                                 put,         get,   drop, destroy, free_it};

static err_t *make(const char *path, in_file_t **ret_anchor) {
    CLEANUP(anchor_free) anchor_t *anchor = NULL;
    in_file_t *a = mem_zalloc(sizeof *a);
    if (!a) return err_nomem();
    a->anchor.ops = &ops;
    anchor = &a->anchor;
    a->path = mem_strdup(path);
    if (!a->path) return err_nomem();
    *ret_anchor = (in_file_t *)STEAL(anchor);
    return NULL;
}

err_t *anchor_file_create(const char *path, const rnd_t *rnd, anchor_t **ret_anchor) {
    in_file_t *a = NULL;
    if (file_exists(path)) return err_new(ERR_EXISTS, "%s is there already", path);
    TRY(make(path, &a));
    CLEANUP(anchor_free) anchor_t *anchor = &a->anchor;
    TRY(secret_random(rnd, KEYBAG_KEY, &a->uid));
    a->count = 1;
    TRY(save(a));
    *ret_anchor = STEAL(anchor);
    return NULL;
}

static err_t *parse(in_file_t *a, bytes_t data) {
    bytes_t magic, raw;
    wire_reader_t r = wire_reader(data);
    TRY(wire_get_raw(&r, 8, &magic));
    if (!bytes_eq_str(magic, "COFUIDK1")) return err_new(ERR_INVALID, "not a device's key file");
    TRY(wire_get_raw(&r, KEYBAG_KEY, &raw));
    TRY(secret_copy(raw, &a->uid));
    TRY(wire_get_u64(&r, &a->count));
    for (unsigned i = 0; i < SLOTS; i++) {
        TRY(wire_get_bytes(&r, KEYBAG_KEY, &raw));
        if (raw.n && raw.n != KEYBAG_KEY) return err_new(ERR_INVALID, "a slot of %zu bytes", raw.n);
        if (raw.n) TRY(secret_copy(raw, &a->slots[i]));
    }
    return wire_done(&r);
}

err_t *anchor_file_open(const char *path, anchor_t **ret_anchor) {
    CLEANUP(buf_done) buf_t data;
    in_file_t *a = NULL;
    buf_init_secret(&data, FILE_MAX);
    TRY(make(path, &a));
    CLEANUP(anchor_free) anchor_t *anchor = &a->anchor;
    TRY(file_read_private(path, &data));
    TRY_WRAP(parse(a, buf_bytes(&data)), "%s", path);
    *ret_anchor = STEAL(anchor);
    return NULL;
}
