/*
 * Spool: see spool.h. Chunks of one size, each sealed with AES-256-GCM under a counter as nonce.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/aead.h"
#include "mail/spool.h"

enum { CHUNK = 256 * 1024 };

struct spool {
    const rnd_t *rnd;
    const spool_files_t *files;
    uint64_t room; /* taken of them */
    secret_t *key;
    uint64_t max, size;
    uint64_t chunks; /* in the file */
    int fd;          /* -1: none yet */
    buf_t last;      /* the chunk in the making */
    buf_t sealed;
};

err_t *spool_files_take(const spool_files_t *files, uint64_t bytes) {
    return files && files->take_room ? files->take_room(files->arg, bytes) : NULL;
}

void spool_files_give(const spool_files_t *files, uint64_t bytes) {
    if (files && files->give_room) files->give_room(files->arg, bytes);
}

err_t *spool_new(const rnd_t *rnd, uint64_t max, const spool_files_t *files, spool_t **ret_spool) {
    spool_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    s->rnd = rnd;
    s->max = max;
    s->files = files;
    s->fd = -1;
    buf_init_secret(&s->last, CHUNK);
    buf_init(&s->sealed, CHUNK + AEAD_TAG_SIZE);
    *ret_spool = s;
    return NULL;
}

void spool_free(spool_t *s) {
    if (!s) return;
    fd_close(s->fd);
    spool_files_give(s->files, s->room);
    secret_free(s->key);
    buf_done(&s->last);
    buf_done(&s->sealed);
    mem_free(s);
}

uint64_t spool_size(const spool_t *s) { return s->size; }

/* A file without a name; where the file system can't, one whose name is gone at once. */
static err_t *open_temporary(spool_t *s) {
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir) dir = "/var/tmp";
    if (fault_io()) return err_errno(EIO, "spool in %s", dir);
    s->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char *path CLEANUP(mem_free) = NULL;
        TRY(file_path(dir, "coffer-XXXXXX", &path));
        s->fd = mkostemp(path, O_CLOEXEC);
        if (s->fd >= 0) (void)unlink(path);
    }
    if (s->fd < 0) return err_errno(errno, "no spool file can be made in %s", dir);
    return NULL;
}

static err_t *open_file(spool_t *s) {
    secret_free(STEAL(s->key)); /* of a file that couldn't be made */
    TRY(secret_random(s->rnd, AEAD_KEY_SIZE, &s->key));
    return s->files ? s->files->new_file(s->files->arg, &s->fd) : open_temporary(s);
}

static bytes_t nonce_of(uint64_t chunk, uint8_t nonce[AEAD_NONCE_SIZE]) {
    memset(nonce, 0, AEAD_NONCE_SIZE);
    for (int i = 0; i < 8; i++) nonce[AEAD_NONCE_SIZE - 1 - i] = (uint8_t)(chunk >> 8 * i);
    return bytes_make(nonce, AEAD_NONCE_SIZE);
}

/* The full chunk goes to the file. */
static err_t *flush(spool_t *s) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    if (s->fd < 0) TRY(open_file(s));
    TRY(spool_files_take(s->files, CHUNK + AEAD_TAG_SIZE));
    s->room += CHUNK + AEAD_TAG_SIZE;
    buf_clear(&s->sealed);
    TRY(aead_seal_nonce(AEAD_AES256_GCM, secret_bytes(s->key), nonce_of(s->chunks, nonce),
                        BYTES_NONE, buf_bytes(&s->last), &s->sealed));
    if (fault_io()) return err_errno(ENOSPC, "spool file");
    TRY_WRAP(file_write_fd(s->fd, buf_bytes(&s->sealed)), "spool file");
    s->chunks++;
    buf_clear(&s->last);
    return NULL;
}

err_t *spool_add(spool_t *s, bytes_t data) {
    if (data.n > s->max - s->size)
        return err_new(ERR_LIMIT, "content of more than %llu bytes", (unsigned long long)s->max);
    s->size += data.n;
    while (data.n) {
        if (s->last.n == CHUNK) TRY(flush(s));
        bytes_t part = bytes_slice(data, 0, CHUNK - s->last.n);
        TRY(buf_add(&s->last, part));
        data = bytes_from(data, part.n);
    }
    return NULL;
}

static err_t *read_chunk(spool_t *s, uint64_t chunk, buf_t *plain) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    const size_t n = CHUNK + AEAD_TAG_SIZE;
    buf_clear(&s->sealed);
    buf_clear(plain);
    TRY(buf_reserve(&s->sealed, n));
    while (s->sealed.n < n) {
        ssize_t got = pread(s->fd, s->sealed.p + s->sealed.n, n - s->sealed.n,
                            (off_t)(chunk * n + s->sealed.n));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return err_errno(got < 0 ? errno : EIO, "spool file");
        s->sealed.n += (size_t)got;
    }
    return aead_open_nonce(AEAD_AES256_GCM, secret_bytes(s->key), nonce_of(chunk, nonce),
                           BYTES_NONE, buf_bytes(&s->sealed), plain);
}

err_t *spool_read(spool_t *s, err_t *(*each)(void *arg, bytes_t data), void *arg) {
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, CHUNK);
    for (uint64_t i = 0; i < s->chunks; i++) {
        TRY_WRAP(read_chunk(s, i, &plain), "spool file");
        TRY(each(arg, buf_bytes(&plain)));
    }
    return s->last.n ? each(arg, buf_bytes(&s->last)) : NULL;
}

err_t *spool_reset(spool_t *s) {
    s->size = s->chunks = 0;
    buf_clear(&s->last);
    secret_free(STEAL(s->key));
    fd_close(s->fd); /* a new key needs a new file: no nonce comes twice */
    s->fd = -1;
    spool_files_give(s->files, s->room);
    s->room = 0;
    return NULL;
}
