/*
 * coffer device command: any MDM command that the server knows, with Apple's own names.
 */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/prompt.h"
#include "program/coffer/wait.h"

enum { KEY_MAX = 64 };

/* A value is JSON if it reads as such (true, 5, ["a"], {"b":1}, "text"), else it is a text. */
static err_t *parse_value(bytes_t text, json_t **ret_value) {
    CLEANUP(buf_done) buf_t wrapped;
    CLEANUP(jso_free) json_t *array = NULL;
    buf_init_secret(&wrapped, LIMIT_HTTP_BODY_API);
    TRY(buf_add_byte(&wrapped, '['));
    TRY(buf_add(&wrapped, text));
    TRY(buf_add_byte(&wrapped, ']'));
    err_t *e = jso_parse(buf_bytes(&wrapped), &array);
    if (!e && json_array_size(array) == 1) {
        *ret_value = json_incref(json_array_get(array, 0));
        return NULL;
    }
    err_free(e);
    json_t *value = json_stringn((const char *)text.p, text.n);
    if (!value) return err_new(ERR_USAGE, "a parameter's value is no UTF-8 text");
    *ret_value = value;
    return NULL;
}

static err_t *add_parameter(const char *given, json_t *parameters) {
    const char *equals = strchr(given, '=');
    char key[KEY_MAX + 1];
    size_t n = equals ? (size_t)(equals - given) : 0;
    json_t *value = NULL;
    if (n == 0 || n > KEY_MAX)
        return err_new(ERR_USAGE, "--param is written KEY=VALUE, not \"%s\"", given);
    memcpy(key, given, n);
    key[n] = '\0';
    if (json_object_get(parameters, key))
        return err_new(ERR_USAGE, "the parameter %s was given twice", key);
    TRY(parse_value(bytes_str(equals + 1), &value));
    return jso_set(parameters, key, value);
}

static err_t *read_parameters(const args_t *args, json_t **ret_parameters) {
    CLEANUP(jso_free) json_t *parameters = NULL;
    const char *file = args_value(args, "params-file");
    if (file) {
        CLEANUP(buf_done) buf_t text;
        buf_init_secret(&text, LIMIT_HTTP_BODY_API);
        if (strcmp(file, "-") == 0) TRY(file_read_fd(0, &text));
        else TRY(file_read(file, &text));
        TRY_WRAP(jso_parse_object(buf_bytes(&text), &parameters), "%s", file);
    } else {
        TRY(jso_object(&parameters));
    }
    size_t cursor = 0;
    for (const char *given; (given = args_each(args, "param", &cursor));)
        TRY(add_parameter(given, parameters));
    *ret_parameters = STEAL(parameters);
    return NULL;
}

/* The same care as their own subcommands take. */
static err_t *check_harm(cli_t *cli, const args_t *args, bool dry_run) {
    const char *type = args->operands[1];
    bool harm = strcmp(type, "EraseDevice") == 0 || strcmp(type, "DeviceLock") == 0;
    if (!harm || dry_run || args_flag(args, "yes")) return NULL;
    const char *const names[] = {args->operands[0], NULL};
    CLEANUP(mem_free)
    char *question =
        mem_printf("Send %s to %s? Type %s to go on: ", type, args->operands[0], args->operands[0]);
    if (!question) return err_nomem();
    return prompt_confirm(cli, question, "--yes", names);
}

static err_t *run_command(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *parameters = NULL;
    bool dry_run = args_flag(args, "dry-run");
    TRY(read_parameters(args, &parameters));
    TRY(check_harm(cli, args, dry_run));
    wait_command_t command = {args->operands[0], args->operands[1], parameters, dry_run};
    return wait_queue(cli, &command);
}

static const option_t options[] = {
    {"param", "KEY=VALUE", "a parameter with Apple's name; VALUE is JSON or a text; repeatable"},
    {"params-file", "FILE", "a JSON object of parameters; - is standard input"},
    {"dry-run", NULL, "check everything, queue nothing"},
    {"yes", NULL, "do not ask before DeviceLock and EraseDevice"},
    WAIT_OPTION,
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_COMMAND = {
    .group = "device",
    .name = "command",
    .operands = "DEVICE TYPE",
    .summary = "Send any MDM command the server knows",
    .notes = "TYPE is Apple's RequestType: DeviceInformation, SecurityInfo, ProfileList, "
             "InstallProfile,\n"
             "RemoveProfile, CertificateList, InstalledApplicationList, DeviceLock, EraseDevice,\n"
             "ClearPasscode, RestartDevice, Settings. The server checks the parameters and says "
             "what is\n"
             "wrong. A secret belongs into --params-file, not into --param.",
    .examples = "  coffer device command C39VX0SIM001 SecurityInfo --wait 60\n"
                "  coffer device command C39VX0SIM001 DeviceInformation --param "
                "'Queries=[\"OSVersion\",\"BatteryLevel\"]'\n"
                "  coffer device command C39VX0SIM001 RemoveProfile --param "
                "Identifier=org.example.wifi --dry-run",
    .min = 2,
    .max = 2,
    .options = options,
    .run = run_command,
};
