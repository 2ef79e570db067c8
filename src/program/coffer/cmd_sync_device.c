/*
 * coffer sync init, join, approve, devices, revoke, rotate: which devices have a region. Keys are
 * made here and never leave; the service is told cards, signatures and sealed keys.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/sync_home.h"
#include "sync/engine/members.h"
#include "sync/sas.h"

enum {
    CA_MAX = 1024 * 1024,
    CHAIN_BYTES = 64 * 1024 * 1024,
    WAIT_S = 15 * 60,
    PASSPHRASE_MAX = 4096,
    KEY_MODE = 0600,
    HEX_HASH = 2 * SYNC_HASH,
    STATE_JOINS = 11, /* table of the local state */
    PATH_SIZE = 256
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

static err_t *new_device(cli_t *cli, const char *person, const char *path,
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
static err_t *new_home(cli_t *cli, const char *path, const uint8_t region[SYNC_HASH]) {
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

static err_t *open_state(cli_t *cli, const char *home, db_local_t **ret_state) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(home, "state.db", &path));
    return db_local_open(path, cli->clk, ret_state);
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
    TRY(new_device(cli, args->operands[0], path, &key));
    TRY(open_state(cli, path, &state));
    TRY(sync_members_begin(&key, cli->clk, cli->rnd, state, &entry, region));
    TRY(remote_bytes(cli, "POST", "/sync/regions", "application/octet-stream", buf_bytes(&entry),
                     CA_MAX, &answer));
    TRY(new_home(cli, path, region));
    TRY(text_hex_new(BYTES_ARRAY(region), &hex));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "region", hex));
    TRY(jso_set_str(json, "home", path));
    return output_done(cli, json,
                       "This device has made the region %s.\nIts keys are in %s; sync a folder "
                       "with: coffer sync run DIR",
                       hex, path);
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

static void pause_s(void) {
    const struct timespec nap = {.tv_nsec = 200 * 1000 * 1000};
    (void)nanosleep(&nap, NULL);
}

static err_t *unhex_exact(bytes_t hex, uint8_t *out, size_t n) {
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, n);
    TRY(text_unhex(hex, &raw));
    if (raw.n != n) return err_new(ERR_INVALID, "hexadecimal digits of another length");
    bytes_put(out, buf_bytes(&raw));
    return NULL;
}

static err_t *get_hash(const json_t *json, const char *name, uint8_t out[SYNC_HASH]) {
    bytes_t hex = BYTES_NONE;
    TRY(jso_get_string(json, name, HEX_HASH, true, &hex));
    return unhex_exact(hex, out, SYNC_HASH);
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
                       "there are %zu regions: name one, as coffer sync devices shows it "
                       "on a device that has it",
                       json_array_size(list));
    return get_hash(json_array_get(list, 0), "region", ret_region);
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
    int64_t until = clk_mono_ms(j->cli->clk) + (int64_t)WAIT_S * 1000;
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
            return err_new(ERR_TIMEOUT, "nobody approved this device in %d minutes", WAIT_S / 60);
        pause_s();
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
    TRY(get_hash(join, "approver", approver));
    TRY(get_hash(join, "m", m));
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
    TRY(open_state(j->cli, home, &state));
    TRY(sync_members_joined(state, buf_bytes(&j->entries)));
    TRY(new_home(j->cli, home, region));
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
    TRY(new_device(cli, args->operands[0], path, &key));
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

/* ---- approving ---- */

static bool is_open(const json_t *join) {
    bytes_t state = BYTES_NONE;
    err_t *e = jso_get_string(join, "state", 32, true, &state);
    bool open = !e && (bytes_eq_str(state, "asked") || bytes_eq_str(state, "answered") ||
                       bytes_eq_str(state, "opened"));
    err_free(e);
    return open;
}

/* The one that was named, or the only one that waits; *ret_number stays the list's. */
static err_t *choose_join(sync_open_t *open, const args_t *args, int64_t *ret_number) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    uint64_t number = 0;
    size_t found = 0;
    if (args->operands_n) {
        TRY(text_u64(bytes_str(args->operands[0]), INT64_MAX, &number));
        *ret_number = (int64_t)number;
        return NULL;
    }
    TRY(sync_http_json(open->http, "GET", "/joins", NULL, &json));
    TRY(jso_get_array(json, "joins", SIZE_MAX, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *join = json_array_get(list, i);
        if (!is_open(join)) continue;
        found++;
        TRY(jso_get_int(join, "join", 0, INT64_MAX, true, ret_number));
    }
    if (found == 0) return err_new(ERR_NOT_FOUND, "no device asks to join this region");
    if (found > 1)
        return err_new(ERR_USAGE,
                       "%zu devices ask to join: name one by its number (see coffer sync "
                       "devices)",
                       found);
    return NULL;
}

