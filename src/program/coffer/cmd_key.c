/*
 * coffer key: keys that people's mail is encrypted to.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/p12.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

static err_t *post(cli_t *cli, const char *pattern, const char *email, const json_t *body,
                   const char *done) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    bytes_t object;
    int64_t devices = 0;
    TRY(remote_path(&path, pattern, email));
    TRY(remote_call(cli, "POST", path, body, &json));
    TRY(jso_get_string(json, "object", LIMIT_NAME, true, &object));
    TRY(jso_get_int(json, "devices", 0, INT64_MAX, true, &devices));
    return output_done(cli, json,
                       "%s %s: object %.*s\n%lld enrolled device%s told to get it (coffer key "
                       "deliveries); others get it when they enrol",
                       done, email, (int)object.n, (const char *)object.p, (long long)devices,
                       devices == 1 ? " is" : "s are");
}

static err_t *run_new(cli_t *cli, const args_t *args) {
    return post(cli, "/people/%/keys", args->operands[0], NULL, "Made and archived a mail key for");
}

const command_t CMD_KEY_NEW = {
    .group = "key",
    .name = "new",
    .operands = "EMAIL",
    .summary = "Make a person's next key for encrypted mail",
    .notes =
        "The keeper makes the key, has the mail CA certify it and archives it. It becomes the\n"
        "current one; former ones stay, so that old mail can be read. The person's devices get\n"
        "it: coffer key deliveries.",
    .examples = "  coffer key new nurse@example.org",
    .min = 1,
    .max = 1,
    .run = run_new,
};

static err_t *run_import(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t file, password;
    const char *from = args_value(args, "password-file");
    buf_init_secret(&file, P12_BYTES_MAX);
    buf_init_secret(&password, P12_PASSWORD_MAX + 1);
    if (!from) return err_new(ERR_USAGE, "--password-file is needed: - is standard input");
    TRY(prompt_secret_file(from, &password));
    TRY(file_read(args->operands[1], &file));
    TRY(jso_object(&body));
    TRY(jso_set_base64(body, "p12", buf_bytes(&file)));
    TRY(jso_set_string(body, "password", buf_bytes(&password)));
    return post(cli, "/people/%/keys/import", args->operands[0], body, "Archived the mail key of");
}

static const option_t import_options[] = {
    {"password-file", "FILE", "the file's password is this file's first line; - is standard input"},
    {NULL, NULL, NULL},
};

const command_t CMD_KEY_IMPORT = {
    .group = "key",
    .name = "import",
    .operands = "EMAIL FILE.p12",
    .summary = "Archive a key that a person's mail was encrypted to until now",
    .notes =
        "The certificate's key usage must be encryption alone: keys that sign are not archived.\n"
        "Wrong passwords are counted.",
    .examples = "  coffer key import nurse@example.org old.p12 --password-file pass.txt",
    .options = import_options,
    .min = 2,
    .max = 2,
    .run = run_import,
};
