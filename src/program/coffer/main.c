/*
 * coffer: the command line for admins and auditors. Makes an instance (init), works with a
 * running one through its JSON API, and checks audit exports without any server. Holds the
 * user's API token. One thread (and the store's writer during init).
 */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "ipc/sandbox.h"
#include "program/coffer/cli.h"
#include "program/coffer/remote.h"
#include "program/coffer/table.h"

enum { TEXT_MAX = 64 * 1024, HELP_MAX = 256 * 1024 };

static err_t *help(cli_t *cli) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, HELP_MAX);
    if (cli->args->command) TRY(args_help_command(&CLI_GRAMMAR, cli->args->command, &text));
    else TRY(args_help(&CLI_GRAMMAR, cli->args->group, &text));
    return cli_print(cli, &text);
}

static err_t *run_command(cli_t *cli) {
    TRY(crypto_init());
    jso_init();
    return cli->args->command->run(cli, cli->args);
}

static err_t *run(cli_t *cli) {
    err_t *e = NULL;
    if (cli->args->version) (void)fputs("coffer " COFFER_VERSION "\n", cli->out);
    else if (cli->args->help) e = help(cli);
    else e = run_command(cli);
    if (!e && (fflush(cli->out) != 0 || ferror(cli->out)))
        e = err_new(ERR_IO, "cannot write to standard output");
    return e;
}

/* As asked for by a command line that could not be read. */
static bool wants_json(int argc, char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0) return true;
    return false;
}

/* {"error": {"code", "message"}} like the API's, for programs. */
static err_t *print_json_error(const err_t *e, const char *text) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t out;
    json_t *error = NULL;
    buf_init(&out, TEXT_MAX * 8);
    TRY(jso_object(&json));
    TRY(jso_set_object(json, "error", &error));
    TRY(jso_set_str(error, "code", err_code_name(err_code(e))));
    TRY(jso_set_str(error, "message", text));
    TRY(jso_write(json, false, &out));
    (void)fprintf(stderr, "%.*s\n", (int)out.n, (const char *)out.p);
    return NULL;
}

static void print_error(const err_t *e, bool json) {
    char text[TEXT_MAX];
    (void)err_text(e, text, sizeof text);
    if (json) {
        err_t *failed = print_json_error(e, text);
        if (!failed) return;
        err_free(failed);
    }
    CLEANUP(buf_done) buf_t shown; /* a server's text must not steer the terminal */
    buf_init(&shown, CLI_OUTPUT_MAX);
    err_t *failed = table_escape(bytes_str(text), &shown);
    (void)fprintf(stderr, "coffer: %.*s\n", (int)shown.n, (const char *)shown.p);
    err_free(failed);
}

int main(int argc, char **argv) {
    args_t args = {.group = ""};
    err_t *e = sandbox_close_memory(); /* officers' keys and recovered secrets pass through here */
    (void)setlocale(LC_TIME, "C");
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(077);
    tzset();
    if (!e) e = args_parse(&CLI_GRAMMAR, argc, argv, &args);
    cli_t cli = {.args = &args, .clk = clk_real(), .rnd = rnd_real(), .out = stdout, .err = stderr};
    cli.json = e ? wants_json(argc, argv) : args_flag(&args, "json");
    cli.terminal = isatty(STDOUT_FILENO) == 1;
    cli.interactive = isatty(STDIN_FILENO) == 1;
    if (!e) e = run(&cli);
    int status = e ? cli_exit_status(e) : cli.status;
    if (e) print_error(e, cli.json);
    err_free(e);
    remote_free(cli.remote);
    return status;
}
