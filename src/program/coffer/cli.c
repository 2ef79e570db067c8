/*
 * What the subcommands share: exit status and printing. See cli.h.
 */
#include "program/coffer/cli.h"

#include <stdlib.h>
#include <string.h>

#include "program/coffer/table.h"

int cli_exit_status(const err_t *e) {
    if (!e) return CLI_DONE;
    switch (err_code(e)) {
    case ERR_USAGE:
    case ERR_INVALID: return CLI_USAGE;
    case ERR_NOT_FOUND: return CLI_NOT_FOUND;
    case ERR_AUTH:
    case ERR_DENIED:
    case ERR_BUSY: return CLI_REFUSED;
    case ERR_VERIFY: return CLI_VERIFY;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_LIMIT:
    case ERR_EXISTS:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: return CLI_FAILED;
    }
    return CLI_FAILED;
}

err_t *cli_print(cli_t *cli, const buf_t *text) {
    if (text->n && fwrite(text->p, 1, text->n, cli->out) != text->n)
        return err_new(ERR_IO, "cannot write to standard output");
    return NULL;
}

/* Lines and tabs are ours; all else that is not shown as it is comes from names and messages. */
static err_t *escape_lines(bytes_t text, buf_t *out) {
    while (text.n) {
        size_t n = 0;
        while (n < text.n && text.p[n] != '\n' && text.p[n] != '\t') n++;
        TRY(table_escape(bytes_slice(text, 0, n), out));
        if (n < text.n) TRY(buf_add_byte(out, text.p[n]));
        text = bytes_from(text, n + 1);
    }
    return NULL;
}

err_t *cli_say_list(FILE *to, const char *format, va_list list) {
    CLEANUP(buf_done) buf_t shown;
    char *text = NULL;
    buf_init(&shown, CLI_OUTPUT_MAX);
    int n = vasprintf(&text, format, list); /* house-rules: allow allocation: freed below */
    if (n < 0) return err_nomem();
    err_t *e = escape_lines(bytes_make(text, (size_t)n), &shown);
    free(text); /* house-rules: allow allocation: it is vasprintf's */
    if (!e && shown.n && fwrite(shown.p, 1, shown.n, to) != shown.n)
        e = err_new(ERR_IO, "cannot write to standard output");
    return e;
}

err_t *cli_say(cli_t *cli, const char *format, ...) {
    if (cli->json) return NULL;
    va_list list;
    va_start(list, format);
    err_t *e = cli_say_list(cli->out, format, list);
    va_end(list);
    return e;
}

void cli_warn(cli_t *cli, const char *format, ...) {
    va_list list;
    va_start(list, format);
    err_t *e = cli_say_list(cli->err, format, list);
    va_end(list);
    err_free(e);
    (void)fflush(cli->err);
}

/* POSIX shells, section 2.2.2: within single quotes all but the quote itself stands for itself. */
err_t *cli_quote(const char *word, char **ret_quoted) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "@%+=:,./_-";
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, CLI_OUTPUT_MAX);
    bool bare = word[0] != '\0' && strspn(word, plain) == strlen(word);
    if (!bare) TRY(buf_add_byte(&out, '\''));
    for (const char *p = word; *p; p++) {
        if (*p == '\'') TRY(buf_add_str(&out, "'\\''"));
        else TRY(buf_add_byte(&out, (uint8_t)*p));
    }
    if (!bare) TRY(buf_add_byte(&out, '\''));
    return buf_steal_str(&out, ret_quoted);
}

const char *cli_dir(const cli_t *cli) {
    const char *dir = args_value(cli->args, "dir");
    if (!dir) dir = getenv("COFFER_DIR");
    return dir && dir[0] ? dir : NULL;
}
