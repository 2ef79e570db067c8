/*
 * coffer, the command line: what every subcommand is given. One file a subcommand family holds
 * its parsing, action and help. One thread.
 */
#ifndef COFFER_PROGRAM_COFFER_CLI_H
#define COFFER_PROGRAM_COFFER_CLI_H

#include <stdarg.h>
#include <stdio.h>

#include "base/clk.h"
#include "base/rnd.h"
#include "format/json.h"
#include "program/coffer/args.h"

typedef struct remote remote_t;

enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_REFUSED = 4, /* by policy: not allowed, not confirmed, in flight already, who are you */
    CLI_VERIFY = 5,
};

enum { CLI_OUTPUT_MAX = 256 * 1024 * 1024, CLI_PATH_MAX = 4096 };

struct cli {
    const args_t *args;
    const clk_t *clk;
    const rnd_t *rnd;
    FILE *out;
    FILE *err;
    bool json;        /* output for programs */
    bool terminal;    /* out is one: align, local times */
    bool interactive; /* there is a person at standard input */
    int status;       /* exit status when there is no error: a verdict's */
    remote_t *remote; /* opened by the first request */
};

/* The tables of commands; commands.c lists them. */
extern const args_grammar_t CLI_GRAMMAR;

/* What the program's exit status is for an error (NULL: done). */
int cli_exit_status(const err_t *e);

/* Writes the buffer to standard output. */
err_t *cli_print(cli_t *cli, const buf_t *text) WARN_UNUSED;
/*
 * A line for people; nothing with --json. Names and messages come from strangers: whatever steers a
 * terminal is shown as "\x1b", here and in the two below.
 */
err_t *cli_say(cli_t *cli, const char *format, ...) WARN_UNUSED PRINTF_LIKE(2, 3);
/* The same to standard error, with --json too. */
void cli_warn(cli_t *cli, const char *format, ...) PRINTF_LIKE(2, 3);
err_t *cli_say_list(FILE *to, const char *format, va_list list) WARN_UNUSED PRINTF_LIKE(2, 0);
/* One word of a shell's command line, as it must be typed; a new string (mem_free). */
err_t *cli_quote(const char *word, char **ret_quoted) WARN_UNUSED;
/* The instance: --dir, else COFFER_DIR, else NULL. */
const char *cli_dir(const cli_t *cli);

/* ---- commands ---- */

extern const command_t CMD_INIT, CMD_STATUS, CMD_JOBS, CMD_COMPLETION, CMD_LOGIN;
extern const command_t CMD_USER_ADD, CMD_USER_LIST, CMD_USER_DISABLE, CMD_USER_ENABLE,
    CMD_USER_PASSWORD;
extern const command_t CMD_DIRECTORY_TEST, CMD_DIRECTORY_SYNC, CMD_DIRECTORY_SHOW,
    CMD_DIRECTORY_CERTIFICATES;
extern const command_t CMD_KEY_NEW, CMD_KEY_IMPORT, CMD_KEY_DELIVER, CMD_KEY_DELIVERIES,
    CMD_KEY_PENDING, CMD_KEY_APPROVE, CMD_KEY_DENY;
extern const command_t CMD_TOKEN_ADD, CMD_TOKEN_LIST, CMD_TOKEN_REMOVE;
extern const command_t CMD_DEVICE_LIST, CMD_DEVICE_SHOW, CMD_DEVICE_PUSH, CMD_DEVICE_QUEUE,
    CMD_DEVICE_RELEASE, CMD_DEVICE_RESULT, CMD_DEVICE_CANCEL;
extern const command_t CMD_DEVICE_LOCK, CMD_DEVICE_ERASE, CMD_DEVICE_CLEAR_PASSCODE,
    CMD_DEVICE_RESTART, CMD_DEVICE_INFO, CMD_DEVICE_COMMAND;
extern const command_t CMD_PROFILE_ADD, CMD_PROFILE_LIST, CMD_PROFILE_SHOW, CMD_PROFILE_REMOVE,
    CMD_PROFILE_ASSIGN, CMD_PROFILE_UNASSIGN;
extern const command_t CMD_CA_SHOW, CMD_CA_ROLLOVER;
extern const command_t CMD_SCEP_CHALLENGE, CMD_SCEP_TRACE;
extern const command_t CMD_CERT_PENDING, CMD_CERT_APPROVE, CMD_CERT_DENY;
extern const command_t CMD_CERT_LIST, CMD_CERT_SHOW, CMD_CERT_REVOKE, CMD_CERT_LISTS,
    CMD_DEVICE_LOST, CMD_CERT_LINT;
