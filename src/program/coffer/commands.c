/*
 * The list of commands is the program's table of contents.
 */
#include "program/coffer/cli.h"

static const command_t *const commands[] = {
    &CMD_INIT,
    &CMD_STATUS,
    &CMD_USER_ADD,
    &CMD_USER_LIST,
    &CMD_USER_DISABLE,
    &CMD_USER_ENABLE,
    &CMD_USER_PASSWORD,
    &CMD_DEVICE_LIST,
    &CMD_DEVICE_SHOW,
    &CMD_DEVICE_LOCK,
    &CMD_DEVICE_ERASE,
    &CMD_DEVICE_LOST,
    &CMD_DEVICE_CLEAR_PASSCODE,
    &CMD_DEVICE_RESTART,
    &CMD_DEVICE_INFO,
    &CMD_DEVICE_COMMAND,
    &CMD_DEVICE_PUSH,
    &CMD_DEVICE_RELEASE,
    &CMD_DEVICE_QUEUE,
    &CMD_DEVICE_RESULT,
    &CMD_DEVICE_CANCEL,
    &CMD_PROFILE_ADD,
    &CMD_PROFILE_LIST,
    &CMD_PROFILE_SHOW,
    &CMD_PROFILE_REMOVE,
    &CMD_PROFILE_ASSIGN,
    &CMD_PROFILE_UNASSIGN,
    &CMD_CERT_LIST,
    &CMD_CERT_SHOW,
    &CMD_CERT_REVOKE,
    &CMD_CERT_LISTS,
    &CMD_CERT_PENDING,
    &CMD_CERT_APPROVE,
    &CMD_CERT_DENY,
    &CMD_SCEP_CHALLENGE,
    &CMD_SCEP_TRACE,
    &CMD_TOKEN_ADD,
    &CMD_TOKEN_LIST,
    &CMD_TOKEN_REMOVE,
    &CMD_AUDIT_LIST,
    &CMD_AUDIT_EXPORT,
    &CMD_AUDIT_VERIFY,
    &CMD_JOBS,
    &CMD_COMPLETION,
};

static const option_t globals[] = {
    {"dir", "DIR", "the instance on this machine (or COFFER_DIR)"},
    {"server", "URL", "a server elsewhere: https://host:port"},
    {"token-file", "FILE", "its API token"},
    {"ca", "FILE", "the root certificate to trust (PEM)"},
    {"json", NULL, "print JSON, for programs"},
    {"help", NULL, "explain a command"},
    {"version", NULL, "print the version"},
    {NULL, NULL, NULL},
};

const args_grammar_t CLI_GRAMMAR = {commands, sizeof commands / sizeof commands[0], globals};
