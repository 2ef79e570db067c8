/*
 * coffer completion: a bash completion script made from the tables, so that it never lags behind.
 * packaging/completion/coffer.bash is its output.
 */
#include <string.h>

#include "program/coffer/cli.h"

enum { SCRIPT_MAX = 64 * 1024 };

static const char script_head[] =
    "# bash completion for coffer, made by: coffer completion\n"
    "_coffer() {\n"
    "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD - 1]}\"\n"
    "    local path=\"\" word skip=\"\" words=\"\"\n"
    "    local -i i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=\"${COMP_WORDS[i]}\"\n"
    "        if [[ -n $skip ]]; then skip=\"\"; continue; fi\n"
    "        case \"$word\" in\n";

static const char script_tail[] =
    "    if [[ $current == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
    "    else\n"
    "        local -a plain=()\n"
    "        for word in $words; do [[ $word == -* ]] || plain+=(\"$word\"); done\n"
    "        if ((${#plain[@]})); then\n"
    "            COMPREPLY=($(compgen -W \"${plain[*]}\" -- \"$current\"))\n"
    "        else\n"
    "            COMPREPLY=($(compgen -f -- \"$current\"))\n"
    "        fi\n"
    "    fi\n"
    "}\n"
    "complete -o filenames -F _coffer coffer\n";

static bool first_of_group(size_t i) {
    for (size_t j = 0; j < i; j++)
        if (strcmp(CLI_GRAMMAR.commands[j]->group, CLI_GRAMMAR.commands[i]->group) == 0)
            return false;
    return true;
}

static err_t *add_options(const option_t *options, buf_t *out) {
    for (const option_t *o = options; o && o->name; o++) TRY(buf_printf(out, " --%s", o->name));
    return NULL;
}

static err_t *add_value_options(const option_t *options, buf_t *out) {
    for (const option_t *o = options; o && o->name; o++)
        if (o->value) TRY(buf_printf(out, "--%s|", o->name));
    return NULL;
}

static err_t *add_words(buf_t *out) {
    TRY(buf_add_str(out, "        \"\") words=\"help version"));
    for (size_t i = 0; i < CLI_GRAMMAR.commands_n; i++) {
        const command_t *c = CLI_GRAMMAR.commands[i];
        if (!c->group[0] || first_of_group(i))
            TRY(buf_printf(out, " %s", c->group[0] ? c->group : c->name));
    }
    TRY(add_options(CLI_GRAMMAR.globals, out));
    TRY(buf_add_str(out, "\" ;;\n"));
    for (size_t i = 0; i < CLI_GRAMMAR.commands_n; i++) {
        const command_t *c = CLI_GRAMMAR.commands[i];
        if (!c->group[0] || !first_of_group(i)) continue;
        TRY(buf_printf(out, "        \" %s\") words=\"", c->group));
        for (size_t j = i; j < CLI_GRAMMAR.commands_n; j++)
            if (strcmp(CLI_GRAMMAR.commands[j]->group, c->group) == 0)
                TRY(buf_printf(out, "%s%s", j == i ? "" : " ", CLI_GRAMMAR.commands[j]->name));
        TRY(buf_add_str(out, "\" ;;\n"));
    }
    for (size_t i = 0; i < CLI_GRAMMAR.commands_n; i++) {
        const command_t *c = CLI_GRAMMAR.commands[i];
        TRY(buf_printf(out, "        \" %s%s%s\"*) words=\"", c->group, c->group[0] ? " " : "",
                       c->name));
        buf_t list;
        buf_init(&list, SCRIPT_MAX);
        err_t *e = add_options(c->options, &list);
        if (!e) e = add_options(CLI_GRAMMAR.globals, &list);
        if (!e) e = buf_add(out, bytes_from(buf_bytes(&list), 1));
        buf_done(&list);
        if (e) return e;
        TRY(buf_add_str(out, "\" ;;\n"));
    }
    return NULL;
}

static err_t *run_completion(cli_t *cli, const args_t *args) {
    CLEANUP(buf_done) buf_t out;
    (void)args;
    buf_init(&out, SCRIPT_MAX);
    TRY(buf_add_str(&out, script_head));
    TRY(buf_add_str(&out, "            "));
    TRY(add_value_options(CLI_GRAMMAR.globals, &out));
    for (size_t i = 0; i < CLI_GRAMMAR.commands_n; i++)
        TRY(add_value_options(CLI_GRAMMAR.commands[i]->options, &out));
    out.n--; /* the last bar */
    TRY(buf_add_str(&out,
                    ") skip=1 ;;\n"
                    "            -*) ;;\n"
                    "            *) path+=\" $word\" ;;\n"
                    "        esac\n"
                    "    done\n"
                    "    if [[ -n $skip || $previous == --*file || $previous == --dir ]]; then\n"
                    "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
                    "        return\n"
                    "    fi\n"
                    "    case \"$path\" in\n"));
    TRY(add_words(&out));
    TRY(buf_add_str(&out, "    esac\n"));
    TRY(buf_add_str(&out, script_tail));
    return cli_print(cli, &out);
}

const command_t CMD_COMPLETION = {
    .group = "",
    .name = "completion",
    .operands = "",
    .summary = "Print the completion script for bash",
    .examples = "  source <(coffer completion)",
    .run = run_completion,
};
