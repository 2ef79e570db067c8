/*
 * Roles of processes: see role.h. Pure.
 */
#include "ipc/role.h"

const char *role_name(role_t role) {
    switch (role) {
    case ROLE_KEEPER: return "keeper";
    case ROLE_WEB: return "web";
    case ROLE_COURIER: return "courier";
    case ROLE_MAILGATE: return "mailgate";
    case ROLE_COMMAND: return "command";
    }
    return "?";
}

bool role_parse(bytes_t name, role_t *ret_role) {
    for (int i = ROLE_KEEPER; i <= ROLE_COMMAND; i++)
        if (bytes_eq_str(name, role_name((role_t)i))) {
            *ret_role = (role_t)i;
            return true;
        }
    return false;
}
