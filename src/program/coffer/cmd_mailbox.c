/*
 * coffer mailbox: whose locked devices hear of new mail, who tells us of it, and how often a
 * mailbox was opened while its device was locked.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

enum { SECRET_TEXT_MAX = 256 };

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"address", "ADDRESS"},       {"person", "PERSON"},   {"source", "SOURCE"},
        {"state", "STATE"},           {"heard", "HEARD"},     {"last_event", "LAST EVENT"},
        {"releases_day", "RELEASES"}, {"problem", "PROBLEM"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_list(cli, "/mailboxes", "mailboxes", &json));
    return output_list(cli, json, "mailboxes", columns,
                       "No mailbox is watched yet: coffer mailbox add.");
}

const command_t CMD_MAILBOX_LIST = {
    .group = "mailbox",
    .name = "list",
    .operands = "",
    .summary = "List the mailboxes whose locked devices hear of new mail",
    .notes =
        "STATE is waiting until its source has said something of the mailbox. RELEASES counts\n"
        "how often in a day a device was given its key back (coffer mailbox releases). PROBLEM\n"
        "says why a source can't be heard, or that a subscription of Microsoft Graph has to be\n"
        "renewed.",
    .examples = "  coffer mailbox list",
    .run = run_list,
};

/* What we watch ourselves takes a password. */
static err_t *set_server(const args_t *args, const char *name, const char *url, json_t *body) {
    CLEANUP(buf_done) buf_t password;
    const char *file = args_value(args, "password-file");
    buf_init_secret(&password, LIMIT_PASSWORD_MAX + 1);
    if (!file) return err_new(ERR_USAGE, "--imap and --ews take --password-file too");
    TRY(prompt_secret_file(file, &password));
    TRY(jso_set_str(body, name, url));
    return jso_set_string(body, "password", buf_bytes(&password));
}

static err_t *check_source(const args_t *args) {
    static const char *const sources[] = {"hook", "imap", "ews", "graph"};
    enum { SOURCES = sizeof sources / sizeof sources[0] };
    size_t given = 0;
    for (size_t i = 0; i < SOURCES; i++) {
        if (args_value(args, sources[i])) given++;
        for (size_t j = i + 1; j < SOURCES; j++) TRY(args_exclude(args, sources[i], sources[j]));
    }
    if (!args_value(args, "graph") != !args_value(args, "subscription"))
        return err_new(ERR_USAGE, "--graph and --subscription go together");
    if (args_flag(args, "all-folders") && !args_value(args, "ews"))
        return err_new(ERR_USAGE, "--all-folders is of --ews");
    if (!given)
        return err_new(ERR_USAGE,
                       "say by --hook which mail server tells, or --imap, --ews, or --graph");
    return NULL;
}

/* By a hook, by Microsoft Graph, or at an IMAP server or Exchange with a password. */
static err_t *set_source(const args_t *args, json_t *body) {
    const char *hook = args_value(args, "hook"), *imap = args_value(args, "imap");
    const char *graph = args_value(args, "graph"), *ews = args_value(args, "ews");
    TRY(check_source(args));
    if (hook) return jso_set_str(body, "hook", hook);
    if (imap) return set_server(args, "server", imap, body);
    if (ews) {
        if (args_flag(args, "all-folders")) TRY(jso_set_bool(body, "all_folders", true));
        return set_server(args, "ews", ews, body);
    }
    TRY(args_exclude(args, "graph", "login"));
    TRY(jso_set_str(body, "graph", graph));
    return jso_set_str(body, "subscription", args_value(args, "subscription"));
}

static err_t *run_add(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *login = args_value(args, "login"), *person = args_value(args, "person");
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "address", args->operands[0]));
    TRY(set_source(args, body));
    if (login) TRY(jso_set_str(body, "login", login));
    if (person) TRY(jso_set_str(body, "person", person));
    TRY(remote_call(cli, "POST", "/mailboxes", body, &json));
    return output_done(cli, json, "Devices of its person hear of new mail for %s",
                       args->operands[0]);
}

