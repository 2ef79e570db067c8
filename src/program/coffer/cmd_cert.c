/*
 * coffer cert list, show, revoke, lists; coffer device lost: certificates and their revocation
 * (RFC 5280 section 5.3.1 names the reasons).
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { PATH_MAX_BYTES = 2048 };

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"serial", "SERIAL"},   {"subject", "SUBJECT"}, {"profile", "PROFILE"},
        {"not_after", "UNTIL"}, {"revoked", "REVOKED"}, {"reason", "REASON"},
        {NULL, NULL},
    };
    static const char *const filters[] = {"person", "device", "profile"};
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t path;
    const char *text = NULL;
    buf_init(&path, PATH_MAX_BYTES);
    TRY(args_exclude(args, "person", "device"));
    TRY(buf_add_str(&path, args_flag(args, "revoked") ? "/certificates?revoked=1"
                                                      : "/certificates?revoked=0"));
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        TRY(remote_query(&path, filters[i], args_value(args, filters[i])));
    TRY(buf_cstr(&path, &text));
    TRY(remote_list(cli, text, "certificates", &json));
    return output_list(cli, json, "certificates", columns, "No certificates.");
}

static const option_t list_options[] = {
    {"person", "EMAIL", "only this person's"},
    {"device", "DEVICE", "only this device's, old ones too"},
    {"profile", "NAME", "only of this certificate profile"},
    {"revoked", NULL, "only revoked ones"},
    {NULL, NULL, NULL},
};

const command_t CMD_CERT_LIST = {
    .group = "cert",
    .name = "list",
    .operands = "",
    .summary = "List certificates",
    .examples = "  coffer cert list --device C39VX0SIM001\n"
                "  coffer cert list --revoked --json | jq -r '.certificates[].serial'",
    .options = list_options,
    .run = run_list,
};

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/certificates/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_fields(cli, json);
}

const command_t CMD_CERT_SHOW = {
    .group = "cert",
    .name = "show",
    .operands = "CERT",
    .summary = "Show what is known of one certificate",
    .notes = "CERT is a serial number or a SHA-256 fingerprint in hex, with or without colons.",
    .examples = "  coffer cert show 5f0c1d2e",
    .min = 1,
    .max = 1,
    .run = run_show,
};

static err_t *run_revoke(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *reason = args_value(args, "reason");
    TRY(jso_object(&body));
    if (reason) TRY(jso_set_str(body, "reason", reason));
    TRY(remote_path(&path, "/certificates/%/revoke", args->operands[0]));
    TRY(remote_call(cli, "POST", path, body, &json));
    bool ended = reason && bytes_eq_str(bytes_str(reason), "removeFromCRL");
    return output_done(cli, json, "%s %s", ended ? "Ended the hold of" : "Revoked",
                       args->operands[0]);
}

static const option_t revoke_options[] = {
    {"reason", "REASON", "RFC 5280's name for it; default unspecified"},
    {NULL, NULL, NULL},
};

const command_t CMD_CERT_REVOKE = {
    .group = "cert",
    .name = "revoke",
    .operands = "CERT",
    .summary = "Revoke a certificate, put it on hold, or end a hold",
    .notes = "REASON is unspecified, keyCompromise, affiliationChanged, superseded,\n"
             "cessationOfOperation, privilegeWithdrawn, or certificateHold, which alone can be\n"
             "undone: by removeFromCRL. This server refuses the certificate at once; a revoked\n"
             "identity of a device can't be managed any more, not even erased. OCSP tells it at\n"
             "once, revocation lists within seconds.",
    .examples = "  coffer cert revoke 5f0c1d2e --reason keyCompromise\n"
                "  coffer cert revoke 5f0c1d2e --reason certificateHold\n"
                "  coffer cert revoke 5f0c1d2e --reason removeFromCRL",
    .min = 1,
    .max = 1,
    .options = revoke_options,
    .run = run_revoke,
};

static err_t *run_lists(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"issuer", "CA"},          {"profile", "PROFILE"},   {"delta", "DELTA"},
        {"number", "NUMBER"},      {"entries", "ENTRIES"},   {"bytes", "BYTES"},
        {"this_update", "ISSUED"}, {"next_update", "UNTIL"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/revocation-lists", NULL, &json));
    return output_list(cli, json, "lists", columns, "No revocation lists yet.");
}

const command_t CMD_CERT_LISTS = {
    .group = "cert",
    .name = "lists",
    .operands = "",
    .summary = "List the revocation lists",
    .notes = "One for each certificate profile (that is where certificates point to), one for all\n"
             "of a CA's, and a delta list over each.",
    .examples = "  coffer cert lists",
    .run = run_lists,
};

/* ---- devices ---- */

static err_t *run_lost(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *device = args->operands[0];
    const char *const names[] = {device, NULL};
    int64_t count = 0;
    if (!args_flag(args, "yes")) {
        if (!cli->interactive)
            return err_new(ERR_DENIED, "not confirmed: nobody is there to ask. Say --yes if you "
                                       "are sure");
        CLEANUP(mem_free)
        char *question = mem_printf("Revoke all certificates of %s? It can't be erased any more "
                                    "then.\nType %s to go on: ",
                                    device, device);
        if (!question) return err_nomem();
        TRY(prompt_confirm(cli, question, "--yes", names));
    }
    TRY(remote_path(&path, "/devices/%/lost", device));
    TRY(remote_call(cli, "POST", path, NULL, &json));
    TRY(jso_get_int(json, "revoked", 0, INT64_MAX, true, &count));
    return output_done(cli, json, "Revoked %lld certificate%s of %s", (long long)count,
                       count == 1 ? "" : "s", device);
}

static const option_t lost_options[] = {
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_LOST = {
    .group = "device",
    .name = "lost",
    .operands = "DEVICE",
    .summary = "Revoke the certificates of a device that is lost",
    .notes = "As [revocation] on_lost says. A device whose identity is revoked isn't managed any\n"
             "more: if it may still call, erase it instead, which revokes when it is done.",
    .examples = "  coffer device lost C39VX0SIM001",
    .min = 1,
    .max = 1,
    .options = lost_options,
    .run = run_lost,
};
