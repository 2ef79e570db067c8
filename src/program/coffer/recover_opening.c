/*
 * See recover_opening.h.
 */
#include "program/coffer/recover_opening.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

void recover_opening_done(recover_opening_t *opening) {
    if (opening->lock > 0) (void)close(opening->lock);
    mem_free(opening->path);
    *opening = (recover_opening_t){0};
}

static err_t *take_lock(const char *path, int *ret_fd) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return NULL;
    }
    err_t *e = errno == EWOULDBLOCK
                   ? err_new(ERR_BUSY, "%s is being opened by another program now", path)
                   : err_errno(errno, "cannot lock %s", path);
    (void)close(fd);
    return e;
}

static err_t *read_bytes(recover_opening_t *opening) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, OPENING_SIZE + 1);
    TRY(file_read_private(opening->path, &text));
    if (text.n != OPENING_SIZE)
        return err_new(ERR_INVALID, "%s has not %d bytes", opening->path, OPENING_SIZE);
    memcpy(opening->bytes, text.p, OPENING_SIZE);
    return NULL;
}

err_t *recover_opening_begin(const char *key_path, const rnd_t *rnd,
                             recover_opening_t *ret_opening) {
    recover_opening_t opening = {0};
    opening.path = mem_printf("%s.opening", key_path);
    if (!opening.path) return err_nomem();
    opening.resumed = file_exists(opening.path);
    err_t *e = take_lock(key_path, &opening.lock);
    if (!e && opening.resumed) e = read_bytes(&opening);
    if (!e && !opening.resumed) e = rnd_fill(rnd, opening.bytes, OPENING_SIZE);
    if (!e && !opening.resumed) e = file_write(opening.path, BYTES_ARRAY(opening.bytes), 0600);
    if (e) recover_opening_done(&opening);
    else *ret_opening = opening;
    return e;
}

err_t *recover_opening_drop(const recover_opening_t *opening) {
    if (unlink(opening->path) == 0 || errno == ENOENT) return NULL;
    return err_errno(errno, "cannot remove %s", opening->path);
}
