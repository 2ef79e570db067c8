/*
 * Terminal input: see prompt.h. Main thread.
 */
#include "program/coffer/prompt.h"

#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"

enum { ANSWER_MAX = 4 * 1024 };

err_t *prompt_secret_file(const char *path, buf_t *out) {
    if (strcmp(path, "-") != 0) return file_read_secret(path, out);
    size_t before = out->n;
    TRY(file_read_fd(STDIN_FILENO, out));
    bytes_t line = bytes_from(buf_bytes(out), before);
    size_t end = bytes_find(line, '\n');
    if (end && end <= line.n && line.p[end - 1] == '\r') end--;
    out->n = before + end;
    return NULL;
}

/* One line from the terminal, byte by byte, so that nothing of it stays in a stdio buffer. */
static err_t *read_line(buf_t *out) {
    for (;;) {
        uint8_t byte = 0;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "cannot read your answer");
        if (n == 0 || byte == '\n') return NULL;
        TRY(buf_add_byte(out, byte));
    }
}

static err_t *ask_hidden(cli_t *cli, const char *question, const char *whose, buf_t *out) {
    struct termios shown, hidden;
    if (tcgetattr(STDIN_FILENO, &shown) != 0)
        return err_errno(errno, "cannot switch the terminal's echo off");
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)fprintf(cli->err, "%s %s: ", question, whose);
    (void)fflush(cli->err);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
        return err_errno(errno, "cannot switch the terminal's echo off");
    err_t *e = read_line(out);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    (void)fputc('\n', cli->err);
    return e;
}

err_t *prompt_password(cli_t *cli, const char *question, const char *whose, buf_t *out) {
    if (!cli->interactive)
        return err_new(ERR_DENIED, "nobody is there to ask: give it in a file (0600), or - for "
                                   "standard input");
    return ask_hidden(cli, question, whose, out);
}

err_t *prompt_new_password(cli_t *cli, const char *whose, buf_t *out) {
    CLEANUP(buf_done) buf_t first;
    CLEANUP(buf_done) buf_t second;
    buf_init_secret(&first, LIMIT_PASSWORD_MAX);
    buf_init_secret(&second, LIMIT_PASSWORD_MAX);
    if (!cli->interactive)
        return err_new(ERR_DENIED, "nobody is there to ask for a password: use --password-file");
    TRY(ask_hidden(cli, "New password of", whose, &first));
    TRY(ask_hidden(cli, "Once more, the password of", whose, &second));
    if (!bytes_eq_ct(buf_bytes(&first), buf_bytes(&second)))
        return err_new(ERR_USAGE, "the two passwords differ");
    return buf_add(out, buf_bytes(&first));
}

err_t *prompt_line(cli_t *cli, const char *question, buf_t *out) {
    CLEANUP(buf_done) buf_t answer;
    buf_init(&answer, ANSWER_MAX);
    if (!cli->interactive) return err_new(ERR_DENIED, "nobody is there to ask");
    (void)fprintf(cli->err, "%s", question);
    (void)fflush(cli->err);
    TRY(read_line(&answer));
    return buf_add(out, text_trim(buf_bytes(&answer)));
}

err_t *prompt_confirm(cli_t *cli, const char *question, const char *option,
                      const char *const *names) {
    CLEANUP(buf_done) buf_t answer;
    buf_init(&answer, ANSWER_MAX);
    if (!cli->interactive)
        return err_new(ERR_DENIED, "not confirmed: nobody is there to ask. Say %s if you are sure",
                       option);
    (void)fprintf(cli->err, "%s", question);
    (void)fflush(cli->err);
    TRY(read_line(&answer));
    bytes_t typed = text_trim(buf_bytes(&answer));
    for (; *names; names++)
        if (typed.n && bytes_eq_str(typed, *names)) return NULL;
    return err_new(ERR_DENIED, "not confirmed: nothing was done. %s does not ask", option);
}
