/*
 * coffer-mailbox's commands as its files share them.
 */
#ifndef COFFER_PROGRAM_MAILBOX_CLI_H
#define COFFER_PROGRAM_MAILBOX_CLI_H

#include "program/coffer/cli.h"
#include "program/mailbox/mailbox.h"

/* --dir, COFFER_MAILBOX, or ~/.local/share/coffer-mailbox. */
err_t *mailbox_dir(cli_t *cli, const char **ret_dir) WARN_UNUSED;

/* commands_ask.c: asks the agent; its error becomes ours. */
err_t *mailbox_ask(cli_t *cli, json_t *request, const char *what, json_t **ret_reply) WARN_UNUSED;
/* Members of an answer; "", 0, false for those that aren't there. */
bytes_t mailbox_get(const json_t *object, const char *name);
int64_t mailbox_number(const json_t *object, const char *name);
bool mailbox_flag(const json_t *object, const char *name);
/* Who signed a message that was shown, in a sentence. */
const char *mailbox_trust(const json_t *reply);

/* tui.c */
err_t *cmd_tui(cli_t *cli, const args_t *args) WARN_UNUSED;

/* commands_local.c */
err_t *cmd_init(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_run(cli_t *cli, const args_t *args) WARN_UNUSED;
/* commands_ask.c */
err_t *cmd_status(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_unlock(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_lock(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_passcode(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_sync(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_folders(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_list(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_search(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_read(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_report_spam(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_send(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_reply(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_draft(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_who(cli_t *cli, const args_t *args) WARN_UNUSED;
err_t *cmd_wipe(cli_t *cli, const args_t *args) WARN_UNUSED;

#endif
