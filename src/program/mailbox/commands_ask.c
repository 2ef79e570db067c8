/*
 * coffer-mailbox's commands that ask the agent, and how its answers look to a person.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "program/coffer/prompt.h"
#include "program/mailbox/cli.h"

enum { TEXT_MAX = 16 * 1024 * 1024 };

/* ---- asking ---- */

static err_code_t code_of(bytes_t name) {
    for (unsigned i = 0; i <= ERR_FULL; i++)
        if (bytes_eq_str(name, err_code_name((err_code_t)i))) return (err_code_t)i;
    return ERR_INTERNAL;
}

/* The agent's error becomes ours. */
static err_t *check(const json_t *reply) {
    json_t *error = NULL;
    bytes_t code = BYTES_NONE, message = BYTES_NONE;
    TRY(jso_get_object(reply, "error", false, &error));
    if (!error) return NULL;
    TRY(jso_get_string(error, "code", 32, true, &code));
    TRY(jso_get_string(error, "message", TEXT_MAX, true, &message));
    return err_new(code_of(code), "%.*s", (int)message.n, (const char *)message.p);
}

err_t *mailbox_ask(cli_t *cli, json_t *request, const char *what, json_t **ret_reply) {
    CLEANUP(jso_free) json_t *reply = NULL;
    const char *dir = NULL;
    TRY(jso_set_str(request, "do", what));
    TRY(mailbox_dir(cli, &dir));
    TRY(client_ask(dir, request, &reply));
    TRY(check(reply));
    *ret_reply = STEAL(reply);
    return NULL;
}

static err_t *print_json(cli_t *cli, const json_t *reply) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, (size_t)LIMIT_BOX_REPLY * 2);
    TRY(jso_write(reply, true, &text));
    return cli_print(cli, &text);
}

bytes_t mailbox_get(const json_t *object, const char *name) {
    bytes_t text = BYTES_LIT("");
    err_ignore(jso_get_string(object, name, TEXT_MAX, false, &text));
    return text;
}

int64_t mailbox_number(const json_t *object, const char *name) {
    int64_t value = 0;
    err_ignore(jso_get_int(object, name, INT64_MIN, INT64_MAX, false, &value));
    return value;
}

bool mailbox_flag(const json_t *object, const char *name) {
    bool value = false;
    err_ignore(jso_get_bool(object, name, false, &value));
    return value;
}

#define SHOW(text) (int)(text).n, (const char *)(text).p

/* ---- states ---- */

static err_t *say_status(cli_t *cli, const json_t *reply) {
    bytes_t state = mailbox_get(reply, "state"), problem = mailbox_get(reply, "problem");
    bytes_t kind = mailbox_get(reply, "device_key");
    if (cli->json) return print_json(cli, reply);
    TRY(cli_say(cli, "state        %.*s\n", SHOW(state)));
    if (mailbox_get(reply, "address").n) {
        TRY(cli_say(cli, "address      %.*s\n", SHOW(mailbox_get(reply, "address"))));
        TRY(cli_say(cli, "device key   %s\n",
                    bytes_eq_str(kind, "tpm") ? "in the TPM" : "in a file (weaker)"));
        TRY(cli_say(cli, "tries left   %lld\n", (long long)mailbox_number(reply, "tries_left")));
        TRY(cli_say(cli, "server       %s\n",
                    mailbox_flag(reply, "connected") ? "connected" : "not connected"));
        TRY(cli_say(cli, "waiting      %lld to be merged at the next unlock\n",
                    (long long)mailbox_number(reply, "waiting")));
    }
    if (mailbox_get(reply, "lease_until").n)
        TRY(cli_say(cli, "lease until  %.*s, used %lld times\n",
                    SHOW(mailbox_get(reply, "lease_until")),
                    (long long)mailbox_number(reply, "lease_used")));
    if (mailbox_number(reply, "wait_seconds"))
        TRY(cli_say(cli, "next try in  %lld s\n",
                    (long long)mailbox_number(reply, "wait_seconds")));
    if (problem.n) TRY(cli_say(cli, "problem      %.*s\n", SHOW(problem)));
    if (mailbox_get(reply, "note").n)
        TRY(cli_say(cli, "note         %.*s\n", SHOW(mailbox_get(reply, "note"))));
    return NULL;
}

