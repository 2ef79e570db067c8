/*
 * Help texts, made from the same tables that the command line is read with: see args.h.
 */
#include <stdio.h>
#include <string.h>

#include "program/coffer/args.h"

enum { NAME_WIDTH = 26 };

static err_t *add_line(const char *left, const char *right, buf_t *out) {
    if (strlen(left) > NAME_WIDTH)
        return buf_printf(out, "  %s\n  %-*s  %s\n", left, NAME_WIDTH, "", right);
    return buf_printf(out, "  %-*s  %s\n", NAME_WIDTH, left, right);
}

static err_t *add_options(const option_t *options, buf_t *out) {
    for (const option_t *o = options; o && o->name; o++) {
        char left[80];
        (void)snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        TRY(add_line(left, o->help, out));
    }
    return NULL;
}

static err_t *add_commands(const args_grammar_t *grammar, const char *group, buf_t *out) {
    for (size_t i = 0; i < grammar->commands_n; i++) {
        const command_t *c = grammar->commands[i];
        if (group[0] && strcmp(c->group, group) != 0) continue;
        char left[80];
        (void)snprintf(left, sizeof left, "%s%s%s", c->group, c->group[0] ? " " : "", c->name);
        TRY(add_line(left, c->summary, out));
    }
    return NULL;
}

err_t *args_help(const args_grammar_t *grammar, const char *group, buf_t *out) {
    TRY(buf_printf(out,
                   "usage: coffer [--dir DIR | --server URL --token-file FILE] %s%sCOMMAND ...\n",
                   group, group[0] ? " " : ""));
    if (!group[0])
        TRY(buf_add_str(out, "\nCoffer holds the keys of an organisation's devices. This program "
                             "makes an instance and\nworks with a running one.\n"));
    TRY(buf_add_str(out, "\nCommands (coffer COMMAND --help tells more, with examples):\n"));
    TRY(add_commands(grammar, group, out));
    TRY(buf_add_str(out, "\nOptions for every command:\n"));
    TRY(add_options(grammar->globals, out));
    return buf_add_str(out, "\nExit status: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by "
                            "policy,\n5 verification failed.\n");
}

err_t *args_help_command(const args_grammar_t *grammar, const command_t *c, buf_t *out) {
    const char *space = c->group[0] ? " " : "";
    bool options = c->options && c->options->name;
    TRY(buf_printf(out, "usage: coffer %s%s%s%s%s%s\n\n%s.\n", c->group, space, c->name,
                   c->operands[0] ? " " : "", c->operands, options ? " [options]" : "",
                   c->summary));
    if (c->notes) TRY(buf_printf(out, "\n%s\n", c->notes));
    if (options) {
        TRY(buf_add_str(out, "\nOptions:\n"));
        TRY(add_options(c->options, out));
    }
    TRY(buf_add_str(out, "\nOptions for every command:\n"));
    TRY(add_options(grammar->globals, out));
    if (c->examples) TRY(buf_printf(out, "\nExamples:\n%s\n", c->examples));
    return NULL;
}
