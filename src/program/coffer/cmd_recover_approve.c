/*
 * coffer recover approve: on the officer's machine. What is shown comes out of the bytes that are
 * signed, not from what the server says of them.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "escrow/request_key.h"
#include "keeper/escrow_recipient.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { RECORD_MAX = REQUEST_KEY_FILE_MAX, PARTS_MAX = LIMIT_ESCROW_OFFICERS };

typedef struct {
    officer_key_t key;
    json_t *answer; /* what the server says of the request */
    escrow_request_t request;
    escrow_set_t set;
    const escrow_officer_t *own;
} approving_t;

static void approving_done(approving_t *a) {
    officer_key_done(&a->key);
    jso_free(a->answer);
}

DEFINE_CLEANUP_VALUE(approving_t, approving_done)

static err_t *fetch(cli_t *cli, const args_t *args, approving_t *a) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record, set;
    char id[ESCROW_ID_TEXT];
    uint8_t hash[ESCROW_HASH];
    buf_init(&record, RECORD_MAX);
    buf_init(&set, LIMIT_ESCROW_RECORD);
    TRY(remote_path(&path, "/recoveries/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &a->answer));
    TRY(officer_get_record(a->answer, "record", &record));
    TRY(officer_get_record(a->answer, "set_record", &set));
    TRY(escrow_request_parse(buf_bytes(&record), &a->request));
    escrow_id_text(a->request.id, id);
    if (strcmp(id, args->operands[0]) != 0)
        return err_new(ERR_VERIFY, "the server sent another request than %s", args->operands[0]);
    TRY(officer_trust_set(cli, args, buf_bytes(&set), &a->set));
    TRY(escrow_set_hash(&a->set, hash));
    if (memcmp(hash, a->request.set_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the request is for another set of officers than is shown");
    TRY(officer_in_set(&a->set, &a->key, &a->own));
    return NULL;
}

/* Refused here too, whatever the server would let pass. */
static err_t *check(cli_t *cli, const approving_t *a) {
    if (strcmp(a->request.requester, a->own->person) == 0)
        return err_new(ERR_DENIED, "you asked for it and can't approve it too");
    if (escrow_recipient_names(a->request.recipient, a->key.file.label) ||
        escrow_recipient_names(a->request.recipient, a->own->person))
        return err_new(ERR_DENIED, "you are to get it and can't approve it too");
    if (clk_unix(cli->clk) >= a->request.expires)
        return err_new(ERR_DENIED, "the request has expired");
    return NULL;
}

static const char *server_says(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? json_string_value(value) : "-";
}

static void show(cli_t *cli, const approving_t *a) {
    char id[ESCROW_ID_TEXT], time[TEXT_TIME_SIZE], version[32];
    const json_t *object = json_object_get(a->answer, "object");
    escrow_id_text(a->request.object.id, id);
    (void)snprintf(version, sizeof version, "%llu", (unsigned long long)a->request.object.version);
    (void)fprintf(cli->err, "Somebody is to see a secret:\n");
    output_note(cli, "what", a->request.object.kind);
    output_note(cli, "object", id);
    output_note(cli, "version", version);
    output_note(cli, "label", server_says(object, "label"));
    output_note(cli, "owner", server_says(object, "owner"));
    output_note(cli, "asked by", server_says(a->answer, "requester"));
    output_note(cli, "for whom", a->request.recipient);
    output_note(cli, "why", a->request.reason);
    output_note(cli, "ticket", a->request.ticket[0] ? a->request.ticket : "-");
    output_note(cli, "until", text_time(a->request.expires, time));
    (void)fprintf(cli->err,
                  "Label, owner and who asked are as the server says; the code that you were "
                  "told stands for all the rest.\n");
}

static err_t *read_parts(cli_t *cli, const char *id, escrow_share_t *parts, size_t *ret_count) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    json_t *list = NULL;
    TRY(remote_path(&path, "/recoveries/%/share", id));
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    TRY(jso_get_array(answer, "shares", PARTS_MAX, true, &list));
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buf_done) buf_t record;
        bytes_t text;
        buf_init(&record, LIMIT_ESCROW_RECORD);
        TRY(jso_at_string(list, i, LIMIT_ESCROW_RECORD * 2, &text));
        TRY(text_unbase64(text, &record));
        TRY(escrow_share_parse(buf_bytes(&record), &parts[i]));
    }
    *ret_count = n;
    return NULL;
}

