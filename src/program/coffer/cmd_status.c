/*
 * coffer status, coffer jobs: how the server is.
 */
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_status(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/status", NULL, &json));
    return output_fields(cli, json);
}

const command_t CMD_STATUS = {
    .group = "",
    .name = "status",
    .operands = "",
    .summary = "Whether the server runs, and what it counts",
    .notes = "Shows version, devices, certificates, waiting jobs, and whether the key process is "
             "sandboxed.\nIf the server cannot be reached it says how to start it (exit status 1).",
    .examples = "  coffer --dir /var/lib/coffer status\n"
                "  coffer --server https://coffer.example.org:8443 --token-file ~/.coffer-token "
                "status --json",
    .run = run_status,
};

static err_t *run_jobs(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"kind", "KIND"}, {"name", "NAME"},         {"attempts", "ATTEMPTS"},
        {"due", "DUE"},   {"given_up", "GIVEN UP"}, {"last_error", "LAST ERROR"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_list(cli, "/jobs", "jobs", &json));
    return output_list(cli, json, "jobs", columns, "No work is waiting.");
}

const command_t CMD_JOBS = {
    .group = "",
    .name = "jobs",
    .operands = "",
    .summary = "Outgoing work that waits or was given up",
    .notes = "Pushes are taken from here by coffer-courier, which repeats them until they succeed "
             "or make no sense\nany more.",
    .examples = "  coffer jobs",
    .run = run_jobs,
};
