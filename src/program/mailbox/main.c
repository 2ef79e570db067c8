/*
 * coffer-mailbox: the encrypted mailbox of one device. `run` is the agent, one process of one
 * thread that holds the keys while unlocked; the other commands ask it over a socket that is its
 * owner's alone. Reads what mail servers and senders send. Links SQLCipher, never SQLite.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "ipc/sandbox.h"
#include "program/mailbox/cli.h"

enum { TEXT_MAX = 64 * 1024, PATH_MAX_OURS = 3072 };

static err_t *cmd_completion(cli_t *cli, const args_t *args);

static const option_t init_options[] = {
    {"address", "ADDRESS", "the mailbox's own address"},
    {"imap", "HOST[:PORT]", "the IMAP server"},
    {"tls", "HOW", "tls (from the first byte, the default), starttls, or none for this machine"},
    {"ca", "FILE", "trust these CAs alone for the mail servers (PEM)"},
    {"user", "NAME", "log-in name; without it the address"},
    {"password-file", "FILE", "the mail password, - standard input; without it you are asked"},
    {"token-file", "FILE", "an OAuth2 access token instead"},
    {"smtp", "URL", "where mail is sent: smtps://host, smtp://host:587"},
    {"junk", "FOLDER", "where spam goes (Junk)"},
    {"sent", "FOLDER", "where sent mail is kept (Sent)"},
    {"passcode-file", "FILE", "the passcode, at least 6 characters; without it you are asked"},
    {"tpm", "TCTI", "the TPM, as tpm2-tss names it; without it /dev/tpmrm0"},
    {"without-tpm", NULL, "keep the device's key in a file, which is weaker"},
    {"key", "FILE", "a key to decrypt with: PKCS#12 or PEM; repeatable"},
    {"passphrase-file", "FILE", "the key files' passphrase"},
    {"server", "URL", "Coffer's server, for leases"},
    {"server-ca", "FILE", "its root certificate (PEM), trusted for signed mail too"},
    {"device-token-file", "FILE", "what coffer device token printed"},
    {"managed", "FILE", "server, token and lease as device management configured them (plist)"},
    {"lease-hours", "N", "how long a lease holds (48); 0: none"},
    {NULL, NULL, NULL},
};
static const option_t passcode_options[] = {
    {"passcode-file", "FILE", "the present passcode, - standard input; else you are asked"},
    {"new-passcode-file", "FILE", "the new one"},
    {NULL, NULL, NULL},
};
static const option_t unlock_options[] = {
    {"passcode-file", "FILE", "the passcode, - standard input; else you are asked"},
    {NULL, NULL, NULL},
};
static const option_t lock_options[] = {
    {"now", NULL, "without the ten seconds"},
    {NULL, NULL, NULL},
};
static const option_t list_options[] = {
    {"limit", "N", "at most so many (50)"},
    {"before", "NUMBER", "older than this message"},
    {NULL, NULL, NULL},
};
static const option_t search_options[] = {
    {"limit", "N", "at most so many (50)"},
    {NULL, NULL, NULL},
};
static const option_t read_options[] = {
    {"raw", NULL, "as it came, closed if it was"},
    {NULL, NULL, NULL},
};
static const option_t send_options[] = {
    {"sign", NULL, "with the mailbox's own key"},
    {"encrypt", NULL, "for all recipients, by certificates that are known here"},
    {"certificate", "FILE", "encrypt: certificates of recipients (PEM); repeatable"},
    {NULL, NULL, NULL},
};
static const option_t reply_options[] = {
    {"all", NULL, "to everybody that it went to, too"},
    {"reply-to", NULL, "to its Reply-To, also where its sender did not sign that"},
    {"quote", NULL, "with the message's text below"},
    {"sign", NULL, "with the mailbox's own key"},
    {"plain", NULL, "not encrypted, whatever it is a reply to"},
    {"certificate", "FILE", "encrypt: certificates of recipients (PEM); repeatable"},
    {NULL, NULL, NULL},
};
static const option_t draft_options[] = {
    {"forget", NULL, "throw it away"},
    {NULL, NULL, NULL},
};
static const option_t who_options[] = {
    {"certificate", "FILE", "certificates to be used first (PEM); repeatable"},
    {NULL, NULL, NULL},
};
static const option_t wipe_options[] = {
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

static const command_t c_init = {
    "",
    "init",
    "",
    "Make a mailbox on this device",
    "The keys lie behind a passcode and this device: ten wrong ones destroy them.",
    "  coffer-mailbox init --address anna@example.org --imap imap.example.org\n"
    "  coffer-mailbox init --address anna@example.org --imap localhost:1143 --tls none \\\n"
    "      --without-tpm --key anna.p12 --passphrase-file passphrase",
    0,
    0,
    init_options,
    cmd_init};
static const command_t c_run = {
    "",
    "run",
    "",
    "Serve the mailbox until stopped",
    "Fetches mail and waits for more. Locked, it adds new mail to an inbox that only an unlocked\n"
    "device can read.",
    "  coffer-mailbox run",
    0,
    0,
    NULL,
    cmd_run};
static const command_t c_unlock = {
    "",
    "unlock",
    "",
    "Open the mailbox with the passcode",
    "After the 5th wrong passcode each next one has to wait; the 10th destroys the keys.",
    "  coffer-mailbox unlock",
    0,
    0,
    unlock_options,
    cmd_unlock};
static const command_t c_lock = {"",
                                 "lock",
                                 "",
                                 "Close it: keys are wiped after ten seconds",
                                 NULL,
                                 "  coffer-mailbox lock\n  coffer-mailbox lock --now",
                                 0,
                                 0,
                                 lock_options,
                                 cmd_lock};
static const command_t c_passcode = {"",
                                     "passcode",
                                     "",
                                     "Change the passcode",
                                     "The mailbox is unlocked.",
                                     "  coffer-mailbox passcode",
                                     0,
                                     0,
                                     passcode_options,
                                     cmd_passcode};
static const command_t c_status = {
    "", "status", "",        "Say what state it is in", NULL, "  coffer-mailbox status --json", 0,
    0,  NULL,     cmd_status};
static const command_t c_sync = {
    "", "sync", "", "Look for mail now", NULL, "  coffer-mailbox sync", 0, 0, NULL, cmd_sync};
static const command_t c_folders = {
    "", "folders", "",   "List the folders", NULL, "  coffer-mailbox folders",
    0,  0,         NULL, cmd_folders};
static const command_t c_list = {
    "",
    "list",
    "[FOLDER]",
    "List messages, the newest first",
    "A star marks those not seen, E encrypted ones, whose subjects may be hidden.",
    "  coffer-mailbox list\n  coffer-mailbox list INBOX --limit 10",
    0,
    1,
    list_options,
    cmd_list};
static const command_t c_search = {
    "",
    "search",
    "WORD ...",
    "Find messages that have all these words",
    "Looks at senders, recipients, subjects, and at the text of messages that are not encrypted.\n"
    "What S/MIME closed stays closed: it is not searched.",
    "  coffer-mailbox search invoice november",
    1,
    16,
    search_options,
    cmd_search};
static const command_t c_read = {
    "",
    "read",
    "NUMBER",
    "Show a message",
    "Decrypts with the mailbox's own keys and says who signed it. Status 5: altered, or not to be\n"
    "decrypted; then it is not shown.",
    "  coffer-mailbox read 17\n  coffer-mailbox read 17 --raw > message.eml",
    1,
    1,
    read_options,
    cmd_read};
static const command_t c_spam = {"",
                                 "report-spam",
                                 "NUMBER",
                                 "Move a message to the spam folder",
                                 "The mail server's filter learns from what is moved there.",
                                 "  coffer-mailbox report-spam 17",
                                 1,
                                 1,
                                 NULL,
                                 cmd_report_spam};
static const command_t c_send = {
    "",
    "send",
    "[FILE]",
    "Send a message",
    "Reads a message from FILE or standard input; it goes to those in To, Cc and Bcc. With\n"
    "--encrypt or --certificate it is encrypted, header too, for everybody or not sent: who could\n"
    "not read it is named. The copy in the folder for sent mail is what was sent.",
    "  coffer-mailbox send --sign reply.eml\n"
    "  coffer-mailbox send --sign --certificate ben.pem < plan.eml",
    0,
    1,
    send_options,
    cmd_send};
static const command_t c_reply = {
    "",
    "reply",
    "NUMBER [FILE]",
    "Answer a message",
    "Reads the text from FILE or standard input (UTF-8). The reply to an encrypted message is\n"
    "encrypted or not sent: who could not read it is named. Else it is encrypted if everybody can\n"
    "read that. An encrypted message is quoted to its sender alone, and only if he signed it. A\n"
    "message that its sender signed is answered to him, whatever an unsigned Reply-To says.",
    "  coffer-mailbox reply 17 --sign < text\n  coffer-mailbox reply 17 --all --quote text",
    1,
    2,
    reply_options,
    cmd_reply};
static const command_t c_draft = {
    "",
    "draft",
    "NUMBER",
    "Show the reply to a message that was begun",
    "What is written in the terminal is kept in the mailbox, so that a lock in between loses "
    "nothing.\n"
    "It goes when the reply is sent or given up, or with --forget.",
    "  coffer-mailbox draft 17 > text\n  coffer-mailbox reply 17 --sign text",
    1,
    1,
    draft_options,
    cmd_draft};
static const command_t c_who = {
    "",
    "who",
    "ADDRESS ...",
    "Say who could read an encrypted message",
    "By certificates of those whose signed mail was read here and that the server's root (init\n"
    "--server-ca) vouches for. Status 4: not everybody could.",
    "  coffer-mailbox who ben@example.org carla@example.com",
    1,
    32,
    who_options,
    cmd_who};
static const command_t c_tui = {
    "",
    "tui",
    "[FOLDER]",
    "Read and answer mail in the terminal",
    "Also without any command, in a terminal. Keys: arrows, Enter, / to search, r and a to reply,\n"
    "u and l to unlock and lock, f for the next folder, ? for the rest, q to leave.",
    "  coffer-mailbox\n  coffer-mailbox tui Archive",
    0,
    1,
    NULL,
    cmd_tui};
static const command_t c_wipe = {"",
                                 "wipe",
                                 "",
                                 "Destroy the mailbox on this device",
                                 "Keys first. The mail on the server is not touched.",
                                 "  coffer-mailbox wipe",
                                 0,
                                 0,
                                 wipe_options,
                                 cmd_wipe};

static const command_t c_completion = {"",   "completion",
                                       "",   "Print the completion script for bash",
                                       NULL, "  source <(coffer-mailbox completion)",
                                       0,    0,
                                       NULL, cmd_completion};

static const command_t *const commands[] = {
    &c_init,    &c_run,   &c_unlock, &c_lock, &c_passcode,   &c_status, &c_sync,
    &c_folders, &c_list,  &c_search, &c_read, &c_tui,        &c_spam,   &c_send,
    &c_reply,   &c_draft, &c_who,    &c_wipe, &c_completion,
};
static const option_t globals[] = {
    {"dir", "DIR", "the mailbox's directory (~/.local/share/coffer-mailbox)"},
    {"json", NULL, "output for programs"},
    {"help", NULL, "help on a command"},
    {"version", NULL, "the version"},
    {NULL, NULL, NULL},
};
static const args_grammar_t grammar = {.commands = commands,
                                       .commands_n = sizeof commands / sizeof commands[0],
                                       .globals = globals,
                                       .none = true};

/* ---- completion ---- */