static err_t *make_approval(cli_t *cli, const char *id, const approving_t *a, buf_t *out) {
    CLEANUP(escrow_opener_free) escrow_opener_t *opener = NULL;
    CLEANUP(secret_free) secret_t *y = NULL;
    escrow_share_t parts[PARTS_MAX];
    escrow_approval_t approval;
    uint8_t hash[ESCROW_HASH];
    size_t n = 0;
    TRY(read_parts(cli, id, parts, &n));
    if (n && strcmp(parts[0].officer, a->own->id) != 0)
        return err_new(ERR_DENIED,
                       "the key is officer %s's, but the token is officer %s's: use the "
                       "key and the token of one person",
                       a->own->id, parts[0].officer);
    TRY(escrow_object_hash(&a->request.object, hash));
    TRY(escrow_opener_new(a->request.set_hash, a->own->id, a->key.hpke, &opener));
    TRY_WRAP(escrow_shares_open(opener, hash, parts, n, &y), "your share");
    TRY(escrow_approve(&a->request, a->own, a->key.sign, secret_bytes(y), clk_unix(cli->clk),
                       &approval));
    return escrow_approval_put(&approval, out);
}

static err_t *send(cli_t *cli, const char *id, bytes_t record) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    int64_t approvals = 0, needed = 0;
    TRY(officer_record_body(record, &body));
    TRY(remote_path(&path, "/recoveries/%/approvals", id));
    TRY(remote_call(cli, "POST", path, body, &answer));
    TRY(jso_get_int(answer, "approvals", 0, INT64_MAX, true, &approvals));
    TRY(jso_get_int(answer, "needed", 0, INT64_MAX, true, &needed));
    return output_done(cli, answer, "Approved %s: %lld of %lld", id, (long long)approvals,
                       (long long)needed);
}

static err_t *run_approve(cli_t *cli, const args_t *args) {
    static const char *const words[] = {"approve", NULL};
    CLEANUP(approving_done) approving_t a = {0};
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(officer_unlock(cli, args, &a.key));
    TRY(fetch(cli, args, &a));
    TRY(check(cli, &a));
    if (!args_flag(args, "yes")) show(cli, &a);
    TRY(officer_check_code(cli, args, &a.request));
    if (!args_flag(args, "yes"))
        TRY(prompt_confirm(cli, "The code is right. Type approve to go on: ", "--yes", words));
    TRY(make_approval(cli, args->operands[0], &a, &record));
    return send(cli, args->operands[0], buf_bytes(&record));
}

static const option_t approve_options[] = {
    OFFICER_KEY_OPTIONS,
    {"code", "CODE", "the code you were told by who asked; default: ask"},
    {"yes", NULL, "do not ask; takes --code"},
    {NULL, NULL, NULL},
};

const command_t CMD_RECOVER_APPROVE = {
    .group = "recover",
    .name = "approve",
    .operands = "REQUEST",
    .summary = "Agree to a recovery request, on your own machine",
    .notes = "Shows what is asked for, for whom and why, then opens your share, seals it to the\n"
             "requester's one-time key and signs the request. The server sees the share sealed "
             "only.\n"
             "Your token needs the role officer and must be yours (coffer token add --person).",
    .examples =
        "  coffer --server https://coffer.example.org:8443 --token-file anna.token \\\n"
        "         recover approve 90b1... --key anna.officer --code k7mq-3nfh-tw9r-cd5x-hj2p",
    .min = 1,
    .max = 1,
    .options = approve_options,
    .run = run_approve,
};
