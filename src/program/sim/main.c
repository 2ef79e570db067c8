/*
 * coffer-sim: a simulated Apple device, a stand-in for Apple's push service, a load generator.
 * One subcommand a file. Single-threaded. For the demo, tests and benchmarks; outside of any
 * instance.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/secret.h"
#include "format/json.h"
#include "http/client.h"
#include "program/sim/sim.h"

static const sim_command_t *const commands[] = {
    &sim_factory, &sim_enrol, &sim_run, &sim_checkout, &sim_apns, &sim_apns_cert, &sim_load};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const char intro[] =
    "coffer-sim: a simulated Apple device that checks everything, a stand-in for Apple's push\n"
    "service, and a load generator.\n\n"
    "usage: coffer-sim COMMAND [OPTIONS]      coffer-sim COMMAND --help\n\n";
static const char outro[] =
    "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused by the server,\n"
    "5 a signature, certificate, nonce or content did not verify.\n";

static int overview(FILE *where) {
    bool ok = fputs(intro, where) >= 0;
    for (size_t i = 0; i < COMMANDS; i++)
        ok = fprintf(where, "  %-11s %s\n", commands[i]->name, commands[i]->summary) > 0 && ok;
    ok = fputs(outro, where) >= 0 && ok;
    return ok ? 0 : 1;
}

static const sim_command_t *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static err_t *start(void) {
    TRY(crypto_init());
    jso_init();
    return http_client_init();
}

int main(int argc, char **argv) {
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        (void)overview(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) return overview(stdout);
    if (strcmp(argv[1], "--version") == 0) return puts("coffer-sim " COFFER_VERSION) < 0 ? 1 : 0;
    const sim_command_t *command = find(argv[1]);
    if (!command) {
        (void)fprintf(stderr, "coffer-sim: no command %s; see coffer-sim --help\n", argv[1]);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) return fputs(command->help, stdout) < 0 ? 1 : 0;
    CLEANUP(err_free) err_t *e = start();
    if (!e) e = command->run(argc - 1, argv + 1);
    if (e) {
        char text[2048];
        (void)fprintf(stderr, "coffer-sim %s: %s\n", command->name, err_text(e, text, sizeof text));
    }
    return sim_exit_status(e);
}
