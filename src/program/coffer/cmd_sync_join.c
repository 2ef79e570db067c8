/*
 * coffer sync init, join: a new device. Its keys are made here and never leave; the service is told
 * its card, the digits' commitment and signatures.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/sync_new.h"
#include "sync/engine/members.h"
#include "sync/sas.h"

enum {
    CA_MAX = 1024 * 1024,
    CHAIN_BYTES = 64 * 1024 * 1024,
    PASSPHRASE_MAX = 4096,
    KEY_MODE = 0600,
    HEX_HASH = 2 * SYNC_HASH,
};

/* ---- a new device ---- */

static err_t *write_key(cli_t *cli, const char *home, const sync_device_key_t *key) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record, passphrase;
    const char *file = args_value(cli->args, "passphrase-file");
    buf_init_secret(&record, LIMIT_SYNC_KEY_FILE);
    buf_init_secret(&passphrase, PASSPHRASE_MAX);
    if (file) TRY(prompt_secret_file(file, &passphrase));
    else if (args_flag(cli->args, "passphrase"))
        TRY(prompt_new_password(cli, "this device's keys", &passphrase));
    TRY(sync_device_key_write(key, cli->rnd, buf_bytes(&passphrase), &PASSWORD_COST, &record));
    TRY(sync_home_file(home, "device.key", &path));
    return file_write(path, buf_bytes(&record), KEY_MODE);
}

static err_t *copy_ca(const char *from, const char *home, char **ret_path) {
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, CA_MAX);
    if (!from) return NULL;
    TRY(file_read(from, &pem));
    TRY(sync_home_file(home, "ca.pem", ret_path));
    return file_write(*ret_path, buf_bytes(&pem), KEY_MODE);
}

err_t *sync_new_device(cli_t *cli, const char *person, const char *path,
                       sync_device_key_t *ret_key) {
    char host[64] = "device";
    const char *name = args_value(cli->args, "name");
    TRY(crypto_init());
    TRY(sync_home_make(path));
    if (!name && gethostname(host, sizeof host - 1) == 0) name = host;
    TRY(sync_device_key_make(cli->rnd, name ? name : host, person, clk_unix(cli->clk), ret_key));
    return write_key(cli, path, ret_key);
}

/* Where the service is: as the person's API token reaches it. */
err_t *sync_new_home(cli_t *cli, const char *path, const uint8_t region[SYNC_HASH]) {
    CLEANUP(sync_home_done) sync_home_t home = {0};
    CLEANUP(mem_free) char *ca = NULL;
    TRY(remote_where(cli, &home.server, &ca, &home.resolve));
    TRY(copy_ca(ca, path, &home.ca_file));
    home.path = mem_strdup(path);
    if (!home.path) return err_nomem();
    memcpy(home.region, region, SYNC_HASH);
    TRY(rnd_fill(cli->rnd, home.marker, SYNC_NODE));
    return sync_home_write(&home);
}

err_t *sync_new_state(cli_t *cli, const char *home, db_local_t **ret_state) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(home, "state.db", &path));
    return db_local_open(path, cli->clk, ret_state);
}

/* An organisation that can be let in to recover files is named, and what it can't do unasked. */
static err_t *say_recovery(cli_t *cli) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(jso_free) json_t *policy = NULL;
    if (cli->json || args_flag(cli->args, "passphrase")) return NULL;
    TRY(sync_open(cli, &open));
    TRY(sync_http_json(open.http, "GET", "/policy", NULL, &policy));
    if (!json_is_string(json_object_get(policy, "recovery"))) return NULL;
    return cli_say(cli, "Your organisation's recovery officers can't read this region. If you want "
                        "that they can, several together: coffer sync recovery CARD\n");
}

static err_t *run_init(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(sync_device_key_done) sync_device_key_t key = {0};
    CLEANUP(db_local_close) db_local_t *state = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t entry;
    CLEANUP(buf_done) buf_t answer;
    uint8_t region[SYNC_HASH];
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    buf_init(&answer, CA_MAX);
    TRY(sync_home_path(cli, &path));
    TRY(sync_new_device(cli, args->operands[0], path, &key));
    TRY(sync_new_state(cli, path, &state));
    TRY(sync_members_begin(&key, cli->clk, cli->rnd, state, &entry, region));
    TRY(remote_bytes(cli, "POST", "/sync/regions", "application/octet-stream", buf_bytes(&entry),
                     CA_MAX, &answer));
    TRY(sync_new_home(cli, path, region));
    TRY(text_hex_new(BYTES_ARRAY(region), &hex));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "region", hex));
    TRY(jso_set_str(json, "home", path));
    TRY(output_done(cli, json,
                    "This device has made the region %s.\nIts keys are in %s; sync a folder "
                    "with: coffer sync run DIR",
                    hex, path));
    return say_recovery(cli);
}

