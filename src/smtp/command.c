/*
 * Command lines: see command.h.
 */
#include "smtp/command.h"

#include "base/text.h"
#include "smtp/address.h"

static smtp_verb_t verb_of(bytes_t word) {
    static const char *const names[] = {"HELO", "EHLO", "LHLO",     "MAIL",    "RCPT",
                                        "DATA", "RSET", "VRFY",     "EXPN",    "HELP",
                                        "NOOP", "QUIT", "STARTTLS", "XFORWARD"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (text_eq_fold(word, bytes_str(names[i]))) return (smtp_verb_t)i;
    return SMTP_UNKNOWN;
}

static bool keyword_valid(bytes_t name) {
    if (name.n == 0) return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c == '-' && i > 0);
        if (!good) return false;
    }
    return true;
}

/* RFC 5321 section 4.1.2: esmtp-param = keyword ["=" value] */
static err_t *take_parameters(bytes_t rest, smtp_command_t *command) {
    while (rest.n) {
        bytes_t word = BYTES_NONE;
        if (!text_split(&rest, ' ', &word)) break;
        if (word.n == 0) continue;
        if (command->parameters_n == LIMIT_SMTP_PARAMETERS)
            return err_new(ERR_INVALID, "too many parameters");
        smtp_parameter_t *p = &command->parameters[command->parameters_n];
        size_t equals = bytes_find(word, '=');
        *p = (smtp_parameter_t){.name = bytes_slice(word, 0, equals),
                                .value = bytes_from(word, equals + 1),
                                .has_value = equals != word.n};
        if (!keyword_valid(p->name) || (p->has_value && p->value.n == 0))
            return err_new(ERR_INVALID, "malformed parameter");
        for (size_t i = 0; i < command->parameters_n; i++)
            if (text_eq_fold(command->parameters[i].name, p->name))
                return err_new(ERR_INVALID, "a parameter stands twice");
        command->parameters_n++;
    }
    return NULL;
}

static err_t *take_path(bytes_t word, smtp_command_t *command) {
    bytes_t rest = command->argument;
    if (!text_eq_fold(bytes_slice(rest, 0, word.n), word))
        return err_new(ERR_INVALID, "write %.*s<address>", (int)word.n, (const char *)word.p);
    rest = bytes_from(rest, word.n);
    TRY(smtp_path_take(&rest, &command->address));
    if (rest.n && rest.p[0] != ' ') return err_new(ERR_INVALID, "no blank behind the address");
    return take_parameters(rest, command);
}

err_t *smtp_command_parse(bytes_t line, smtp_command_t *command) {
    size_t blank = bytes_find(line, ' ');
    *command = (smtp_command_t){.verb = verb_of(bytes_slice(line, 0, blank)),
                                .argument = text_trim(bytes_from(line, blank))};
    if (command->verb == SMTP_MAIL) return take_path(BYTES_LIT("FROM:"), command);
    if (command->verb == SMTP_RCPT) return take_path(BYTES_LIT("TO:"), command);
    if (command->verb == SMTP_XFORWARD) return take_parameters(command->argument, command);
    return NULL;
}
