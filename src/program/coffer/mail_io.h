/*
 * Messages in and out of `coffer mail`: standard input to standard output, or files.
 */
#ifndef COFFER_PROGRAM_COFFER_MAIL_IO_H
#define COFFER_PROGRAM_COFFER_MAIL_IO_H

#include "program/coffer/cli.h"

/* Feeds the operand's file, or standard input for none and "-". */
err_t *mail_input(const args_t *args, err_t *(*feed)(void *arg, bytes_t data),
                  void *arg) WARN_UNUSED;
/* Writes to cli->out; arg is the cli_t. */
err_t *mail_output(void *arg, bytes_t data) WARN_UNUSED;

enum { MAIL_IO_MAX_GB = 64 };
#define MAIL_IO_MAX ((uint64_t)MAIL_IO_MAX_GB << 30) /* bytes of a message */

#endif
