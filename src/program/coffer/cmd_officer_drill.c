/*
 * coffer officer drill: on an officer's own machine, proof that the key file still opens the shares
 * that were dealt to it. Nothing leaves the machine but a signed count.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/escrow_drill.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_items.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { SAMPLE = 20, NOTES_MAX = 64 * 1024, WHY_MAX = 256 };

typedef struct {
    cli_t *cli;
    officer_key_t key;
    escrow_set_t set;
    uint8_t set_hash[ESCROW_HASH];
    const escrow_officer_t *own;
    escrow_opener_t *opener;
    escrow_drill_t drill;
    buf_t notes;
} drilling_t;

static void drilling_done(drilling_t *d) {
    escrow_opener_free(d->opener);
    officer_key_done(&d->key);
    buf_done(&d->notes);
}

DEFINE_CLEANUP_VALUE(drilling_t, drilling_done)

static err_t *open_one(drilling_t *d, const json_t *item, const uint8_t hash[ESCROW_HASH]) {
    CLEANUP(secret_free) secret_t *y = NULL;
    escrow_share_t parts[LIMIT_ESCROW_OFFICERS];
    size_t n = 0;
    TRY(officer_read_parts(item, parts, &n));
    if (n == 0) return err_new(ERR_NOT_FOUND, "there is no share of yours");
    return escrow_shares_open(d->opener, hash, parts, n, &y);
}

/* A share that does not open is what the drill is for: it is counted and named. */
static err_t *try_one(drilling_t *d, const json_t *item) {
    escrow_object_t object;
    uint8_t hash[ESCROW_HASH];
    char id[ESCROW_ID_TEXT], why[WHY_MAX];
    TRY(officer_read_object(item, &object));
    TRY(escrow_object_hash(&object, hash));
    err_t *e = open_one(d, item, hash);
    if (e && err_code(e) == ERR_NOMEM) return e;
    d->drill.sampled++;
    if (e) d->drill.failed++;
    escrow_id_text(object.id, id);
    if (e)
        (void)fprintf(d->cli->err, "object %s: your share does not open: %s\n", id,
                      err_text(e, why, sizeof why));
    bool opened = !e;
    err_free(e);
    return escrow_drill_note(hash, opened, &d->notes);
}

static err_t *prepare(drilling_t *d, const args_t *args, const json_t *answer) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(officer_get_record(answer, "set", &record));
    TRY(officer_trust_set(d->cli, args, buf_bytes(&record), &d->set));
    TRY(escrow_set_hash(&d->set, d->set_hash));
    TRY(officer_in_set(&d->set, &d->key, &d->own));
    d->drill.index = d->own->index;
    memcpy(d->drill.officer, d->own->id, sizeof d->drill.officer);
    memcpy(d->drill.set_hash, d->set_hash, ESCROW_HASH);
    return escrow_opener_new(d->set_hash, d->own->id, d->key.hpke, &d->opener);
}

static err_t *send(drilling_t *d) {
    CLEANUP(buf_done) buf_t record;
    CLEANUP(jso_free) json_t *body = NULL;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    d->drill.proved = clk_unix(d->cli->clk);
    TRY(digest_sha256(buf_bytes(&d->notes), d->drill.digest));
    TRY(escrow_drill_sign(&d->drill, d->key.sign));
    TRY(escrow_drill_put(&d->drill, &record));
    TRY(officer_record_body(buf_bytes(&record), &body));
    return remote_call(d->cli, "POST", "/officers/drill", body, NULL);
}

static err_t *say(const drilling_t *d) {
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "officer", d->own->id));
    TRY(jso_set_int(json, "set", (int64_t)d->set.epoch));
    TRY(jso_set_int(json, "sampled", d->drill.sampled));
    TRY(jso_set_int(json, "failed", d->drill.failed));
    TRY(output_done(d->cli, json, "Your key opens %u of %u shares; the report says so.",
                    d->drill.sampled - d->drill.failed, d->drill.sampled));
    if (!d->drill.failed) return NULL;
    return err_new(ERR_VERIFY,
                   "%u share%s did not open: tell the others, and have it dealt anew "
                   "(coffer officer activate)",
                   d->drill.failed, d->drill.failed == 1 ? "" : "s");
}

static err_t *run_drill(cli_t *cli, const args_t *args) {
    CLEANUP(drilling_done) drilling_t d = {.cli = cli};
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    json_t *list = NULL;
    long sample = 0;
    buf_init(&d.notes, NOTES_MAX);
    TRY(args_number(args, "sample", 1, LIMIT_ESCROW_REDEAL_BATCH, SAMPLE, &sample));
    path = mem_printf("/officers/drill?sample=%ld", sample);
    if (!path) return err_nomem();
    TRY(officer_unlock(cli, args, &d.key));
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    TRY(prepare(&d, args, answer));
    TRY(jso_get_array(answer, "objects", LIMIT_ESCROW_REDEAL_BATCH, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) TRY(try_one(&d, json_array_get(list, i)));
    TRY(send(&d));
    return say(&d);
}

static const option_t drill_options[] = {
    OFFICER_KEY_OPTIONS,
    {"sample", "N", "so many objects, at most 100; default 20"},
    {"yes", NULL, "do not ask before the first set is trusted"},
    {NULL, NULL, NULL},
};

const command_t CMD_OFFICER_DRILL = {
    .group = "officer",
    .name = "drill",
    .operands = "",
    .summary = "Prove on your own machine that your key still opens your shares",
    .notes = "Opens your shares of a random sample and checks what they must be. Nothing but a\n"
             "signed count is sent; coffer escrow report shows it. Exit status 5 if a share did\n"
             "not open. Do it a few times a year, and after a new machine.",
    .examples = "  coffer --server https://coffer.example.org:8443 --token-file anna.token \\\n"
                "         officer drill --key anna.officer",
    .options = drill_options,
    .run = run_drill,
};
