/*
 * coffer sync make-share, open-share: another region for the same device, in a home of its own. A
 * device has the same keys in its own region and in shares: that is what it is known by.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/coffer/sync_home.h"
#include "sync/engine/members.h"

enum { CA_MAX = 256 * 1024, KEY_MODE = 0600 };

/* Keys as they are, under their passphrase if they have one, and the root that is trusted. */
static err_t *copy_file(const char *from, const char *dir, const char *name, char **ret_path) {
    CLEANUP(buf_done) buf_t content;
    CLEANUP(mem_free) char *to = NULL;
    buf_init_secret(&content, CA_MAX);
    TRY(file_read(from, &content));
    TRY(sync_home_file(dir, name, &to));
    TRY(file_write(to, buf_bytes(&content), KEY_MODE));
    *ret_path = STEAL(to);
    return NULL;
}

static err_t *copy_keys(const sync_home_t *from, const char *dir) {
    CLEANUP(mem_free) char *key = NULL;
    CLEANUP(mem_free) char *copy = NULL;
    TRY(sync_home_make(dir));
    TRY(sync_home_file(from->path, "device.key", &key));
    return copy_file(key, dir, "device.key", &copy);
}

static err_t *absolute(const char *path, char **ret_path) {
    char *found = realpath(path, NULL);
    if (!found) return err_errno(errno, "%s", path);
    *ret_path = mem_strdup(found);
    free(found); /* house-rules: allow allocation: it is realpath's */
    return *ret_path ? NULL : err_nomem();
}

/* The same service, another region. */
static err_t *write_home(cli_t *cli, const sync_home_t *from, const char *dir,
                         const uint8_t region[SYNC_HASH]) {
    CLEANUP(sync_home_done) sync_home_t home = {0};
    home.path = mem_strdup(dir);
    home.server = mem_strdup(from->server);
    if (!home.path || !home.server) return err_nomem();
    if (from->resolve && !(home.resolve = mem_strdup(from->resolve))) return err_nomem();
    if (from->ca_file) TRY(copy_file(from->ca_file, dir, "ca.pem", &home.ca_file));
    memcpy(home.region, region, SYNC_HASH);
    /* Never asked of the server later: it could name a region of its own. */
    home.has_own = true;
    TRY(absolute(from->own_path ? from->own_path : from->path, &home.own_path));
    memcpy(home.own, from->has_own ? from->own : from->region, SYNC_HASH);
    TRY(rnd_fill(cli->rnd, home.marker, SYNC_NODE));
    return sync_home_write(&home);
}

static err_t *open_state(cli_t *cli, const char *dir, db_local_t **ret_state) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(dir, "state.db", &path));
    return db_local_open(path, cli->clk, ret_state);
}

/* The service that the device syncs with, and whom it trusts for it, unless another is named. */
static err_t *find_service(cli_t *cli, const sync_home_t *from) {
    if (args_value(cli->args, "server") || cli_dir(cli)) return NULL;
    TRY(remote_at(cli, from->server, from->ca_file, from->resolve));
    return remote_with_token(cli);
}

static err_t *run_make(cli_t *cli, const args_t *args) {
    CLEANUP(sync_home_done) sync_home_t from = {0};
    CLEANUP(sync_device_key_done) sync_device_key_t key = {0};
    CLEANUP(db_local_close) db_local_t *state = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(buf_done) buf_t entry;
    CLEANUP(buf_done) buf_t answer;
    uint8_t region[SYNC_HASH];
    const char *dir = args->operands[0];
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    buf_init(&answer, CA_MAX);
    TRY(sync_home_read(cli, &from));
    TRY(find_service(cli, &from));
    TRY(sync_home_keys(cli, from.path, &key));
    TRY(copy_keys(&from, dir));
    TRY(open_state(cli, dir, &state));
    TRY(sync_members_begin(&key, cli->clk, cli->rnd, state, &entry, region));
    TRY(remote_bytes(cli, "POST", "/sync/regions", "application/octet-stream", buf_bytes(&entry),
                     CA_MAX, &answer));
    TRY(write_home(cli, &from, dir, region));
    TRY(text_hex_new(BYTES_ARRAY(region), &hex));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "region", hex));
    TRY(jso_set_str(json, "home", dir));
    return output_done(cli, json,
                       "The share is %s. Let people in with: coffer sync share --home %s PERSON",
                       hex, dir);
}

static const option_t home_options[] = {SYNC_HOME_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_SYNC_MAKE_SHARE = {
    .group = "sync",
    .name = "make-share",
    .operands = "DIR",
    .summary = "Make a region to share with colleagues, with this device's keys",
    .notes = "DIR becomes the home of the share on this device (0700), beside that of one's own\n"
             "region (--home), whose keys, server and root certificate it has. Needs the person's\n"
             "API token as coffer sync init does.",
    .examples = "  coffer sync make-share ~/.local/share/coffer-team --token-file token",
    .min = 1,
    .max = 1,
    .options = home_options,
    .run = run_make,
};

static err_t *read_region(const char *hex, uint8_t ret_region[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, 2 * SYNC_HASH);
    err_t *e = strlen(hex) == 2 * (size_t)SYNC_HASH ? text_unhex(bytes_str(hex), &raw) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (raw.n != SYNC_HASH) return err_new(ERR_USAGE, "a share has 64 hexadecimal digits");
    memcpy(ret_region, raw.p, SYNC_HASH);
    return NULL;
}

static err_t *run_open(cli_t *cli, const args_t *args) {
    CLEANUP(sync_home_done) sync_home_t from = {0};
    CLEANUP(db_local_close) db_local_t *state = NULL;
    uint8_t region[SYNC_HASH];
    const char *dir = args->operands[1];
    TRY(read_region(args->operands[0], region));
    TRY(sync_home_read(cli, &from));
    TRY(copy_keys(&from, dir));
    TRY(open_state(cli, dir, &state));
    TRY(write_home(cli, &from, dir, region));
    return output_done(
        cli, NULL,
        "%s is this device's home for the share; sync a folder with: coffer sync run "
        "--home %s FOLDER",
        dir, dir);
}

const command_t CMD_SYNC_OPEN_SHARE = {
    .group = "sync",
    .name = "open-share",
    .operands = "REGION DIR",
    .summary = "Use a region that somebody shares with this device",
    .notes =
        "REGION is what the person who shares tells. DIR becomes the home of the share on this\n"
        "device (0700); the keys are those of --home.",
    .examples = "  coffer sync open-share 6a4441... ~/.local/share/coffer-team\n"
                "  coffer sync run --home ~/.local/share/coffer-team ~/Team",
    .min = 2,
    .max = 2,
    .options = home_options,
    .run = run_open,
};
