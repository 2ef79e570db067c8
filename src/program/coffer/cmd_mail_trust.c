/*
 * coffer mail trust, certificates, group: what the answer to "who can read" is made of.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

/* ---- trust ---- */

static err_t *list_trust(cli_t *cli) {
    static const column_t columns[] = {
        {"kind", "KIND"},     {"subject", "SUBJECT"},
        {"domain", "DOMAIN"}, {"not_after", "EXPIRES"},
        {"created_by", "BY"}, {"sha256", "SHA256"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_call(cli, "GET", "/mail/trust", NULL, &json));
    return output_list(cli, json, "trusted", columns,
                       "Nothing is trusted besides our own CA and [mail] trust_anchors.");
}

static err_t *add_trust(cli_t *cli, const args_t *args) {
    cert_list_t certs CLEANUP(cert_list_done) = {0};
    const char *domain = args_value(args, "domain"), *why = args_value(args, "why");
    for (size_t i = 1; i < args->operands_n; i++)
        TRY(mail_cert_file_read(args->operands[i], &certs));
    for (size_t i = 0; i < certs.n; i++) {
        CLEANUP(jso_free) json_t *body = NULL;
        CLEANUP(jso_free) json_t *answer = NULL;
        CLEANUP(buf_done) buf_t pem;
        buf_init(&pem, 2 * LIMIT_CERTIFICATE_BYTES);
        TRY(cert_pem(certs.certs[i], &pem));
        TRY(jso_object(&body));
        TRY(jso_set_string(body, "pem", buf_bytes(&pem)));
        if (domain) TRY(jso_set_str(body, "domain", domain));
        if (why) TRY(jso_set_str(body, "why", why));
        TRY(remote_call(cli, "POST", "/mail/trust", body, &answer));
        TRY(output_done(cli, answer, "Trusted: %s", cert_subject(certs.certs[i])));
    }
    return NULL;
}

static err_t *remove_trust(cli_t *cli, const args_t *args) {
    for (size_t i = 1; i < args->operands_n; i++) {
        CLEANUP(mem_free) char *path = NULL;
        TRY(remote_path(&path, "/mail/trust/%", args->operands[i]));
        TRY(remote_call(cli, "DELETE", path, NULL, NULL));
        TRY(output_done(cli, NULL, "%s is not trusted any more", args->operands[i]));
    }
    return NULL;
}

static err_t *run_trust(cli_t *cli, const args_t *args) {
    const char *what = args->operands_n ? args->operands[0] : "list";
    if (strcmp(what, "list") == 0 && args->operands_n <= 1) return list_trust(cli);
    if (strcmp(what, "add") == 0 && args->operands_n > 1) return add_trust(cli, args);
    if (strcmp(what, "remove") == 0 && args->operands_n > 1) return remove_trust(cli, args);
    return err_new(ERR_USAGE, "say list, add FILE... or remove SHA256...");
}

static const option_t trust_options[] = {
    {"domain", "DOMAIN", "a CA: only for addresses of this domain"},
    {"why", "TEXT", "for those who read the list and the audit log"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_TRUST = {
    .group = "mail",
    .name = "trust",
    .operands = "[list | add FILE... | remove SHA256...]",
    .summary = "Trust other organisations' CAs, or single people's certificates",
    .notes =
        "A CA's certificate is trusted for all that it issued for mail, or only for addresses of "
        "--domain;\nanother certificate for its own addresses, whoever issued it. Compare its "
        "fingerprint by telephone\nfirst. Files are PEM or DER. coffer mail certificates lists "
        "what signed mail has brought.",
    .examples = "  coffer mail trust\n"
                "  coffer mail trust add partner-ca.pem --domain partner.example --why 'contract'\n"
                "  coffer mail trust remove 3f8a...",
    .max = ARGS_OPERANDS_MAX,
    .options = trust_options,
    .run = run_trust,
};

/* ---- certificates ---- */

static err_t *run_certificates(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"address", "ADDRESS"},
        {"trusted", "TRUSTED"},
        {"issuer", "ISSUER"},
        {"not_after", "EXPIRES"},
        {"last_seen", "LAST SEEN"},
        {"sha256", "SHA256"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *forget = args_value(args, "forget");
    if (forget) {
        TRY(remote_path(&path, "/mail/certificates/%", forget));
        TRY(remote_call(cli, "DELETE", path, NULL, NULL));
        return output_done(cli, NULL, "Forgotten");
    }
    TRY(remote_list(cli, "/mail/certificates", "certificates", &json));
    return output_list(cli, json, "certificates", columns, "Nothing was learned from mail yet.");
}

static const option_t certificates_options[] = {
    {"forget", "SHA256", "forget this one"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_CERTIFICATES = {
    .group = "mail",
    .name = "certificates",
    .operands = "",
    .summary = "List other people's certificates that were learned from signed mail",
    .examples = "  coffer mail certificates\n"
                "  coffer mail certificates --forget 3f8a...",
    .options = certificates_options,
    .run = run_certificates,
};

/* ---- groups ---- */

static err_t *list_groups(cli_t *cli) {
    static const column_t columns[] = {
        {"group", "GROUP"}, {"member", "MEMBER"}, {"created_by", "BY"}, {NULL, NULL}};
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_list(cli, "/mail/groups", "members", &json));
    return output_list(cli, json, "members", columns, "There is no group.");
}

static err_t *set_group(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    json_t *list = NULL;
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "address", args->operands[1]));
    TRY(jso_set_array(body, "members", &list));
    for (size_t i = 2; i < args->operands_n; i++)
        TRY(jso_add_string(list, bytes_str(args->operands[i])));
    TRY(remote_call(cli, "POST", "/mail/groups", body, NULL));
    return output_done(cli, NULL, "%s stands for %zu addresses", args->operands[1],
                       args->operands_n - 2);
}

static err_t *run_group(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    const char *what = args->operands_n ? args->operands[0] : "list";
    if (strcmp(what, "list") == 0 && args->operands_n <= 1) return list_groups(cli);
    if (strcmp(what, "set") == 0 && args->operands_n > 2) return set_group(cli, args);
    if (strcmp(what, "remove") != 0 || args->operands_n != 2)
        return err_new(ERR_USAGE, "say list, set ADDRESS MEMBER... or remove ADDRESS");
    TRY(remote_path(&path, "/mail/groups/%", args->operands[1]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "%s is no group any more", args->operands[1]);
}

const command_t CMD_MAIL_GROUP = {
    .group = "mail",
    .name = "group",
    .operands = "[list | set ADDRESS MEMBER... | remove ADDRESS]",
    .summary = "Say whom a group's or alias's address stands for",
    .notes = "A message to it is encrypted only if every member can read it. The mail server still "
             "delivers:\nkeep both lists the same. A group may be a member of another.",
    .examples = "  coffer mail group set team@example.org alice@example.org bob@example.org\n"
                "  coffer mail group set info@example.org carol@example.org\n"
                "  coffer mail group remove team@example.org",
    .max = ARGS_OPERANDS_MAX,
    .run = run_group,
};
