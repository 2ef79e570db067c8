/*
 * Answers coffer-web's questions about the directory (directory/remote.h): the only process that
 * speaks LDAP, since it has no listening socket and web needs none that goes out. Runs on the
 * threads of the courier's rpc_server_t.
 */
#ifndef COFFER_PROGRAM_DIRECTORY_SERVE_H
#define COFFER_PROGRAM_DIRECTORY_SERVE_H

#include "base/log.h"
#include "directory/ldap_people.h"
#include "ipc/server.h"
#include "program/common/settings.h"

typedef struct dirserve dirserve_t;

/* Reads the bind password: before the sandbox. settings and log are borrowed. */
err_t *dirserve_new(const settings_t *settings, const log_t *log,
                    dirserve_t **ret_serve) WARN_UNUSED;
void dirserve_free(dirserve_t *serve); /* takes NULL; nothing may be asked any more */
/* Ends what waits for the directory, for good. Takes NULL. */
void dirserve_stop(dirserve_t *serve);

/* The CA file that the sandbox must leave readable, or NULL. */
const char *dirserve_ca(const dirserve_t *serve);
ldappeople_t *dirserve_people(dirserve_t *serve);

/* Answers; an intent that is not known is refused. serve may be NULL: there is no directory. */
void dirserve_handle(dirserve_t *serve, const rpc_request_t *request, rpc_reply_t *reply);

DEFINE_CLEANUP(dirserve_t, dirserve_free)

#endif
