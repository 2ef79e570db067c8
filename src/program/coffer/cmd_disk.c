/*
 * coffer disk protect, status, rotate: recovery keys of LUKS volumes in escrow. On the machine that
 * has the disk. A slot is added only for a key that is in escrow already, and nothing is reported
 * as done before the archived key proved to be the slot's: the key process answers a challenge with
 * the archived key, and the slot opens with the key that gives the same answer.
 */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/client_device_secret.h"
#include "program/coffer/luks.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/tool.h"

enum { HOST_MAX = 256 };

/* ---- what opens the volume now ---- */

static err_t *existing_key(cli_t *cli, const args_t *args, const char *device, buf_t *out) {
    const char *key = args_value(args, "key-file"), *line = args_value(args, "passphrase-file");
    TRY(args_exclude(args, "key-file", "passphrase-file"));
    if (key) return file_read(key, out);
    if (line) return prompt_secret_file(line, out);
    return prompt_password(cli, "Passphrase of", device, out);
}

/* ---- the server's side ---- */

typedef struct {
    char object[ESCROW_ID_TEXT];
    uint64_t version;
} archived_t;

static err_t *label_of(const char *device, const luks_t *luks, char **ret_label) {
    char host[HOST_MAX] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    *ret_label = mem_printf("%.60s %.100s %s", host, device, luks->uuid);
    return *ret_label ? NULL : err_nomem();
}

/* `object` NULL: a new one; else its next version. */
static err_t *archive(cli_t *cli, const args_t *args, const char *label, const char *object,
                      bytes_t key, archived_t *ret_archived) {
    static const char *const texts[][2] = {{"person", "owner"}, {"device", "device"}};
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    bytes_t id;
    int64_t version = 0;
    uint8_t raw[ESCROW_ID];
    TRY(jso_object(&body));
    if (object) {
        TRY(jso_set_str(body, "id", object));
    } else {
        TRY(jso_set_str(body, "kind", ESCROW_KIND_LUKS));
        for (size_t i = 0; i < 2; i++) {
            const char *value = args_value(args, texts[i][0]);
            if (value) TRY(jso_set_str(body, texts[i][1], value));
        }
    }
    TRY(jso_set_str(body, "label", label));
    TRY(jso_set_base64(body, "secret", key));
    TRY(remote_call(cli, "POST", "/escrow", body, &answer));
    TRY(jso_get_string(answer, "id", ESCROW_ID_TEXT, true, &id));
    TRY(jso_get_int(answer, "version", 1, INT64_MAX, true, &version));
    TRY(escrow_id_parse(id, raw));
    escrow_id_text(raw, ret_archived->object);
    ret_archived->version = (uint64_t)version;
    return NULL;
}

/* Has the key process open what lies in escrow and answer a challenge with it. */
static err_t *prove(cli_t *cli, const archived_t *archived, bytes_t key) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t proof;
    uint8_t nonce[KEEPER_PROOF], want[KEEPER_PROOF];
    int64_t version = 0;
    buf_init(&proof, KEEPER_PROOF + 8);
    TRY(rnd_fill(cli->rnd, nonce, sizeof nonce));
    TRY(keeper_proof_make(key, nonce, want));
    TRY(jso_object(&body));
    TRY(jso_set_base64(body, "nonce", BYTES_ARRAY(nonce)));
    TRY(remote_path(&path, "/escrow/%/prove", archived->object));
    TRY(remote_call(cli, "POST", path, body, &answer));
    TRY(jso_get_int(answer, "version", 1, INT64_MAX, true, &version));
    TRY(jso_get_base64(answer, "proof", true, &proof));
    if ((uint64_t)version != archived->version ||
        !bytes_eq_ct(buf_bytes(&proof), BYTES_ARRAY(want)))
        return err_new(ERR_VERIFY, "what lies in escrow is not this key: object %s",
                       archived->object);
    return NULL;
}

/* ---- a new slot ---- */

typedef struct {
    const char *device;
    luks_t luks;
    buf_t existing, key;
    char *label;
    archived_t archived;
    unsigned slot;
} disk_t;

static void disk_init(disk_t *disk, const char *device) {
    *disk = (disk_t){.device = device};
    buf_init_secret(&disk->existing, TOOL_SECRET_MAX);
    buf_init_secret(&disk->key, LUKS_KEY_TEXT);
}

static void disk_done(disk_t *disk) {
    buf_done(&disk->existing);
    buf_done(&disk->key);
    mem_free(disk->label);
}