/*
 * What this device saw and said before the other one opened its nonce. Kept, and nothing of it is
 * taken from the service again: whoever learns all of it could look for keys with the same digits.
 */
typedef struct {
    uint8_t m[SYNC_SAS_NONCE], commit[SYNC_HASH], card[SYNC_HASH];
    uint64_t position;
} pinned_t;

static err_t *read_card(const json_t *join, sync_card_t *ret_card, uint8_t ret_id[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, LIMIT_SYNC_ENTRY);
    TRY(jso_get_base64(join, "card", true, &record));
    TRY(sync_card_parse(buf_bytes(&record), ret_card));
    TRY(sync_card_verify(ret_card));
    return sync_card_id(ret_card, ret_id);
}

static err_t *keep_pinned(const sync_open_t *open, bytes_t name, const pinned_t *pinned) {
    CLEANUP(buf_done) buf_t value;
    CLEANUP(buf_done) buf_t changes;
    buf_init(&value, PATH_SIZE);
    buf_init(&changes, (size_t)2 * PATH_SIZE);
    TRY(buf_add(&value, BYTES_ARRAY(pinned->m)));
    TRY(buf_add(&value, BYTES_ARRAY(pinned->commit)));
    TRY(buf_add(&value, BYTES_ARRAY(pinned->card)));
    TRY(wire_put_u64(&value, pinned->position));
    TRY(db_local_put(&changes, STATE_JOINS, name, buf_bytes(&value)));
    return db_local_apply(open->state, buf_bytes(&changes));
}

static err_t *find_pinned(const sync_open_t *open, bytes_t name, pinned_t *ret_pinned) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, PATH_SIZE);
    TRY(db_local_get(open->state, STATE_JOINS, name, &found, &value));
    if (!found) return err_new(ERR_BUSY, "another device has answered this one: approve it there");
    wire_reader_t r = wire_reader(buf_bytes(&value));
    TRY(record_get_raw(&r, SYNC_SAS_NONCE, ret_pinned->m));
    TRY(record_get_raw(&r, SYNC_HASH, ret_pinned->commit));
    TRY(record_get_raw(&r, SYNC_HASH, ret_pinned->card));
    return wire_get_u64(&r, &ret_pinned->position);
}

static err_t *send_answer(sync_open_t *open, int64_t number, const pinned_t *pinned) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(mem_free) char *approver = NULL;
    CLEANUP(mem_free) char *m = NULL;
    char path[PATH_SIZE];
    TRY(text_hex_new(BYTES_ARRAY(pinned->m), &m));
    TRY(text_hex_new(bytes_make(open->key.id, SYNC_HASH), &approver));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "approver", approver));
    TRY(jso_set_str(body, "m", m));
    TRY(jso_set_int(body, "position", (int64_t)pinned->position));
    (void)snprintf(path, sizeof path, "/joins/%lld/answer", (long long)number);
    return sync_http_json(open->http, "POST", path, body, NULL);
}

static err_t *answer_join(cli_t *cli, sync_open_t *open, int64_t number, pinned_t *ret_pinned) {
    CLEANUP(jso_free) json_t *join = NULL;
    pinned_t pinned;
    sync_card_t card;
    char path[PATH_SIZE], name[32];
    bytes_t state = BYTES_NONE;
    (void)snprintf(path, sizeof path, "/joins/%lld", (long long)number);
    (void)snprintf(name, sizeof name, "%lld", (long long)number);
    TRY(sync_http_json(open->http, "GET", path, NULL, &join));
    TRY(jso_get_string(join, "state", 32, true, &state));
    if (!bytes_eq_str(state, "asked")) return find_pinned(open, bytes_str(name), ret_pinned);
    TRY(read_card(join, &card, pinned.card));
    TRY(get_hash(join, "commitment", pinned.commit));
    TRY(rnd_fill(cli->rnd, pinned.m, sizeof pinned.m));
    pinned.position = sync_chain_count(sync_engine_chain(open->engine)) - 1;
    TRY(keep_pinned(open, bytes_str(name), &pinned));
    TRY(send_answer(open, number, &pinned));
    *ret_pinned = pinned;
    return NULL;
}

