/*
 * coffer officer redeal: on each dealing officer's machine, shares go over to the next set in
 * batches. The server keeps the place, so that it goes on where it stopped.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_items.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { BAR_WIDTH = 30, ANSWER_MAX = 64 * 1024, PARTS_MAX = LIMIT_ESCROW_OFFICERS };

typedef struct {
    cli_t *cli;
    officer_key_t key;
    escrow_set_t from, to;
    uint8_t from_hash[ESCROW_HASH], to_hash[ESCROW_HASH];
    const escrow_officer_t *own; /* in `from` */
    escrow_redeal_t head;        /* all but encs, count, items, signature */
    escrow_opener_t *opener;
    escrow_sealer_t *sealers[LIMIT_ESCROW_OFFICERS];
    int64_t done, total, started_ms;
} dealing_t;

static void drop_sealers(dealing_t *d) {
    for (size_t i = 0; i < LIMIT_ESCROW_OFFICERS; i++) {
        escrow_sealer_free(d->sealers[i]);
        d->sealers[i] = NULL;
    }
}

static void dealing_done(dealing_t *d) {
    drop_sealers(d);
    escrow_opener_free(d->opener);
    officer_key_done(&d->key);
}

DEFINE_CLEANUP_VALUE(dealing_t, dealing_done)

/* ---- the plan ---- */

static err_t *read_dealers(const json_t *plan, escrow_redeal_t *head) {
    json_t *list = NULL;
    TRY(jso_get_array(plan, "dealers", LIMIT_ESCROW_OFFICERS, true, &list));
    head->dealers_n = (uint8_t)json_array_size(list);
    for (size_t i = 0; i < head->dealers_n; i++) {
        int64_t index = 0;
        TRY(jso_get_int(json_array_get(list, i), "index", 1, 255, true, &index));
        head->dealers[i] = (uint8_t)index;
    }
    return NULL;
}

