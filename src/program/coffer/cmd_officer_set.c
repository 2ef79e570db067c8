/*
 * coffer officer activate, sign, withdraw: sets of officers. The first counts at once; each later
 * one when enough officers of the one before have signed it.
 */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { QUESTION_MAX = 256 };

/* Named officers, or all that were not removed. */
static err_t *add_ids(cli_t *cli, const args_t *args, json_t *body) {
    CLEANUP(jso_free) json_t *all = NULL;
    json_t *ids = NULL, *list = NULL;
    TRY(jso_set_array(body, "officers", &ids));
    for (size_t i = 0; i < args->operands_n; i++)
        TRY(jso_add_string(ids, bytes_str(args->operands[i])));
    if (args->operands_n) return NULL;
    TRY(remote_call(cli, "GET", "/officers", NULL, &all));
    TRY(jso_get_array(all, "officers", SIZE_MAX, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *officer = json_array_get(list, i);
        bytes_t id;
        if (!json_is_null(json_object_get(officer, "removed"))) continue;
        TRY(jso_get_string(officer, "id", LIMIT_ESCROW_OFFICER, true, &id));
        TRY(jso_add_string(ids, id));
    }
    return NULL;
}

/* Shows who is in it as the server has it. */
static err_t *show_epoch(cli_t *cli, int64_t epoch) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(buf_done) buf_t record;
    CLEANUP(mem_free) char *path = NULL;
    escrow_set_t set;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    if (cli->json) return NULL;
    path = mem_printf("/officers/sets/%lld", (long long)epoch);
    if (!path) return err_nomem();
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    TRY(officer_get_record(answer, "record", &record));
    TRY(escrow_set_parse(buf_bytes(&record), &set));
    officer_show_set(cli, &set);
    return NULL;
}

static err_t *run_activate(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    long threshold = 0;
    int64_t epoch = 0;
    bool active = false;
    TRY(args_number(args, "threshold", 2, LIMIT_ESCROW_OFFICERS, 0, &threshold));
    if (threshold == 0)
        return err_new(ERR_USAGE, "--threshold says how many officers it takes, 2 or more");
    TRY(jso_object(&body));
    TRY(jso_set_int(body, "threshold", threshold));
    TRY(add_ids(cli, args, body));
    TRY(remote_call(cli, "POST", "/officers/sets", body, &json));
    TRY(jso_get_int(json, "epoch", 1, INT64_MAX, true, &epoch));
    TRY(jso_get_bool(json, "active", true, &active));
    TRY(show_epoch(cli, epoch));
    if (active)
        return output_done(cli, json,
                           "Officers' set %lld is active. Compare the fingerprints with each "
                           "officer.",
                           (long long)epoch);
    return output_done(cli, json,
                       "Officers' set %lld is proposed. Officers of the active set now run: coffer "
                       "officer sign %lld --key FILE",
                       (long long)epoch, (long long)epoch);
}

static const option_t activate_options[] = {
    {"threshold", "M", "how many officers a recovery takes, 2 or more"},
    {NULL, NULL, NULL},
};

const command_t CMD_OFFICER_ACTIVATE = {
    .group = "officer",
    .name = "activate",
    .operands = "[OFFICER...]",
    .summary = "Make a set of officers: all of them, or those named",
    .notes = "The first set counts at once. A later one (an officer leaves, joins, lost a key, or "
             "M\n"
             "changes) is proposed: officers of the active set sign it, as many as that set\n"
             "demands, and then deal their shares to it. The key process checks the signatures.",
    .examples = "  coffer officer activate --threshold 2\n"
                "  coffer officer activate --threshold 3 3f9a1c2d4b5e6f70 77aa1c2d4b5e6f70 \\\n"
                "         90bb1c2d4b5e6f70",
    .max = ARGS_OPERANDS_MAX,
    .options = activate_options,
    .run = run_activate,
};

/* ---- signing: on an officer's machine ---- */

