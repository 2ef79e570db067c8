/*
 * coffer sync approve: lets a device in that asks, after people have compared digits. The region's
 * key is sealed to it and signed here.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/sync_home.h"
#include "sync/engine/members.h"
#include "sync/sas.h"

enum { STATE_JOINS = 11 /* table of the local state */, PATH_SIZE = 256 };

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
    TRY(sync_get_hex(join, "commitment", pinned.commit, SYNC_HASH));
    TRY(rnd_fill(cli->rnd, pinned.m, sizeof pinned.m));
    pinned.position = sync_chain_count(sync_engine_chain(open->engine)) - 1;
    TRY(keep_pinned(open, bytes_str(name), &pinned));
    TRY(send_answer(open, number, &pinned));
    *ret_pinned = pinned;
    return NULL;
}

static err_t *await_opened(cli_t *cli, sync_open_t *open, int64_t number, json_t **ret_join) {
    char path[PATH_SIZE];
    int64_t until = clk_mono_ms(cli->clk) + (int64_t)SYNC_WAIT_S * 1000;
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
        sync_nap();
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
    cli_warn(cli, "Device %s of %s\nDigits: %s\n", card->name, card->person, digits);
    return prompt_confirm(
        cli, "Does the other device show the same digits? Type yes: ", "--digits DIGITS", yes);
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

/* Whoever lets somebody in knows who else can open the region. */
static err_t *say_recovery(cli_t *cli, const sync_chain_t *chain) {
    const sync_device_t *devices = NULL;
    size_t n = sync_chain_devices(chain, &devices);
    for (size_t i = 0; i < n; i++)
        if (devices[i].state == SYNC_DEVICE_ACTIVE && devices[i].roles == SYNC_RECOVER)
            TRY(cli_say(cli, "%s of %s can recover this region.\n", devices[i].card.name,
                        devices[i].card.person));
    return NULL;
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
    TRY(sync_open_region(cli, &open));
    TRY(choose_join(&open, args, &number));
    TRY(answer_join(cli, &open, number, &pinned));
    if (pinned.position + 1 != sync_chain_count(sync_engine_chain(open.engine)))
        return err_new(ERR_BUSY, "the chain has grown since: let the device ask again");
    TRY(await_opened(cli, &open, number, &join));
    TRY(read_card(join, &card, id));
    if (memcmp(id, pinned.card, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the service shows another device than before");
    TRY(sync_get_hex(join, "n", n, SYNC_HASH));
    TRY(sync_sas_check(pinned.commit, id, n));
    TRY(sync_chain_head(sync_engine_chain(open.engine), &head));
    sync_sas_t sas = {id, n, open.key.id, pinned.m};
    TRY(sync_sas_text(&head, &sas, digits));
    TRY(compare_digits(cli, &card, digits));
    TRY(sync_members_approve(open.engine, &card, roles));
    TRY(output_done(cli, NULL, "%s of %s has joined", card.name, card.person));
    return say_recovery(cli, sync_engine_chain(open.engine));
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
