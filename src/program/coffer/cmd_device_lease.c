/*
 * coffer device leases, token: the keys that a device left with the keeper for hours, and what its
 * own programs show to get them back. The keys are never here.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { TOKEN_TEXT_MAX = 256 };

static err_t *end_lease(cli_t *cli, const char *device, const char *account) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%/leases/%", device, account));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Lease %s of %s has ended; its key is gone.", account, device);
}

static err_t *reset_leases(cli_t *cli, const char *device) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%/leases", device));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL,
                       "All leases of %s have ended. The next one that it puts registers its push "
                       "key anew.",
                       device);
}

static err_t *run_leases(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"account", "ACCOUNT"}, {"state", "STATE"},       {"epoch", "EPOCH"},
        {"expires", "EXPIRES"}, {"releases", "RELEASES"}, {"released", "LAST RELEASE"},
        {NULL, NULL},
    };
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *account = args_value(args, "end");
    if (args_flag(args, "reset"))
        return account ? err_new(ERR_USAGE, "--reset ends all leases: leave --end out")
                       : reset_leases(cli, args->operands[0]);
    if (account) return end_lease(cli, args->operands[0], account);
    TRY(remote_path(&path, "/devices/%/leases", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_list(cli, json, "leases", columns, "This device has no leases.");
}

static const option_t leases_options[] = {
    {"end", "ACCOUNT", "end this one: its key is deleted, the device puts a new one when it can"},
    {"reset", NULL, "end all, and let the device register another push key"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_LEASES = {
    .group = "device",
    .name = "leases",
    .operands = "DEVICE",
    .summary = "List the keys that a device left for a few hours, or end them",
    .notes =
        "A mail program leaves the key of its database when it locks, and is given it back for\n"
        "an event, sealed to the device. RELEASES counts since the last unlock. All leases\n"
        "end when a device is lost, erased or released. --reset helps a device whose token "
        "somebody\n"
        "else used, or that has another push key and can't show its identity certificate: make it "
        "a\n"
        "new token first (coffer device token).",
    .examples = "  coffer device leases C39VX0SIM001\n"
                "  coffer device leases C39VX0SIM001 --end mail\n"
                "  coffer device leases C39VX0SIM001 --reset",
    .min = 1,
    .max = 1,
    .options = leases_options,
    .run = run_leases,
};

static err_t *run_token(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t line;
    const char *output = args_value(args, "output");
    bytes_t token;
    buf_init_secret(&line, TOKEN_TEXT_MAX + 1);
    /* Before the token exists: it could not be shown again. */
    if (output && file_exists(output)) return err_new(ERR_EXISTS, "%s exists already", output);
    TRY(remote_path(&path, "/devices/%/token", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, &json));
    TRY(jso_get_string(json, "token", TOKEN_TEXT_MAX, true, &token));
    if (!output)
        return output_done(cli, json, "Token of %s (shown only now): %.*s", args->operands[0],
                           (int)token.n, (const char *)token.p);
    TRY(buf_add(&line, token));
    TRY(buf_add_byte(&line, '\n'));
    TRY(file_write(output, buf_bytes(&line), 0600));
    (void)json_object_del(json, "token");
    TRY(jso_set_str(json, "file", output));
    return output_done(cli, json, "The token of %s is in %s", args->operands[0], output);
}

static const option_t token_options[] = {
    {"output", "FILE", "write the token there (0600) instead of showing it"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_TOKEN = {
    .group = "device",
    .name = "token",
    .operands = "DEVICE",
    .summary = "Make a token for a program on a device that can't use its certificate",
    .notes = "It opens /push/v1 for this device and nothing else. The server keeps a hash only; a\n"
             "new token takes the place of the one before. It ends when the device leaves or\n"
             "enrols anew.",
    .examples = "  coffer device token C39VX0SIM001 --output phone.token",
    .min = 1,
    .max = 1,
    .options = token_options,
    .run = run_token,
};
