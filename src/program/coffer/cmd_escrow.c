/*
 * coffer escrow list, show, history, put, verify: what can be recovered.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/escrow_format.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { PATH_MAX_BYTES = 2048 };

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"id", "OBJECT"},
        {"kind", "KIND"},
        {"version", "VERSION"},
        {"owner", "OWNER"},
        {"device", "DEVICE"},
        {"label", "LABEL"},
        {"state", "STATE"},
        {"set", "SET"},
        {"created", "SINCE"},
        {"revealed", "REVEALED"},
        {"former_officers", "FORMER"},
        {NULL, NULL},
    };
    static const char *const filters[] = {"kind", "person", "device"};
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t path;
    const char *text = NULL;
    buf_init(&path, PATH_MAX_BYTES);
    TRY(buf_add_str(&path, args_flag(args, "former") ? "/escrow?former=1" : "/escrow?former=0"));
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        TRY(remote_query(&path, filters[i], args_value(args, filters[i])));
    TRY(buf_cstr(&path, &text));
    TRY(remote_list(cli, text, "objects", &json));
    return output_list(cli, json, "objects", columns, "Nothing is in escrow.");
}

static const option_t list_options[] = {
    {"kind", "KIND", "only of this kind: smime-key, file, bitlocker-key, ..."},
    {"person", "EMAIL", "only this person's"},
    {"device", "DEVICE", "only this device's"},
    {"former", NULL, "also versions that were replaced"},
    {NULL, NULL, NULL},
};

const command_t CMD_ESCROW_LIST = {
    .group = "escrow",
    .name = "list",
    .operands = "",
    .summary = "List what can be recovered",
    .notes =
        "STATE undealt: no officers have shares of it yet. SET is the officers' set that has.\n"
        "FORMER yes: it was there before the officers changed, so as many of a former set as\n"
        "it demanded, who kept their opened shares, open it with a copy of the database.\n"
        "Replace the secret where it is used and archive the new one (coffer escrow put\n"
        "--replace OBJECT, coffer key new, coffer disk rotate) if they are not trusted.",
    .examples = "  coffer escrow list --person ben@example.org\n"
                "  coffer escrow list --kind luks-key --json | jq -r '.objects[].id'",
    .options = list_options,
    .run = run_list,
};

static err_t *call_one(cli_t *cli, const args_t *args, const char *method, const char *pattern,
                       json_t **ret_json) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *full = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    long version = 0;
    TRY(args_number(args, "revision", 1, 1000000000, 0, &version));
    TRY(remote_path(&path, pattern, args->operands[0]));
    full = version ? mem_printf("%s?version=%ld", path, version) : mem_strdup(path);
    if (!full) return err_nomem();
    TRY(remote_call(cli, method, full, NULL, &json));
    *ret_json = STEAL(json);
    return NULL;
}

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(call_one(cli, args, "GET", "/escrow/%", &json));
    return output_fields(cli, json);
}

static const option_t revision_options[] = {
    {"revision", "N", "an earlier version; default: the current one"},
    {NULL, NULL, NULL},
};

const command_t CMD_ESCROW_SHOW = {
    .group = "escrow",
    .name = "show",
    .operands = "OBJECT",
    .summary = "Show what is known of one object; never its secret",
    .examples = "  coffer escrow show 5d3c...",
    .min = 1,
    .max = 1,
    .options = revision_options,
    .run = run_show,
};

static err_t *run_history(cli_t *cli, const args_t *args) {
    static const column_t versions[] = {
        {"version", "VERSION"},   {"state", "STATE"},   {"set", "SET"},
        {"created", "SINCE"},     {"created_by", "BY"}, {"verified", "VERIFIED"},
        {"revealed", "REVEALED"}, {NULL, NULL},
    };
    static const column_t recoveries[] = {
        {"id", "REQUEST"},    {"state", "STATE"},   {"requester", "BY"},    {"for", "FOR"},
        {"reason", "REASON"}, {"created", "ASKED"}, {"decided", "DECIDED"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(call_one(cli, args, "GET", "/escrow/%/history", &json));
    if (cli->json) return output_json(cli, json);
    TRY(output_list(cli, json, "versions", versions, "No versions."));
    return output_list(cli, json, "recoveries", recoveries, "Nobody asked to see it.");
}

const command_t CMD_ESCROW_HISTORY = {
    .group = "escrow",
    .name = "history",
    .operands = "OBJECT",
    .summary = "Show an object's versions, and who asked to see it",
    .examples = "  coffer escrow history 5d3c...",
    .min = 1,
    .max = 1,
    .options = revision_options,
    .run = run_history,
};

static err_t *run_verify(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t problem = BYTES_LIT("");
    TRY(call_one(cli, args, "POST", "/escrow/%/verify", &json));
    TRY(output_fields(cli, json));
    TRY(jso_get_string(json, "problem", 4096, false, &problem));
    if (problem.n)
        return err_new(ERR_VERIFY, "object %s: %.*s", args->operands[0], (int)problem.n,
                       (const char *)problem.p);
    return NULL;
}

const command_t CMD_ESCROW_VERIFY = {
    .group = "escrow",
    .name = "verify",
    .operands = "OBJECT",
    .summary = "Prove that an object still opens, without revealing it",
    .notes =
        "The key process opens it and says yes or no. What officers alone can open is checked\n"
        "as far as everybody has a share: that it opens, only a recovery shows. Exit status 5 if\n"
        "it does not hold.",
    .examples = "  coffer escrow verify 5d3c...",
    .min = 1,
    .max = 1,
    .options = revision_options,
    .run = run_verify,
};

/* ---- putting in ---- */

