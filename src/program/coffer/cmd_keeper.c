/*
 * coffer keeper storage-key, rotate-storage-key: the key process's key for what is kept.
 */
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/keeper/storage-key", NULL, &json));
    return output_fields(cli, json);
}

static err_t *run_rotate(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    int64_t number = 0;
    (void)args;
    TRY(remote_call(cli, "POST", "/keeper/storage-key", NULL, &json));
    TRY(jso_get_int(json, "number", 0, INT64_MAX, true, &number));
    return output_done(cli, json,
                       "Storage key %lld is in use. What the former ones wrap is wrapped anew in "
                       "the background: coffer keeper storage-key",
                       (long long)number);
}

const command_t CMD_KEEPER_STORAGE_KEY = {
    .group = "keeper",
    .name = "storage-key",
    .operands = "",
    .summary = "Show the storage key's number, and how far its rotation is",
    .notes =
        "position of last tells how far the background work came; refused counts objects that\n"
        "are damaged and keep what they have: coffer escrow drill names them.",
    .examples = "  coffer keeper storage-key\n"
                "  coffer keeper storage-key --json",
    .run = run_show,
};

const command_t CMD_KEEPER_ROTATE = {
    .group = "keeper",
    .name = "rotate-storage-key",
    .operands = "",
    .summary = "Make a new storage key, and wrap with it whatever is in escrow",
    .notes =
        "The key process makes it and uses it at once. Objects in escrow are wrapped anew in the\n"
        "background; that goes on after a restart. Former keys stay in the vault, for backups and\n"
        "for secrets that devices left before.",
    .examples = "  coffer keeper rotate-storage-key",
    .run = run_rotate,
};
