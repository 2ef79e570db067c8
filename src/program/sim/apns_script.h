/*
 * Faults of the push stand-in, from a file of lines, consumed as requests come in:
 *
 *   410 next 1          answer the next request 410 Unregistered (so 400, 403, 429, 500, 503)
 *   stall next 1 5s     answer the next one after 5 seconds
 *   goaway after 5      after the 5th request: GOAWAY; later streams are not handled
 *   close after 3       the 3rd request is not answered: the connection breaks
 *   badtoken HEX        this token is always 400 BadDeviceToken
 *   # comment
 *
 * "next" rules apply one after the other, in the file's order; "after" counts all requests since
 * the start. Pure.
 */
#ifndef COFFER_SIM_APNS_SCRIPT_H
#define COFFER_SIM_APNS_SCRIPT_H

#include "base/bytes.h"
#include "base/err.h"

enum { APNS_RULES = 256 };

typedef enum { RULE_STATUS, RULE_STALL, RULE_GOAWAY, RULE_CLOSE, RULE_BADTOKEN } apns_rule_kind_t;

typedef struct {
    apns_rule_kind_t kind;
    unsigned status;
    uint64_t count;   /* next: how many are left; after: which request */
    int64_t stall_ms; /* RULE_STALL */
    bytes_t token;    /* RULE_BADTOKEN: hex, borrowed from the script's text */
} apns_rule_t;

typedef struct {
    apns_rule_t rules[APNS_RULES];
    size_t n;
    uint64_t requests; /* seen so far */
} apns_script_t;

/* What to do with one request. */
typedef struct {
    unsigned status; /* 0: as it deserves */
    const char *reason;
    int64_t stall_ms;
    bool goaway, close;
} apns_fault_t;

/* `text` must outlive the script. ERR_USAGE names the line. */
err_t *apns_script_parse(bytes_t text, apns_script_t *ret_script) WARN_UNUSED;
/* Counts a request for `token` (lower-case hex) and says what goes wrong with it. */
apns_fault_t apns_script_next(apns_script_t *script, const char *token);

#endif
