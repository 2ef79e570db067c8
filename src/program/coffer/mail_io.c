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

err_t *mail_input_open(const args_t *args, mail_input_t *ret_input) {
    const char *path = args->operands_n ? args->operands[0] : "-";
    mail_input_t in = {.fd = STDIN_FILENO};
    if (strcmp(path, "-") != 0) {
        in.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (in.fd < 0) return err_errno(errno, "cannot open %s", path);
        in.opened = true;
    }
    in.start = lseek(in.fd, 0, SEEK_CUR);
    in.twice = in.start >= 0 && fstat(in.fd, &in.st) == 0 && S_ISREG(in.st.st_mode);
    *ret_input = in;
    return NULL;
}

void mail_input_done(mail_input_t *in) {
    if (in->opened) fd_close(in->fd);
}

static bool is_same(const mail_input_t *in) {
    struct stat now;
    if (fstat(in->fd, &now) != 0) return false;
    const struct timespec *a = &in->st.st_mtim, *b = &now.st_mtim;
    return now.st_size == in->st.st_size && a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

err_t *mail_input_read(void *input, err_t *(*each)(void *arg, bytes_t data), void *arg) {
    mail_input_t *in = input;
    uint8_t chunk[CHUNK];
    bool again = in->begun;
    if (again && lseek(in->fd, in->start, SEEK_SET) != in->start)
        return err_errno(errno, "cannot read the message again");
    in->begun = true;
    for (;;) {
        ssize_t n = read(in->fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot read the message");
        if (n == 0) break;
        TRY(each(arg, bytes_make(chunk, (size_t)n)));
    }
    if (again && !is_same(in)) return err_new(ERR_IO, "the message changed while it was read");
    return NULL;
}

err_t *mail_input(const args_t *args, err_t *(*feed)(void *arg, bytes_t data), void *arg) {
    mail_input_t in CLEANUP(mail_input_done) = {.fd = -1};
    TRY(mail_input_open(args, &in));
    return mail_input_read(&in, feed, arg);
}

err_t *mail_output(void *arg, bytes_t data) {
    cli_t *cli = arg;
    if (data.n && fwrite(data.p, 1, data.n, cli->out) != data.n)
        return err_errno(errno, "cannot write to standard output");
    return NULL;
}
