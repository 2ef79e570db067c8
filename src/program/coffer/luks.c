/*
 * See luks.h. LUKS2 on-disk format (its JSON area), cryptsetup(8).
 */
#include "program/coffer/luks.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/secret.h"
#include "format/json.h"
#include "program/coffer/tool.h"

enum {
    KEY_BYTES = 32,
    GROUP = 8,          /* letters between dashes */
    JSON_MAX = 4 << 20, /* bytes; LUKS2's area has at most 4 MiB */
    ARGUMENTS = 16,
    WRONG_KEY = 2, /* exit status of cryptsetup */
};

#define TOKEN_TYPE "coffer"

/* ---- running it ---- */

static const char *const places[] = {"/usr/sbin/cryptsetup", "/sbin/cryptsetup",
                                     "/usr/bin/cryptsetup"};

static err_t *find_program(const char **ret_path) {
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], X_OK) != 0) continue;
        *ret_path = places[i];
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "there is no cryptsetup here: apt-get install cryptsetup-bin");
}

/* What cryptsetup complained about, as one line. */
static err_t *complaint(err_code_t code, const char *what, const buf_t *errors) {
    bytes_t text = text_trim(buf_bytes(errors)), line;
    if (!text_split(&text, '\n', &line)) line = BYTES_LIT("it failed");
    if (!text_utf8_valid(line)) line = BYTES_LIT("it failed");
    return err_new(code, "cryptsetup %s: %.*s", what, (int)line.n, (const char *)line.p);
}

/* argv[0] is put in here. */
static err_t *cryptsetup(const char **argv, const bytes_t *secrets, size_t secrets_n,
                         err_code_t wrong_key, buf_t *output) {
    tool_t tool = {.argv = argv, .secrets_n = secrets_n};
    CLEANUP(buf_done) buf_t errors;
    int status = 0;
    buf_init(&errors, TOOL_ERRORS_MAX);
    for (size_t i = 0; i < secrets_n; i++) tool.secrets[i] = secrets[i];
    TRY(find_program(&argv[0]));
    TRY(tool_run(&tool, &status, output, &errors));
    if (status == 0) return NULL;
    return complaint(status == WRONG_KEY ? wrong_key : ERR_INVALID, argv[1], &errors);
}

/* For what prints nothing of interest. */
static err_t *quietly(const char **argv, const bytes_t *secrets, size_t secrets_n,
                      err_code_t wrong_key) {
    CLEANUP(buf_done) buf_t output;
    buf_init(&output, TOOL_ERRORS_MAX);
    return cryptsetup(argv, secrets, secrets_n, wrong_key, &output);
}

/* ---- the header ---- */

static err_t *read_slot_number(bytes_t text, unsigned *ret_slot) {
    uint64_t number = 0;
    TRY(text_u64(text, LUKS_SLOTS - 1, &number));
    *ret_slot = (unsigned)number;
    return NULL;
}

static err_t *read_token(const char *name, json_t *token, luks_t *luks) {
    luks_token_t one = {0};
    bytes_t type, object, slot;
    json_t *slots = NULL;
    uint8_t id[ESCROW_ID];
    int64_t version = 0;
    TRY(jso_get_string(token, "type", 256, true, &type));
    if (!bytes_eq_str(type, TOKEN_TYPE) || luks->tokens_n == LUKS_SLOTS) return NULL;
    TRY(jso_get_array(token, "keyslots", LUKS_SLOTS, true, &slots));
    if (json_array_size(slots) != 1) return NULL; /* its slot is gone */
    TRY(jso_at_string(slots, 0, 8, &slot));
    TRY(jso_get_string(token, "object", ESCROW_ID_TEXT, true, &object));
    TRY(jso_get_int(token, "version", 1, INT64_MAX, true, &version));
    TRY(read_slot_number(bytes_str(name), &one.token));
    TRY(read_slot_number(slot, &one.slot));
    TRY(escrow_id_parse(object, id));
    escrow_id_text(id, one.object);
    one.version = (uint64_t)version;
    luks->tokens[luks->tokens_n++] = one;
    return NULL;
}

err_t *luks_parse(bytes_t header, luks_t *ret_luks) {
    luks_t luks = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *slots = NULL, *tokens = NULL, *value;
    const char *name;
    TRY(jso_parse_max(header, JSON_MAX, &json));
    TRY(jso_get_object(json, "keyslots", true, &slots));
    TRY(jso_get_object(json, "tokens", true, &tokens));
    json_object_foreach(slots, name, value) {
        unsigned slot = 0;
        TRY(read_slot_number(bytes_str(name), &slot));
        luks.slots[slot] = true;
    }
    json_object_foreach(tokens, name, value)
        TRY_WRAP(read_token(name, value, &luks), "token %s", name);
    *ret_luks = luks;
    return NULL;
}