static const option_t add_options[] = {
    {"hook", "NAME", "the mail server that tells (coffer mailbox hook)"},
    {"imap", "URL", "imaps://HOST[:PORT]: we watch the mailbox there ourselves (IDLE)"},
    {"ews", "URL", "https://HOST[:PORT][/EWS/Exchange.asmx]: the same at Exchange (streaming)"},
    {"all-folders", NULL, "of --ews: all folders of who signs in, not the inbox alone"},
    {"password-file", "FILE",
     "of --imap and --ews: the password is the file's first line; - is standard input"},
    {"graph", "NAME", "Microsoft Graph tells, with the secret of this hook"},
    {"subscription", "ID", "of --graph: the id of Graph's subscription for the mailbox"},
    {"login", "NAME", "how that server calls the mailbox's user; the address unless told"},
    {"person", "EMAIL", "whose devices hear of it; who has this address unless told"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAILBOX_ADD = {
    .group = "mailbox",
    .name = "add",
    .operands = "ADDRESS",
    .summary = "Let a person's locked devices hear of new mail in a mailbox",
    .notes =
        "ADDRESS is also the name of the lease in which a device leaves the key of its mail\n"
        "database. All enrolled devices of the person hear of it; see the guide locked-mail.\n"
        "With --imap and --ews the password is sealed by the key process, which gives it to\n"
        "coffer-courier alone, for that server and login.\n"
        "With --graph, again for the same ADDRESS, another subscription takes the place of the\n"
        "former, and what was said of that (coffer mailbox list) is forgotten.",
    .examples =
        "  coffer mailbox add alice@example.org --hook imap1\n"
        "  coffer mailbox add bob@example.org --imap imaps://imap.example.org --password-file -\n"
        "  coffer mailbox add dan@example.org --ews https://mail.example.org --login "
        "'EXAMPLE\\dan' --password-file -\n"
        "  coffer mailbox add info@example.org --hook imap1 --login info --person "
        "alice@example.org\n"
        "  coffer mailbox add eve@example.org --graph m365 --subscription "
        "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
    .min = 1,
    .max = 1,
    .options = add_options,
    .run = run_add,
};

static err_t *run_remove(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/mailboxes/%", args->operands[0]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "No device hears of mail for %s any more", args->operands[0]);
}

const command_t CMD_MAILBOX_REMOVE = {
    .group = "mailbox",
    .name = "remove",
    .operands = "ADDRESS",
    .summary = "Stop telling devices of new mail in a mailbox",
    .notes = "Leases stay until they expire: coffer device leases DEVICE --end ADDRESS ends one.",
    .examples = "  coffer mailbox remove alice@example.org",
    .min = 1,
    .max = 1,
    .run = run_remove,
};

static err_t *run_releases(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"released", "RELEASED"}, {"device", "DEVICE"}, {"event", "EVENT"}, {NULL, NULL}};
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    int64_t day = 0, week = 0;
    TRY(remote_path(&path, "/mailboxes/%/releases", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    TRY(output_list(cli, json, "releases", columns,
                    "It was not opened while locked in the last 7 days."));
    TRY(jso_get_int(json, "day", 0, INT64_MAX, true, &day));
    TRY(jso_get_int(json, "week", 0, INT64_MAX, true, &week));
    if (!week) return NULL;
    return cli_say(cli, "Opened while locked %lld times in a day, %lld times in 7 days.\n",
                   (long long)day, (long long)week);
}

const command_t CMD_MAILBOX_RELEASES = {
    .group = "mailbox",
    .name = "releases",
    .operands = "ADDRESS",
    .summary = "Show when devices were given the key of a mailbox back while they were locked",
    .notes = "Of the last 7 days; the audit has all of them (action lease.release). People see "
             "their own\nwith a token of their own.",
    .examples = "  coffer mailbox releases alice@example.org",
    .min = 1,
    .max = 1,
    .run = run_releases,
};

/* ---- mail servers that tell ---- */

static err_t *list_hooks(cli_t *cli) {
    static const column_t columns[] = {{"name", "NAME"},
                                       {"created", "CREATED"},
                                       {"created_by", "BY"},
                                       {"heard", "HEARD"},
                                       {NULL, NULL}};
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_call(cli, "GET", "/mail-hooks", NULL, &json));
    return output_list(cli, json, "hooks", columns, "No mail server tells of new mail yet.");
}

static err_t *keep_secret(const char *file, bytes_t secret) {
    CLEANUP(buf_done) buf_t line;
    buf_init_secret(&line, SECRET_TEXT_MAX + 1);
    TRY(buf_add(&line, secret));
    TRY(buf_add_byte(&line, '\n'));
    return file_write(file, buf_bytes(&line), 0600);
}

static err_t *add_hook(cli_t *cli, const char *name, const char *output) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t secret, url;
    /* Before the secret exists: it could not be shown again. */
    if (output && file_exists(output)) return err_new(ERR_EXISTS, "%s exists already", output);
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "name", name));
    TRY(remote_call(cli, "POST", "/mail-hooks", body, &json));
    TRY(jso_get_string(json, "secret", SECRET_TEXT_MAX, true, &secret));
    TRY(jso_get_string(json, "url", LIMIT_HTTP_QUERY, true, &url));
    if (!output)
        return output_done(cli, json, "%.*s takes what %s says.\nIts secret (shown only now): %.*s",
                           (int)url.n, (const char *)url.p, name, (int)secret.n,
                           (const char *)secret.p);
    TRY(keep_secret(output, secret));
    (void)json_object_del(json, "secret");
    TRY(jso_set_str(json, "file", output));
    return output_done(cli, json, "%.*s takes what %s says; its secret is in %s", (int)url.n,
                       (const char *)url.p, name, output);
}

static err_t *remove_hook(cli_t *cli, const char *name) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/mail-hooks/%", name));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Nobody listens to %s any more", name);
}

static err_t *run_hook(cli_t *cli, const args_t *args) {
    const char *what = args->operands_n ? args->operands[0] : "list";
    if (strcmp(what, "list") == 0 && args->operands_n <= 1) return list_hooks(cli);
    if (strcmp(what, "add") == 0 && args->operands_n == 2)
        return add_hook(cli, args->operands[1], args_value(args, "output"));
    if (strcmp(what, "remove") == 0 && args->operands_n == 2)
        return remove_hook(cli, args->operands[1]);
    return err_new(ERR_USAGE, "say list, add NAME or remove NAME");
}

static const option_t hook_options[] = {
    {"output", "FILE", "of add: write the secret there (0600) instead of showing it"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAILBOX_HOOK = {
    .group = "mailbox",
    .name = "hook",
    .operands = "[list | add NAME | remove NAME]",
    .summary = "Say which mail servers tell us when mail arrives",
    .notes = "Dovecot tells by its push notification plugin (driver ox), with the secret as the\n"
             "password of the URL. add with the name of one that is there makes another secret in\n"
             "place of the one before. Who has a secret can say that mail arrived, nothing else.\n"
             "Microsoft Graph tells at /push/v1/graph/NAME, with the secret as clientState.",
    .examples = "  coffer mailbox hook add imap1 --output imap1.secret\n"
                "  coffer mailbox hook list",
    .max = 2,
    .options = hook_options,
    .run = run_hook,
};