static err_t *put_names(const option_t *options, buf_t *out) {
    for (; options && options->name; options++) TRY(buf_printf(out, " --%s", options->name));
    return NULL;
}

/* packaging/completion/coffer-mailbox.bash is its output. */
static err_t *cmd_completion(cli_t *cli, const args_t *args) {
    CLEANUP(buf_done) buf_t out;
    (void)args;
    buf_init(&out, TEXT_MAX);
    TRY(buf_add_str(&out,
                    "# bash completion for coffer-mailbox, made by: coffer-mailbox completion\n"
                    "_coffer_mailbox() {\n"
                    "    local current=\"${COMP_WORDS[COMP_CWORD]}\" word command=\"\" words\n"
                    "    local previous=\"${COMP_WORDS[COMP_CWORD - 1]}\"\n"
                    "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD - 1}\"; do\n"
                    "        case \"$word\" in\n"));
    for (size_t i = 0; i < grammar.commands_n; i++)
        TRY(buf_printf(&out, "%s%s", i ? "|" : "            ", grammar.commands[i]->name));
    TRY(buf_add_str(&out, ") command=\"$word\" && break ;;\n        esac\n    done\n"
                          "    case \"$command\" in\n        \"\") words=\""));
    for (size_t i = 0; i < grammar.commands_n; i++)
        TRY(buf_printf(&out, "%s%s", i ? " " : "", grammar.commands[i]->name));
    TRY(put_names(globals, &out));
    TRY(buf_add_str(&out, "\" ;;\n"));
    for (size_t i = 0; i < grammar.commands_n; i++) {
        TRY(buf_printf(&out, "        %s) words=\"", grammar.commands[i]->name));
        TRY(put_names(grammar.commands[i]->options, &out));
        TRY(put_names(globals, &out));
        TRY(buf_add_str(&out, "\" ;;\n"));
    }
    TRY(buf_add_str(&out,
                    "    esac\n"
                    "    if [[ $previous != --*file && $previous != --key && ($current == -* || -z "
                    "$command) ]]; then\n"
                    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                    "    else\n"
                    "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                    "    fi\n"
                    "}\n"
                    "complete -o filenames -F _coffer_mailbox coffer-mailbox\n"));
    return cli_print(cli, &out);
}