static err_t *simple(cli_t *cli, json_t *request, const char *what) {
    CLEANUP(jso_free) json_t *reply = NULL;
    TRY(mailbox_ask(cli, request, what, &reply));
    return say_status(cli, reply);
}

err_t *cmd_status(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL;
    (void)args;
    TRY(jso_object(&request));
    return simple(cli, request, "status");
}

err_t *cmd_sync(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL;
    (void)args;
    TRY(jso_object(&request));
    return simple(cli, request, "sync");
}

static err_t *passcode(cli_t *cli, const args_t *args, const char *option, const char *question,
                       json_t *request, const char *name) {
    CLEANUP(buf_done) buf_t text;
    const char *path = args_value(args, option);
    buf_init_secret(&text, LIMIT_PASSWORD_MAX);
    if (path) TRY(prompt_secret_file(path, &text));
    else TRY(prompt_password(cli, question, "the mailbox", &text));
    return jso_set_string(request, name, buf_bytes(&text));
}

err_t *cmd_unlock(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL;
    TRY(jso_object(&request));
    TRY(passcode(cli, args, "passcode-file", "Passcode of", request, "passcode"));
    return simple(cli, request, "unlock");
}

err_t *cmd_lock(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_bool(request, "now", args_flag(args, "now")));
    return simple(cli, request, "lock");
}

err_t *cmd_passcode(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL;
    TRY(jso_object(&request));
    TRY(passcode(cli, args, "passcode-file", "Present passcode of", request, "old"));
    TRY(passcode(cli, args, "new-passcode-file", "New passcode of", request, "new"));
    return simple(cli, request, "passcode");
}

err_t *cmd_wipe(cli_t *cli, const args_t *args) {
    static const char *const yes[] = {"wipe", NULL};
    CLEANUP(jso_free) json_t *request = NULL;
    TRY(jso_object(&request));
    if (!args_flag(args, "yes"))
        TRY(prompt_confirm(
            cli, "All of the mailbox on this device will be gone. Type wipe: ", "--yes", yes));
    return simple(cli, request, "wipe");
}

/* ---- mail ---- */

