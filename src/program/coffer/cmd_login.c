/*
 * coffer login: a person's own token, for the password.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { TOKEN_TEXT_MAX = 256 };

static err_t *add_password(cli_t *cli, const args_t *args, json_t *body) {
    CLEANUP(buf_done) buf_t password;
    const char *file = args_value(args, "password-file");
    buf_init_secret(&password, LIMIT_PASSWORD_MAX + 1);
    if (file) TRY(prompt_secret_file(file, &password));
    else TRY(prompt_password(cli, "Password of", args->operands[0], &password));
    return jso_set_string(body, "password", buf_bytes(&password));
}

static err_t *write_token(const json_t *json, const char *path) {
    CLEANUP(buf_done) buf_t line;
    bytes_t token;
    buf_init_secret(&line, TOKEN_TEXT_MAX + 1);
    TRY(jso_get_string(json, "token", TOKEN_TEXT_MAX, true, &token));
    TRY(buf_add(&line, token));
    TRY(buf_add_byte(&line, '\n'));
    return file_write(path, buf_bytes(&line), 0600);
}

static err_t *login_body(const args_t *args, json_t *body) {
    const char *role = args_value(args, "role"), *expires = args_value(args, "expires");
    int64_t life_s = 0;
    TRY(jso_set_str(body, "email", args->operands[0]));
    if (role) TRY(jso_set_str(body, "role", role));
    if (!expires) return NULL;
    TRY_WRAP(text_duration(bytes_str(expires), &life_s), "--expires");
    return jso_set_int(body, "lifetime_s", life_s);
}

static err_t *run_login(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *output = args_value(args, "output");
    bytes_t role;
    if (!output) return err_new(ERR_USAGE, "--output FILE says where the token goes");
    TRY(jso_object(&body));
    TRY(login_body(args, body));
    TRY(add_password(cli, args, body));
    TRY(remote_call_nobody(cli, "POST", "/login", body, &json));
    TRY(write_token(json, output));
    (void)json_object_del(json, "token");
    TRY(jso_set_str(json, "file", output));
    TRY(jso_get_string(json, "role", 16, true, &role));
    return output_done(cli, json, "Logged in as %s (%.*s): the token is in %s", args->operands[0],
                       (int)role.n, (const char *)role.p, output);
}

static const option_t login_options[] = {
    {"output", "FILE", "the token goes there (0600), over one from before"},
    {"password-file", "FILE", "the password is the file's first line; - is standard input"},
    {"role", "ROLE", "admin, auditor, officer or member; default: the most that you may be"},
    {"expires", "WHEN", "how long the token holds: 1h, 30d; default 12h"},
    {NULL, NULL, NULL},
};

const command_t CMD_LOGIN = {
    .group = "",
    .name = "login",
    .operands = "EMAIL",
    .summary = "Get a token of your own for your password",
    .notes =
        "For everybody with a password; it takes no --token-file. It begins a device's sync of\n"
        "files, and who asks for a recovery needs one: a token that somebody else made in\n"
        "your name shows only that he could. coffer token remove ends it early.",
    .examples = "  coffer --server https://coffer.example.org:8443 --ca root.pem \\\n"
                "         login dora@example.org --output dora.token\n"
                "  coffer --server https://coffer.example.org:8443 --ca root.pem \\\n"
                "         --token-file dora.token recover list",
    .min = 1,
    .max = 1,
    .options = login_options,
    .run = run_login,
};
