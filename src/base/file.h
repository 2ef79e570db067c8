/*
 * Whole small files, durably. For keys, configuration, sockets' directories.
 */
#ifndef COFFER_BASE_FILE_H
#define COFFER_BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Appends the whole file to out; ERR_LIMIT when it exceeds what out may hold. */
err_t *file_read(const char *path, buf_t *out) WARN_UNUSED;
/* The same from an open descriptor until its end (standard input, a pipe). */
err_t *file_read_fd(int fd, buf_t *out) WARN_UNUSED;
/*
 * Replaces the file: temporary file beside it, fsync, rename, fsync of the directory. After a
 * crash either the old or the new content is there, whole.
 */
err_t *file_write(const char *path, bytes_t data, mode_t mode) WARN_UNUSED;
/* Writes all of data; handles short writes and EINTR. */
err_t *file_write_fd(int fd, bytes_t data) WARN_UNUSED;
/* Makes one directory; existing is fine if it is a directory (its mode is left alone). */
err_t *file_mkdir(const char *path, mode_t mode) WARN_UNUSED;
bool file_exists(const char *path);
/* "directory/name" as a new string (mem_free). */
err_t *file_path(const char *directory, const char *name, char **ret_path) WARN_UNUSED;
/* The whole of a file that others must not be able to read; else ERR_DENIED. */
err_t *file_read_private(const char *path, buf_t *out) WARN_UNUSED;
/* First line of a secret file, without its line end; refuses a file others may read. */
err_t *file_read_secret(const char *path, buf_t *out) WARN_UNUSED;

void fd_close(int fd); /* takes -1 */
static inline void fd_close_p(int *fd) { fd_close(*fd); }

#endif
