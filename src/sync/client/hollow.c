/*
 * The mark of hollow files: see hollow.h.
 */
#include "sync/client/hollow.h"

#include <errno.h>
#include <stddef.h>
#include <sys/xattr.h>

static const char mark[] = "user.coffer.hollow";

err_t *sync_hollow_mark(int fd, bool *ret_done) {
    bool done = fsetxattr(fd, mark, "1", 1, 0) == 0;
    if (!done && errno != ENOTSUP && errno != EPERM)
        return err_errno(errno, "marking a hollow file");
    *ret_done = done;
    return NULL;
}

bool sync_hollow(int fd) { return fgetxattr(fd, mark, NULL, 0) >= 0; }

err_t *sync_hollow_clear(int fd) {
    if (fremovexattr(fd, mark) != 0 && errno != ENODATA)
        return err_errno(errno, "taking the mark from a hollow file");
    return NULL;
}
