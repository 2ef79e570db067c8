/*
 * coffer device secrets, activation-lock, filevault: what of a device officers can recover, and
 * what puts it into escrow. Secrets are never shown here: coffer recover request asks for them.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_secrets(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"secret", "SECRET"}, {"id", "OBJECT"},         {"version", "VERSION"},   {"try", "TRY"},
        {"created", "SINCE"}, {"verified", "VERIFIED"}, {"revealed", "REVEALED"}, {NULL, NULL},
    };
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_path(&path, "/devices/%/secrets", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_list(cli, json, "secrets", columns, "Nothing of this device is in escrow.");
}

const command_t CMD_DEVICE_SECRETS = {
    .group = "device",
    .name = "secrets",
    .operands = "DEVICE",
    .summary = "List what of a device officers can recover; never the secrets",
    .notes = "TRY says which of several activation-lock codes to try first: the one set last.\n"
             "To see one: coffer recover request OBJECT, or coffer device bypass-code.",
    .examples = "  coffer device secrets C39VX0SIM001",
    .min = 1,
    .max = 1,
    .run = run_secrets,
};

/* ---- activation lock ---- */

static err_t *run_activation_lock(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t object, hash;
    TRY(remote_path(&path, "/devices/%/bypass-code", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, &json));
    TRY(jso_get_string(json, "object", 64, true, &object));
    TRY(jso_get_string(json, "hash", 128, true, &hash));
    return output_done(cli, json,
                       "The code is in escrow: object %.*s.\nApple is told this hash when the lock "
                       "is turned on (escrow_key):\n%.*s",
                       (int)object.n, (const char *)object.p, (int)hash.n, (const char *)hash.p);
}

const command_t CMD_DEVICE_ACTIVATION_LOCK = {
    .group = "device",
    .name = "activation-lock",
    .operands = "DEVICE",
    .summary = "Make an activation-lock code, put it into escrow, print its hash for Apple",
    .notes = "The code itself is seen by nobody before officers recover it.",
    .examples = "  coffer device activation-lock C39VX0SIM001",
    .min = 1,
    .max = 1,
    .run = run_activation_lock,
};

/* The code to try first, or the one after it. */
static err_t *find_code(cli_t *cli, const args_t *args, int64_t wanted, char **ret_object) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    TRY(remote_path(&path, "/devices/%/secrets", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    TRY(jso_get_array(json, "secrets", LIMIT_QUEUE, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *order = json_object_get(item, "try");
        bytes_t id;
        if (!json_is_integer(order) || json_integer_value(order) != wanted) continue;
        TRY(jso_get_string(item, "id", 64, true, &id));
        *ret_object = mem_strndup((const char *)id.p, id.n);
        return *ret_object ? NULL : err_nomem();
    }
    return err_new(ERR_NOT_FOUND, "device %s has no %sactivation-lock code in escrow",
                   args->operands[0], wanted > 1 ? "second " : "");
}

static err_t *run_bypass_code(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *object = NULL;
    args_t request = *args;
    TRY(find_code(cli, args, args_flag(args, "second") ? 2 : 1, &object));
    request.operands[0] = object;
    return CMD_RECOVER_REQUEST.run(cli, &request);
}

static const option_t bypass_options[] = {
    {"for", "WHOM", "who gets it: a mail address or a name"},
    {"reason", "TEXT", "why; officers and the audit log see it"},
    {"ticket", "TEXT", "a ticket's number"},
    {"expires", "WHEN", "how long it may wait: 12h, 7d; default 3d"},
    {"out", "FILE", "the request's key; default recovery-ID.key here"},
    {"second", NULL, "the other code, after the first did not open the lock"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_BYPASS_CODE = {
    .group = "device",
    .name = "bypass-code",
    .operands = "DEVICE",
    .summary = "Ask the officers for the code that opens a device's activation lock",
    .notes = "A recovery request for the code that is most likely the one: of ours and the\n"
             "device's own the one that was set last. It goes on with coffer recover.",
    .examples = "  coffer device bypass-code C39VX0SIM001 --for ben@example.org --reason \"left "
                "locked\"",
    .min = 1,
    .max = 1,
    .options = bypass_options,
    .run = run_bypass_code,
};

/* ---- FileVault ---- */

static err_t *run_filevault(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%/filevault", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, NULL));
    return output_done(cli, NULL,
                       "The profile is queued: what recovery key %s has or makes goes into escrow.",
                       args->operands[0]);
}

const command_t CMD_DEVICE_FILEVAULT = {
    .group = "device",
    .name = "filevault",
    .operands = "DEVICE",
    .summary = "Have a Mac put its FileVault recovery key into escrow",
    .notes = "A profile makes the Mac encrypt the key to one that lies in the key process. It\n"
             "comes with SecurityInfo, which is asked at once and with every later call for it.\n"
             "After a reveal the Mac makes a new one by itself (RotateFileVaultKey).",
    .examples = "  coffer device filevault C02XX0SIM009\n"
                "  coffer device command C02XX0SIM009 SecurityInfo",
    .min = 1,
    .max = 1,
    .run = run_filevault,
};
