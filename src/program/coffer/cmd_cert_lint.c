/*
 * coffer cert lint: certificates in files against RFC 5280 and the S/MIME Baseline Requirements,
 * without a server.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/cert.h"
#include "crypto/cert_lint.h"
#include "program/coffer/output.h"

enum { FILE_MAX = LIMIT_PEM_LIST * 2 * LIMIT_CERTIFICATE_BYTES };

typedef struct {
    cli_t *cli;
    cert_lint_rules_t rules;
    json_t *list; /* with --json; borrowed */
    size_t certificates, errors;
} job_t;

/* ---- showing ---- */

static err_t *show_json(const job_t *job, const char *file, size_t number, const cert_t *cert,
                        const cert_lint_t *lint) {
    json_t *one = NULL, *findings = NULL, *finding = NULL;
    TRY(jso_add_object(job->list, &one));
    TRY(jso_set_str(one, "file", file));
    TRY(jso_set_int(one, "number", (int64_t)number));
    TRY(jso_set_str(one, "sha256", cert ? cert_sha256_hex(cert) : NULL));
    TRY(jso_set_str(one, "subject", cert ? cert_subject(cert) : NULL));
    TRY(jso_set_str(one, "rules", cert_lint_rules_name(lint->rules)));
    TRY(jso_set_int(one, "errors", (int64_t)lint->errors));
    TRY(jso_set_int(one, "warnings", (int64_t)lint->warnings));
    TRY(jso_set_int(one, "notices", (int64_t)lint->notices));
    TRY(jso_set_array(one, "findings", &findings));
    for (size_t i = 0; i < lint->n; i++) {
        const cert_lint_finding_t *f = &lint->findings[i];
        TRY(jso_add_object(findings, &finding));
        TRY(jso_set_str(finding, "id", f->rule->id));
        TRY(jso_set_str(finding, "severity", cert_lint_severity_name(f->rule->severity)));
        TRY(jso_set_str(finding, "section", f->rule->section));
        TRY(jso_set_str(finding, "text", f->rule->text));
        TRY(jso_set_str(finding, "detail", f->detail));
    }
    return NULL;
}

static err_t *show_text(const job_t *job, const char *file, size_t number, const cert_t *cert,
                        const cert_lint_t *lint) {
    cli_t *cli = job->cli;
    const char *subject = !cert                   ? "unreadable"
                          : cert_subject(cert)[0] ? cert_subject(cert)
                                                  : "no subject";
    TRY(cli_say(cli, "%s, certificate %zu: %s\n  rules %s: %zu errors, %zu warnings, %zu notices\n",
                file, number, subject, cert_lint_rules_name(lint->rules), lint->errors,
                lint->warnings, lint->notices));
    for (size_t i = 0; i < lint->n; i++) {
        const cert_lint_finding_t *f = &lint->findings[i];
        TRY(cli_say(cli, "  %-7s %s: %s%s%s (%s)\n", cert_lint_severity_name(f->rule->severity),
                    f->rule->id, f->rule->text, f->detail[0] ? ": " : "", f->detail,
                    f->rule->section));
    }
    return NULL;
}

static err_t *lint_one(job_t *job, const char *file, size_t number, bytes_t der) {
    cert_lint_t lint;
    CLEANUP(cert_free) cert_t *cert = NULL;
    cert_lint(der, job->rules, &lint);
    err_ignore(cert_parse_der(der, &cert)); /* for its name; the linter said what is wrong */
    job->certificates++;
    job->errors += lint.errors;
    return job->list ? show_json(job, file, number, cert, &lint)
                     : show_text(job, file, number, cert, &lint);
}

/* ---- files ---- */

static size_t find(bytes_t text, bytes_t needle) {
    for (size_t i = 0; i + needle.n <= text.n; i++)
        if (text.p[i] == needle.p[0] && memcmp(text.p + i, needle.p, needle.n) == 0) return i;
    return text.n;
}

/* Takes the next certificate's base64 out of a PEM text (RFC 7468 section 5); false at the end. */
static bool next_block(bytes_t *text, bytes_t *ret_base64) {
    static const bytes_t begin = BYTES_LIT("-----BEGIN CERTIFICATE-----"),
                         end = BYTES_LIT("-----END CERTIFICATE-----");
    size_t from = find(*text, begin);
    if (from == text->n) return false;
    bytes_t rest = bytes_from(*text, from + begin.n);
    size_t to = find(rest, end);
    *ret_base64 = bytes_slice(rest, 0, to);
    *text = bytes_from(rest, to + end.n);
    return true;
}

