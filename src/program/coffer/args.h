/*
 * The command line as data: what a command takes, and what was given. Global options stand
 * anywhere, a command's own ones behind it; "--" ends the options. Pure.
 */
#ifndef COFFER_PROGRAM_COFFER_ARGS_H
#define COFFER_PROGRAM_COFFER_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

typedef struct cli cli_t;
typedef struct args args_t;

typedef struct {
    const char *name;  /* without the dashes; NULL ends a list */
    const char *value; /* what the value is called in the help; NULL: the option takes none */
    const char *help;
} option_t;

typedef struct {
    const char *group;       /* "device", or "" for a command of one word */
    const char *name;        /* "lock" */
    const char *operands;    /* "DEVICE [UUID]" for the help */
    const char *summary;     /* a line, without a full stop */
    const char *notes;       /* more of the help, or NULL */
    const char *examples;    /* lines, or NULL */
    size_t min, max;         /* operands */
    const option_t *options; /* or NULL */
    err_t *(*run)(cli_t *cli, const args_t *args);
} command_t;

enum { ARGS_OPTIONS_MAX = 128, ARGS_OPERANDS_MAX = 32 };

typedef struct {
    const char *name; /* the option_t's */
    const char *value;
} args_given_t;

/* All borrowed from argv and the tables. */
struct args {
    const command_t *command; /* NULL: none was named */
    const char *group;        /* of `help` for a whole group, or "" */
    bool help, version;
    args_given_t given[ARGS_OPTIONS_MAX];
    size_t given_n;
    const char *operands[ARGS_OPERANDS_MAX];
    size_t operands_n;
};

typedef struct {
    const command_t *const *commands;
    size_t commands_n;
    const option_t *globals;
    bool none; /* no command is fine, too */
} args_grammar_t;

/* argv[0] is the program. ERR_USAGE says what is wrong and what was probably meant. */
err_t *args_parse(const args_grammar_t *grammar, int argc, char *const *argv,
                  args_t *ret_args) WARN_UNUSED;

/* The last value given for an option, or NULL. */
const char *args_value(const args_t *args, const char *name);
bool args_flag(const args_t *args, const char *name);
/* Each value of a repeated option: begin with *cursor = 0; NULL at the end. */
const char *args_each(const args_t *args, const char *name, size_t *cursor);
/* A decimal option in a range, or the fallback. ERR_USAGE names the option. */
err_t *args_number(const args_t *args, const char *name, long min, long max, long fallback,
                   long *ret_number) WARN_UNUSED;
/* ERR_USAGE if both were given. */
err_t *args_exclude(const args_t *args, const char *a, const char *b) WARN_UNUSED;

/* Help texts, appended to out. */
err_t *args_help(const args_grammar_t *grammar, const char *group, buf_t *out) WARN_UNUSED;
err_t *args_help_command(const args_grammar_t *grammar, const command_t *command,
                         buf_t *out) WARN_UNUSED;

#endif
