/*
 * coffer cert pending, approve, deny: SCEP requests that wait for a person (RFC 8894 section 4.4).
 */
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_pending(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"id", "ID"},       {"state", "STATE"},     {"profile", "PROFILE"},
        {"subject", "FOR"}, {"names", "NAMES"},     {"renewal", "RENEWAL"},
        {"peer", "FROM"},   {"created", "CREATED"}, {"expires", "EXPIRES"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    const char *path = args_flag(args, "all") ? "/scep/pending?all=1" : "/scep/pending";
    TRY(remote_list(cli, path, "requests", &json));
    return output_list(cli, json, "requests", columns, "No requests wait for approval.");
}

static const option_t pending_options[] = {
    {"all", NULL, "also what was decided already"},
    {NULL, NULL, NULL},
};

const command_t CMD_CERT_PENDING = {
    .group = "cert",
    .name = "pending",
    .operands = "",
    .summary = "List certificate requests that wait for approval",
    .notes = "Requests wait under certificate profiles with approval = manual. The client asks\n"
             "again by itself until somebody decides or [scep] pending_lifetime is over.",
    .examples = "  coffer cert pending",
    .options = pending_options,
    .run = run_pending,
};

static err_t *run_approve(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/scep/pending/%/approve", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, NULL));
    return output_done(cli, NULL,
                       "Approved %s: the certificate is issued when the client asks again",
                       args->operands[0]);
}

const command_t CMD_CERT_APPROVE = {
    .group = "cert",
    .name = "approve",
    .operands = "ID",
    .summary = "Let a waiting request have its certificate",
    .examples = "  coffer cert approve 3fa9c1d27b04",
    .min = 1,
    .max = 1,
    .run = run_approve,
};

static err_t *run_deny(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    const char *reason = args_value(args, "reason");
    TRY(remote_path(&path, "/scep/pending/%/deny", args->operands[0]));
    TRY(jso_object(&body));
    if (reason) TRY(jso_set_str(body, "reason", reason));
    TRY(remote_call(cli, "POST", path, body, NULL));
    return output_done(cli, NULL, "Denied %s", args->operands[0]);
}

static const option_t deny_options[] = {
    {"reason", "TEXT", "one line that the client and the trace will show"},
    {NULL, NULL, NULL},
};

const command_t CMD_CERT_DENY = {
    .group = "cert",
    .name = "deny",
    .operands = "ID",
    .summary = "Refuse a waiting request",
    .examples = "  coffer cert deny 3fa9c1d27b04 --reason \"not one of our routers\"",
    .min = 1,
    .max = 1,
    .options = deny_options,
    .run = run_deny,
};