static err_t *lint_pem(job_t *job, const char *file, bytes_t text) {
    CLEANUP(buf_done) buf_t der;
    bytes_t base64;
    size_t number = 0;
    buf_init(&der, FILE_MAX);
    while (next_block(&text, &base64)) {
        if (++number > LIMIT_PEM_LIST)
            return err_new(ERR_LIMIT, "%s: more than %d certificates", file, LIMIT_PEM_LIST);
        buf_clear(&der);
        TRY_WRAP(text_unbase64(base64, &der), "%s, certificate %zu", file, number);
        TRY(lint_one(job, file, number, buf_bytes(&der)));
    }
    return number ? NULL : err_new(ERR_INVALID, "%s holds no certificate", file);
}

static err_t *lint_file(job_t *job, const char *file) {
    CLEANUP(buf_done) buf_t content;
    buf_init(&content, FILE_MAX);
    if (strcmp(file, "-") == 0) TRY_WRAP(file_read_fd(STDIN_FILENO, &content), "standard input");
    else TRY(file_read(file, &content));
    bytes_t text = buf_bytes(&content);
    enum { SEQUENCE = 0x30 };
    if (text.n && text.p[0] == SEQUENCE) return lint_one(job, file, 1, text);
    return lint_pem(job, file, text);
}

/* ---- the rules themselves ---- */

static err_t *list_rules(cli_t *cli) {
    static const column_t columns[] = {
        {"id", "RULE"}, {"severity", "SEVERITY"}, {"section", "SECTION"}, {"text", "BROKEN IF"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL, *one = NULL;
    size_t n = 0;
    const cert_lint_rule_t *rules = cert_lint_rules(&n);
    TRY(jso_object(&json));
    TRY(jso_set_array(json, "rules", &list));
    for (size_t i = 0; i < n; i++) {
        TRY(jso_add_object(list, &one));
        TRY(jso_set_str(one, "id", rules[i].id));
        TRY(jso_set_str(one, "severity", cert_lint_severity_name(rules[i].severity)));
        TRY(jso_set_str(one, "section", rules[i].section));
        TRY(jso_set_str(one, "text", rules[i].text));
    }
    return output_list(cli, json, "rules", columns, "No rules.");
}

static err_t *read_rules(const args_t *args, cert_lint_rules_t *ret_rules) {
    const char *name = args_value(args, "rules");
    cert_lint_rules_t rules = CERT_LINT_AUTO;
    if (name) {
        rules = CERT_LINT_RFC5280;
        while (rules != CERT_LINT_AUTO && strcmp(name, cert_lint_rules_name(rules)) != 0)
            rules = (cert_lint_rules_t)(rules + 1);
        if (strcmp(name, cert_lint_rules_name(rules)) != 0)
            return err_new(ERR_USAGE, "--rules is rfc5280, smime-strict, smime-multipurpose, "
                                      "smime-legacy or auto");
    }
    *ret_rules = rules;
    return NULL;
}

static err_t *run_lint(cli_t *cli, const args_t *args) {
    job_t job = {.cli = cli};
    CLEANUP(jso_free) json_t *json = NULL;
    if (args_flag(args, "list")) return list_rules(cli);
    if (!args->operands_n) return err_new(ERR_USAGE, "name a FILE, or - for standard input");
    TRY(read_rules(args, &job.rules));
    if (cli->json) {
        TRY(jso_object(&json));
        TRY(jso_set_array(json, "certificates", &job.list));
    }
    err_t *e = NULL;
    for (size_t i = 0; !e && i < args->operands_n; i++) e = lint_file(&job, args->operands[i]);
    if (!e && json) e = output_json(cli, json);
    if (e) return e;
    if (!job.errors) return NULL;
    return err_new(ERR_VERIFY, "%zu error%s in %zu certificate%s", job.errors,
                   job.errors == 1 ? "" : "s", job.certificates, job.certificates == 1 ? "" : "s");
}

static const option_t lint_options[] = {
    {"rules", "RULES", "rfc5280, smime-strict, smime-multipurpose, smime-legacy; default auto"},
    {"list", NULL, "list the rules"},
    {NULL, NULL, NULL},
};

const command_t CMD_CERT_LINT = {
    .group = "cert",
    .name = "lint",
    .operands = "[FILE...]",
    .summary = "Check certificates against RFC 5280 and the S/MIME requirements, offline",
    .notes = "FILE is PEM with one or more certificates, or DER; - is standard input. With auto\n"
             "the certificate says what it is: by a policy reserved for S/MIME, else by\n"
             "emailProtection and a mailbox, else RFC 5280 alone. The exit status is 5 when an\n"
             "error is found; warnings and notices don't count. No signature is verified. The\n"
             "keeper uses the same rules before it signs anything.",
    .examples = "  coffer cert lint phone.pem\n"
                "  coffer cert lint --rules smime-strict --json a.pem b.der\n"
                "  openssl s_client -connect mail.example.org:443 </dev/null | coffer cert lint -\n"
                "  coffer cert lint --list",
    .min = 0,
    .max = ARGS_OPERANDS_MAX,
    .options = lint_options,
    .run = run_lint,
};