err_t *cmd_folders(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    json_t *list = NULL;
    (void)args;
    TRY(jso_object(&request));
    TRY(mailbox_ask(cli, request, "folders", &reply));
    if (cli->json) return print_json(cli, reply);
    TRY(jso_get_array(reply, "folders", LIMIT_BOX_FOLDERS * 2, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_array_get(list, i);
        TRY(cli_say(cli, "%6lld %6lld new  %.*s\n", (long long)mailbox_number(f, "messages"),
                    (long long)mailbox_number(f, "unseen"), SHOW(mailbox_get(f, "name"))));
    }
    return NULL;
}

static err_t *say_rows(cli_t *cli, const json_t *reply) {
    json_t *list = NULL;
    if (cli->json) return print_json(cli, reply);
    TRY(jso_get_array(reply, "messages", LIMIT_BOX_ROWS, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        bytes_t date = mailbox_get(m, "date");
        TRY(cli_say(cli, "%6lld %c%c %.10s  %-30.*s  %.*s\n", (long long)mailbox_number(m, "id"),
                    mailbox_flag(m, "seen") ? ' ' : '*', mailbox_flag(m, "encrypted") ? 'E' : ' ',
                    date.n ? (const char *)date.p : "          ", SHOW(mailbox_get(m, "from")),
                    SHOW(mailbox_get(m, "subject"))));
    }
    return NULL;
}

static err_t *set_limit(const args_t *args, json_t *request) {
    long limit = 0;
    TRY(args_number(args, "limit", 1, LIMIT_BOX_ROWS, 50, &limit));
    return jso_set_int(request, "limit", limit);
}

err_t *cmd_list(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    long before = 0;
    TRY(jso_object(&request));
    TRY(set_limit(args, request));
    TRY(args_number(args, "before", 0, INT32_MAX, 0, &before));
    TRY(jso_set_int(request, "before", before));
    if (args->operands_n) TRY(jso_set_str(request, "folder", args->operands[0]));
    TRY(mailbox_ask(cli, request, "list", &reply));
    return say_rows(cli, reply);
}

err_t *cmd_search(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    CLEANUP(buf_done) buf_t words;
    buf_init(&words, LIMIT_BOX_QUERY);
    for (size_t i = 0; i < args->operands_n; i++)
        TRY(buf_printf(&words, "%s%s", i ? " " : "", args->operands[i]));
    TRY(jso_object(&request));
    TRY(set_limit(args, request));
    TRY(jso_set_string(request, "words", buf_bytes(&words)));
    TRY(mailbox_ask(cli, request, "search", &reply));
    return say_rows(cli, reply);
}

static err_t *set_id(const args_t *args, json_t *request) {
    uint64_t id = 0;
    TRY_WRAP(text_u64(bytes_str(args->operands[0]), INT64_MAX, &id),
             "the number that list shows is needed");
    return jso_set_int(request, "id", (int64_t)id);
}

const char *mailbox_trust(const json_t *reply) {
    bytes_t status = mailbox_get(reply, "status");
    if (bytes_eq_str(status, "broken")) return "A signature does not hold.";
    if (!mailbox_flag(reply, "signed")) return "Not signed.";
    if (bytes_eq_str(status, "good")) return "Signed by the sender.";
    if (bytes_eq_str(status, "partly")) return "Only parts are signed.";
    return "Signed, but not known to be by the sender.";
}

static err_t *say_message(cli_t *cli, const json_t *reply) {
    bytes_t problem = mailbox_get(reply, "problem"), note = mailbox_get(reply, "note");
    TRY(cli_say(cli, "From: %.*s\nTo: %.*s\nDate: %.*s\nSubject: %.*s\n",
                SHOW(mailbox_get(reply, "from")), SHOW(mailbox_get(reply, "to")),
                SHOW(mailbox_get(reply, "date")), SHOW(mailbox_get(reply, "subject"))));
    if (mailbox_get(reply, "status").n)
        TRY(cli_say(cli, "%s%s\n", mailbox_trust(reply),
                    mailbox_flag(reply, "opened") ? " Encrypted." : ""));
    if (note.n) TRY(cli_say(cli, "note: %.*s\n", SHOW(note)));
    if (problem.n) {
        cli->status = CLI_VERIFY;
        return cli_say(cli, "\n%.*s\n", SHOW(problem));
    }
    return cli_say(cli, "\n%.*s\n", SHOW(mailbox_get(reply, "text")));
}

err_t *cmd_read(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    CLEANUP(buf_done) buf_t message;
    bool raw = args_flag(args, "raw");
    buf_init(&message, LIMIT_BOX_MESSAGE);
    TRY(jso_object(&request));
    TRY(set_id(args, request));
    TRY(mailbox_ask(cli, request, raw ? "raw" : "read", &reply));
    if (raw) {
        TRY(jso_get_base64(reply, "message", true, &message));
        return cli_print(cli, &message);
    }
    return cli->json ? print_json(cli, reply) : say_message(cli, reply);
}

err_t *cmd_report_spam(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(jso_object(&request));
    TRY(set_id(args, request));
    TRY(mailbox_ask(cli, request, "report-spam", &reply));
    return cli->json ? print_json(cli, reply) : cli_say(cli, "moved\n");
}

static err_t *add_certificates(const args_t *args, json_t *request) {
    CLEANUP(buf_done) buf_t pem;
    size_t cursor = 0;
    buf_init(&pem, LIMIT_BOX_COMMAND / 2);
    for (const char *path; (path = args_each(args, "certificate", &cursor));) {
        TRY(file_read(path, &pem));
        TRY(buf_add_byte(&pem, '\n'));
    }
    return pem.n ? jso_set_string(request, "certificates", buf_bytes(&pem)) : NULL;
}

static err_t *say_sent(cli_t *cli, const json_t *reply) {
    json_t *list = NULL;
    bytes_t aside = mailbox_get(reply, "reply_to");
    if (cli->json) return print_json(cli, reply);
    TRY(cli_say(cli, "sent to %lld, %s\n", (long long)mailbox_number(reply, "recipients"),
                mailbox_flag(reply, "encrypted") ? "encrypted" : "not encrypted"));
    TRY(jso_get_array(reply, "to", LIMIT_BOX_ROWS, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        bytes_t address;
        TRY(jso_at_string(list, i, TEXT_MAX, &address));
        TRY(cli_say(cli, "  %.*s\n", SHOW(address)));
    }
    if (aside.n)
        TRY(cli_say(cli,
                    "note: Reply-To says %.*s, which is not signed; --reply-to answers there\n",
                    SHOW(aside)));
    return mailbox_get(reply, "note").n
               ? cli_say(cli, "note: %.*s\n", SHOW(mailbox_get(reply, "note")))
               : NULL;
}

err_t *cmd_send(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    CLEANUP(buf_done) buf_t message;
    buf_init_secret(&message, LIMIT_BOX_COMMAND / 2);
    if (args->operands_n) TRY(file_read(args->operands[0], &message));
    else TRY(file_read_fd(0, &message));
    TRY(jso_object(&request));
    TRY(jso_set_base64(request, "message", buf_bytes(&message)));
    TRY(jso_set_bool(request, "sign", args_flag(args, "sign")));
    TRY(jso_set_bool(request, "encrypt", args_flag(args, "encrypt")));
    TRY(add_certificates(args, request));
    TRY(mailbox_ask(cli, request, "send", &reply));
    return say_sent(cli, reply);
}

err_t *cmd_reply(cli_t *cli, const args_t *args) {
    static const char *const flags[] = {"all", "reply-to", "quote", "sign", "plain"};
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, LIMIT_BOX_COMMAND / 2);
    TRY(jso_object(&request));
    TRY(set_id(args, request));
    if (args->operands_n > 1) TRY(file_read(args->operands[1], &text));
    else TRY(file_read_fd(0, &text));
    if (!text_utf8_valid(buf_bytes(&text)) || bytes_has_nul(buf_bytes(&text)))
        return err_new(ERR_USAGE, "the text of a reply is UTF-8");
    TRY(jso_set_string(request, "text", buf_bytes(&text)));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        TRY(jso_set_bool(request, flags[i], args_flag(args, flags[i])));
    TRY(add_certificates(args, request));
    TRY(mailbox_ask(cli, request, "reply", &reply));
    return say_sent(cli, reply);
}

err_t *cmd_draft(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(jso_object(&request));
    TRY(set_id(args, request));
    if (args_flag(args, "forget")) TRY(jso_set_str(request, "text", ""));
    TRY(mailbox_ask(cli, request, "draft", &reply));
    if (cli->json) return print_json(cli, reply);
    bytes_t text = mailbox_get(reply, "draft");
    return text.n ? cli_say(cli, "%.*s\n", SHOW(text)) : NULL;
}

err_t *cmd_who(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    json_t *list = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_array(request, "addresses", &list));
    for (size_t i = 0; i < args->operands_n; i++)
        TRY(jso_add_string(list, bytes_str(args->operands[i])));
    TRY(add_certificates(args, request));
    TRY(mailbox_ask(cli, request, "recipients", &reply));
    if (!mailbox_flag(reply, "all")) cli->status = CLI_REFUSED;
    if (cli->json) return print_json(cli, reply);
    TRY(jso_get_array(reply, "recipients", LIMIT_BOX_ROWS * 2, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *r = json_array_get(list, i);
        TRY(cli_say(cli, "%-30.*s  %-15.*s  %.*s\n", SHOW(mailbox_get(r, "address")),
                    SHOW(mailbox_get(r, "lock")), SHOW(mailbox_get(r, "reason"))));
    }
    return NULL;
}
