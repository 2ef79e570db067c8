/*
 * coffer device mail-app: managed configuration of a device's mail program, with a token that is
 * never seen here.
 */
#include "base/mem.h"
#include "program/coffer/remote.h"
#include "program/coffer/wait.h"

enum { HOURS_MAX = 168 };

static err_t *run(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    const char *app = args_value(args, "app");
    long hours = 0;
    TRY(args_exclude(args, "lease", "no-lease"));
    TRY(args_number(args, "hours", 1, HOURS_MAX, 0, &hours));
    TRY(remote_path(&path, "/devices/%/mail-app", args->operands[0]));
    TRY(jso_object(&body));
    if (app) TRY(jso_set_str(body, "app", app));
    if (hours) TRY(jso_set_int(body, "hours", hours));
    if (args_flag(args, "lease")) TRY(jso_set_bool(body, "lease", true));
    if (args_flag(args, "no-lease")) TRY(jso_set_bool(body, "lease", false));
    const wait_command_t command = {.device = args->operands[0],
                                    .request_type = "the mail program's configuration"};
    return wait_post(cli, &command, path, body);
}

static const option_t options[] = {
    {"app", "ID", "the program's bundle identifier; without it [mailbox] app"},
    {"lease", NULL, "it may leave keys for hours while locked"},
    {"no-lease", NULL, "it may not: it gets no token, and the one before ends"},
    {"hours", "N", "how long such a key lives, 1 to 168 ([mailbox] lease_hours, 48)"},
    WAIT_OPTION,
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_MAIL_APP = {
    .group = "device",
    .name = "mail-app",
    .operands = "DEVICE",
    .summary = "Configure a device's mail program: leases, the server, a token of its own",
    .notes = "The program must be one that device management installed. It is told CofferLease,\n"
             "CofferLeaseHours, CofferServer and CofferToken, and the same as ENSEnableKeyEscrow,\n"
             "ENSKeyEscrowExpiry, ENSLinkAddress and ENSAPIToken. The token is made when the\n"
             "device fetches the command, takes the place of the one before (coffer device token\n"
             "too), and is nowhere else. With [mailbox] app each new device gets this by itself.",
    .examples = "  coffer device mail-app C39VX0SIM001 --app org.example.mail\n"
                "  coffer device mail-app C39VX0SIM001 --hours 12 --wait 60\n"
                "  coffer device mail-app C39VX0SIM001 --no-lease",
    .min = 1,
    .max = 1,
    .options = options,
    .run = run,
};