/* ---- help ---- */

static err_t *add_options(const option_t *options, buf_t *out) {
    for (; options && options->name; options++) {
        char left[80];
        (void)snprintf(left, sizeof left, "--%s%s%s", options->name, options->value ? " " : "",
                       options->value ? options->value : "");
        TRY(buf_printf(out, "  %-26s  %s\n", left, options->help));
    }
    return NULL;
}

static err_t *help(cli_t *cli) {
    CLEANUP(buf_done) buf_t out;
    const command_t *c = cli->args->command;
    buf_init(&out, TEXT_MAX);
    if (c) {
        TRY(buf_printf(&out, "usage: coffer-mailbox [--dir DIR] %s%s%s%s\n\n%s.\n", c->name,
                       c->operands[0] ? " " : "", c->operands, c->options ? " [options]" : "",
                       c->summary));
        if (c->notes) TRY(buf_printf(&out, "\n%s\n", c->notes));
        if (c->options) TRY(buf_add_str(&out, "\nOptions:\n"));
        TRY(add_options(c->options, &out));
        TRY(buf_printf(&out, "\nExamples:\n%s\n", c->examples));
        return cli_print(cli, &out);
    }
    TRY(buf_add_str(&out,
                    "usage: coffer-mailbox [--dir DIR] [COMMAND ...]\n\nThe encrypted mailbox "
                    "of this device.\n\nCommands (COMMAND --help tells more):\n"));
    for (size_t i = 0; i < grammar.commands_n; i++)
        TRY(buf_printf(&out, "  %-12s  %s\n", commands[i]->name, commands[i]->summary));
    TRY(buf_add_str(&out, "\nOptions for every command:\n"));
    TRY(add_options(globals, &out));
    TRY(buf_add_str(&out,
                    "\nExit status: 0 done, 1 failed, 2 usage, 3 not found, 4 refused (locked, "
                    "wrong passcode),\n5 verification failed.\n"));
    return cli_print(cli, &out);
}

