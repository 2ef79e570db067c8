/*
 * Reading the command line: see args.h. Main thread.
 */
#include "program/coffer/args.h"

#include <string.h>

#include "base/text.h"
#include "program/coffer/suggest.h"

static const option_t *find_option(const option_t *list, const char *name, size_t n) {
    for (; list && list->name; list++)
        if (strlen(list->name) == n && memcmp(list->name, name, n) == 0) return list;
    return NULL;
}

static bool is_group(const args_grammar_t *grammar, const char *word) {
    for (size_t i = 0; i < grammar->commands_n; i++)
        if (strcmp(grammar->commands[i]->group, word) == 0 && word[0]) return true;
    return false;
}

static const command_t *find_command(const args_grammar_t *grammar, const char *group,
                                     const char *name) {
    for (size_t i = 0; i < grammar->commands_n; i++) {
        const command_t *c = grammar->commands[i];
        if (strcmp(c->group, group) == 0 && strcmp(c->name, name) == 0) return c;
    }
    return NULL;
}

static err_t *unknown_command(const args_grammar_t *grammar, const char *group, const char *word) {
    suggest_t suggest;
    suggest_init(&suggest, word);
    for (size_t i = 0; i < grammar->commands_n; i++) {
        const command_t *c = grammar->commands[i];
        if (!group[0]) suggest_offer(&suggest, c->group[0] ? c->group : c->name);
        else if (strcmp(c->group, group) == 0) suggest_offer(&suggest, c->name);
    }
    const char *space = group[0] ? " " : "";
    if (suggest.best)
        return err_new(ERR_USAGE, "there is no command \"%s%s%s\": did you mean \"%s%s%s\"?", group,
                       space, word, group, space, suggest.best);
    return err_new(ERR_USAGE, "there is no command \"%s%s%s\": see coffer help%s%s", group, space,
                   word, space, group);
}

static err_t *unknown_option(const args_grammar_t *grammar, const args_t *args, const char *word) {
    size_t n = strcspn(word, "=");
    char typed[48] = "";
    if (n < sizeof typed) memcpy(typed, word, n);
    suggest_t suggest;
    suggest_init(&suggest, typed);
    for (const option_t *o = grammar->globals; o->name; o++) suggest_offer(&suggest, o->name);
    for (const option_t *o = args->command ? args->command->options : NULL; o && o->name; o++)
        suggest_offer(&suggest, o->name);
    if (suggest.best)
        return err_new(ERR_USAGE, "there is no option --%.*s here: did you mean --%s?", (int)n,
                       word, suggest.best);
    return err_new(ERR_USAGE, "there is no option --%.*s here%s", (int)n, word,
                   args->command ? ": see --help" : "; a command's options stand behind it");
}

/* One "--name", "--name=value" or "--name value". */
static err_t *take_option(const args_grammar_t *grammar, int argc, char *const *argv, int *i,
                          args_t *args) {
    const char *word = argv[*i] + 2;
    size_t n = strcspn(word, "=");
    /* A command may mean something else by a word: restore --version NUMBER. */
    const option_t *o = args->command ? find_option(args->command->options, word, n) : NULL;
    if (!o) o = find_option(grammar->globals, word, n);
    if (!o) return unknown_option(grammar, args, word);
    const char *value = word[n] == '=' ? word + n + 1 : NULL;
    if (!o->value && value) return err_new(ERR_USAGE, "--%s takes no value", o->name);
    if (o->value && !value) {
        if (*i + 1 >= argc) return err_new(ERR_USAGE, "--%s needs a value: %s", o->name, o->value);
        value = argv[++*i];
    }
    if (args->given_n == ARGS_OPTIONS_MAX)
        return err_new(ERR_USAGE, "more than %d options", ARGS_OPTIONS_MAX);
    args->given[args->given_n++] = (args_given_t){o->name, value};
    if (strcmp(o->name, "help") == 0) args->help = true;
    if (strcmp(o->name, "version") == 0 && !o->value) args->version = true;
    return NULL;
}

