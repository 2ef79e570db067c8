/*
 * coffer mail policy: what the mail gateway does for whom.
 */
#include <string.h>

#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *list_rules(cli_t *cli) {
    static const column_t columns[] = {
        {"name", "FOR"}, {"settings", "SETTINGS"}, {"source", "FROM"}, {NULL, NULL}};
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_list(cli, "/mail/policy", "policy", &json));
    return output_list(cli, json, "policy", columns,
                       "There is no rule: mail passes as it is, signatures are verified.");
}

static err_t *show_rule(cli_t *cli, const char *name) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/mail/policy/%", name));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_fields(cli, json);
}

/* Page by page: making a key for everybody takes its time. */
static err_t *apply_rules(cli_t *cli, bool say) {
    CLEANUP(mem_free) char *next = NULL;
    CLEANUP(jso_free) json_t *total = NULL;
    int64_t people = 0, changed = 0;
    do {
        CLEANUP(jso_free) json_t *json = NULL;
        CLEANUP(buf_done) buf_t path;
        const char *text;
        int64_t n = 0;
        bytes_t after = BYTES_NONE;
        buf_init(&path, 2000);
        TRY(buf_add_str(&path, "/mail/policy-apply?limit=50"));
        TRY(remote_query(&path, "after", next));
        TRY(buf_cstr(&path, &text));
        TRY(remote_call(cli, "POST", text, NULL, &json));
        TRY(jso_get_int(json, "people", 0, INT64_MAX, true, &n));
        people += n;
        TRY(jso_get_int(json, "changed", 0, INT64_MAX, true, &n));
        changed += n;
        TRY(jso_get_string(json, "next", 1000, false, &after));
        mem_free(next);
        next = after.n ? mem_strndup((const char *)after.p, after.n) : NULL;
        if (after.n && !next) return err_nomem();
    } while (next);
    if (!say) return NULL;
    TRY(jso_object(&total));
    TRY(jso_set_int(total, "people", people));
    TRY(jso_set_int(total, "changed", changed));
    return output_done(cli, total, "%lld of %lld people have new permissions in the keeper",
                       (long long)changed, (long long)people);
}

static err_t *set_rule(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(buf_done) buf_t settings;
    bytes_t effective;
    buf_init(&settings, 1000);
    for (size_t i = 2; i < args->operands_n; i++) {
        if (i > 2) TRY(buf_add_byte(&settings, ' '));
        TRY(buf_add_str(&settings, args->operands[i]));
    }
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "name", args->operands[1]));
    TRY(jso_set_string(body, "settings", buf_bytes(&settings)));
    TRY(remote_call(cli, "POST", "/mail/policy", body, &answer));
    TRY(jso_get_string(answer, "effective", 2000, true, &effective));
    if (!strchr(args->operands[1], '@')) TRY(apply_rules(cli, false));
    return output_done(cli, answer, "For %s now: %.*s", args->operands[1], (int)effective.n,
                       (const char *)effective.p);
}

static err_t *remove_rule(cli_t *cli, const char *name) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/mail/policy/%", name));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    if (!strchr(name, '@')) TRY(apply_rules(cli, false));
    return output_done(cli, NULL, "%s has no rule in the store any more", name);
}

static err_t *run_policy(cli_t *cli, const args_t *args) {
    const char *what = args->operands_n ? args->operands[0] : "list";
    if (strcmp(what, "list") == 0 && args->operands_n <= 1) return list_rules(cli);
    if (strcmp(what, "apply") == 0 && args->operands_n == 1) return apply_rules(cli, true);
    if (strcmp(what, "show") == 0 && args->operands_n == 2)
        return show_rule(cli, args->operands[1]);
    if (strcmp(what, "remove") == 0 && args->operands_n == 2)
        return remove_rule(cli, args->operands[1]);
    if (strcmp(what, "set") == 0 && args->operands_n > 2) return set_rule(cli, args);
    return err_new(ERR_USAGE, "say list, show FOR, set FOR SETTING=VALUE..., remove FOR or apply");
}

const command_t CMD_MAIL_POLICY = {
    .group = "mail",
    .name = "policy",
    .operands = "[list | show FOR | set FOR SETTING=VALUE... | remove FOR | apply]",
    .summary = "Say what the mail gateway does for whom",
    .notes = "FOR is * (everybody), a domain or an address of ours; with to: before it, somebody "
             "whom mail goes\nto. An address overrides its domain, which overrides *; the store "
             "overrides coffer.conf.\n\n"
             "encrypt is never, all-or-plain, require (refused if somebody can't read it) or split "
             "(encrypted to\nthose who can, plain to the others). The others are yes or no: sign, "
             "decrypt, reencrypt, verify,\nharvest, protect_headers, hide_subject, own_copy, tags, "
             "decrypt_unprotected. inherit unsets one.\n\n"
             "sign and decrypt count once the keeper was told, by set or, for people who came "
             "later, by apply.",
    .examples = "  coffer mail policy set '*' encrypt=all-or-plain sign=yes\n"
                "  coffer mail policy set to:partner.example encrypt=require\n"
                "  coffer mail policy set alice@example.org decrypt=yes\n"
                "  coffer mail policy show alice@example.org\n"
                "  coffer mail policy apply",
    .max = ARGS_OPERANDS_MAX,
    .run = run_policy,
};
