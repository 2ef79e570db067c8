/*
 * Messages in and out of `coffer mail`: standard input to standard output, or files.
 */
#ifndef COFFER_PROGRAM_COFFER_MAIL_IO_H
#define COFFER_PROGRAM_COFFER_MAIL_IO_H

#include <sys/stat.h>

#include "program/coffer/cli.h"

/* Feeds the operand's file, or standard input for none and "-". */
err_t *mail_input(const args_t *args, err_t *(*feed)(void *arg, bytes_t data),
                  void *arg) WARN_UNUSED;
/*
 * The same for who reads twice: a regular file can be, and then nothing has to be kept of it
 * meanwhile. Reading it again fails (ERR_IO) if it isn't the same any more.
 */
typedef struct {
    int fd;
    bool opened; /* by us */
    bool twice;  /* mail_input_read may be called again */
    bool begun;
    off_t start; /* where it stood */
    struct stat st;
} mail_input_t;
err_t *mail_input_open(const args_t *args, mail_input_t *ret_input) WARN_UNUSED;
err_t *mail_input_read(void *input, err_t *(*each)(void *arg, bytes_t data), void *arg) WARN_UNUSED;
void mail_input_done(mail_input_t *input);
DEFINE_CLEANUP_VALUE(mail_input_t, mail_input_done)
/* Writes to cli->out; arg is the cli_t. */
err_t *mail_output(void *arg, bytes_t data) WARN_UNUSED;

enum { MAIL_IO_MAX_GB = 64 };
#define MAIL_IO_MAX ((uint64_t)MAIL_IO_MAX_GB << 30) /* bytes of a message */

#endif
