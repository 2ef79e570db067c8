/*
 * coffer scep: one-time challenges for SCEP clients (RFC 8894 section 2.3) that do not come through
 * the enrolment portal, and the trace of their requests.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_challenge(cli_t *cli, const args_t *args) {
    static const char *const texts[] = {"profile", "subject", "names"};
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *lifetime = args_value(args, "lifetime");
    bytes_t challenge;
    TRY(jso_object(&body));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *value = args_value(args, texts[i]);
        if (value) TRY(jso_set_str(body, texts[i], value));
    }
    if (lifetime) {
        int64_t seconds = 0;
        err_t *e = text_duration(bytes_str(lifetime), &seconds);
        if (e) return err_recode(err_wrap(e, "--lifetime"), ERR_USAGE);
        TRY(jso_set_int(body, "lifetime_s", seconds));
    }
    TRY(remote_call(cli, "POST", "/scep/challenges", body, &json));
    TRY(jso_get_string(json, "challenge", LIMIT_SCEP_CHALLENGE, true, &challenge));
    /* Bare, so that it can be used in a script. */
    return output_done(cli, json, "%.*s", (int)challenge.n, (const char *)challenge.p);
}

static const option_t challenge_options[] = {
    {"profile", "NAME", "certificate profile; default scep-client"},
    {"subject", "NAME", "the subject that the request must have, like CN=router1,O=Example"},
    {"names", "LIST", "subjectAltNames to certify, like \"dns:router1.example.org\""},
    {"lifetime", "TIME", "15m, 2d; default [scep] challenge_lifetime"},
    {NULL, NULL, NULL},
};

const command_t CMD_SCEP_CHALLENGE = {
    .group = "scep",
    .name = "challenge",
    .operands = "",
    .summary = "Make a one-time challenge for any SCEP client",
    .notes =
        "It is good for one certificate under one profile, and is printed alone on a line.\n"
        "The SCEP server is at the instance's URL with /scep behind it. Very old clients sign "
        "with\n"
        "SHA-1 and encrypt with single DES, which is refused unless coffer.conf says\n"
        "allow_sha1 = yes and allow_des = yes in [scep] (allow_3des is on): Debian's scepclient\n"
        "needs both.",
    .examples = "  coffer scep challenge --subject CN=router1 --lifetime 15m",
    .options = challenge_options,
    .run = run_challenge,
};

/* ---- the trace ---- */

enum { TRACE_DEFAULT = 20 };

static err_t *trace_path(const args_t *args, char **ret_path) {
    CLEANUP(mem_free) char *about = NULL;
    const char *last = args_value(args, "last");
    uint64_t limit = TRACE_DEFAULT;
    if (last) {
        err_t *e = text_u64(bytes_str(last), LIMIT_LIST_PAGE, &limit);
        if (e || limit == 0) {
            err_free(e);
            return err_new(ERR_USAGE, "--last is a number from 1 to %d", LIMIT_LIST_PAGE);
        }
    }
    TRY(remote_path(&about, "%", args->operands_n ? args->operands[0] : ""));
    char *path = mem_printf("/scep/trace?limit=%u&about=%s", (unsigned)limit, about);
    if (!path) return err_nomem();
    *ret_path = path;
    return NULL;
}

static err_t *run_trace(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"time", "TIME"},
        {"message", "CAME"},
        {"subject", "FOR"},
        {"peer", "FROM"},
        {"outcome", "OUTCOME"},
        {"fail_info", "FAILINFO"},
        {"problem", "WRONG"},
        {"does_next", "DEVICE"},
        {"serial", "SERIAL"},
        {"algorithms", "ALGORITHMS"},
        {"transaction", "TRANSACTION"},
        {NULL, NULL},
    };
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(trace_path(args, &path));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_list(cli, json, "requests", columns, "No SCEP requests are on record.");
}

static const option_t trace_options[] = {
    {"last", "N", "how many, newest first; default 20"},
    {NULL, NULL, NULL},
};

const command_t CMD_SCEP_TRACE = {
    .group = "scep",
    .name = "trace",
    .operands = "[DEVICE|TRANSACTION|ADDRESS]",
    .summary = "Show what SCEP clients sent, what was wrong, and what they do next",
    .notes = "Without an operand the newest requests of all. The last requests of each device,\n"
             "key and address are kept; they hold no secrets.",
    .examples = "  coffer scep trace C39VX0SIM001\n  coffer scep trace --last 5",
    .min = 0,
    .max = 1,
    .options = trace_options,
    .run = run_trace,
};
