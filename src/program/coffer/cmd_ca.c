/*
 * coffer ca: the generations of the device CA, and its rollover (decision 0018).
 */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/run_keeper.h"

enum { TEXT_MAX = 16 * 1024, PEM_MAX = 256 * 1024 };

/* ---- show ---- */

static err_t *run_show(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "NAME"},           {"state", "STATE"},     {"key", "KEY"},
        {"mode", "SCEP"},           {"not_after", "UNTIL"}, {"certificates", "CERTIFICATES"},
        {"last_ends", "LAST ENDS"}, {"devices", "DEVICES"}, {"subject", "SUBJECT"},
        {"fingerprint", "SHA-256"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/ca", NULL, &json));
    return output_list(cli, json, "device_cas", columns, "There is no device CA.");
}

const command_t CMD_CA_SHOW = {
    .group = "ca",
    .name = "show",
    .operands = "",
    .summary = "Show the device CA, the former and the next ones",
    .notes = "CERTIFICATES are those that are good now, LAST ENDS says when the last of them is\n"
             "over, DEVICES how many have their identity from this CA.",
    .examples = "  coffer ca show\n"
                "  coffer ca show --json | jq '.device_cas[].profiles'",
    .run = run_show,
};

/* ---- rollover ---- */

typedef struct {
    const char *key, *mode;
    bool activate;
} plan_t;

/* The same rules as the keeper's, for a rehearsal that has none at hand. */
static err_t *read_plan(const args_t *args, plan_t *plan) {
    static const char *const keys[] = {"rsa2048", "rsa3072", "rsa4096", "p256", "p384"};
    enum { KEYS = sizeof keys / sizeof *keys, RSA_KEYS = 3 };
    const char *key = args_value(args, "device-ca-key"), *mode = args_value(args, "scep-mode");
    size_t at = 0;
    plan->activate = args_flag(args, "activate");
    if (plan->activate && (key || mode))
        return err_new(ERR_USAGE, "the next device CA's key and mode were chosen when it was made");
    while (key && at < KEYS && strcmp(key, keys[at]) != 0) at++;
    if (at == KEYS)
        return err_new(ERR_USAGE, "--device-ca-key is rsa2048, rsa3072, rsa4096, p256 or p384");
    if (mode && strcmp(mode, "ca") != 0 && strcmp(mode, "ra") != 0)
        return err_new(ERR_USAGE, "--scep-mode is ca or ra");
    if (mode && strcmp(mode, "ca") == 0 && at >= RSA_KEYS)
        return err_new(ERR_USAGE, "SCEP encrypts to an RSA key: with %s the mode must be ra", key);
    plan->key = keys[at];
    plan->mode = mode ? mode : at >= RSA_KEYS ? "ra" : "ca";
    return NULL;
}

/* The generation in this state; NULL if there is none. */
static const json_t *find_ca(const json_t *json, const char *state) {
    const json_t *list = json_object_get(json, "device_cas");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *ca = json_array_get(list, i);
        const char *its = json_string_value(json_object_get(ca, "state"));
        if (its && strcmp(its, state) == 0) return ca;
    }
    return NULL;
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "-";
}

static long long number_of(const json_t *object, const char *name) {
    return (long long)json_integer_value(json_object_get(object, name));
}

static err_t *tell_current(const json_t *current, buf_t *out) {
    const json_t *profiles = json_object_get(current, "profiles");
    TRY(buf_printf(out, "Now %s is current: %s, good until %s.\n", text_of(current, "name"),
                   text_of(current, "subject"), text_of(current, "not_after")));
    TRY(buf_printf(out,
                   "  %lld certificates of it are good, the last of them until %s; %lld devices "
                   "have their identity from it.\n",
                   number_of(current, "certificates"), text_of(current, "last_ends"),
                   number_of(current, "devices")));
    for (size_t i = 0; i < json_array_size(profiles); i++) {
        const json_t *profile = json_array_get(profiles, i);
        TRY(buf_printf(out, "    %-24s %8lld certificates, the last until %s\n",
                       text_of(profile, "profile"), number_of(profile, "certificates"),
                       text_of(profile, "last_ends")));
    }
    return NULL;
}

