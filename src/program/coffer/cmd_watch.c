/*
 * coffer watch list, add, remove, check, release, runs: what is watched beside the certificates
 * issued here.
 */
#include <time.h>

#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { CHECK_S = 300 };

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "NAME"},     {"state", "STATE"},     {"since", "SINCE"}, {"checked", "CHECKED"},
        {"target", "TARGET"}, {"problem", "PROBLEM"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t held = BYTES_NONE;
    (void)args;
    TRY(remote_list(cli, "/watch", "sources", &json));
    TRY(output_list(cli, json, "sources", columns, "Nothing is watched yet."));
    TRY(jso_get_string(json, "held", 100, false, &held));
    if (held.n)
        TRY(cli_say(cli, "Notices are held back (%s): see coffer watch release --help.\n",
                    (const char *)held.p));
    return NULL;
}

const command_t CMD_WATCH_LIST = {
    .group = "watch",
    .name = "list",
    .operands = "",
    .summary = "List what is watched for certificates that end, and how that goes",
    .notes = "Certificates issued here are always watched; coffer cert report lists them. A\n"
             "source that can't be reached stays watched with what it showed last.",
    .examples = "  coffer watch list",
    .run = run_list,
};

static err_t *run_add(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "name", args->operands[0]));
    TRY(jso_set_str(body, "target", args->operands[1]));
    TRY(remote_call(cli, "POST", "/watch", body, NULL));
    return output_done(cli, NULL, "Watching %s", args->operands[1]);
}

const command_t CMD_WATCH_ADD = {
    .group = "watch",
    .name = "add",
    .operands = "NAME TARGET",
    .summary = "Watch the certificates of a TLS server, or of an entry in the directory",
    .notes = "TARGET is tls:HOST:PORT, with ,starttls=smtp, imap or ldap where TLS begins later;\n"
             "or ldap:ADDRESS, for the certificates that the directory has for a mail address.\n"
             "Files (file:PATH) are watched by a [watch NAME] section in coffer.conf.",
    .examples = "  coffer watch add intranet tls:intranet.example.org:443\n"
                "  coffer watch add mail tls:mail.example.org:25,starttls=smtp\n"
                "  coffer watch add info ldap:info@example.org",
    .min = 2,
    .max = 2,
    .run = run_add,
};

static err_t *run_remove(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/watch/%", args->operands[0]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "%s is not watched any more", args->operands[0]);
}

const command_t CMD_WATCH_REMOVE = {
    .group = "watch",
    .name = "remove",
    .operands = "NAME",
    .summary = "Stop watching what coffer watch add added",
    .examples = "  coffer watch remove intranet",
    .min = 1,
    .max = 1,
    .run = run_remove,
};

/* Until a round is over that began after we asked. */
static err_t *await_check(cli_t *cli, int64_t asked_ms) {
    const struct timespec nap = {.tv_nsec = 200 * 1000 * 1000};
    int64_t until = clk_mono_ms(cli->clk) + (int64_t)CHECK_S * 1000, checked = 0;
    for (;;) {
        CLEANUP(jso_free) json_t *json = NULL;
        TRY(remote_call(cli, "GET", "/watch?limit=1", NULL, &json));
        TRY(jso_get_int(json, "checked_ms", 0, INT64_MAX, true, &checked));
        if (checked >= asked_ms) return NULL;
        if (clk_mono_ms(cli->clk) >= until)
            return err_new(ERR_TIMEOUT,
                           "the check is not over after %d seconds: is "
                           "coffer-courier running?",
                           CHECK_S);
        (void)nanosleep(&nap, NULL);
    }
}

static err_t *run_check(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    int64_t asked_ms = 0;
    TRY(remote_call(cli, "POST", "/watch-check", NULL, &json));
    TRY(jso_get_int(json, "asked_ms", 0, INT64_MAX, true, &asked_ms));
    TRY(await_check(cli, asked_ms));
    return run_list(cli, args);
}

const command_t CMD_WATCH_CHECK = {
    .group = "watch",
    .name = "check",
    .operands = "",
    .summary = "Look at everything watched now, and send the notices that stand",
    .examples = "  coffer watch check",
    .run = run_check,
};

static err_t *run_release(cli_t *cli, const args_t *args) {
    (void)args;
    TRY(remote_call(cli, "POST", "/watch-release", NULL, NULL));
    return output_done(cli, NULL, "Notices that were held back are sent now");
}

const command_t CMD_WATCH_RELEASE = {
    .group = "watch",
    .name = "release",
    .operands = "",
    .summary = "Send notices that were held back",
    .notes = "Notices are held back when the server's clock ran ahead, or when more stand at once\n"
             "than [expiry] brake allows. Look at the clock and at coffer cert report first.",
    .examples = "  coffer watch release",
    .run = run_release,
};

static err_t *run_runs(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"started", "STARTED"}, {"action", "ACTION"}, {"outcome", "OUTCOME"},
        {"milliseconds", "MS"}, {"key", "NOTICE"},    {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/watch-runs", NULL, &json));
    return output_list(cli, json, "runs", columns, "No program has run yet.");
}

const command_t CMD_WATCH_RUNS = {
    .group = "watch",
    .name = "runs",
    .operands = "",
    .summary = "List the programs of [action] sections that ran for notices",
    .notes = "With --json what they printed is there too.",
    .examples = "  coffer watch runs\n"
                "  coffer watch runs --json | jq -r '.runs[0].output'",
    .run = run_runs,
};
