/*
 * coffer directory: the organisation's LDAP directory or Active Directory ([ldap] in coffer.conf).
 */
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_test(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "POST", "/directory/test", NULL, &json));
    return output_fields(cli, json);
}

const command_t CMD_DIRECTORY_TEST = {
    .group = "directory",
    .name = "test",
    .operands = "",
    .summary = "Ask the directory for everybody, and change nothing",
    .notes = "Connects, signs in and counts people as a sync would see them: with the role that\n"
             "their groups give, and without those entries that can't be people here.\n"
             "The directory is set up in [ldap] of coffer.conf.",
    .examples = "  coffer directory test\n  coffer directory test --json",
    .run = run_test,
};

static err_t *get_int(const json_t *json, const char *key, int64_t *ret_value) {
    return jso_get_int(json, key, 0, INT64_MAX, true, ret_value);
}

static err_t *run_sync(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    int64_t people = 0, added = 0, changed = 0, back = 0, left = 0, revoked = 0, conflicts = 0;
    bytes_t first = BYTES_NONE;
    TRY(jso_object(&body));
    TRY(jso_set_bool(body, "force", args_flag(args, "force")));
    TRY(remote_call(cli, "POST", "/directory/sync", body, &json));
    TRY(get_int(json, "people", &people));
    TRY(get_int(json, "added", &added));
    TRY(get_int(json, "changed", &changed));
    TRY(get_int(json, "back", &back));
    TRY(get_int(json, "left", &left));
    TRY(get_int(json, "revoked", &revoked));
    TRY(get_int(json, "conflicts", &conflicts));
    TRY(jso_get_string(json, "first_conflict", CLI_PATH_MAX, false, &first));
    if (conflicts)
        TRY(cli_say(cli,
                    "%lld entries have an address that is somebody else's here, the first %.*s",
                    (long long)conflicts, (int)first.n, (const char *)first.p));
    return output_done(cli, json,
                       "%lld people in the directory: %lld added, %lld changed, %lld back, %lld "
                       "left (%lld certificates revoked)",
                       (long long)people, (long long)added, (long long)changed, (long long)back,
                       (long long)left, (long long)revoked);
}

static const option_t sync_options[] = {
    {"force", NULL, "also when more people would vanish than [ldap] brake allows"},
    {NULL, NULL, NULL},
};

const command_t CMD_DIRECTORY_SYNC = {
    .group = "directory",
    .name = "sync",
    .operands = "",
    .summary = "Make people here as the directory has them now",
    .notes = "Adds who is new, changes who changed, and disables who is gone or disabled there: "
             "their\ncertificates are revoked as [revocation] on_leave says. When too many would "
             "go at once\n([ldap] brake), nothing is done (exit status 4). The server does this by "
             "itself every\n[ldap] sync_interval. People made with coffer user add are left alone.",
    .examples = "  coffer directory sync\n  coffer directory sync --force",
    .options = sync_options,
    .run = run_sync,
};

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_path(&path, "/directory/people/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_fields(cli, json);
}

const command_t CMD_DIRECTORY_SHOW = {
    .group = "directory",
    .name = "show",
    .operands = "PERSON",
    .summary = "Show what the directory says of one person",
    .notes = "PERSON is a mail address or log-in name. Shows the entry, its groups and the role "
             "that they give.",
    .examples = "  coffer directory show nurse@example.org\n  coffer directory show nurse --json",
    .min = 1,
    .max = 1,
    .run = run_show,
};

static err_t *print_pem(cli_t *cli, const json_t *json) {
    json_t *list = NULL;
    TRY(jso_get_array(json, "certificates", 1000, true, &list));
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, CLI_OUTPUT_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        bytes_t pem;
        TRY(jso_get_string(json_array_get(list, i), "pem", CLI_OUTPUT_MAX, true, &pem));
        TRY(buf_add(&out, pem));
    }
    return cli_print(cli, &out);
}

static err_t *run_certificates(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"subject", "SUBJECT"},     {"issuer", "ISSUER"},   {"serial", "SERIAL"},
        {"not_after", "NOT AFTER"}, {"valid_now", "VALID"}, {NULL, NULL},
    };
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_path(&path, "/directory/certificates/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    if (args_flag(args, "pem")) return print_pem(cli, json);
    return output_list(cli, json, "certificates", columns,
                       "The directory has no certificate for that address.");
}

static const option_t certificates_options[] = {
    {"pem", NULL, "print the certificates themselves"},
    {NULL, NULL, NULL},
};

const command_t CMD_DIRECTORY_CERTIFICATES = {
    .group = "directory",
    .name = "certificates",
    .operands = "ADDRESS",
    .summary = "Look up the certificates that the directory has for a mail address",
    .notes = "From userCertificate and userSMIMECertificate, as whoever put them there: nothing is "
             "verified but that\nthey are certificates.",
    .examples = "  coffer directory certificates nurse@example.org\n"
                "  coffer directory certificates nurse@example.org --pem",
    .min = 1,
    .max = 1,
    .options = certificates_options,
    .run = run_certificates,
};