/* Proves both halves: the slot opens with the key, and the key is what lies in escrow. */
static err_t *verify(cli_t *cli, const disk_t *disk) {
    TRY_WRAP(luks_test(disk->device, disk->slot, buf_bytes(&disk->key)), "new slot %u", disk->slot);
    return prove(cli, &disk->archived, buf_bytes(&disk->key));
}

/* Nothing of a slot that did not prove good stays behind. */
static err_t *take_back(const disk_t *disk, err_t *why) {
    err_free(luks_kill(disk->device, disk->slot, buf_bytes(&disk->existing)));
    return why;
}

static err_t *add_slot(cli_t *cli, const args_t *args, disk_t *disk, const char *object) {
    bytes_t existing = buf_bytes(&disk->existing);
    TRY(label_of(disk->device, &disk->luks, &disk->label));
    TRY(luks_free_slot(&disk->luks, &disk->slot));
    TRY(luks_key_make(cli->rnd, &disk->key));
    TRY_WRAP(archive(cli, args, disk->label, object, buf_bytes(&disk->key), &disk->archived),
             "nothing was changed on the disk");
    TRY_WRAP(prove(cli, &disk->archived, buf_bytes(&disk->key)), "nothing was changed on the disk");
    TRY_WRAP(luks_add(disk->device, existing, disk->slot, buf_bytes(&disk->key)),
             "no slot was added");
    err_t *e = verify(cli, disk);
    if (!e)
        e = luks_token_put(disk->device, disk->slot, disk->archived.object, disk->archived.version);
    return e ? take_back(disk, e) : NULL;
}

static err_t *say_done(cli_t *cli, const disk_t *disk, const char *what) {
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "device", disk->device));
    TRY(jso_set_str(json, "uuid", disk->luks.uuid));
    TRY(jso_set_int(json, "slot", disk->slot));
    TRY(jso_set_str(json, "object", disk->archived.object));
    TRY(jso_set_int(json, "version", (int64_t)disk->archived.version));
    TRY(jso_set_bool(json, "verified", true));
    return output_done(cli, json,
                       "%s: slot %u opens with the recovery key in escrow (object %s, version "
                       "%llu).\nBoth were tried: the slot with the key, and the key in escrow.",
                       what, disk->slot, disk->archived.object,
                       (unsigned long long)disk->archived.version);
}

/* ---- protect ---- */

static err_t *protect(cli_t *cli, const args_t *args, disk_t *disk) {
    TRY(luks_read(disk->device, &disk->luks));
    if (disk->luks.tokens_n)
        return err_new(ERR_EXISTS,
                       "slot %u of %s is protected by escrow object %s; for another key: coffer "
                       "disk rotate",
                       disk->luks.tokens[0].slot, disk->device, disk->luks.tokens[0].object);
    TRY(existing_key(cli, args, disk->device, &disk->existing));
    TRY(add_slot(cli, args, disk, NULL));
    return say_done(cli, disk, "Protected");
}

static err_t *run_protect(cli_t *cli, const args_t *args) {
    disk_t disk;
    disk_init(&disk, args->operands[0]);
    err_t *e = protect(cli, args, &disk);
    disk_done(&disk);
    return e;
}

static const option_t protect_options[] = {
    {"person", "EMAIL", "whose machine it is"},
    {"device", "DEVICE", "which device of Coffer it is"},
    {"key-file", "FILE", "a key file that opens the volume now"},
    {"passphrase-file", "FILE", "its first line opens the volume now; - is standard input"},
    {NULL, NULL, NULL},
};

const command_t CMD_DISK_PROTECT = {
    .group = "disk",
    .name = "protect",
    .operands = "VOLUME",
    .summary = "Add a recovery key to a LUKS volume and put it into escrow",
    .notes = "Run it on the machine that has the disk, with an administrator's token. The key is\n"
             "made here, archived, proved to be there, and only then put into a slot of its own;\n"
             "it is done when the slot opens with it. VOLUME is a device or a container file.",
    .examples = "  coffer disk protect /dev/nvme0n1p3 --person ben@example.org\n"
                "  coffer disk protect /dev/sda2 --passphrase-file /run/secret",
    .min = 1,
    .max = 1,
    .options = protect_options,
    .run = run_protect,
};

/* ---- rotate ---- */

