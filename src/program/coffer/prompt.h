/*
 * Asking a person, and secrets from files: passwords and PINs never come as arguments, which
 * others can see in the process list.
 */
#ifndef COFFER_PROGRAM_COFFER_PROMPT_H
#define COFFER_PROGRAM_COFFER_PROMPT_H

#include "program/coffer/cli.h"

/* First line of a file (which others must not be able to read), or of standard input for "-". */
err_t *prompt_secret_file(const char *path, buf_t *out) WARN_UNUSED;
/* Asks once without echo: "QUESTION WHOSE: ". ERR_DENIED without a terminal. */
err_t *prompt_password(cli_t *cli, const char *question, const char *whose, buf_t *out) WARN_UNUSED;
/* Asks twice without echo. ERR_DENIED without a terminal; ERR_USAGE if they differ. */
err_t *prompt_new_password(cli_t *cli, const char *whose, buf_t *out) WARN_UNUSED;
/* A line that may be seen, trimmed. ERR_DENIED when nobody is there to ask. */
err_t *prompt_line(cli_t *cli, const char *question, buf_t *out) WARN_UNUSED;
/*
 * Has the person type one of `names` (NULL-ended) to go on. ERR_DENIED when it was something
 * else, or when nobody is there to ask, with the advice to use `option`, which answers instead.
 */
err_t *prompt_confirm(cli_t *cli, const char *question, const char *option,
                      const char *const *names) WARN_UNUSED;

#endif