static err_t *tell_prepare(const json_t *json, const plan_t *plan, buf_t *out) {
    const json_t *current = find_ca(json, "current"), *next = find_ca(json, "next");
    TRY(tell_current(current, out));
    if (next)
        return buf_printf(out, "%s was made already. What remains: coffer ca rollover --activate\n",
                          text_of(next, "name"));
    size_t count = json_array_size(json_object_get(json, "device_cas"));
    TRY(buf_printf(
        out,
        "Would be made: device-ca-%zu with a new key (%s), under the root, SCEP mode %s, "
        "good for 10 years or until the root's end (%s).\n",
        count + 1, plan->key, plan->mode, text_of(json, "root_not_after")));
    TRY(buf_add_str(out,
                    "  It certifies nothing yet: every certificate and device stays as it is.\n"
                    "  GetNextCACert tells SCEP clients of it; profiles of devices that enrol from "
                    "then on have it beside the current one.\n"));
    return buf_add_str(out,
                       "To do it:\n"
                       "  1. stop the server; coffer ca rollover; start it\n"
                       "  2. give the next CA to whoever checks certificates (VPN, Wi-Fi, mail)\n"
                       "  3. after some days or weeks: coffer ca rollover --activate --dry-run\n");
}

static err_t *tell_activate(const json_t *json, buf_t *out) {
    const json_t *current = find_ca(json, "current"), *next = find_ca(json, "next");
    long long devices = number_of(json, "devices"), know = number_of(json, "devices_with_next");
    TRY(tell_current(current, out));
    if (!next)
        return buf_add_str(out, "There is no next device CA to activate: coffer ca rollover\n");
    TRY(buf_printf(out, "Would become current: %s, %s, good until %s (SCEP mode %s).\n",
                   text_of(next, "name"), text_of(next, "subject"), text_of(next, "not_after"),
                   text_of(next, "mode")));
    TRY(buf_printf(out,
                   "  %lld of %lld devices enrolled since it was made and have both chains; the "
                   "other %lld trust the root and meet the new CA when they renew.\n",
                   know, devices, devices - know));
    TRY(buf_printf(out,
                   "  %s would stay until its last certificate ends (%s): for its lists, for OCSP, "
                   "and for renewals and requests of clients that know no other.\n",
                   text_of(current, "name"), text_of(current, "last_ends")));
    return buf_add_str(out, "There is no way back. To do it:\n"
                            "  1. stop the server; coffer ca rollover --activate; start it\n"
                            "  2. give routers, printers and gateways the new CA for SCEP\n"
                            "  3. watch coffer ca show until the former one has 0 certificates\n");
}

static err_t *rehearse(cli_t *cli, const plan_t *plan) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, TEXT_MAX);
    TRY(remote_call(cli, "GET", "/ca", NULL, &json));
    if (!find_ca(json, "current"))
        return err_new(ERR_INVALID, "the server's answer has no current device CA");
    if (cli->json) return output_json(cli, json);
    TRY(plan->activate ? tell_activate(json, &text) : tell_prepare(json, plan, &text));
    TRY(buf_add_str(&text, "Nothing was changed.\n"));
    return cli_print(cli, &text);
}

/* public/device-ca.pem has the current one first, then the newest of the others. */
static err_t *read_public(const char *dir, size_t at, cert_t **ret_cert) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t pem;
    CLEANUP(cert_list_done) cert_list_t list = {0};
    buf_init(&pem, PEM_MAX);
    TRY(file_path(dir, "public/device-ca.pem", &path));
    TRY(file_read(path, &pem));
    TRY(cert_parse_pem_list(buf_bytes(&pem), &list));
    if (at >= list.n) return err_new(ERR_INVALID, "%s has too few certificates", path);
    *ret_cert = cert_share(list.certs[at]);
    return NULL;
}

