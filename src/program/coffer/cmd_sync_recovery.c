/*
 * coffer sync recovery-key, recovery, recover: regions that the organisation's officers can open
 * together (docs/guides/sync-recovery.md). The key lies in escrow, for officers alone; in a region
 * it is a device that everybody sees, put there by a device that manages it and by nobody else.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/sync_new.h"
#include "sync/engine/members.h"
#include "sync/share.h"

enum { CARD_MODE = 0644, CARD_MAX = 4096, ENTRIES_MAX = 64 * 1024 * 1024 };

/* Forty digits of the key's id, as two people compare them for a share. */
static err_t *digits_of(const uint8_t id[SYNC_HASH], char ret_text[SYNC_SAFETY_TEXT]) {
    static const uint8_t zeros[SYNC_HASH];
    return sync_safety_text(zeros, id, ret_text);
}

/* ---- the organisation's key ---- */

static err_t *into_escrow(cli_t *cli, const sync_device_key_t *key, json_t **ret_json) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t record;
    buf_init_secret(&record, LIMIT_SYNC_KEY_FILE);
    TRY(sync_device_key_write(key, cli->rnd, BYTES_NONE, &PASSWORD_COST, &record));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "kind", "file"));
    TRY(jso_set_str(body, "label", "recovery of synced files"));
    TRY(jso_set_bool(body, "officers_only", true));
    TRY(jso_set_base64(body, "secret", buf_bytes(&record)));
    return remote_call(cli, "POST", "/escrow", body, ret_json);
}

static err_t *run_key(cli_t *cli, const args_t *args) {
    CLEANUP(sync_device_key_done) sync_device_key_t key = {0};
    CLEANUP(jso_free) json_t *made = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(mem_free) char *id = NULL;
    CLEANUP(buf_done) buf_t card;
    char digits[SYNC_SAFETY_TEXT];
    bytes_t object;
    const char *path = args_value(args, "out") ? args_value(args, "out") : "sync-recovery.card";
    buf_init(&card, CARD_MAX);
    TRY(crypto_init());
    if (file_exists(path)) return err_new(ERR_EXISTS, "%s exists", path);
    TRY(sync_device_key_make(cli->rnd, "organisation's recovery", args->operands[0],
                             clk_unix(cli->clk), &key));
    TRY(into_escrow(cli, &key, &made));
    TRY(jso_get_string(made, "id", LIMIT_NAME, true, &object));
    TRY(sync_card_put(&key.card, &card));
    TRY(file_write(path, buf_bytes(&card), CARD_MODE));
    TRY(text_hex_new(BYTES_ARRAY(key.id), &id));
    TRY(digits_of(key.id, digits));
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "object", object));
    TRY(jso_set_str(out, "device", id));
    TRY(jso_set_str(out, "digits", digits));
    TRY(jso_set_str(out, "card", path));
    return output_done(
        cli, out,
        "The key is in escrow, for officers alone: object %.*s. It is nowhere else.\n"
        "Hand out %s, and by another way these digits:\n\n  %s\n\n"
        "In coffer.conf: [sync] recovery = %s",
        (int)object.n, (const char *)object.p, path, digits, id);
}

