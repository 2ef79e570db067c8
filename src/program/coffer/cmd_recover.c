/*
 * coffer recover request, list, show, deny: asking to see what is in escrow.
 */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "escrow/request_key.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { RECORD_MAX = REQUEST_KEY_FILE_MAX, LIFE_S = 3 * 86400 /* of a request, unless told */ };

/* The records are for programs. */
static err_t *show(cli_t *cli, json_t *answer) {
    if (!cli->json) {
        (void)json_object_del(answer, "record");
        (void)json_object_del(answer, "set_record");
    }
    return output_fields(cli, answer);
}

/* ---- asking ---- */

static err_t *request_body(const args_t *args, const uint8_t public[ESCROW_KEY], json_t *body) {
    const char *reason = args_value(args, "reason"), *whom = args_value(args, "for");
    const char *ticket = args_value(args, "ticket"), *expires = args_value(args, "expires");
    long version = 0;
    int64_t life_s = 0;
    if (!reason || !whom)
        return err_new(ERR_USAGE, "--reason TEXT and --for WHOM are what officers decide on");
    TRY(args_number(args, "revision", 1, 1000000000, 0, &version));
    TRY(jso_set_str(body, "object", args->operands[0]));
    if (version) TRY(jso_set_int(body, "version", version));
    TRY(jso_set_str(body, "for", whom));
    TRY(jso_set_str(body, "reason", reason));
    if (ticket) TRY(jso_set_str(body, "ticket", ticket));
    if (expires) {
        TRY_WRAP(text_duration(bytes_str(expires), &life_s), "--expires");
        TRY(jso_set_int(body, "lifetime_s", life_s));
    }
    return jso_set_base64(body, "recipient_key", bytes_make(public, ESCROW_KEY));
}

/* The server made the record: it has to be what was asked for, in everything said here. */
static err_t *check_record(const json_t *body, const json_t *answer,
                           const escrow_request_t *request) {
    char id[ESCROW_ID_TEXT];
    uint8_t object[ESCROW_ID];
    bytes_t said, asked, whom, reason, ticket = BYTES_NONE;
    int64_t version = (int64_t)request->object.version, life_s = LIFE_S;
    escrow_id_text(request->id, id);
    TRY(jso_get_string(answer, "id", ESCROW_ID_TEXT, true, &said));
    TRY(jso_get_string(body, "object", REQUEST_KEY_FILE_MAX, true, &asked));
    TRY(escrow_id_parse(asked, object));
    TRY(jso_get_string(body, "for", REQUEST_KEY_FILE_MAX, true, &whom));
    TRY(jso_get_string(body, "reason", REQUEST_KEY_FILE_MAX, true, &reason));
    TRY(jso_get_string(body, "ticket", REQUEST_KEY_FILE_MAX, false, &ticket));
    TRY(jso_get_int(body, "version", 1, INT64_MAX, false, &version));
    TRY(jso_get_int(body, "lifetime_s", 0, INT64_MAX, false, &life_s));
    if (bytes_eq_str(said, id) && memcmp(object, request->object.id, ESCROW_ID) == 0 &&
        bytes_eq_str(text_trim(whom), request->recipient) &&
        bytes_eq_str(text_trim(reason), request->reason) &&
        bytes_eq_str(text_trim(ticket), request->ticket) &&
        (uint64_t)version == request->object.version &&
        request->expires - request->created == life_s)
        return NULL;
    return err_new(ERR_VERIFY, "the server made another request than was asked for: do not tell "
                               "anybody its code");
}

/* Checks the record, keeps it with the key, and only then draws the code. */
static err_t *keep_file(cli_t *cli, const secret_t *private, const json_t *body,
                        const json_t *answer, const char *path, char code[REQUEST_KEY_CODE]) {
    CLEANUP(buf_done) buf_t record, file;
    escrow_request_t request;
    buf_init(&record, RECORD_MAX);
    buf_init_secret(&file, REQUEST_KEY_FILE_MAX);
    TRY(officer_get_record(answer, "record", &record));
    TRY(escrow_request_parse(buf_bytes(&record), &request));
    TRY(check_record(body, answer, &request));
    TRY(request_key_put(private, buf_bytes(&record), &file));
    TRY(request_key_code(cli->rnd, &request, code));
    return file_write(path, buf_bytes(&file), 0600);
}

