/*
 * coffer key pending, approve, deny: officers agree that a person's mail keys go to a new device of
 * his. What is signed is computed here: the fingerprint from the device's certificate.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cert.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"

/* ---- looking ---- */

static err_t *run_pending(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"id", "REQUEST"},
        {"state", "STATE"},
        {"person", "PERSON"},
        {"device.serial_number", "DEVICE"},
        {"device.product", "PRODUCT"},
        {"created", "SINCE"},
        {"expires", "EXPIRES"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_list(cli, args_flag(args, "all") ? "/mail-consents" : "/mail-consents?state=waiting",
                    "requests", &json));
    return output_list(cli, json, "requests", columns, "No device waits for an officer.");
}

static const option_t pending_options[] = {
    {"all", NULL, "also what was answered"},
    {NULL, NULL, NULL},
};

const command_t CMD_KEY_PENDING = {
    .group = "key",
    .name = "pending",
    .operands = "",
    .summary = "List new devices that wait for an officer before they get mail keys",
    .notes = "With [enrol] mail_key_delivery = approved an officer agrees to each person's new\n"
             "device; the device is enrolled meanwhile, without the keys.",
    .examples = "  coffer key pending\n"
                "  coffer key pending --all --json",
    .options = pending_options,
    .run = run_pending,
};

/* ---- agreeing ---- */

typedef struct {
    officer_key_t key;
    json_t *answer;
    cert_t *cert; /* the device's */
    escrow_delivery_t delivery;
    escrow_set_t set;
    const escrow_officer_t *own;
} agreeing_t;

static void agreeing_done(agreeing_t *a) {
    officer_key_done(&a->key);
    jso_free(a->answer);
    cert_free(a->cert);
}

DEFINE_CLEANUP_VALUE(agreeing_t, agreeing_done)

/* What will be signed, out of the answer; the certificate's hash is our own. */
static err_t *read_delivery(agreeing_t *a) {
    CLEANUP(buf_done) buf_t der;
    bytes_t person, mailboxes;
    int64_t epoch = 0;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    TRY(officer_get_record(a->answer, "certificate", &der));
    TRY_WRAP(cert_parse_der(buf_bytes(&der), &a->cert), "the device's certificate");
    TRY(jso_get_string(a->answer, "person_id", LIMIT_ESCROW_OWNER, true, &person));
    TRY(jso_get_int(a->answer, "epoch", 1, INT64_MAX, true, &epoch));
    TRY(jso_get_int(a->answer, "expires_unix", 1, INT64_MAX, true, &a->delivery.expires));
    TRY(jso_get_string(a->answer, "mailboxes", LIMIT_ESCROW_MAILBOXES, true, &mailboxes));
    if (mailboxes.n == 0) return err_new(ERR_VERIFY, "the request does not say whose mailboxes");
    bytes_put(a->delivery.mailboxes, mailboxes);
    a->delivery.mailboxes[mailboxes.n] = '\0';
    bytes_put(a->delivery.person, person);
    a->delivery.person[person.n] = '\0';
    memcpy(a->delivery.certificate, cert_sha256(a->cert), ESCROW_HASH);
    a->delivery.epoch = (uint64_t)epoch;
    return NULL;
}