static const option_t key_options[] = {
    {"out", "FILE", "where the card for people's devices goes (default: sync-recovery.card)"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_RECOVERY_KEY = {
    .group = "sync",
    .name = "recovery-key",
    .operands = "PERSON",
    .summary = "Make the key by which recovery officers can open regions, into escrow",
    .notes =
        "For administrators, once officers are active (coffer officer activate). PERSON is the\n"
        "address of somebody here, in whose name the key stands in regions: best an account\n"
        "of its own that nobody logs in with. A region gets it only from its own devices:\n"
        "coffer sync recovery.",
    .examples = "  coffer sync recovery-key recovery@example.org --out sync-recovery.card",
    .min = 1,
    .max = 1,
    .options = key_options,
    .run = run_key,
};

/* ---- in a region ---- */

static err_t *read_card(const char *path, sync_card_t *ret_card, uint8_t ret_id[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, CARD_MAX);
    TRY(file_read(path, &record));
    TRY_WRAP(sync_card_parse(buf_bytes(&record), ret_card), "%s", path);
    return sync_card_id(ret_card, ret_id);
}

static err_t *compare(cli_t *cli, const args_t *args, const uint8_t id[SYNC_HASH]) {
    static const char *const yes[] = {"yes", NULL};
    const char *given = args_value(args, "digits");
    char digits[SYNC_SAFETY_TEXT], question[512];
    TRY(digits_of(id, digits));
    if (given && strcmp(given, digits) != 0)
        return err_new(ERR_VERIFY, "the digits are %s: this is another key", digits);
    if (given) return NULL;
    (void)snprintf(question, sizeof question,
                   "Whoever has this key can read all files of this region: your organisation's "
                   "officers, several together.\nIts digits:\n\n  %s\n\nAre they those that your "
                   "organisation has told you? Type yes: ",
                   digits);
    return prompt_confirm(cli, question, "--digits DIGITS", yes);
}

/* The service takes no other key; said before anything is written. */
static err_t *check_on(const sync_open_t *open, const uint8_t id[SYNC_HASH]) {
    CLEANUP(jso_free) json_t *policy = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    bytes_t on = BYTES_NONE;
    TRY(sync_http_json(open->http, "GET", "/policy", NULL, &policy));
    if (!json_is_null(json_object_get(policy, "recovery")))
        TRY(jso_get_string(policy, "recovery", 2 * (size_t)SYNC_HASH, false, &on));
    TRY(text_hex_new(bytes_make(id, SYNC_HASH), &hex));
    if (bytes_eq_str(on, hex)) return NULL;
    return err_new(ERR_DENIED, on.n ? "your organisation recovers with another key than this one"
                                    : "recovery is off here: [sync] recovery in coffer.conf");
}

static err_t *run_recovery(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    sync_card_t card;
    uint8_t id[SYNC_HASH];
    TRY(crypto_init());
    TRY(read_card(args->operands[0], &card, id));
    TRY(sync_open_region(cli, &open));
    const sync_device_t *there = sync_chain_device(sync_engine_chain(open.engine), id);
    if (there && there->state == SYNC_DEVICE_ENDED)
        return err_new(ERR_DENIED, "this key was ended here once and can't come back");
    if (there && there->state == SYNC_DEVICE_ACTIVE)
        return output_done(cli, NULL, "This key can recover the region already.");
    TRY(check_on(&open, id));
    TRY(compare(cli, args, id));
    TRY(sync_members_approve(open.engine, &card, SYNC_RECOVER));
    return output_done(cli, NULL,
                       "The organisation's officers can recover this region now, several together. "
                       "coffer sync devices and who show it to everybody in it; coffer sync revoke "
                       "ends it.");
}

static const option_t recovery_options[] = {
    {"digits", "DIGITS", "that the organisation has told: not asked then"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_RECOVERY = {
    .group = "sync",
    .name = "recovery",
    .operands = "CARD",
    .summary = "Let the organisation's recovery officers open this region, several together",
    .notes =
        "CARD is the file that your organisation hands out. Without this command nobody but the\n"
        "region's devices can read it. The key becomes a member that all devices see, in the\n"
        "chain and in the log.",
    .examples = "  coffer sync recovery sync-recovery.card",
    .min = 1,
    .max = 1,
    .options = recovery_options,
    .run = run_recovery,
};

/* ---- recovering ---- */

typedef struct {
    cli_t *cli;
    sync_device_key_t officer; /* the organisation's key */
    sync_device_key_t key;     /* of the new device */
    db_local_t *state;         /* the recovery key's, of this time alone */
    sync_http_t *http;
    sync_engine_t *engine;
    char *server, *ca, *resolve;
    char *path; /* of that state */
} recover_t;

static void recover_done(recover_t *r) {
    sync_engine_free(r->engine);
    sync_http_free(r->http);
    db_local_close(r->state);
    sync_device_key_done(&r->officer);
    sync_device_key_done(&r->key);
    mem_free(r->server);
    mem_free(r->ca);
    mem_free(r->resolve);
    if (r->path) (void)remove(r->path);
    mem_free(r->path);
}
DEFINE_CLEANUP_VALUE(recover_t, recover_done)

static err_t *read_officer(const char *path, sync_device_key_t *ret_key) {
    CLEANUP(buf_done) buf_t record;
    buf_init_secret(&record, LIMIT_SYNC_KEY_FILE);
    if (!path)
        return err_new(ERR_USAGE,
                       "--key FILE is what coffer recover open wrote, the officers' key");
    TRY(file_read_private(path, &record));
    TRY_WRAP(sync_device_key_open(buf_bytes(&record), BYTES_NONE, ret_key), "%s", path);
    return NULL;
}

/* As the recovery key, which is a device of the region: chain and key, verified. */
static err_t *open_region(recover_t *r, const char *home, const uint8_t region[SYNC_HASH]) {
    sync_report_t report;
    TRY(remote_where(r->cli, &r->server, &r->ca, &r->resolve));
    TRY(sync_home_file(home, "recovery.db", &r->path));
    TRY(db_local_open(r->path, r->cli->clk, &r->state));
    sync_http_config_t http = {.server = r->server,
                               .ca_file = r->ca,
                               .resolve = r->resolve,
                               .device = &r->officer,
                               .clk = r->cli->clk};
    memcpy(http.region, region, SYNC_HASH);
    TRY(sync_http_new(&http, &r->http));
    sync_engine_config_t config = {.remote = sync_http_remote(r->http),
                                   .state = r->state,
                                   .clk = r->cli->clk,
                                   .rnd = r->cli->rnd,
                                   .device = &r->officer};
    memcpy(config.region, region, SYNC_HASH);
    TRY(sync_engine_new(&config, &r->engine));
    return sync_engine_fetch(r->engine, &report);
}

static err_t *confirm(cli_t *cli, const args_t *args, const sync_chain_t *chain) {
    static const char *const yes[] = {"yes", NULL};
    const sync_device_t *devices = NULL;
    size_t n = sync_chain_devices(chain, &devices), active = 0;
    char question[256];
    for (size_t i = 0; i < n; i++)
        active += devices[i].state == SYNC_DEVICE_ACTIVE && devices[i].roles != SYNC_RECOVER;
    if (args_flag(args, "yes")) return NULL;
    (void)snprintf(question, sizeof question,
                   "This ends the region's %zu devices, with a new key, and all of them will see "
                   "it. Type yes: ",
                   active);
    return prompt_confirm(cli, question, "--yes", yes);
}

/* The new device goes on from the chain that was verified here. */
static err_t *keep(recover_t *r, const char *home, const uint8_t region[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t entries;
    CLEANUP(db_local_close) db_local_t *state = NULL;
    buf_init(&entries, ENTRIES_MAX);
    TRY(sync_members_entries(r->state, &entries));
    TRY(sync_new_state(r->cli, home, &state));
    TRY(sync_members_joined(state, buf_bytes(&entries)));
    return sync_new_home(r->cli, home, region);
}

static err_t *parse_region(const char *hex, uint8_t ret_region[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, 2 * SYNC_HASH);
    err_t *e = strlen(hex) == 2 * (size_t)SYNC_HASH ? text_unhex(bytes_str(hex), &raw) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (raw.n != SYNC_HASH) return err_new(ERR_USAGE, "a region has 64 hexadecimal digits");
    bytes_put(ret_region, buf_bytes(&raw));
    return NULL;
}

static err_t *run_recover(cli_t *cli, const args_t *args) {
    CLEANUP(recover_done) recover_t r = {.cli = cli};
    CLEANUP(mem_free) char *home = NULL;
    uint8_t region[SYNC_HASH];
    TRY(crypto_init());
    TRY(parse_region(args->operands[0], region));
    TRY(read_officer(args_value(args, "key"), &r.officer));
    TRY(sync_home_path(cli, &home));
    TRY(sync_new_device(cli, args->operands[1], home, &r.key));
    TRY(open_region(&r, home, region));
    TRY(confirm(cli, args, sync_engine_chain(r.engine)));
    TRY(sync_members_recover(r.engine, &r.key.card));
    TRY(keep(&r, home, region));
    return output_done(
        cli, NULL,
        "The region is recovered: %s has it, all other devices are out, and a new key "
        "is in force.\nDestroy the officers' key now. Sync a folder with: coffer sync "
        "run DIR",
        home);
}

static const option_t recover_options[] = {
    {"key", "FILE", "the officers' key, as coffer recover open wrote it"},
    {"yes", NULL, "don't ask"},
    {"name", "NAME", "what the new device is called (default: the host's name)"},
    {"passphrase", NULL, "ask for a passphrase to keep the device's keys under"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_RECOVER = {
    .group = "sync",
    .name = "recover",
    .operands = "REGION PERSON",
    .summary = "Take a region over with the key that recovery officers have opened",
    .notes =
        "This device becomes the region's only one, in the name of PERSON, whose API token is\n"
        "given as for coffer sync init. Everybody who was in it sees that in its chain, and it\n"
        "stands in the log. To read without taking over, coffer-unseal opens a dump with the\n"
        "same key.",
    .examples = "  coffer recover request OBJECT --for zoe@example.org --reason \"left\"\n"
                "  coffer recover open recovery-ID.key --out officers.key\n"
                "  coffer sync recover 5632e5c9... zoe@example.org --key officers.key \\\n"
                "      --server https://coffer.example.org --token-file token --ca root.pem",
    .min = 2,
    .max = 2,
    .options = recover_options,
    .run = run_recover,
};