static err_t *await_opened(cli_t *cli, sync_open_t *open, int64_t number, json_t **ret_join) {
    char path[PATH_SIZE];
    int64_t until = clk_mono_ms(cli->clk) + (int64_t)WAIT_S * 1000;
    (void)snprintf(path, sizeof path, "/joins/%lld", (long long)number);
    for (;;) {
        CLEANUP(jso_free) json_t *json = NULL;
        bytes_t state = BYTES_NONE;
        TRY(sync_http_json(open->http, "GET", path, NULL, &json));
        TRY(jso_get_string(json, "state", 32, true, &state));
        if (bytes_eq_str(state, "opened") || bytes_eq_str(state, "approved")) {
            *ret_join = STEAL(json);
            return NULL;
        }
        if (clk_mono_ms(cli->clk) >= until || bytes_eq_str(state, "ended"))
            return err_new(ERR_TIMEOUT, "the other device does not go on");
        pause_s();
    }
}

/* The person compares; a program gives the digits that the other device showed. */
static err_t *compare_digits(cli_t *cli, const sync_card_t *card, const char *digits) {
    static const char *const yes[] = {"yes", NULL};
    const char *given = args_value(cli->args, "digits");
    if (given) {
        if (strcmp(given, digits) != 0)
            return err_new(ERR_DENIED, "the digits are not the same: do not approve this device");
        return NULL;
    }
    (void)fprintf(cli->err, "Device %s of %s\nDigits: %s\n", card->name, card->person, digits);
    (void)fflush(cli->err);
    return prompt_confirm(cli, "Type yes if the other device shows the same digits", yes);
}

static err_t *roles_of(const args_t *args, uint8_t *ret_roles) {
    const char *role = args_value(args, "role");
    if (!role || strcmp(role, "manage") == 0) *ret_roles = SYNC_ALL;
    else if (strcmp(role, "write") == 0) *ret_roles = SYNC_READ | SYNC_WRITE;
    else if (strcmp(role, "read") == 0) *ret_roles = SYNC_READ;
    else if (strcmp(role, "recover") == 0) *ret_roles = SYNC_RECOVER;
    else return err_new(ERR_USAGE, "--role is read, write, manage or recover");
    return NULL;
}

static err_t *open_region(cli_t *cli, sync_open_t *open) {
    sync_report_t report;
    TRY(sync_open(cli, open));
    TRY(sync_open_engine(open));
    return sync_engine_fetch(open->engine, &report);
}

static err_t *run_approve(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(jso_free) json_t *join = NULL;
    sync_chain_head_t head;
    pinned_t pinned;
    sync_card_t card;
    uint8_t id[SYNC_HASH], n[SYNC_SAS_NONCE], roles = 0;
    char digits[SYNC_SAS_TEXT];
    int64_t number = 0;
    TRY(roles_of(args, &roles));
    TRY(open_region(cli, &open));
    TRY(choose_join(&open, args, &number));
    TRY(answer_join(cli, &open, number, &pinned));
    if (pinned.position + 1 != sync_chain_count(sync_engine_chain(open.engine)))
        return err_new(ERR_BUSY, "the chain has grown since: let the device ask again");
    TRY(await_opened(cli, &open, number, &join));
    TRY(read_card(join, &card, id));
    if (memcmp(id, pinned.card, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the service shows another device than before");
    TRY(get_hash(join, "n", n));
    TRY(sync_sas_check(pinned.commit, id, n));
    TRY(sync_chain_head(sync_engine_chain(open.engine), &head));
    sync_sas_t sas = {id, n, open.key.id, pinned.m};
    TRY(sync_sas_text(&head, &sas, digits));
    TRY(compare_digits(cli, &card, digits));
    TRY(sync_members_approve(open.engine, &card, roles));
    return output_done(cli, NULL, "%s of %s has joined", card.name, card.person);
}

static const option_t approve_options[] = {
    SYNC_HOME_OPTIONS,
    {"role", "ROLE", "read, write, manage (default) or recover"},
    {"digits", "DIGITS", "what the other device shows, for programs: 123-456-789"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_APPROVE = {
    .group = "sync",
    .name = "approve",
    .operands = "[JOIN]",
    .summary = "Let a device that asks join the region, after comparing digits",
    .notes = "Compare the digits in person or by a call, never by what the service could change.\n"
             "The device is given the region's key, sealed to it and signed.",
    .examples = "  coffer sync approve\n"
                "  coffer sync approve --role read",
    .min = 0,
    .max = 1,
    .options = approve_options,
    .run = run_approve,
};

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
    TRY(open_region(cli, &open));
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
    TRY(open_region(cli, &open));
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
    TRY(open_region(cli, &open));
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