static err_t *run_step(const char *dir, const plan_t *plan) {
    const char *words[RUN_KEEPER_WORDS] = {"--dir", dir, "--rollover"};
    size_t n = 3;
    run_keeper_t how = RUN_KEEPER_FAILED;
    if (plan->activate) words[n++] = "--activate";
    if (!plan->activate) words[n++] = "--device-ca-key", words[n++] = plan->key;
    if (!plan->activate) words[n++] = "--scep-mode", words[n++] = plan->mode;
    TRY(run_keeper(words, n, &how));
    switch (how) {
    case RUN_KEEPER_DONE: return NULL;
    case RUN_KEEPER_BUSY:
        return err_new(ERR_BUSY, "the server of %s is running: stop it, repeat this, start it",
                       dir);
    case RUN_KEEPER_ORDER:
        return err_new(ERR_DENIED, plan->activate
                                       ? "there is no next device CA: coffer ca rollover makes it"
                                       : "no other device CA can be made now: coffer ca show");
    case RUN_KEEPER_USAGE:
    case RUN_KEEPER_FAILED: break;
    }
    return err_new(ERR_INTERNAL, "coffer-keeper could not do it");
}

static err_t *tell_done(cli_t *cli, const char *dir, const plan_t *plan) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(read_public(dir, plan->activate ? 0 : 1, &cert));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "subject", cert_subject(cert)));
    TRY(jso_set_str(json, "fingerprint", cert_sha256_hex(cert)));
    TRY(jso_set_str(json, "state", plan->activate ? "current" : "next"));
    if (plan->activate)
        return output_done(cli, json, "%s (SHA-256 %s) is the device CA now. Start the server.",
                           cert_subject(cert), cert_sha256_hex(cert));
    return output_done(cli, json,
                       "%s (SHA-256 %s) is the next device CA. It certifies nothing yet. Start the "
                       "server; later: coffer ca rollover --activate",
                       cert_subject(cert), cert_sha256_hex(cert));
}

static err_t *run_rollover(cli_t *cli, const args_t *args) {
    static const char *const yes[] = {"activate", NULL};
    const char *dir = cli_dir(cli);
    plan_t plan = {0};
    TRY(read_plan(args, &plan));
    if (args_flag(args, "dry-run")) return rehearse(cli, &plan);
    if (!dir) return err_new(ERR_USAGE, "coffer ca rollover needs --dir: it changes the vault");
    if (plan.activate && !args_flag(args, "yes"))
        TRY(prompt_confirm(cli,
                           "There is no way back to the device CA that is current now.\n"
                           "Type activate to go on: ",
                           "--yes", yes));
    TRY(run_step(dir, &plan));
    return tell_done(cli, dir, &plan);
}

static const option_t rollover_options[] = {
    {"dry-run", NULL, "say what would happen and for whom; change nothing"},
    {"activate", NULL, "the next device CA becomes current"},
    {"device-ca-key", "KEY", "of the next one: rsa2048 (default), rsa3072, rsa4096, p256, p384"},
    {"scep-mode", "MODE", "ca (default with RSA): it speaks SCEP itself; ra: an RA does"},
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

const command_t CMD_CA_ROLLOVER = {
    .group = "ca",
    .name = "rollover",
    .operands = "",
    .summary = "Make the next device CA, or have it take over",
    .notes =
        "The rehearsal asks the running server. The deed changes the vault: the server has to\n"
        "be stopped for the second that it takes, and --dir is needed.",
    .examples = "  coffer ca rollover --dry-run\n"
                "  coffer ca rollover --device-ca-key p256\n"
                "  coffer ca rollover --activate",
    .options = rollover_options,
    .run = run_rollover,
};
