/*
 * coffer user: the people who may enrol devices and administrate.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

static const option_t password_options[] = {
    {"password-file", "FILE", "the password is the file's first line; - is standard input"},
    {"ask-password", NULL, "ask for the password at the terminal"},
    {NULL, NULL, NULL},
};

/* Given by file or terminal, or none: then the server generates one. */
static err_t *add_password(cli_t *cli, const args_t *args, json_t *body) {
    CLEANUP(buf_done) buf_t password;
    const char *file = args_value(args, "password-file");
    buf_init_secret(&password, LIMIT_PASSWORD_MAX + 1);
    TRY(args_exclude(args, "password-file", "ask-password"));
    if (file) TRY(prompt_secret_file(file, &password));
    else if (args_flag(args, "ask-password"))
        TRY(prompt_new_password(cli, args->operands[0], &password));
    else return NULL;
    if (password.n == 0) return err_new(ERR_USAGE, "the password is empty");
    return jso_set_string(body, "password", buf_bytes(&password));
}

static err_t *show_password(cli_t *cli, const json_t *json, const char *done) {
    bytes_t email, password = BYTES_NONE;
    int64_t tokens = 0;
    char ended[64] = "";
    TRY(jso_get_string(json, "email", LIMIT_EMAIL, true, &email));
    TRY(jso_get_string(json, "password", LIMIT_PASSWORD_MAX, false, &password));
    TRY(jso_get_int(json, "tokens_ended", 0, INT64_MAX, false, &tokens));
    if (tokens)
        (void)snprintf(ended, sizeof ended, "\nTokens of coffer login ended: %lld",
                       (long long)tokens);
    if (password.n == 0)
        return output_done(cli, json, "%s %.*s%s", done, (int)email.n, (const char *)email.p,
                           ended);
    return output_done(cli, json, "%s %.*s%s\nPassword (shown only now): %.*s", done, (int)email.n,
                       (const char *)email.p, ended, (int)password.n, (const char *)password.p);
}

static err_t *run_add(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *name = args_value(args, "name"), *role = args_value(args, "role");
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "email", args->operands[0]));
    if (name) TRY(jso_set_str(body, "name", name));
    if (role) TRY(jso_set_str(body, "role", role));
    TRY(add_password(cli, args, body));
    TRY(remote_call(cli, "POST", "/people", body, &json));
    return show_password(cli, json, "Added");
}

static const option_t add_options[] = {
    {"name", "NAME", "the person's name"},
    {"role", "ROLE", "member (default) or admin"},
    {"password-file", "FILE", "the password is the file's first line; - is standard input"},
    {"ask-password", NULL, "ask for the password at the terminal"},
    {NULL, NULL, NULL},
};

const command_t CMD_USER_ADD = {
    .group = "user",
    .name = "add",
    .operands = "EMAIL",
    .summary = "Add a person, who can then enrol devices",
    .notes = "Without --password-file and --ask-password a password is generated and shown once.",
    .examples = "  coffer user add nurse@example.org --name \"Ward 3\"\n"
                "  coffer user add admin2@example.org --role admin --ask-password",
    .min = 1,
    .max = 1,
    .options = add_options,
    .run = run_add,
};

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"email", "EMAIL"},
        {"name", "NAME"},
        {"role", "ROLE"},
        {"source", "SOURCE"},
        {"disabled", "DISABLED"},
        {"created", "CREATED"},
        {"failed_logins", "FAILED LOG-INS"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_list(cli, "/people", "people", &json));
    return output_list(cli, json, "people", columns, "Nobody yet: coffer user add EMAIL");
}

const command_t CMD_USER_LIST = {
    .group = "user",
    .name = "list",
    .operands = "",
    .summary = "List people",
    .examples = "  coffer user list\n  coffer user list --json",
    .run = run_list,
};

static err_t *post_empty(cli_t *cli, const char *pattern, const char *email) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, pattern, email));
    return remote_call(cli, "POST", path, NULL, NULL);
}

static err_t *run_left(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    int64_t count = 0;
    TRY(remote_path(&path, "/people/%/left", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, &json));
    TRY(jso_get_int(json, "revoked", 0, INT64_MAX, true, &count));
    return output_done(cli, json, "Disabled %s and revoked %lld certificate%s", args->operands[0],
                       (long long)count, count == 1 ? "" : "s");
}

static err_t *run_disable(cli_t *cli, const args_t *args) {
    if (args_flag(args, "left")) return run_left(cli, args);
    TRY(post_empty(cli, "/people/%/disable", args->operands[0]));
    return output_done(cli, NULL, "Disabled %s: no log-in from now on; enrolled devices go on",
                       args->operands[0]);
}

static const option_t disable_options[] = {
    {"left", NULL, "the person left: revoke certificates too, as [revocation] on_leave says"},
    {NULL, NULL, NULL},
};

const command_t CMD_USER_DISABLE = {
    .group = "user",
    .name = "disable",
    .operands = "EMAIL",
    .summary = "Let a person log in no more",
    .notes = "Sessions end at once. The person's enrolled devices stay managed, unless --left\n"
             "revokes their identities.",
    .examples = "  coffer user disable nurse@example.org\n"
                "  coffer user disable nurse@example.org --left",
    .options = disable_options,
    .min = 1,
    .max = 1,
    .run = run_disable,
};

static err_t *run_enable(cli_t *cli, const args_t *args) {
    TRY(post_empty(cli, "/people/%/enable", args->operands[0]));
    return output_done(cli, NULL, "Enabled %s", args->operands[0]);
}

const command_t CMD_USER_ENABLE = {
    .group = "user",
    .name = "enable",
    .operands = "EMAIL",
    .summary = "Let a disabled person log in again",
    .examples = "  coffer user enable nurse@example.org",
    .min = 1,
    .max = 1,
    .run = run_enable,
};

static err_t *run_password(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/people/%/password", args->operands[0]));
    TRY(jso_object(&body));
    TRY(add_password(cli, args, body));
    TRY(remote_call(cli, "POST", path, body, &json));
    return show_password(cli, json, "Changed the password of");
}

const command_t CMD_USER_PASSWORD = {
    .group = "user",
    .name = "password",
    .operands = "EMAIL",
    .summary = "Give a person a new password",
    .notes = "Without --password-file and --ask-password a password is generated and shown once.\n"
             "Sessions and tokens of coffer login that the former one gave end with it.",
    .examples = "  coffer user password nurse@example.org\n"
                "  coffer user password admin@example.org --ask-password",
    .min = 1,
    .max = 1,
    .options = password_options,
    .run = run_password,
};
