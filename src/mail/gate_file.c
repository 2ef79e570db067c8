/*
 * Spooled messages read by offset, and new ones written through a buffer. Any thread; a file has
 * one.
 */
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "mail/gate_internal.h"

enum { CHUNK = 64 * 1024 };

err_t *gate_file_read(int fd, uint64_t from, uint64_t to, gate_each_t each, void *arg) {
    CLEANUP(mem_free) uint8_t *chunk = mem_alloc(CHUNK);
    if (!chunk) return err_nomem();
    while (from < to) {
        size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        ssize_t n = pread(fd, chunk, want, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot read the spooled message");
        if (n == 0) return err_new(ERR_IO, "the spooled message is shorter than it was");
        TRY(each(arg, bytes_make(chunk, (size_t)n)));
        from += (uint64_t)n;
    }
    return NULL;
}

err_t *gate_file_begin(const gate_job_t *job, gate_file_t *ret_file) {
    gate_file_t file = {.fd = -1, .files = &job->files};
    buf_init_secret(&file.buffer, CHUNK);
    TRY(job->files.new_file(job->files.arg, &file.fd));
    *ret_file = file;
    return NULL;
}

static err_t *put(gate_file_t *file, bytes_t data) {
    TRY(spool_files_take(file->files, data.n));
    file->room += data.n;
    while (data.n) {
        ssize_t n = pwrite(file->fd, data.p, data.n, (off_t)file->size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot write the outgoing message");
        file->size += (uint64_t)n;
        data = bytes_from(data, (size_t)n);
    }
    return NULL;
}

static err_t *flush(gate_file_t *file) {
    TRY(put(file, buf_bytes(&file->buffer)));
    buf_clear(&file->buffer);
    return NULL;
}

static err_t *end_line(gate_file_t *file) {
    if (!file->cr) return NULL;
    file->cr = false;
    return gate_file_add(file, BYTES_LIT("\n"));
}

err_t *gate_file_flush(gate_file_t *file) {
    TRY(end_line(file));
    return flush(file);
}

static bool has_8bit(bytes_t data) {
    uint8_t all = 0;
    for (size_t i = 0; i < data.n; i++) all |= data.p[i];
    return (all & 0x80) != 0;
}

err_t *gate_file_add(void *arg, bytes_t data) {
    gate_file_t *file = arg;
    file->eightbit = file->eightbit || has_8bit(data);
    if (data.n >= CHUNK - file->buffer.n) TRY(flush(file));
    return data.n >= CHUNK ? put(file, data) : buf_add(&file->buffer, data);
}

err_t *gate_file_add_lines(void *arg, bytes_t data) {
    gate_file_t *file = arg;
    while (data.n) {
        size_t n = 0;
        if (data.p[0] != '\n') TRY(end_line(file));
        while (n < data.n && data.p[n] != '\r' && data.p[n] != '\n' && data.p[n]) n++;
        if (n) TRY(gate_file_add(file, bytes_make(data.p, n)));
        data = bytes_from(data, n);
        if (!data.n) break;
        if (data.p[0] == '\n' && !file->cr) TRY(gate_file_add(file, BYTES_LIT("\r\n")));
        else if (data.p[0] == '\n') TRY(end_line(file));
        else if (data.p[0] == '\r') TRY(gate_file_add(file, BYTES_LIT("\r")));
        file->cr = data.p[0] == '\r';
        data = bytes_from(data, 1);
    }
    return NULL;
}

err_t *gate_file_end(gate_file_t *file, gate_job_t *job, gate_mail_t *mail) {
    TRY(gate_file_flush(file));
    mail->fd = file->fd;
    mail->size = file->size;
    mail->same = false;
    mail->smtputf8 = job->env->smtputf8;
    mail->eightbit = file->eightbit;
    file->fd = -1;
    file->room = 0; /* the mail's now, by its size */
    gate_file_done(file);
    return NULL;
}

void gate_file_done(gate_file_t *file) {
    fd_close(file->fd);
    spool_files_give(file->files, file->room);
    buf_done(&file->buffer);
    *file = (gate_file_t){.fd = -1};
}