/* Old slots go after the new one is proved, by its own key. */
static err_t *drop_old(disk_t *disk) {
    for (size_t i = 0; i < disk->luks.tokens_n; i++) {
        const luks_token_t *old = &disk->luks.tokens[i];
        if (disk->luks.slots[old->slot])
            TRY_WRAP(luks_kill(disk->device, old->slot, buf_bytes(&disk->key)),
                     "the new key holds, the old one too: slot %u", old->slot);
        TRY(luks_token_remove(disk->device, old->token));
    }
    return NULL;
}

static err_t *rotate(cli_t *cli, const args_t *args, disk_t *disk) {
    luks_t after;
    TRY(luks_read(disk->device, &disk->luks));
    if (!disk->luks.tokens_n)
        return err_new(ERR_NOT_FOUND, "no slot of %s has its key in escrow: coffer disk protect",
                       disk->device);
    TRY(existing_key(cli, args, disk->device, &disk->existing));
    TRY(add_slot(cli, args, disk, disk->luks.tokens[0].object));
    TRY(drop_old(disk));
    TRY(luks_read(disk->device, &after));
    for (size_t i = 0; i < disk->luks.tokens_n; i++)
        if (after.slots[disk->luks.tokens[i].slot])
            return err_new(ERR_VERIFY, "slot %u with the old key is still there",
                           disk->luks.tokens[i].slot);
    return say_done(cli, disk, "Rotated, the old key opens nothing any more");
}

static err_t *run_rotate(cli_t *cli, const args_t *args) {
    disk_t disk;
    disk_init(&disk, args->operands[0]);
    err_t *e = rotate(cli, args, &disk);
    disk_done(&disk);
    return e;
}

static const option_t rotate_options[] = {
    {"key-file", "FILE", "a key file that opens the volume now"},
    {"passphrase-file", "FILE", "its first line opens the volume now; - is standard input"},
    {NULL, NULL, NULL},
};

const command_t CMD_DISK_ROTATE = {
    .group = "disk",
    .name = "rotate",
    .operands = "VOLUME",
    .summary = "Replace the recovery key of a LUKS volume: after somebody saw it",
    .notes = "The new key is archived, proved and tried before the old slot is destroyed.",
    .examples = "  coffer disk rotate /dev/nvme0n1p3",
    .min = 1,
    .max = 1,
    .options = rotate_options,
    .run = run_rotate,
};

/* ---- status ---- */

static err_t *add_line(cli_t *cli, const luks_t *luks, const luks_token_t *token, json_t *list) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *object = NULL;
    json_t *item = NULL;
    int64_t version = 0;
    TRY(remote_path(&path, "/escrow/%", token->object));
    TRY(remote_call(cli, "GET", path, NULL, &object));
    TRY(jso_get_int(object, "version", 1, INT64_MAX, true, &version));
    const json_t *revealed = json_object_get(object, "revealed");
    bool seen = revealed && !json_is_null(revealed);
    TRY(jso_add_object(list, &item));
    TRY(jso_set_int(item, "slot", token->slot));
    TRY(jso_set_str(item, "object", token->object));
    TRY(jso_set_int(item, "version", (int64_t)token->version));
    TRY(jso_set(item, "verified", json_incref(json_object_get(object, "verified"))));
    return jso_set_str(item, "state",
                       !luks->slots[token->slot]             ? "slot is gone"
                       : (uint64_t)version != token->version ? "not the newest in escrow: rotate"
                       : seen                                ? "revealed: rotate"
                                                             : "in escrow");
}

static err_t *run_status(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"slot", "SLOT"},         {"object", "OBJECT"}, {"version", "VERSION"},
        {"verified", "VERIFIED"}, {"state", "STATE"},   {NULL, NULL},
    };
    luks_t luks;
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    TRY(luks_read(args->operands[0], &luks));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "device", args->operands[0]));
    TRY(jso_set_str(json, "uuid", luks.uuid));
    TRY(jso_set_array(json, "keys", &list));
    for (size_t i = 0; i < luks.tokens_n; i++) TRY(add_line(cli, &luks, &luks.tokens[i], list));
    return output_list(cli, json, "keys", columns,
                       "No key of this volume is in escrow: coffer disk protect");
}

const command_t CMD_DISK_STATUS = {
    .group = "disk",
    .name = "status",
    .operands = "VOLUME",
    .summary = "Show which key slots of a LUKS volume have their keys in escrow",
    .notes = "STATE revealed: people have seen the key, it is to be replaced.",
    .examples = "  coffer disk status /dev/nvme0n1p3",
    .min = 1,
    .max = 1,
    .run = run_status,
};
