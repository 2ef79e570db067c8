/*
 * A property list as JSON, for people and programs that would rather read that: data becomes
 * base64, dates RFC 3339, integers beyond int64 reals. Pure.
 */
#ifndef COFFER_FORMAT_PLIST_JSON_H
#define COFFER_FORMAT_PLIST_JSON_H

#include "format/json.h"
#include "format/plist.h"

/* The caller owns the value (jso_free). Nesting is bounded by LIMIT_PLIST_DEPTH. */
err_t *plist_to_json(const plist_t *node, json_t **ret_json) WARN_UNUSED;

#endif
