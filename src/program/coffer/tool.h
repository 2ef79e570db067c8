/*
 * Running another program without a shell: its arguments as a list, its secrets through pipes that
 * nobody else sees, its output read back. For programs that hold no lasting connection.
 */
#ifndef COFFER_PROGRAM_COFFER_TOOL_H
#define COFFER_PROGRAM_COFFER_TOOL_H

#include "base/buf.h"
#include "base/err.h"

enum {
    TOOL_SECRETS = 2,       /* at most */
    TOOL_SECRET_FD = 10,    /* the first is /dev/fd/10, the next /dev/fd/11 */
    TOOL_SECRET_MAX = 8192, /* bytes of one; a pipe holds it without a reader */
    TOOL_ERRORS_MAX = 4096, /* bytes kept of what it complains about */
};

typedef struct {
    const char *const *argv; /* argv[0] a path; NULL-ended; borrowed */
    bytes_t secrets[TOOL_SECRETS];
    size_t secrets_n;
} tool_t;

/*
 * Runs it to its end with LC_ALL=C and nothing on standard input. *ret_status is its exit status;
 * the output is appended to ret_output (cut at its maximum is ERR_LIMIT). Complaints are appended
 * to ret_errors. ERR_NOT_FOUND if there is no such program; ERR_IO if a signal ended it.
 */
err_t *tool_run(const tool_t *tool, int *ret_status, buf_t *ret_output,
                buf_t *ret_errors) WARN_UNUSED;

#endif
