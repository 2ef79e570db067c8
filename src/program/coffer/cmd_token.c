/*
 * coffer token: API tokens for programs and for this command line from elsewhere.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { TOKEN_TEXT_MAX = 256 };

/* A time (RFC 3339) or a duration from now ("90d"). */
static err_t *add_expiry(cli_t *cli, const args_t *args, json_t *body) {
    const char *text = args_value(args, "expires");
    int64_t when = 0;
    if (!text) return NULL;
    err_t *e = text_parse_time(bytes_str(text), &when);
    if (e) {
        err_free(e);
        e = text_duration(bytes_str(text), &when);
        when += clk_unix(cli->clk);
    }
    if (e)
        return err_recode(err_wrap(e, "--expires is a duration like 90d or a time like "
                                      "2027-01-01T00:00:00Z"),
                          ERR_USAGE);
    return jso_set_time(body, "expires", when);
}

static err_t *run_add(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *role = args_value(args, "role"), *output = args_value(args, "output");
    const char *person = args_value(args, "person");
    bytes_t token;
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "name", args->operands[0]));
    TRY(jso_set_str(body, "role", role ? role : "auditor"));
    if (person) TRY(jso_set_str(body, "person", person));
    TRY(add_expiry(cli, args, body));
    /* Before the token exists: it could not be shown again. */
    if (output && file_exists(output)) return err_new(ERR_EXISTS, "%s exists already", output);
    TRY(remote_call(cli, "POST", "/tokens", body, &json));
    TRY(jso_get_string(json, "token", TOKEN_TEXT_MAX, true, &token));
    if (!output)
        return output_done(cli, json, "Token %s (shown only now): %.*s", args->operands[0],
                           (int)token.n, (const char *)token.p);
    CLEANUP(buf_done) buf_t line;
    buf_init_secret(&line, TOKEN_TEXT_MAX + 1);
    TRY(buf_add(&line, token));
    TRY(buf_add_byte(&line, '\n'));
    TRY(file_write(output, buf_bytes(&line), 0600));
    (void)json_object_del(json, "token");
    TRY(jso_set_str(json, "file", output));
    return output_done(cli, json, "Token %s is in %s", args->operands[0], output);
}

static const option_t add_options[] = {
    {"role", "ROLE",
     "auditor (default: may read), admin, officer (recoveries) or member (a person)"},
    {"person", "EMAIL", "whose it is; recovery demands to know"},
    {"expires", "WHEN", "90d, or 2027-01-01T00:00:00Z; default: never"},
    {"output", "FILE", "write the token there (0600) instead of showing it"},
    {NULL, NULL, NULL},
};

const command_t CMD_TOKEN_ADD = {
    .group = "token",
    .name = "add",
    .operands = "NAME",
    .summary = "Make an API token",
    .notes =
        "The server keeps a hash only; a lost token is removed and made anew. A person's token\n"
        "ends when the person is disabled, and counts as the person where people must be told\n"
        "apart: who asks for a recovery, and who agrees to it.",
    .examples = "  coffer token add monitoring --expires 1y --output monitoring.token\n"
                "  coffer token add anna-officer --role officer --person anna@example.org \\\n"
                "         --output anna.token\n"
                "  coffer --server https://coffer.example.org:8443 --token-file monitoring.token "
                "status",
    .min = 1,
    .max = 1,
    .options = add_options,
    .run = run_add,
};

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "NAME"},       {"role", "ROLE"},       {"person", "PERSON"},
        {"created", "CREATED"}, {"expires", "EXPIRES"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_list(cli, "/tokens", "tokens", &json));
    return output_list(cli, json, "tokens", columns, "No tokens.");
}

const command_t CMD_TOKEN_LIST = {
    .group = "token",
    .name = "list",
    .operands = "",
    .summary = "List API tokens (not the secrets)",
    .examples = "  coffer token list",
    .run = run_list,
};

static err_t *run_remove(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/tokens/%", args->operands[0]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Removed token %s", args->operands[0]);
}

const command_t CMD_TOKEN_REMOVE = {
    .group = "token",
    .name = "remove",
    .operands = "NAME",
    .summary = "Take an API token back; it stops working at once",
    .examples = "  coffer token remove monitoring",
    .min = 1,
    .max = 1,
    .run = run_remove,
};