static err_t *fetch(cli_t *cli, const args_t *args, agreeing_t *a) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t set;
    buf_init(&set, LIMIT_ESCROW_RECORD);
    TRY(remote_path(&path, "/mail-consents/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &a->answer));
    TRY(read_delivery(a));
    TRY(officer_get_record(a->answer, "set_record", &set));
    TRY(officer_trust_set(cli, args, buf_bytes(&set), &a->set));
    if (a->set.epoch != a->delivery.epoch)
        return err_new(ERR_VERIFY, "the request is for another set of officers than is shown");
    return officer_in_set(&a->set, &a->key, &a->own);
}

static err_t *hex_of(const agreeing_t *a, buf_t *out) {
    return text_hex(BYTES_ARRAY(a->delivery.certificate), out);
}

/* Refused here too, whatever the server would let pass. */
static err_t *check(cli_t *cli, const args_t *args, const agreeing_t *a) {
    CLEANUP(buf_done) buf_t hex;
    const char *wanted = args_value(args, "fingerprint");
    int64_t now = clk_unix(cli->clk);
    buf_init(&hex, 2 * ESCROW_HASH + 1);
    if (strcmp(a->delivery.person, a->own->person) == 0)
        return err_new(ERR_DENIED, "the device is your own: another officer has to agree");
    if (now >= a->delivery.expires) return err_new(ERR_DENIED, "the request has expired");
    if (a->delivery.expires - now > LIMIT_MAIL_CONSENT_S)
        return err_new(ERR_DENIED, "the request would last longer than requests do");
    TRY(hex_of(a, &hex));
    if (wanted && !text_eq_fold(bytes_str(wanted), buf_bytes(&hex)))
        return err_new(ERR_VERIFY, "the device's certificate is %.*s, not %s", (int)hex.n,
                       (const char *)hex.p, wanted);
    return NULL;
}

static const char *server_says(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? json_string_value(value) : "-";
}

static err_t *show(cli_t *cli, const agreeing_t *a) {
    CLEANUP(buf_done) buf_t hex;
    const json_t *device = json_object_get(a->answer, "device");
    const char *fingerprint = NULL;
    char time[TEXT_TIME_SIZE];
    buf_init(&hex, 2 * ESCROW_HASH + 1);
    TRY(hex_of(a, &hex));
    TRY(buf_cstr(&hex, &fingerprint));
    (void)fprintf(cli->err, "A new device is to get all keys of a person's encrypted mail:\n");
    output_note(cli, "mailboxes", a->delivery.mailboxes);
    output_note(cli, "person", server_says(a->answer, "person"));
    output_note(cli, "person's id", a->delivery.person);
    output_note(cli, "device", server_says(device, "product"));
    output_note(cli, "serial", server_says(device, "serial_number"));
    output_note(cli, "enrolled", server_says(a->answer, "created"));
    output_note(cli, "certificate", cert_subject(a->cert));
    output_note(cli, "fingerprint", fingerprint);
    output_note(cli, "until", text_time(a->delivery.expires, time));
    (void)fprintf(cli->err, "Mailboxes, id, certificate and time are what you sign; the rest is as "
                            "the server says.\n");
    return NULL;
}

static err_t *send(cli_t *cli, const char *id, const agreeing_t *a) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record;
    escrow_signature_t signature;
    int64_t consents = 0, needed = 0;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(escrow_delivery_sign(a->key.sign, a->own->id, &a->delivery, &signature));
    TRY(escrow_signature_put(&signature, &record));
    TRY(officer_record_body(buf_bytes(&record), &body));
    TRY(remote_path(&path, "/mail-consents/%/approvals", id));
    TRY(remote_call(cli, "POST", path, body, &answer));
    TRY(jso_get_int(answer, "consents", 0, INT64_MAX, true, &consents));
    TRY(jso_get_int(answer, "needed", 0, INT64_MAX, true, &needed));
    return output_done(cli, answer, "Agreed to %s: %lld of %lld", id, (long long)consents,
                       (long long)needed);
}

static err_t *run_approve(cli_t *cli, const args_t *args) {
    static const char *const words[] = {"approve", NULL};
    CLEANUP(agreeing_done) agreeing_t a = {0};
    TRY(officer_unlock(cli, args, &a.key));
    TRY(fetch(cli, args, &a));
    TRY(check(cli, args, &a));
    if (!args_flag(args, "yes")) {
        TRY(show(cli, &a));
        TRY(prompt_confirm(cli,
                           "Ask whose mailboxes these are, whether it is his device and shows "
                           "this fingerprint. Type approve to go on: ",
                           "--yes", words));
    }
    return send(cli, args->operands[0], &a);
}

static const option_t approve_options[] = {
    OFFICER_KEY_OPTIONS,
    {"fingerprint", "HEX", "SHA-256 of the device's certificate; refuses another one"},
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

const command_t CMD_KEY_APPROVE = {
    .group = "key",
    .name = "approve",
    .operands = "REQUEST",
    .summary = "Agree that a new device gets its person's mail keys, on your own machine",
    .notes = "Shows whose keys go to which device, then signs mailboxes, person, certificate and\n"
             "time with your officer's key. The key process checks the signature before it "
             "delivers. Nobody\n"
             "agrees to his own device. Your token needs the role officer and must be yours.",
    .examples = "  coffer --server https://coffer.example.org:8443 --token-file anna.token \\\n"
                "         key approve 90b1... --key anna.officer",
    .min = 1,
    .max = 1,
    .options = approve_options,
    .run = run_approve,
};

static err_t *run_deny(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *reason = args_value(args, "reason");
    TRY(jso_object(&body));
    if (reason) TRY(jso_set_str(body, "reason", reason));
    TRY(remote_path(&path, "/mail-consents/%/deny", args->operands[0]));
    TRY(remote_call(cli, "POST", path, body, &answer));
    return output_done(cli, answer, "Denied %s: the device stays enrolled, without mail keys",
                       args->operands[0]);
}

static const option_t deny_options[] = {
    {"reason", "TEXT", "why; the audit log keeps it"},
    {NULL, NULL, NULL},
};

const command_t CMD_KEY_DENY = {
    .group = "key",
    .name = "deny",
    .operands = "REQUEST",
    .summary = "Say no to a new device that is to get mail keys",
    .notes = "One officer's no ends the request. It comes again with the person's next key, or by\n"
             "coffer key deliver. A device that nobody knows: coffer device lost.",
    .examples = "  coffer key deny 90b1... --reason \"not his phone\"",
    .min = 1,
    .max = 1,
    .options = deny_options,
    .run = run_deny,
};