err_t *luks_read(const char *device, luks_t *ret_luks) {
    luks_t luks;
    CLEANUP(buf_done) buf_t uuid, json;
    const char *ask_uuid[] = {NULL, "luksUUID", "--", device, NULL};
    const char *dump[] = {NULL, "luksDump", "--dump-json-metadata", "--", device, NULL};
    buf_init(&uuid, 256);
    buf_init(&json, JSON_MAX);
    TRY(cryptsetup(ask_uuid, NULL, 0, ERR_INVALID, &uuid));
    TRY_WRAP(cryptsetup(dump, NULL, 0, ERR_INVALID, &json), "%s must be a LUKS2 volume", device);
    TRY_WRAP(luks_parse(buf_bytes(&json), &luks), "LUKS2 header of %s", device);
    bytes_t text = text_trim(buf_bytes(&uuid));
    if (text.n == 0 || text.n > LUKS_UUID || !text_printable(text))
        return err_new(ERR_INVALID, "%s is no LUKS volume", device);
    bytes_put(luks.uuid, text);
    *ret_luks = luks;
    return NULL;
}

err_t *luks_free_slot(const luks_t *luks, unsigned *ret_slot) {
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (luks->slots[i]) continue;
        *ret_slot = i;
        return NULL;
    }
    return err_new(ERR_LIMIT, "all %d key slots are in use", LUKS_SLOTS);
}

/* ---- keys ---- */

err_t *luks_key_make(const rnd_t *rnd, buf_t *ret_key) {
    static const char letters[] = "cbdefghijklnrtuv";
    CLEANUP(secret_free) secret_t *raw = NULL;
    TRY(secret_random(rnd, KEY_BYTES, &raw));
    for (size_t i = 0; i < KEY_BYTES * 2; i++) {
        uint8_t byte = secret_bytes(raw).p[i / 2];
        if (i && i % GROUP == 0) TRY(buf_add_byte(ret_key, '-'));
        TRY(buf_add_byte(ret_key, (uint8_t)letters[i % 2 ? byte & 15 : byte >> 4]));
    }
    return NULL;
}

/* A key of 256 random bits needs no slow derivation, which the first boot would wait for. */
err_t *luks_add(const char *device, bytes_t existing, unsigned slot, bytes_t key) {
    char number[16];
    const bytes_t secrets[] = {existing, key};
    (void)snprintf(number, sizeof number, "%u", slot);
    const char *argv[ARGUMENTS] = {
        NULL,         "luksAddKey", "--batch-mode",   "--key-file=/dev/fd/10",
        "--key-slot", number,       "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000",
        "--",         device,       "/dev/fd/11"};
    return quietly(argv, secrets, 2, ERR_DENIED);
}

err_t *luks_test(const char *device, unsigned slot, bytes_t key) {
    char number[16];
    (void)snprintf(number, sizeof number, "%u", slot);
    const char *argv[ARGUMENTS] = {
        NULL, "open", "--test-passphrase", "--key-file=/dev/fd/10", "--key-slot", number,
        "--", device};
    return quietly(argv, &key, 1, ERR_VERIFY);
}

err_t *luks_kill(const char *device, unsigned slot, bytes_t other) {
    char number[16];
    (void)snprintf(number, sizeof number, "%u", slot);
    const char *argv[ARGUMENTS] = {NULL, "luksKillSlot", "--batch-mode", "--key-file=/dev/fd/10",
                                   "--", device,         number};
    return quietly(argv, &other, 1, ERR_DENIED);
}

/* ---- tokens ---- */

err_t *luks_token_put(const char *device, unsigned slot, const char *object, uint64_t version) {
    char json[256];
    int n = snprintf(json, sizeof json,
                     "{\"type\":\"" TOKEN_TYPE "\",\"keyslots\":[\"%u\"],\"object\":\"%s\","
                     "\"version\":%llu}",
                     slot, object, (unsigned long long)version);
    if (n < 0 || (size_t)n >= sizeof json) return err_new(ERR_LIMIT, "the token is too long");
    const bytes_t text = bytes_str(json);
    const char *argv[ARGUMENTS] = {NULL, "token", "import", "--json-file=/dev/fd/10", "--", device};
    return quietly(argv, &text, 1, ERR_DENIED);
}

err_t *luks_token_remove(const char *device, unsigned token) {
    char number[16];
    (void)snprintf(number, sizeof number, "%u", token);
    const char *argv[ARGUMENTS] = {NULL, "token", "remove", "--token-id", number, "--", device};
    return quietly(argv, NULL, 0, ERR_DENIED);
}
