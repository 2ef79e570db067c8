/*
 * coffer sync devices, revoke, rotate: which devices have the region, and what ends one.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/sync_home.h"
#include "sync/engine/members.h"

/* ---- devices ---- */

static const char *state_name(sync_device_state_t state) {
    switch (state) {
    case SYNC_DEVICE_ADDED: return "added";
    case SYNC_DEVICE_ACTIVE: return "active";
    case SYNC_DEVICE_ENDED: return "ended";
    }
    return "?";
}

static const char *role_name(uint8_t roles) {
    if (roles & SYNC_RECOVER) return "recover";
    if (roles & SYNC_MANAGE) return "manage";
    if (roles & SYNC_WRITE) return "write";
    return roles & SYNC_READ ? "read" : "-";
}

static err_t *device_json(const sync_open_t *open, const sync_device_t *device, json_t *list) {
    CLEANUP(mem_free) char *id = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(text_hex_new(bytes_make(device->id, SYNC_HASH), &id));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "device", id));
    TRY(jso_set_str(json, "name", device->card.name));
    TRY(jso_set_str(json, "person", device->card.person));
    TRY(jso_set_str(json, "state", state_name(device->state)));
    TRY(jso_set_str(json, "role", role_name(device->roles)));
    TRY(jso_set_bool(json, "this", memcmp(device->id, open->key.id, SYNC_HASH) == 0));
    return json_array_append_new(list, STEAL(json)) == 0 ? NULL : err_nomem();
}

static err_t *run_devices(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "NAME"}, {"person", "PERSON"}, {"role", "ROLE"}, {"state", "STATE"},
        {"this", "THIS"}, {"device", "DEVICE"}, {NULL, NULL}};
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *region = NULL;
    json_t *list = NULL;
    const sync_device_t *devices = NULL;
    (void)args;
    TRY(sync_open_region(cli, &open));
    TRY(jso_object(&json));
    TRY(text_hex_new(BYTES_ARRAY(open.home.region), &region));
    TRY(jso_set_str(json, "region", region));
    TRY(jso_set_array(json, "devices", &list));
    size_t n = sync_chain_devices(sync_engine_chain(open.engine), &devices);
    for (size_t i = 0; i < n; i++) TRY(device_json(&open, &devices[i], list));
    return output_list(cli, json, "devices", columns, "No devices.");
}

static const option_t home_options[] = {SYNC_HOME_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_SYNC_DEVICES = {
    .group = "sync",
    .name = "devices",
    .operands = "",
    .summary = "List the devices that can read the region, as its chain proves them",
    .examples = "  coffer sync devices",
    .options = home_options,
    .run = run_devices,
};

/* By its id, the beginning of it, or its name if only one active device has it. */
static err_t *find_device(const sync_chain_t *chain, const char *text, uint8_t ret_id[SYNC_HASH]) {
    const sync_device_t *devices = NULL, *found = NULL;
    size_t n = sync_chain_devices(chain, &devices), hits = 0;
    for (size_t i = 0; i < n; i++) {
        CLEANUP(mem_free) char *hex = NULL;
        TRY(text_hex_new(bytes_make(devices[i].id, SYNC_HASH), &hex));
        bool named =
            devices[i].state != SYNC_DEVICE_ENDED && strcmp(devices[i].card.name, text) == 0;
        if (!named && (strlen(text) < 8 || strncmp(hex, text, strlen(text)) != 0)) continue;
        found = &devices[i];
        hits++;
    }
    if (hits == 0) return err_new(ERR_NOT_FOUND, "there is no device %s", text);
    if (hits > 1) return err_new(ERR_USAGE, "%zu devices are called %s: give an id", hits, text);
    memcpy(ret_id, found->id, SYNC_HASH);
    return NULL;
}

static err_t *run_revoke(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    uint8_t id[SYNC_HASH];
    TRY(sync_open_region(cli, &open));
    TRY(find_device(sync_engine_chain(open.engine), args->operands[0], id));
    TRY(sync_members_revoke(open.engine, id));
    return output_done(cli, NULL,
                       "%s has ended, and a new key is in force. What it copied before, it has.",
                       args->operands[0]);
}

const command_t CMD_SYNC_REVOKE = {
    .group = "sync",
    .name = "revoke",
    .operands = "DEVICE",
    .summary = "End a device: no key, no log-in, nothing written from now on",
    .notes = "DEVICE is a name or an id of coffer sync devices. A new key is made at once and\n"
             "given to the devices that stay. A device keeps what it copied before.",
    .examples = "  coffer sync revoke old-laptop",
    .min = 1,
    .max = 1,
    .options = home_options,
    .run = run_revoke,
};

static err_t *run_rotate(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    (void)args;
    TRY(sync_open_region(cli, &open));
    TRY(sync_members_rotate(open.engine));
    return output_done(cli, NULL, "A new key is in force");
}

const command_t CMD_SYNC_ROTATE = {
    .group = "sync",
    .name = "rotate",
    .operands = "",
    .summary = "Make a new key for what is written from now on",
    .examples = "  coffer sync rotate",
    .options = home_options,
    .run = run_rotate,
};
