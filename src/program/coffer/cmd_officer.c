/*
 * coffer officer keygen, fingerprint, add, list, remove: who can recover, and with which keys.
 */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

/* ---- on the officer's machine ---- */

static err_t *get_passphrase(cli_t *cli, const args_t *args, buf_t *out) {
    const char *file = args_value(args, "passphrase-file");
    if (file) return prompt_secret_file(file, out);
    if (!cli->interactive)
        return err_new(ERR_DENIED, "nobody is there to ask for a passphrase: use --passphrase-file "
                                   "FILE (0600), or - for standard input");
    return prompt_new_password(cli, "the officer's file", out);
}

static err_t *show_fingerprint(cli_t *cli, const escrow_officer_file_t *file, const char *path) {
    CLEANUP(jso_free) json_t *json = NULL;
    uint8_t fingerprint[ESCROW_HASH];
    char text[OFFICER_KEY_FINGERPRINT];
    TRY(escrow_officer_fingerprint(file->hpke, file->sign, fingerprint));
    (void)officer_key_fingerprint_text(fingerprint, text);
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "file", path));
    TRY(jso_set_str(json, "label", file->label));
    TRY(jso_set_str(json, "fingerprint", text));
    TRY(jso_set_time(json, "created", file->created));
    return output_fields(cli, json);
}

static err_t *run_keygen(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *public_path = NULL;
    CLEANUP(buf_done) buf_t passphrase, private, public;
    escrow_officer_file_t file;
    const char *path = args_value(args, "out"), *label = args_value(args, "label");
    buf_init_secret(&passphrase, LIMIT_PASSWORD_MAX);
    buf_init_secret(&private, OFFICER_KEY_FILE_MAX);
    buf_init(&public, OFFICER_KEY_FILE_MAX);
    if (!path) return err_new(ERR_USAGE, "--out FILE says where the private file goes");
    public_path = mem_printf("%s.pub", path);
    if (!public_path) return err_nomem();
    if (file_exists(path)) return err_new(ERR_EXISTS, "%s exists already", path);
    if (file_exists(public_path)) return err_new(ERR_EXISTS, "%s exists already", public_path);
    TRY(get_passphrase(cli, args, &passphrase));
    TRY(officer_key_make(cli->rnd, label ? label : "officer", clk_unix(cli->clk),
                         buf_bytes(&passphrase), &PASSWORD_COST, &private, &public));
    TRY(escrow_officer_file_parse(buf_bytes(&public), &file));
    TRY(file_write(path, buf_bytes(&private), 0600));
    TRY(file_write(public_path, buf_bytes(&public), 0644));
    TRY(cli_say(cli, "Keep %s and its passphrase; hand in %s.\n", path, public_path));
    return show_fingerprint(cli, &file, public_path);
}

static const option_t keygen_options[] = {
    {"out", "FILE", "the private file; FILE.pub beside it is the one to hand in"},
    {"label", "TEXT", "your mail address, for those who get the public file"},
    {"passphrase-file", "FILE", "the new passphrase; - is standard input; default: ask"},
    {NULL, NULL, NULL},
};

const command_t CMD_OFFICER_KEYGEN = {
    .group = "officer",
    .name = "keygen",
    .operands = "",
    .summary = "Make a recovery officer's keys, on the officer's own machine",
    .notes = "The private file is encrypted under the passphrase (Argon2id, AES-256-GCM). Without\n"
             "both, your shares are lost: the other officers then need one of themselves more.",
    .examples = "  coffer officer keygen --out anna.officer --label anna@example.org",
    .options = keygen_options,
    .run = run_keygen,
};

/* Of a private or of a public file. */
static err_t *read_public(const char *path, escrow_officer_file_t *ret_file) {
    CLEANUP(buf_done) buf_t record;
    buf_init_secret(&record, OFFICER_KEY_FILE_MAX);
    TRY(file_read(path, &record));
    err_t *e = escrow_officer_file_parse(buf_bytes(&record), ret_file);
    if (!e) return escrow_officer_file_verify(ret_file);
    err_free(e);
    TRY_WRAP(officer_key_public(buf_bytes(&record), ret_file), "%s", path);
    return escrow_officer_file_verify(ret_file);
}

static err_t *run_fingerprint(cli_t *cli, const args_t *args) {
    escrow_officer_file_t file;
    TRY(read_public(args->operands[0], &file));
    return show_fingerprint(cli, &file, args->operands[0]);
}

const command_t CMD_OFFICER_FINGERPRINT = {
    .group = "officer",
    .name = "fingerprint",
    .operands = "FILE",
    .summary = "Show the fingerprint of an officer's file, to compare by voice",
    .examples = "  coffer officer fingerprint anna.officer.pub",
    .min = 1,
    .max = 1,
    .run = run_fingerprint,
};

/* ---- at the server ---- */

/* The private file is not sent to anybody, by mistake neither. */
static err_t *read_handed_in(const char *path, buf_t *record, escrow_officer_file_t *ret_file) {
    escrow_officer_file_t unused;
    TRY(file_read(path, record));
    err_t *e = officer_key_public(buf_bytes(record), &unused);
    if (!e)
        return err_new(ERR_USAGE,
                       "%s is the officer's private file, which nobody else may have: "
                       "hand in the one that ends in .pub",
                       path);
    err_free(e);
    TRY_WRAP(escrow_officer_file_parse(buf_bytes(record), ret_file), "%s", path);
    return NULL;
}