static err_t *read_secret(const char *kind, const char *path, buf_t *out) {
    /* What a person types has a line end; a file is kept to the last byte. */
    bool line = kind && bytes_eq_str(bytes_str(kind), ESCROW_KIND_FILE) == false;
    if (bytes_eq_str(bytes_str(path), "-")) {
        if (line) return prompt_secret_file(path, out);
        return file_read_fd(0, out);
    }
    return line ? file_read_secret(path, out) : file_read(path, out);
}

static err_t *put_body(const args_t *args, json_t *body) {
    static const char *const texts[] = {"kind", "owner", "device", "label"};
    const char *replace = args_value(args, "replace");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *value = args_value(args, texts[i]);
        if (value) TRY(jso_set_str(body, texts[i], value));
    }
    if (replace) TRY(jso_set_str(body, "id", replace));
    if (args_flag(args, "officers-only")) TRY(jso_set_bool(body, "officers_only", true));
    return NULL;
}

static err_t *run_put(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t secret;
    const char *kind = args_value(args, "kind");
    bytes_t id;
    buf_init_secret(&secret, LIMIT_ESCROW_SECRET);
    TRY(read_secret(kind, args->operands[0], &secret));
    TRY(jso_object(&body));
    TRY(put_body(args, body));
    TRY(jso_set_base64(body, "secret", buf_bytes(&secret)));
    TRY(remote_call(cli, "POST", "/escrow", body, &json));
    TRY(jso_get_string(json, "id", ESCROW_ID_TEXT, true, &id));
    return output_done(cli, json, "In escrow: object %.*s", (int)id.n, (const char *)id.p);
}

static const option_t put_options[] = {
    {"kind", "KIND", "file (default), bitlocker-key, luks-key, filevault-key, pin, ..."},
    {"owner", "EMAIL", "whose it is"},
    {"device", "DEVICE", "of which device"},
    {"label", "TEXT", "what people call it"},
    {"replace", "OBJECT", "a new version of this object"},
    {"officers-only", NULL, "the key process can't open it, officers alone can"},
    {NULL, NULL, NULL},
};

const command_t CMD_ESCROW_PUT = {
    .group = "escrow",
    .name = "put",
    .operands = "FILE",
    .summary = "Put a secret into escrow: a file, a recovery password, a PIN",
    .notes =
        "FILE is - for standard input. Of kinds other than file the first line counts, and its\n"
        "form is checked: a BitLocker recovery password has eight groups of six digits. Signing\n"
        "keys are refused. At most 32 KiB.",
    .examples =
        "  coffer escrow put safe-combination.txt --label \"safe, room 3\" --officers-only\n"
        "  coffer escrow put - --kind bitlocker-key --device C39VX0SIM001 < password.txt",
    .min = 1,
    .max = 1,
    .options = put_options,
    .run = run_put,
};