/* How far this officer came already, for the bar. */
static err_t *read_done(const json_t *plan, dealing_t *d) {
    json_t *list = NULL;
    int64_t left = 0, least = INT64_MAX;
    TRY(jso_get_int(plan, "left", 0, INT64_MAX, true, &left));
    TRY(jso_get_array(plan, "dealers", LIMIT_ESCROW_OFFICERS, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        int64_t index = 0, done = 0;
        TRY(jso_get_int(json_array_get(list, i), "index", 1, 255, true, &index));
        TRY(jso_get_int(json_array_get(list, i), "done", 0, INT64_MAX, true, &done));
        if (index == d->own->index) d->done = done;
        if (done < least) least = done;
    }
    d->total = left + (least == INT64_MAX ? 0 : least);
    return NULL;
}

static err_t *trust_sets(cli_t *cli, const args_t *args, const json_t *plan, dealing_t *d) {
    CLEANUP(buf_done) buf_t from, to;
    buf_init(&from, LIMIT_ESCROW_RECORD);
    buf_init(&to, LIMIT_ESCROW_RECORD);
    TRY(officer_get_record(plan, "from_set", &from));
    TRY(officer_get_record(plan, "to_set", &to));
    TRY(officer_trust_set(cli, args, buf_bytes(&from), &d->from));
    TRY(officer_trust_set(cli, args, buf_bytes(&to), &d->to));
    TRY(escrow_set_hash(&d->from, d->from_hash));
    TRY(escrow_set_hash(&d->to, d->to_hash));
    if (d->to.epoch != d->from.epoch + 1 || memcmp(d->to.previous, d->from_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the server asks to deal to a set that does not follow yours");
    return NULL;
}

static err_t *make_head(const json_t *plan, dealing_t *d) {
    escrow_redeal_t *head = &d->head;
    head->from_epoch = d->from.epoch;
    head->to_epoch = d->to.epoch;
    memcpy(head->from_set, d->from_hash, ESCROW_HASH);
    memcpy(head->to_set, d->to_hash, ESCROW_HASH);
    memcpy(head->officer, d->own->id, sizeof head->officer);
    head->dealer = d->own->index;
    head->threshold = d->to.threshold;
    head->officers_n = (uint8_t)d->to.n;
    for (size_t i = 0; i < d->to.n; i++) head->indices[i] = d->to.officers[i].index;
    TRY(read_dealers(plan, head));
    if (!memchr(head->dealers, head->dealer, head->dealers_n))
        return err_new(ERR_DENIED, "others deal to set %llu; you need not",
                       (unsigned long long)d->to.epoch);
    return NULL;
}

static err_t *prepare(cli_t *cli, const args_t *args, dealing_t *d) {
    CLEANUP(jso_free) json_t *plan = NULL;
    TRY(officer_unlock(cli, args, &d->key));
    TRY(remote_call(cli, "GET", "/officers/redeal", NULL, &plan));
    TRY(trust_sets(cli, args, plan, d));
    TRY(officer_in_set(&d->from, &d->key, &d->own));
    TRY(make_head(plan, d));
    TRY(read_done(plan, d));
    d->started_ms = clk_mono_ms(cli->clk);
    return escrow_opener_new(d->from_hash, d->own->id, d->key.hpke, &d->opener);
}

/* ---- a batch ---- */

static err_t *fresh_sealers(dealing_t *d) {
    drop_sealers(d);
    for (size_t i = 0; i < d->to.n; i++) {
        TRY(escrow_sealer_new(d->to_hash, &d->to.officers[i], &d->sealers[i]));
        memcpy(d->head.encs[i], escrow_sealer_enc(d->sealers[i]), ESCROW_ENC);
    }
    return NULL;
}

static err_t *deal_one(dealing_t *d, const json_t *item, buf_t *items) {
    CLEANUP(secret_free) secret_t *y = NULL;
    escrow_object_t object;
    escrow_share_t parts[PARTS_MAX];
    uint8_t hash[ESCROW_HASH];
    size_t n = 0;
    TRY(officer_read_object(item, &object));
    TRY(escrow_object_hash(&object, hash));
    TRY(officer_read_parts(item, parts, &n));
    TRY(escrow_shares_open(d->opener, hash, parts, n, &y));
    return escrow_redeal_add(&d->head, &object, &d->to, d->sealers, d->cli->rnd, secret_bytes(y),
                             items);
}

static err_t *upload(dealing_t *d, size_t count, const buf_t *items) {
    CLEANUP(buf_done) buf_t record, answer;
    buf_init(&record, LIMIT_ESCROW_REDEAL);
    buf_init(&answer, ANSWER_MAX);
    d->head.count = count;
    d->head.items = buf_bytes(items);
    TRY(escrow_redeal_sign(&d->head, d->key.sign, &record));
    return remote_bytes(d->cli, "POST", "/officers/redeal", "application/octet-stream",
                        buf_bytes(&record), ANSWER_MAX, &answer);
}

static err_t *deal_batch(dealing_t *d, bool *ret_more) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(buf_done) buf_t items;
    json_t *list = NULL;
    buf_init(&items, LIMIT_ESCROW_REDEAL);
    TRY(remote_call(d->cli, "GET", "/officers/redeal/objects", NULL, &answer));
    TRY(jso_get_array(answer, "objects", LIMIT_ESCROW_REDEAL_BATCH, true, &list));
    size_t n = json_array_size(list);
    *ret_more = n > 0;
    if (n == 0) return NULL;
    TRY(fresh_sealers(d));
    for (size_t i = 0; i < n; i++) TRY(deal_one(d, json_array_get(list, i), &items));
    TRY(upload(d, n, &items));
    d->done += (int64_t)n;
    return NULL;
}

/* ---- all of it ---- */

static void show_bar(const dealing_t *d, int64_t here) {
    char bar[BAR_WIDTH + 1];
    int64_t ms = clk_mono_ms(d->cli->clk) - d->started_ms;
    int64_t total = d->total > d->done ? d->total : d->done;
    size_t full = total ? (size_t)(d->done * BAR_WIDTH / total) : BAR_WIDTH;
    for (size_t i = 0; i < BAR_WIDTH; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(d->cli->err, "\r[%s] %lld of %lld, %lld a second ", bar, (long long)d->done,
                  (long long)total, (long long)(ms > 0 ? here * 1000 / ms : 0));
    (void)fflush(d->cli->err);
}

static err_t *deal_all(cli_t *cli, const args_t *args, dealing_t *d) {
    long batches = 0, limit = 0;
    int64_t before = d->done;
    bool more = true;
    bool bar = cli->terminal && !cli->json;
    TRY(args_number(args, "batches", 1, 1000000, 0, &limit));
    while (more && (limit == 0 || batches < limit)) {
        TRY(deal_batch(d, &more));
        batches += more;
        if (bar) show_bar(d, d->done - before);
    }
    if (bar) (void)fputc('\n', cli->err);
    CLEANUP(jso_free) json_t *json = NULL;
    int64_t ms = clk_mono_ms(cli->clk) - d->started_ms;
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "objects", d->done - before));
    TRY(jso_set_int(json, "milliseconds", ms));
    TRY(jso_set_bool(json, "finished", !more));
    if (more)
        return output_done(cli, json, "Dealt %lld objects to set %llu; the next run goes on here",
                           (long long)(d->done - before), (unsigned long long)d->to.epoch);
    return output_done(cli, json,
                       "Dealt %lld objects to set %llu. Your part is done. Old shares are kept "
                       "until officers of the new set say: coffer officer finish.",
                       (long long)(d->done - before), (unsigned long long)d->to.epoch);
}

static err_t *replan(cli_t *cli, const char *dealers) {
    CLEANUP(jso_free) json_t *body = NULL;
    json_t *ids = NULL;
    TRY(jso_object(&body));
    TRY(jso_set_array(body, "officers", &ids));
    for (bytes_t rest = bytes_str(dealers), id; text_split(&rest, ',', &id);)
        TRY(jso_add_string(ids, text_trim(id)));
    TRY(remote_call(cli, "POST", "/officers/redeal/dealers", body, NULL));
    return output_done(cli, NULL, "%s deal now; what was not finished begins anew", dealers);
}

static err_t *run_redeal(cli_t *cli, const args_t *args) {
    CLEANUP(dealing_done) dealing_t d = {.cli = cli};
    const char *dealers = args_value(args, "dealers");
    if (dealers) return replan(cli, dealers);
    TRY(prepare(cli, args, &d));
    return deal_all(cli, args, &d);
}

static const option_t redeal_options[] = {
    OFFICER_KEY_OPTIONS,
    {"yes", NULL, "do not ask before the first set is trusted"},
    {"batches", "N", "stop after so many batches; the next run goes on"},
    {"dealers", "A,B",
     "an admin's: these officers of the old set deal instead of those who signed"},
    {NULL, NULL, NULL},
};

const command_t CMD_OFFICER_REDEAL = {
    .group = "officer",
    .name = "redeal",
    .operands = "",
    .summary = "Deal your shares to the new set of officers, on your own machine",
    .notes = "Each officer who signed the new set runs it once. Nobody sees a secret: what you\n"
             "upload is a part of each new officer's share, sealed to that officer. It can be\n"
             "stopped at any time and goes on where it stopped. Objects that the key process can\n"
             "open are dealt by it and take no officer.",
    .examples = "  coffer --server https://coffer.example.org:8443 --token-file anna.token \\\n"
                "         officer redeal --key anna.officer\n"
                "  coffer officer redeal --dealers 3f9a1c2d4b5e6f70,77aa1c2d4b5e6f70",
    .options = redeal_options,
    .run = run_redeal,
};

/* ---- the end of the old shares ---- */

/* The set as this officer's machine trusts it, and the signature that it opens. */
static err_t *sign_finish(cli_t *cli, const args_t *args, const officer_key_t *key, json_t *body) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record, signed_record;
    escrow_set_t set;
    escrow_signature_t signature;
    const escrow_officer_t *own = NULL;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    buf_init(&signed_record, LIMIT_ESCROW_RECORD);
    TRY(remote_path(&path, "/officers/sets/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    TRY(officer_get_record(answer, "record", &record));
    TRY(officer_trust_set(cli, args, buf_bytes(&record), &set));
    TRY(officer_in_set(&set, key, &own));
    TRY(escrow_finish_sign(key->sign, own->id, &set, &signature));
    TRY(escrow_signature_put(&signature, &signed_record));
    TRY(jso_set_int(body, "set", (int64_t)set.epoch));
    return jso_set_base64(body, "record", buf_bytes(&signed_record));
}

static err_t *run_finish(cli_t *cli, const args_t *args) {
    static const char *const words[] = {"finish", NULL};
    CLEANUP(officer_key_done) officer_key_t key = {0};
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    uint64_t epoch = 0;
    bool finished = false;
    TRY(text_u64(bytes_str(args->operands[0]), UINT32_MAX, &epoch));
    if (epoch < 2) return err_new(ERR_USAGE, "SET is the number of the active set, from 2 on");
    TRY(officer_unlock(cli, args, &key));
    if (!args_flag(args, "yes"))
        TRY(prompt_confirm(cli,
                           "The shares of the set before are the only way back if one of its "
                           "officers dealt wrongly.\nSay it only if you saw a recovery of what was "
                           "dealt anew give the secret.\nType finish to give up the old shares: ",
                           "--yes", words));
    TRY(jso_object(&body));
    TRY(sign_finish(cli, args, &key, body));
    TRY(remote_call(cli, "POST", "/officers/redeal/finish", body, &json));
    TRY(jso_get_bool(json, "finished", true, &finished));
    return output_done(cli, json,
                       finished ? "The shares of the set before set %s are deleted"
                                : "Noted for set %s; more officers must say so",
                       args->operands[0]);
}

static const option_t finish_options[] = {
    OFFICER_KEY_OPTIONS,
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

const command_t CMD_OFFICER_FINISH = {
    .group = "officer",
    .name = "finish",
    .operands = "SET",
    .summary = "Sign that what was dealt to your set opens: the old shares may go",
    .notes =
        "After a change of officers the shares of the set before are kept for what only\n"
        "officers can open. Recover some of it with officers of the new set; then each, as\n"
        "many as the set demands, signs it here, and the old shares are deleted. If a recovery\n"
        "gives no secret, do not: the admin lets others of the old set deal anew (coffer\n"
        "officer redeal --dealers).",
    .examples = "  coffer --server https://coffer.example.org:8443 --token-file anna.token \\\n"
                "         officer finish 2 --key anna.officer",
    .min = 1,
    .max = 1,
    .options = finish_options,
    .run = run_finish,
};