extern const command_t CMD_CERT_REPORT, CMD_WATCH_LIST, CMD_WATCH_ADD, CMD_WATCH_REMOVE,
    CMD_WATCH_CHECK, CMD_WATCH_RELEASE, CMD_WATCH_RUNS;
extern const command_t CMD_MAIL_SIGN, CMD_MAIL_ENCRYPT, CMD_MAIL_DECRYPT;
extern const command_t CMD_MAIL_VERIFY, CMD_MAIL_SHOW, CMD_MAIL_EXTRACT;
extern const command_t CMD_MAIL_RECIPIENTS, CMD_MAIL_HARVEST, CMD_MAIL_TRUST, CMD_MAIL_CERTIFICATES,
    CMD_MAIL_GROUP, CMD_MAIL_POLICY, CMD_MAIL_REENCRYPT;
extern const command_t CMD_SYNC_STORE, CMD_SYNC_REGIONS, CMD_SYNC_USAGE, CMD_SYNC_QUOTA,
    CMD_SYNC_HOLD, CMD_SYNC_WIPE;
extern const command_t CMD_MAILBOX_ADD, CMD_MAILBOX_HOOK, CMD_MAILBOX_LIST, CMD_MAILBOX_RELEASES,
    CMD_MAILBOX_REMOVE;
extern const command_t CMD_OFFICER_KEYGEN, CMD_OFFICER_FINGERPRINT, CMD_OFFICER_ADD,
    CMD_OFFICER_LIST, CMD_OFFICER_REMOVE, CMD_OFFICER_ACTIVATE, CMD_OFFICER_SIGN,
    CMD_OFFICER_WITHDRAW, CMD_OFFICER_REDEAL, CMD_OFFICER_DRILL, CMD_OFFICER_FINISH;
extern const command_t CMD_RECOVER_REQUEST, CMD_RECOVER_LIST, CMD_RECOVER_SHOW, CMD_RECOVER_APPROVE,
    CMD_RECOVER_DENY, CMD_RECOVER_OPEN;
extern const command_t CMD_ESCROW_LIST, CMD_ESCROW_SHOW, CMD_ESCROW_HISTORY, CMD_ESCROW_PUT,
    CMD_ESCROW_VERIFY, CMD_ESCROW_DRILL, CMD_ESCROW_REPORT;
extern const command_t CMD_DEVICE_SECRETS, CMD_DEVICE_ACTIVATION_LOCK, CMD_DEVICE_BYPASS_CODE,
    CMD_DEVICE_FILEVAULT, CMD_DEVICE_LEASES, CMD_DEVICE_TOKEN, CMD_DEVICE_MAIL_APP;
extern const command_t CMD_DISK_PROTECT, CMD_DISK_STATUS, CMD_DISK_ROTATE;
extern const command_t CMD_KEEPER_STORAGE_KEY, CMD_KEEPER_ROTATE;
extern const command_t CMD_SYNC_INIT, CMD_SYNC_JOIN, CMD_SYNC_APPROVE, CMD_SYNC_RUN,
    CMD_SYNC_STATUS, CMD_SYNC_LS, CMD_SYNC_GET, CMD_SYNC_PUT, CMD_SYNC_MKDIR, CMD_SYNC_RM,
    CMD_SYNC_LIMIT, CMD_SYNC_HISTORY, CMD_SYNC_RESTORE, CMD_SYNC_DEVICES, CMD_SYNC_REVOKE,
    CMD_SYNC_ROTATE, CMD_SYNC_MOUNT;
extern const command_t CMD_BACKUP_MAKE, CMD_BACKUP_LIST, CMD_BACKUP_VERIFY, CMD_BACKUP_PRUNE;
extern const command_t CMD_RESTORE_REQUEST, CMD_RESTORE_APPROVE, CMD_RESTORE_OPEN;
extern const command_t CMD_SYNC_LINK, CMD_SYNC_LINKS, CMD_SYNC_UNLINK, CMD_SYNC_FETCH;
extern const command_t CMD_SYNC_MAKE_SHARE, CMD_SYNC_OPEN_SHARE, CMD_SYNC_SHARE, CMD_SYNC_UNSHARE,
    CMD_SYNC_FOLLOW, CMD_SYNC_WHO, CMD_SYNC_DIGITS, CMD_SYNC_AUDIT, CMD_SYNC_RECOVERY_KEY,
    CMD_SYNC_RECOVERY, CMD_SYNC_RECOVER;
extern const command_t CMD_AUDIT_LIST, CMD_AUDIT_EXPORT, CMD_AUDIT_VERIFY, CMD_AUDIT_KEEPER_LOG;

#endif