/* ---- the program ---- */

err_t *mailbox_dir(cli_t *cli, const char **ret_dir) {
    /* house-rules: allow mutable-global: the program's one answer, made once */
    static char made[PATH_MAX_OURS];
    const char *dir = args_value(cli->args, "dir");
    if (!dir) dir = getenv("COFFER_MAILBOX");
    if (!dir || !dir[0]) {
        const char *home = getenv("HOME");
        if (!home) return err_new(ERR_USAGE, "say where the mailbox is: --dir DIR");
        int n = snprintf(made, sizeof made, "%s/.local/share/coffer-mailbox", home);
        if (n < 0 || (size_t)n >= sizeof made) return err_new(ERR_USAGE, "HOME is too long");
        dir = made;
    }
    *ret_dir = dir;
    return NULL;
}

static err_t *run(cli_t *cli) {
    err_t *e = NULL;
    if (cli->args->version) (void)fputs("coffer-mailbox " COFFER_VERSION "\n", cli->out);
    else if (cli->args->help || (!cli->args->command && !(cli->terminal && cli->interactive)))
        e = help(cli);
    else {
        TRY(sandbox_close_memory());
        TRY(crypto_init());
        jso_init();
        e = cli->args->command ? cli->args->command->run(cli, cli->args) : cmd_tui(cli, cli->args);
    }
    if (!e && (fflush(cli->out) != 0 || ferror(cli->out)))
        e = err_new(ERR_IO, "cannot write to standard output");
    return e;
}

static int fail(const cli_t *cli, err_t *e) {
    char text[TEXT_MAX];
    int status = cli_exit_status(e);
    (void)err_text(e, text, sizeof text);
    CLEANUP(buf_done) buf_t clean;
    buf_init(&clean, TEXT_MAX);
    err_ignore(text_defuse(bytes_str(text), false, &clean)); /* it may be a server's */
    (void)fprintf(cli->err, "coffer-mailbox: %.*s\n", (int)clean.n, (const char *)clean.p);
    err_free(e);
    return status;
}

int main(int argc, char **argv) {
    args_t args = {.group = ""};
    cli_t cli = {.args = &args,
                 .clk = clk_real(),
                 .rnd = rnd_real(),
                 .out = stdout,
                 .err = stderr,
                 .terminal = isatty(STDOUT_FILENO) != 0,
                 .interactive = isatty(STDIN_FILENO) != 0};
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    err_t *e = args_parse(&grammar, argc, argv, &args);
    cli.json = args_flag(&args, "json");
    if (!e) e = run(&cli);
    return e ? fail(&cli, e) : cli.status;
}