static const option_t new_options[] = {
    SYNC_HOME_OPTIONS,
    {"name", "NAME", "what the device is called (default: the host's name)"},
    {"passphrase", NULL, "ask for a passphrase to keep the device's keys under"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_INIT = {
    .group = "sync",
    .name = "init",
    .operands = "PERSON",
    .summary = "Make a region for one's files, with this as its first device",
    .notes = "PERSON is the address or id of the person whose API token is given (--server and\n"
             "--token-file, --ca). The device's keys are made here and stay here.",
    .examples = "  coffer sync init jane@example.org --server https://coffer.example.org \\\n"
                "      --token-file token --ca root.pem",
    .min = 1,
    .max = 1,
    .options = new_options,
    .run = run_init,
};

/* ---- joining ---- */

static err_t *unhex_exact(bytes_t hex, uint8_t *out, size_t n) {
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, n);
    TRY(text_unhex(hex, &raw));
    if (raw.n != n) return err_new(ERR_INVALID, "hexadecimal digits of another length");
    bytes_put(out, buf_bytes(&raw));
    return NULL;
}

/* The operand, or the only region there is. */
static err_t *choose_region(cli_t *cli, const args_t *args, uint8_t ret_region[SYNC_HASH]) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    if (args->operands_n > 1)
        return unhex_exact(bytes_str(args->operands[1]), ret_region, SYNC_HASH);
    TRY(remote_call(cli, "GET", "/sync/regions", NULL, &json));
    TRY(jso_get_array(json, "regions", SIZE_MAX, true, &list));
    if (json_array_size(list) != 1)
        return err_new(ERR_USAGE,
                       "there are %zu regions: name one, as coffer sync status shows it "
                       "on a device that has it",
                       json_array_size(list));
    return sync_get_hex(json_array_get(list, 0), "region", ret_region, SYNC_HASH);
}

typedef struct {
    cli_t *cli;
    const sync_device_key_t *key;
    char region[HEX_HASH + 1];
    uint8_t nonce[SYNC_SAS_NONCE];
    char *join;    /* its number */
    buf_t entries; /* of the chain, that the digits cover: runs */
} joining_t;

static err_t *join_path(const joining_t *j, const char *rest, char **ret_path) {
    *ret_path = mem_printf("/sync/r/%s/joins/%s%s", j->region, j->join, rest);
    return *ret_path ? NULL : err_nomem();
}

static err_t *ask_to_join(joining_t *j) {
    CLEANUP(buf_done) buf_t body, card, answer;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    uint8_t commit[SYNC_HASH];
    const json_t *number = NULL;
    buf_init(&body, LIMIT_SYNC_ENTRY);
    buf_init(&card, LIMIT_SYNC_ENTRY);
    buf_init(&answer, CA_MAX);
    TRY(rnd_fill(j->cli->rnd, j->nonce, sizeof j->nonce));
    TRY(sync_card_put(&j->key->card, &card));
    TRY(sync_sas_commit(j->key->id, j->nonce, commit));
    TRY(wire_put_bytes(&body, buf_bytes(&card)));
    TRY(buf_add(&body, BYTES_ARRAY(commit)));
    path = mem_printf("/sync/r/%s/joins", j->region);
    if (!path) return err_nomem();
    TRY(remote_bytes(j->cli, "POST", path, "application/octet-stream", buf_bytes(&body), CA_MAX,
                     &answer));
    TRY(jso_parse_object(buf_bytes(&answer), &json));
    number = json_object_get(json, "join");
    j->join = json_is_integer(number)
                  ? mem_printf("%lld", (long long)json_integer_value(number))
                  : mem_strdup(json_is_string(number) ? json_string_value(number) : "");
    return j->join ? NULL : err_nomem();
}

/* Until it is in one of the two states. */
static err_t *await_state(const joining_t *j, const char *one, const char *other,
                          json_t **ret_join) {
    CLEANUP(mem_free) char *path = NULL;
    int64_t until = clk_mono_ms(j->cli->clk) + (int64_t)SYNC_WAIT_S * 1000;
    TRY(join_path(j, "", &path));
    for (;;) {
        CLEANUP(jso_free) json_t *json = NULL;
        bytes_t state = BYTES_NONE;
        TRY(remote_call(j->cli, "GET", path, NULL, &json));
        TRY(jso_get_string(json, "state", 32, true, &state));
        if (bytes_eq_str(state, one) || bytes_eq_str(state, other)) {
            *ret_join = STEAL(json);
            return NULL;
        }
        if (bytes_eq_str(state, "ended"))
            return err_new(ERR_DENIED, "the other device has turned this one away");
        if (clk_mono_ms(j->cli->clk) >= until)
            return err_new(ERR_TIMEOUT, "nobody approved this device in %d minutes",
                           SYNC_WAIT_S / 60);
        sync_nap();
    }
}

