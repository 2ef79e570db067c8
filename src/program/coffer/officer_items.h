/*
 * What the server hands an officer: objects with the officer's own shares. For the commands that
 * run on officers' machines.
 */
#ifndef COFFER_PROGRAM_COFFER_OFFICER_ITEMS_H
#define COFFER_PROGRAM_COFFER_OFFICER_ITEMS_H

#include "format/json.h"
#include "keeper/escrow_format.h"

err_t *officer_read_object(const json_t *item, escrow_object_t *object) WARN_UNUSED;
/* At most LIMIT_ESCROW_OFFICERS of them. */
err_t *officer_read_parts(const json_t *item, escrow_share_t *parts, size_t *ret_count) WARN_UNUSED;

#endif
