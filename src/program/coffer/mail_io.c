/*
 * Messages in and out: see mail_io.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "program/coffer/mail_io.h"

enum { CHUNK = 256 * 1024 };

err_t *mail_input(const args_t *args, err_t *(*feed)(void *arg, bytes_t data), void *arg) {
    uint8_t chunk[CHUNK];
    const char *path = args->operands_n ? args->operands[0] : "-";
    CLEANUP(fd_close) int opened = -1;
    int fd = STDIN_FILENO;
    if (strcmp(path, "-") != 0) {
        fd = opened = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return err_errno(errno, "cannot open %s", path);
    }
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot read the message");
        if (n == 0) return NULL;
        TRY(feed(arg, bytes_make(chunk, (size_t)n)));
    }
}

err_t *mail_output(void *arg, bytes_t data) {
    cli_t *cli = arg;
    if (data.n && fwrite(data.p, 1, data.n, cli->out) != data.n)
        return err_errno(errno, "cannot write to standard output");
    return NULL;
}
