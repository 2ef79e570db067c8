/*
 * The short way to an audit entry: C strings and a flat list of details.
 */
#ifndef COFFER_AUDIT_NOTE_H
#define COFFER_AUDIT_NOTE_H

#include "audit/audit.h"

/*
 * audit_append with details given as pairs of C strings (name, value), ended by NULL; a NULL
 * value leaves its pair out. Inside a db_write. Never put a secret into an entry.
 */
err_t *audit_note(const audit_t *audit, db_conn_t *conn, const char *actor, const char *action,
                  const char *object, ...) WARN_UNUSED __attribute__((sentinel));

#endif