static err_t *fetch_set(cli_t *cli, const char *epoch, buf_t *out) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/officers/sets/%", epoch));
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    return officer_get_record(answer, "record", out);
}

/* The set that is to be signed, and the trusted one before it, in which this key must be. */
static err_t *fetch_both(cli_t *cli, const args_t *args, escrow_set_t *ret_now,
                         escrow_set_t *ret_next) {
    CLEANUP(buf_done) buf_t now, next;
    char before[24];
    uint8_t hash[ESCROW_HASH];
    buf_init(&now, LIMIT_ESCROW_RECORD);
    buf_init(&next, LIMIT_ESCROW_RECORD);
    TRY(fetch_set(cli, args->operands[0], &next));
    TRY(escrow_set_parse(buf_bytes(&next), ret_next));
    (void)snprintf(before, sizeof before, "%llu", (unsigned long long)ret_next->epoch - 1);
    TRY(fetch_set(cli, before, &now));
    TRY(officer_trust_set(cli, args, buf_bytes(&now), ret_now));
    TRY(escrow_set_hash(ret_now, hash));
    if (memcmp(hash, ret_next->previous, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "set %s does not follow the one before it", args->operands[0]);
    return NULL;
}

static err_t *confirm(cli_t *cli, const args_t *args, const escrow_set_t *next) {
    static const char *const words[] = {"sign", NULL};
    char question[QUESTION_MAX];
    if (args_flag(args, "yes")) return NULL;
    officer_show_set(cli, next);
    (void)snprintf(question, sizeof question,
                   "From now on any %u of these could recover everything.\nType sign to agree: ",
                   next->threshold);
    return prompt_confirm(cli, question, "--yes", words);
}

static err_t *run_sign(cli_t *cli, const args_t *args) {
    CLEANUP(officer_key_done) officer_key_t key = {0};
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record;
    escrow_set_t now, next;
    const escrow_officer_t *own = NULL;
    escrow_signature_t signature;
    uint8_t hash[ESCROW_HASH];
    bool active = false;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(officer_unlock(cli, args, &key));
    TRY(fetch_both(cli, args, &now, &next));
    TRY(officer_in_set(&now, &key, &own));
    TRY(confirm(cli, args, &next));
    TRY(escrow_set_hash(&next, hash));
    TRY(escrow_set_sign(key.sign, own->id, hash, &signature));
    TRY(escrow_signature_put(&signature, &record));
    TRY(officer_record_body(buf_bytes(&record), &body));
    TRY(remote_path(&path, "/officers/sets/%/signatures", args->operands[0]));
    TRY(remote_call(cli, "POST", path, body, &json));
    TRY(jso_get_bool(json, "active", true, &active));
    return output_done(cli, json,
                       active
                           ? "Signed. Set %s is active; those who signed now run: coffer officer "
                             "redeal --key FILE"
                           : "Signed set %s; more officers must sign it",
                       args->operands[0]);
}

static const option_t sign_options[] = {
    OFFICER_KEY_OPTIONS,
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

const command_t CMD_OFFICER_SIGN = {
    .group = "officer",
    .name = "sign",
    .operands = "SET",
    .summary = "Agree to a proposed set of officers, on your own machine",
    .notes = "The first set that a key file sees is remembered beside it (FILE.set); later ones "
             "must\n"
             "follow it by signatures, whatever the server says.",
    .examples = "  coffer --server https://coffer.example.org:8443 --token-file anna.token \\\n"
                "         officer sign 2 --key anna.officer",
    .min = 1,
    .max = 1,
    .options = sign_options,
    .run = run_sign,
};

static err_t *run_withdraw(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/officers/sets/%", args->operands[0]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Officers' set %s is no longer proposed", args->operands[0]);
}

const command_t CMD_OFFICER_WITHDRAW = {
    .group = "officer",
    .name = "withdraw",
    .operands = "SET",
    .summary = "Drop a proposed set of officers",
    .examples = "  coffer officer withdraw 2",
    .min = 1,
    .max = 1,
    .run = run_withdraw,
};