static err_t *run_add(cli_t *cli, const args_t *args) {
    CLEANUP(buf_done) buf_t record;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    escrow_officer_file_t file;
    uint8_t fingerprint[ESCROW_HASH];
    char text[OFFICER_KEY_FINGERPRINT];
    bytes_t id;
    buf_init_secret(&record, OFFICER_KEY_FILE_MAX);
    TRY(read_handed_in(args->operands[1], &record, &file));
    TRY(escrow_officer_fingerprint(file.hpke, file.sign, fingerprint));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "person", args->operands[0]));
    TRY(jso_set_base64(body, "file", buf_bytes(&record)));
    TRY(remote_call(cli, "POST", "/officers", body, &json));
    TRY(jso_get_string(json, "id", LIMIT_ESCROW_OFFICER, true, &id));
    (void)officer_key_fingerprint_text(fingerprint, text);
    TRY(jso_set_str(json, "fingerprint", text));
    return output_done(cli, json,
                       "Officer %.*s is %s. Compare the fingerprint with the officer:\n%s",
                       (int)id.n, (const char *)id.p, args->operands[0], text);
}

const command_t CMD_OFFICER_ADD = {
    .group = "officer",
    .name = "add",
    .operands = "PERSON FILE.pub",
    .summary = "Take a person's public officer's file",
    .notes = "PERSON is a mail address of the directory. The key counts once it is in a set: see\n"
             "coffer officer activate.",
    .examples = "  coffer officer add anna@example.org anna.officer.pub",
    .min = 2,
    .max = 2,
    .run = run_add,
};

static err_t *say_set(cli_t *cli, const json_t *json, const char *member, const char *what) {
    json_t *set = NULL;
    int64_t epoch = 0, threshold = 0, officers = 0;
    TRY(jso_get_object(json, member, false, &set));
    if (!set) return NULL;
    TRY(jso_get_int(set, "epoch", 0, INT64_MAX, true, &epoch));
    TRY(jso_get_int(set, "threshold", 0, 255, true, &threshold));
    TRY(jso_get_int(set, "officers", 0, 255, true, &officers));
    return cli_say(cli, "%s set %lld: %lld of %lld officers.\n", what, (long long)epoch,
                   (long long)threshold, (long long)officers);
}

static err_t *say_redeal(cli_t *cli, const json_t *json) {
    json_t *redeal = NULL;
    int64_t left = 0;
    TRY(jso_get_object(json, "redeal", false, &redeal));
    if (!redeal) return NULL;
    TRY(jso_get_int(redeal, "left", 0, INT64_MAX, true, &left));
    return cli_say(cli, "%lld objects wait to be dealt to it: coffer officer redeal.\n",
                   (long long)left);
}

static err_t *say_unproved(cli_t *cli, const json_t *json) {
    json_t *unproved = NULL;
    int64_t objects = 0, officers = 0;
    TRY(jso_get_object(json, "unproved", false, &unproved));
    if (!unproved) return NULL;
    TRY(jso_get_int(unproved, "objects", 0, INT64_MAX, true, &objects));
    TRY(jso_get_int(unproved, "officers", 0, INT64_MAX, true, &officers));
    return cli_say(cli,
                   "%lld objects were dealt to it; their old shares are kept until officers say "
                   "that they open (%lld did): coffer officer finish.\n",
                   (long long)objects, (long long)officers);
}

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"id", "OFFICER"},
        {"person", "PERSON"},
        {"index", "SHARE"},
        {"proposed_index", "NEXT"},
        {"fingerprint", "FINGERPRINT"},
        {"created", "SINCE"},
        {"removed", "REMOVED"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/officers", NULL, &json));
    TRY(output_list(cli, json, "officers", columns, "No recovery officers."));
    if (!cli->terminal) return NULL;
    TRY(say_set(cli, json, "set", "Active"));
    TRY(say_set(cli, json, "proposed", "Proposed"));
    TRY(say_redeal(cli, json));
    return say_unproved(cli, json);
}

const command_t CMD_OFFICER_LIST = {
    .group = "officer",
    .name = "list",
    .operands = "",
    .summary = "List recovery officers, and which of them are in the active set",
    .notes = "SHARE is the number of the officer's shares in the active set, NEXT in the proposed\n"
             "one.",
    .examples = "  coffer officer list\n"
                "  coffer officer list --json | jq .set",
    .run = run_list,
};

static err_t *run_remove(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/officers/%", args->operands[0]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Officer %s can be in no set any more", args->operands[0]);
}

const command_t CMD_OFFICER_REMOVE = {
    .group = "officer",
    .name = "remove",
    .operands = "OFFICER",
    .summary = "Take back a key that is in no set",
    .notes = "An officer who is in the active set leaves by a new set without him (coffer officer\n"
             "activate), which the others sign and deal to.",
    .examples = "  coffer officer remove 3f9a1c2d4b5e6f70",
    .min = 1,
    .max = 1,
    .run = run_remove,
};