/* "help", "help GROUP", "help GROUP COMMAND" become the same as --help. */
static bool is_help(const args_t *args, const char *word) {
    return !args->command && !args->group[0] && !args->help && strcmp(word, "help") == 0;
}

static err_t *take_word(const args_grammar_t *grammar, const char *word, args_t *args) {
    if (args->command) {
        if (args->operands_n == args->command->max && !args->help)
            return err_new(ERR_USAGE, "\"%s\" is one too many: %s%s%s takes %s", word,
                           args->command->group, args->command->group[0] ? " " : "",
                           args->command->name,
                           args->command->max ? args->command->operands : "nothing there");
        if (args->operands_n < ARGS_OPERANDS_MAX) args->operands[args->operands_n++] = word;
        return NULL;
    }
    if (is_help(args, word)) {
        args->help = true;
        return NULL;
    }
    if (!args->group[0] && strcmp(word, "version") == 0) {
        args->version = true;
        return NULL;
    }
    if (!args->group[0] && is_group(grammar, word)) {
        args->group = word;
        return NULL;
    }
    args->command = find_command(grammar, args->group, word);
    return args->command ? NULL : unknown_command(grammar, args->group, word);
}

static err_t *check(const args_grammar_t *grammar, const args_t *args) {
    if (args->help || args->version) return NULL;
    const command_t *c = args->command;
    if (!c && args->group[0])
        return err_new(ERR_USAGE, "%s needs a command: see coffer help %s", args->group,
                       args->group);
    if (!c && grammar->none) return NULL;
    if (!c) return err_new(ERR_USAGE, "what shall be done? see coffer help");
    if (args->operands_n < c->min)
        return err_new(ERR_USAGE, "%s%s%s needs %s", c->group, c->group[0] ? " " : "", c->name,
                       c->operands);
    return NULL;
}

err_t *args_parse(const args_grammar_t *grammar, int argc, char *const *argv, args_t *ret_args) {
    args_t args = {.group = ""};
    bool options = true;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && strcmp(word, "-h") == 0) {
            args.help = true;
        } else if (options && strncmp(word, "--", 2) == 0) {
            TRY(take_option(grammar, argc, argv, &i, &args));
        } else if (options && word[0] == '-' && word[1]) {
            return err_new(ERR_USAGE, "options are written with two dashes: \"%s\"", word);
        } else {
            TRY(take_word(grammar, word, &args));
        }
    }
    TRY(check(grammar, &args));
    *ret_args = args;
    return NULL;
}

const char *args_value(const args_t *args, const char *name) {
    for (size_t i = args->given_n; i-- > 0;)
        if (strcmp(args->given[i].name, name) == 0) return args->given[i].value;
    return NULL;
}

bool args_flag(const args_t *args, const char *name) {
    for (size_t i = 0; i < args->given_n; i++)
        if (strcmp(args->given[i].name, name) == 0) return true;
    return false;
}

const char *args_each(const args_t *args, const char *name, size_t *cursor) {
    while (*cursor < args->given_n) {
        const args_given_t *given = &args->given[(*cursor)++];
        if (strcmp(given->name, name) == 0) return given->value;
    }
    return NULL;
}

err_t *args_number(const args_t *args, const char *name, long min, long max, long fallback,
                   long *ret_number) {
    const char *text = args_value(args, name);
    int64_t number = fallback;
    if (text) {
        err_t *e = text_i64(bytes_str(text), &number);
        if (e || number < min || number > max) {
            err_free(e);
            return err_new(ERR_USAGE, "--%s is a number from %ld to %ld, not \"%s\"", name, min,
                           max, text);
        }
    }
    *ret_number = (long)number;
    return NULL;
}

err_t *args_exclude(const args_t *args, const char *a, const char *b) {
    if (args_flag(args, a) && args_flag(args, b))
        return err_new(ERR_USAGE, "--%s and --%s exclude each other", a, b);
    return NULL;
}
