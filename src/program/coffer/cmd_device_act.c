/*
 * coffer device lock, erase, clear-passcode, restart, info: one MDM command each (Apple's device
 * management reference names them DeviceLock, EraseDevice, ClearPasscode, RestartDevice,
 * DeviceInformation). What does harm is confirmed by typing the device's serial number or name.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/wait.h"

enum { PIN_MAX = 64, QUESTION_MAX = 1024 };

/* Asks unless --yes: shows which device it really is. */
static err_t *confirm(cli_t *cli, const char *device, const char *what) {
    if (args_flag(cli->args, "yes")) return NULL;
    if (!cli->interactive)
        return err_new(ERR_DENIED,
                       "%s %s was not confirmed: nobody is there to ask. Say --yes if "
                       "you are sure",
                       what, device);
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t serial = BYTES_NONE, name = BYTES_NONE, product = BYTES_NONE;
    TRY(remote_path(&path, "/devices/%", device));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    TRY(jso_get_string(json, "serial_number", QUESTION_MAX, false, &serial));
    TRY(jso_get_string(json, "name", QUESTION_MAX, false, &name));
    TRY(jso_get_string(json, "product", QUESTION_MAX, false, &product));
    const char *s = serial.n && text_printable(serial) ? (const char *)serial.p : "-";
    const char *n = name.n && text_printable(name) ? (const char *)name.p : "-";
    const char *p = product.n && text_printable(product) ? (const char *)product.p : "-";
    /* What is not shown cannot be typed: a "-" confirms nothing. */
    bool has_s = strcmp(s, "-") != 0, has_n = strcmp(n, "-") != 0;
    const char *const names[] = {has_s ? s : has_n ? n : device, has_n ? n : NULL, NULL};
    CLEANUP(mem_free)
    char *question = mem_printf(
        "%s \"%s\" (%s, serial number %s)?\nType its serial number or name to go on: ", what, n, p,
        s);
    if (!question) return err_nomem();
    return prompt_confirm(cli, question, "--yes", names);
}

static err_t *add_pin(const args_t *args, json_t *parameters) {
    CLEANUP(buf_done) buf_t pin;
    const char *file = args_value(args, "pin-file");
    buf_init_secret(&pin, PIN_MAX);
    if (!file) return NULL;
    TRY(prompt_secret_file(file, &pin));
    if (pin.n == 0) return err_new(ERR_USAGE, "%s has no PIN", file);
    return jso_set_string(parameters, "PIN", buf_bytes(&pin));
}

static err_t *queue(cli_t *cli, const args_t *args, const char *type, json_t *parameters) {
    wait_command_t command = {args->operands[0], type, parameters, false};
    return wait_queue(cli, &command);
}

static err_t *run_lock(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *parameters = NULL;
    const char *message = args_value(args, "message"), *phone = args_value(args, "phone");
    TRY(jso_object(&parameters));
    if (message) TRY(jso_set_str(parameters, "Message", message));
    if (phone) TRY(jso_set_str(parameters, "PhoneNumber", phone));
    TRY(add_pin(args, parameters));
    TRY(confirm(cli, args->operands[0], "Lock"));
    return queue(cli, args, "DeviceLock", parameters);
}

static const option_t lock_options[] = {
    {"message", "TEXT", "shown on the locked device"},
    {"phone", "NUMBER", "shown on the locked device"},
    {"pin-file", "FILE", "six digits that unlock a Mac again; - is standard input"},
    {"yes", NULL, "do not ask"},
    WAIT_OPTION,
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_LOCK = {
    .group = "device",
    .name = "lock",
    .operands = "DEVICE",
    .summary = "Lock a device's screen",
    .notes = "A second lock while one is on its way is refused (exit status 4).",
    .examples = "  coffer device lock C39VX0SIM001 --message \"Lost. Please call\" "
                "--phone \"+41 44 000 00 00\"\n"
                "  coffer device lock C39VX0SIM001 --yes --wait 60",
    .min = 1,
    .max = 1,
    .options = lock_options,
    .run = run_lock,
};

static err_t *run_erase(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *parameters = NULL;
    TRY(jso_object(&parameters));
    TRY(add_pin(args, parameters));
    TRY(confirm(cli, args->operands[0], "ERASE ALL DATA on"));
    return queue(cli, args, "EraseDevice", parameters);
}

static const option_t erase_options[] = {
    {"pin-file", "FILE", "six digits, needed by some Macs; - is standard input"},
    {"yes", NULL, "do not ask"},
    WAIT_OPTION,
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_ERASE = {
    .group = "device",
    .name = "erase",
    .operands = "DEVICE",
    .summary = "Erase a device: everything on it is lost",
    .notes = "It cannot be undone once the device has called. Until then: coffer device cancel.",
    .examples = "  coffer device erase C39VX0SIM001\n  coffer device erase C39VX0SIM001 --yes",
    .min = 1,
    .max = 1,
    .options = erase_options,
    .run = run_erase,
};

static err_t *run_clear(cli_t *cli, const args_t *args) {
    return queue(cli, args, "ClearPasscode", NULL);
}

static const option_t wait_options[] = {WAIT_OPTION, {NULL, NULL, NULL}};

const command_t CMD_DEVICE_CLEAR_PASSCODE = {
    .group = "device",
    .name = "clear-passcode",
    .operands = "DEVICE",
    .summary = "Remove a forgotten passcode; the person then sets a new one",
    .notes = "The unlock token lies sealed; the key process fills it in on the way to the device.",
    .examples = "  coffer device clear-passcode C39VX0SIM001 --wait 60",
    .min = 1,
    .max = 1,
    .options = wait_options,
    .run = run_clear,
};

static err_t *run_restart(cli_t *cli, const args_t *args) {
    return queue(cli, args, "RestartDevice", NULL);
}

const command_t CMD_DEVICE_RESTART = {
    .group = "device",
    .name = "restart",
    .operands = "DEVICE",
    .summary = "Restart a supervised device",
    .examples = "  coffer device restart C39VX0SIM001",
    .min = 1,
    .max = 1,
    .options = wait_options,
    .run = run_restart,
};

static err_t *run_info(cli_t *cli, const args_t *args) {
    static const char *const queries[] = {
        "UDID",         "DeviceName",   "OSVersion",    "BuildVersion",   "ModelName",
        "Model",        "ProductName",  "SerialNumber", "DeviceCapacity", "AvailableDeviceCapacity",
        "BatteryLevel", "IsSupervised", "WiFiMAC",      "BluetoothMAC",
    };
    CLEANUP(jso_free) json_t *parameters = NULL;
    json_t *list = NULL;
    TRY(jso_object(&parameters));
    TRY(jso_set_array(parameters, "Queries", &list));
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        TRY(jso_add_string(list, bytes_str(queries[i])));
    return queue(cli, args, "DeviceInformation", parameters);
}

const command_t CMD_DEVICE_INFO = {
    .group = "device",
    .name = "info",
    .operands = "DEVICE",
    .summary = "Ask a device what it is: model, system, capacity, battery",
    .examples = "  coffer device info C39VX0SIM001 --wait 60",
    .min = 1,
    .max = 1,
    .options = wait_options,
    .run = run_info,
};
