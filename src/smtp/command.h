/*
 * One command line of SMTP or LMTP taken apart (RFC 5321 section 4.1.1, RFC 2033, RFC 3207,
 * XFORWARD). Syntax only; what it means in its place is session.h's. Pure; all borrowed from the
 * line.
 */
#ifndef COFFER_SMTP_COMMAND_H
#define COFFER_SMTP_COMMAND_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

typedef enum {
    SMTP_HELO,
    SMTP_EHLO,
    SMTP_LHLO,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_RSET,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_STARTTLS,
    SMTP_XFORWARD,
    SMTP_UNKNOWN,
} smtp_verb_t;

typedef struct {
    bytes_t name, value;
    bool has_value;
} smtp_parameter_t;

typedef struct {
    smtp_verb_t verb;
    bytes_t argument;                                   /* what stands behind the verb, trimmed */
    bytes_t address;                                    /* MAIL and RCPT: inside of < > */
    smtp_parameter_t parameters[LIMIT_SMTP_PARAMETERS]; /* MAIL, RCPT, XFORWARD */
    size_t parameters_n;
} smtp_command_t;

/*
 * The line without its CR LF. An unknown verb is no error. ERR_INVALID: the syntax of MAIL, RCPT
 * or XFORWARD is wrong; the verb is set then too. The error's message is fit for the client.
 */
err_t *smtp_command_parse(bytes_t line, smtp_command_t *command) WARN_UNUSED;

#endif