static err_t *run_request(cli_t *cli, const args_t *args) {
    CLEANUP(secret_free) secret_t *private = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    uint8_t public[ESCROW_KEY];
    char code[REQUEST_KEY_CODE];
    bytes_t id;
    const char *out = args_value(args, "out");
    if (out && file_exists(out)) return err_new(ERR_EXISTS, "%s exists already", out);
    TRY(jso_object(&body));
    TRY(request_key_new(cli->rnd, &private, public));
    TRY(request_body(args, public, body));
    TRY(remote_call(cli, "POST", "/recoveries", body, &answer));
    TRY(jso_get_string(answer, "id", ESCROW_ID_TEXT, true, &id));
    path = out ? mem_strdup(out) : mem_printf("recovery-%.*s.key", (int)id.n, (const char *)id.p);
    if (!path) return err_nomem();
    TRY(keep_file(cli, private, body, answer, path, code));
    TRY(jso_set_str(answer, "code", code));
    TRY(jso_set_str(answer, "file", path));
    return output_done(cli, answer,
                       "Request %.*s waits for officers. Its key is in %s: keep it, it opens this "
                       "request alone.\nRead the officers this code, by voice: %s\nIt is shown "
                       "once; their programs compare it.",
                       (int)id.n, (const char *)id.p, path, code);
}

static const option_t request_options[] = {
    {"for", "WHOM", "who gets it: a mail address or a name"},
    {"reason", "TEXT", "why; officers and the audit log see it"},
    {"ticket", "TEXT", "a ticket's number"},
    {"revision", "N", "an earlier version of the object; default: the current one"},
    {"expires", "WHEN", "how long it may wait: 12h, 7d; default 3d"},
    {"out", "FILE", "the request's key; default recovery-ID.key here"},
    {NULL, NULL, NULL},
};

const command_t CMD_RECOVER_REQUEST = {
    .group = "recover",
    .name = "request",
    .operands = "OBJECT",
    .summary = "Ask the officers to recover an object, for somebody, for a reason",
    .notes =
        "Run it where the secret is to arrive: it makes a one-time key here, and officers seal\n"
        "their shares to it. It takes an admin's own token (coffer login). Who asks, and who\n"
        "gets it, can't approve it. The code stands for everything in the request; it is made "
        "here,\n"
        "after the server made the request, so that the server can't make another one that fits "
        "it.\n"
        "The server never learns it.",
    .examples = "  coffer recover request 5d3c... --for ben@example.org --reason \"laptop lost\"\n"
                "  coffer recover request 5d3c... --for auditor --reason inspection --ticket "
                "IT-2041",
    .min = 1,
    .max = 1,
    .options = request_options,
    .run = run_request,
};

/* ---- looking ---- */

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"id", "REQUEST"},      {"state", "STATE"},   {"kind", "KIND"},     {"requester", "BY"},
        {"for", "FOR"},         {"reason", "REASON"}, {"approvals", "HAS"}, {"needed", "NEEDS"},
        {"expires", "EXPIRES"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_list(cli, args_flag(args, "all") ? "/recoveries" : "/recoveries?state=waiting",
                    "requests", &json));
    return output_list(cli, json, "requests", columns, "No recovery requests.");
}

static const option_t list_options[] = {
    {"all", NULL, "also what was opened or denied"},
    {NULL, NULL, NULL},
};

const command_t CMD_RECOVER_LIST = {
    .group = "recover",
    .name = "list",
    .operands = "",
    .summary = "List recovery requests",
    .examples = "  coffer recover list\n"
                "  coffer recover list --all",
    .options = list_options,
    .run = run_list,
};

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/recoveries/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    return show(cli, answer);
}

const command_t CMD_RECOVER_SHOW = {
    .group = "recover",
    .name = "show",
    .operands = "REQUEST",
    .summary = "Show a recovery request, who answered, and what followed the reveal",
    .examples = "  coffer recover show 90b1...",
    .min = 1,
    .max = 1,
    .run = run_show,
};

static err_t *run_deny(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *reason = args_value(args, "reason");
    TRY(jso_object(&body));
    if (reason) TRY(jso_set_str(body, "reason", reason));
    TRY(remote_path(&path, "/recoveries/%/deny", args->operands[0]));
    TRY(remote_call(cli, "POST", path, body, &answer));
    return output_done(cli, answer, "Denied %s", args->operands[0]);
}

static const option_t deny_options[] = {
    {"reason", "TEXT", "why not"},
    {NULL, NULL, NULL},
};

const command_t CMD_RECOVER_DENY = {
    .group = "recover",
    .name = "deny",
    .operands = "REQUEST",
    .summary = "Refuse a recovery request, as an officer; that ends it",
    .examples = "  coffer recover deny 90b1... --reason \"ask the owner first\"",
    .min = 1,
    .max = 1,
    .options = deny_options,
    .run = run_deny,
};
