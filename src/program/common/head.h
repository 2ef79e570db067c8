/*
 * Has the keeper sign the head of this process's audit chain. For coffer-web and coffer-courier.
 */
#ifndef COFFER_PROGRAM_HEAD_H
#define COFFER_PROGRAM_HEAD_H

#include "audit/audit.h"
#include "keeper/client.h"
#include "store/db.h"

/* Signs and stores the head if there is anything new. */
err_t *head_sign(db_t *db, const audit_t *audit, keeper_t *keeper) WARN_UNUSED;
/* "host/program" into node, and the audit_t that uses it. node must outlive audit. */
err_t *head_name_node(const char *program, char *node, size_t size, audit_t *ret_audit) WARN_UNUSED;

#endif