/* The chain up to the place that the digits cover, checked entry by entry. */
static err_t *fetch_head(joining_t *j, uint64_t position, sync_chain_head_t *ret_head) {
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    TRY(sync_chain_new(&chain));
    while (sync_chain_count(chain) <= position) {
        CLEANUP(buf_done) buf_t runs;
        CLEANUP(mem_free) char *path = NULL;
        size_t before = sync_chain_count(chain);
        buf_init(&runs, CHAIN_BYTES);
        path = mem_printf("/sync/r/%s/chain?after=%zu", j->region, before);
        if (!path) return err_nomem();
        TRY(remote_bytes(j->cli, "GET", path, "application/octet-stream", BYTES_NONE, CHAIN_BYTES,
                         &runs));
        wire_reader_t r = wire_reader(buf_bytes(&runs));
        while (r.rest.n && sync_chain_count(chain) <= position) {
            bytes_t entry;
            TRY(wire_get_bytes(&r, LIMIT_SYNC_ENTRY, &entry));
            TRY_WRAP(sync_chain_append(chain, entry), "the region's device chain");
            TRY(wire_put_bytes(&j->entries, entry));
        }
        if (sync_chain_count(chain) == before)
            return err_new(ERR_VERIFY, "the device chain is shorter than the other device says");
    }
    TRY(sync_chain_head(chain, ret_head));
    return NULL;
}

static err_t *show_digits(joining_t *j) {
    CLEANUP(jso_free) json_t *join = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *nonce = NULL;
    sync_chain_head_t head;
    uint8_t approver[SYNC_HASH], m[SYNC_SAS_NONCE];
    char digits[SYNC_SAS_TEXT];
    int64_t position = 0;
    /* All that the digits cover is settled before the own nonce is told. */
    TRY(await_state(j, "answered", "opened", &join));
    TRY(sync_get_hex(join, "approver", approver, SYNC_HASH));
    TRY(sync_get_hex(join, "m", m, SYNC_HASH));
    TRY(jso_get_int(join, "position", 0, INT64_MAX, true, &position));
    TRY(fetch_head(j, (uint64_t)position, &head));
    TRY(text_hex_new(BYTES_ARRAY(j->nonce), &nonce));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "n", nonce));
    TRY(join_path(j, "/open", &path));
    TRY(remote_call(j->cli, "POST", path, body, NULL));
    sync_sas_t sas = {j->key->id, j->nonce, approver, m};
    TRY(sync_sas_text(&head, &sas, digits));
    (void)fprintf(j->cli->err, "Digits: %s\nCompare them with those on the other device.\n",
                  digits);
    (void)fflush(j->cli->err);
    return NULL;
}

static err_t *do_join(joining_t *j, const char *home, const uint8_t region[SYNC_HASH]) {
    CLEANUP(jso_free) json_t *join = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(db_local_close) db_local_t *state = NULL;
    TRY(ask_to_join(j));
    (void)fprintf(j->cli->err, "Now run on a device that has the region: coffer sync approve\n");
    (void)fflush(j->cli->err);
    TRY(show_digits(j));
    TRY(await_state(j, "approved", "approved", &join));
    /* What people compared holds from here on: the service can't show another chain. */
    TRY(sync_new_state(j->cli, home, &state));
    TRY(sync_members_joined(state, buf_bytes(&j->entries)));
    TRY(sync_new_home(j->cli, home, region));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "region", j->region));
    TRY(jso_set_str(json, "home", home));
    return output_done(j->cli, json,
                       "This device has joined. Sync a folder with: coffer sync run DIR");
}

static err_t *run_join(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(sync_device_key_done) sync_device_key_t key = {0};
    joining_t j = {.cli = cli, .key = &key};
    uint8_t region[SYNC_HASH];
    TRY(sync_home_path(cli, &path));
    TRY(choose_region(cli, args, region));
    TRY(sync_new_device(cli, args->operands[0], path, &key));
    TRY(text_hex_new(BYTES_ARRAY(region), &hex));
    memcpy(j.region, hex, sizeof j.region);
    buf_init(&j.entries, CHAIN_BYTES);
    err_t *e = do_join(&j, path, region);
    buf_done(&j.entries);
    mem_free(j.join);
    return e;
}

const command_t CMD_SYNC_JOIN = {
    .group = "sync",
    .name = "join",
    .operands = "PERSON [REGION]",
    .summary = "Ask to be a device of a region; shows digits to compare",
    .notes = "Waits for coffer sync approve on a device that has the region. Both show nine\n"
             "digits: if they are the same, nobody stands between the two devices.",
    .examples = "  coffer sync join jane@example.org --server https://coffer.example.org \\\n"
                "      --token-file token --ca root.pem",
    .min = 1,
    .max = 2,
    .options = new_options,
    .run = run_join,
};
