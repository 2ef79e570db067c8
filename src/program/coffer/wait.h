/*
 * Queueing a command for a device and, if asked, waiting for what the device answers.
 */
#ifndef COFFER_PROGRAM_COFFER_WAIT_H
#define COFFER_PROGRAM_COFFER_WAIT_H

#include "program/coffer/cli.h"

enum { WAIT_MAX_S = 24 * 3600 };

/* The option every queueing command has. */
#define WAIT_OPTION                                                                                \
    { "wait", "SECONDS", "wait for the device's answer and show it" }

typedef struct {
    const char *device;       /* as the person named it */
    const char *request_type; /* Apple's */
    json_t *parameters;       /* borrowed, or NULL */
    bool dry_run;
} wait_command_t;

/*
 * Queues, then shows the queued command, or with --wait the result. ERR_TIMEOUT when the device
 * did not answer in time (the command stays queued), ERR_IO when it answered with an error.
 */
err_t *wait_queue(cli_t *cli, const wait_command_t *command) WARN_UNUSED;
/* The same where another path than the device's commands queues it: POST path with body. */
err_t *wait_post(cli_t *cli, const wait_command_t *command, const char *path,
                 const json_t *body) WARN_UNUSED;
/* Shows a command as GET .../commands/UUID answered it. */
err_t *wait_show(cli_t *cli, const json_t *command) WARN_UNUSED;

/* Whether a command in this state is finished. */
bool wait_is_final(const char *state);

#endif
