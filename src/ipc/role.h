/*
 * Who is at the other end of a channel. cofferd made the channel and says so; a process cannot
 * claim a role for itself.
 */
#ifndef COFFER_IPC_ROLE_H
#define COFFER_IPC_ROLE_H

#include <stdbool.h>

#include "base/bytes.h"

typedef enum {
    ROLE_KEEPER,
    ROLE_WEB,
    ROLE_COURIER,
    ROLE_MAILGATE,
    ROLE_COMMAND, /* `coffer init` and maintenance, run by the owner of the instance */
} role_t;

enum { ROLE_NAME_MAX = 16 }; /* bytes */

const char *role_name(role_t role); /* "keeper", "web", ...; static */
/* False if there is no role of that name. */
bool role_parse(bytes_t name, role_t *ret_role);

#endif
